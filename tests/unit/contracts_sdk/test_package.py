"""What `pip install flowforge` brings: the package whole, nothing of the server, little of anything."""

import ast
import re
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

import flowforge
import pytest

CONTRACTS = Path(__file__).parents[3] / "contracts"
INSTALLED_BYTES_MAX = 15 * 1024 * 1024
IMPORT_S_MAX = 0.3
"""Of processor time, since this machine may be busy."""
SERVER = (
    "asyncpg",
    "litestar",
    "faststream",
    "granian",
    "cel_expr_python",
    "infra",
    "services",
    "opentelemetry",
    "rich",
)


def needed(name: str = "flowforge") -> dict[str, Distribution]:
    """What is installed with a package, itself included, as this environment has it."""
    found: dict[str, Distribution] = {}
    waiting = [name]
    while waiting:
        wanted = waiting.pop()
        if wanted in found:
            continue
        found[wanted] = distribution(wanted)
        for requirement in found[wanted].requires or []:
            named, _, condition = requirement.partition(";")
            if "extra ==" not in condition and _is_for_us(condition):
                waiting.append(re.split(r"[^A-Za-z0-9._-]", named.strip(), maxsplit=1)[0].lower().replace("_", "-"))
    return found


def _is_for_us(condition: str) -> bool:
    older = re.search(r"python_version < \"3\.(\d+)\"", condition)
    return older is None or sys.version_info.minor < int(older[1])


def files_of(found: Distribution) -> list[Path]:
    assert isinstance(found, PathDistribution)
    return [Path(str(file.locate())) for file in found.files or [] if not file.name.endswith(".pyc")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what is checked in."""
    folder = tmp_path_factory.mktemp("built")
    return folder / _built(folder, "wheel")


def _built(folder: Path, kind: str) -> str:
    code = f"from setuptools import build_meta as b; print(b.build_{kind}({str(folder)!r}))"
    command = [sys.executable, "-W", "ignore", "-c", code]
    source = folder / "source"
    if not source.exists():
        _copy(source)
    done = subprocess.run(command, cwd=source, check=True, capture_output=True, text=True)
    return done.stdout.strip().splitlines()[-1]


def _copy(target: Path) -> None:
    for file in [CONTRACTS / "pyproject.toml", CONTRACTS / "README.md", *(CONTRACTS / "flowforge").rglob("*")]:
        if file.is_file() and file.suffix in {".py", ".toml", ".md", ".json", ".typed"}:
            place = target / file.relative_to(CONTRACTS)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())


def test_the_wheel_and_the_source_hold_every_module(wheel: Path) -> None:
    written = {str(file.relative_to(CONTRACTS)) for file in (CONTRACTS / "flowforge").rglob("*.py")}
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert written - packed == set()
    assert {"flowforge/py.typed", "flowforge/documents/openapi.json"} <= packed
    source = wheel.parent / _built(wheel.parent, "sdist")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert written | {"pyproject.toml", "README.md"} <= names


def test_with_all_it_needs_it_is_small(wheel: Path) -> None:
    """Sizes on disk, as installed here; of the package itself, of its wheel unpacked."""
    own = sum(entry.file_size for entry in zipfile.ZipFile(wheel).infolist())
    others = {name: found for name, found in needed().items() if name != "flowforge"}
    sizes = {
        name: sum(file.stat().st_size for file in files_of(found) if file.is_file()) for name, found in others.items()
    }
    assert {"msgspec", "nats-py", "httpx", "pyyaml"} <= sizes.keys()
    assert own + sum(sizes.values()) < INSTALLED_BYTES_MAX, (own, sizes)


def test_it_works_with_nothing_but_what_it_names(wheel: Path, tmp_path: Path) -> None:
    """In a folder of its own: the wheel unpacked, and links to what it needs."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    for name, found in needed().items():
        for file in files_of(found) if name != "flowforge" else []:
            top = file.relative_to(Path(str(found.locate_file("")))).parts[0]
            if top != ".." and not (tmp_path / top).exists():
                (tmp_path / top).symlink_to(Path(str(found.locate_file(top))))
    code = f"""
import sys, time
sys.path[:] = [path for path in sys.path if "site-packages" not in path]
sys.path.insert(0, {str(tmp_path)!r})
began = time.process_time()
import flowforge
from flowforge import JobNode, SyncClient, WorkflowBuilder, Worker
took_s = time.process_time() - began
assert flowforge.__file__.startswith({str(tmp_path)!r}), flowforge.__file__
flow = WorkflowBuilder("w")
flow.add(JobNode(id="a", job_type="t"))
flow.build().to_svg()
print(took_s, sorted(name for name in sys.modules if name in {SERVER!r}))
"""
    command = [sys.executable, "-I", "-S", "-c", code]
    said = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(3)]
    tries = [one.split(maxsplit=1) for one in said]
    assert {server.strip() for _, server in tries} == {"[]"}
    assert min(float(took_s) for took_s, _ in tries) < IMPORT_S_MAX


def test_it_says_what_it_is(wheel: Path) -> None:
    [name] = [entry for entry in zipfile.ZipFile(wheel).namelist() if entry.endswith("METADATA")]
    told = zipfile.ZipFile(wheel).read(name).decode()
    assert "Classifier: Typing :: Typed" in told
    assert "# flowforge" in told


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (CONTRACTS / "README.md").read_text(), re.DOTALL)


def test_every_name_in_its_readme_is_there() -> None:
    assert len(blocks()) >= 4
    for block in blocks():
        tree = compile(block, "README", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "flowforge":
                assert [alias.name for alias in node.names if not hasattr(flowforge, alias.name)] == []


def test_the_workflow_in_its_readme_can_be_built() -> None:
    [block] = [block for block in blocks() if "WorkflowBuilder(" in block]
    names: dict[str, object] = {}
    exec(block.partition("with SyncClient")[0], names)
    built = names["workflow"]
    assert isinstance(built, flowforge.Workflow)
    assert len(built.edges) == 3
