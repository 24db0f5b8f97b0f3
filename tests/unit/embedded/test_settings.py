from pathlib import Path

import pytest

from infra.settings import Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_everything_has_a_default(empty_folder: Path) -> None:
    settings = load_settings({})
    assert settings == Settings(home=empty_folder / ".flowforge")
    assert (settings.http_port, settings.nats_port, settings.namespace) == (8080, 4222, "flowforge")
    assert settings.auth_is_on


def test_the_environment_wins_over_the_file(empty_folder: Path) -> None:
    (empty_folder / "flowforge.toml").write_text('http_port = 9000\nnamespace = "filed"\nscript_paths = ["data"]\n')
    settings = load_settings({"FLOWFORGE_HTTP_PORT": "9001"})
    assert (settings.http_port, settings.namespace) == (9001, "filed")
    assert settings.script_paths == (empty_folder / "data",)


def test_the_file_in_home_wins_over_the_one_here(empty_folder: Path) -> None:
    home = empty_folder / "elsewhere"
    home.mkdir()
    (home / "flowforge.toml").write_text("http_port = 1\n")
    (empty_folder / "flowforge.toml").write_text("http_port = 2\n")
    assert load_settings({"FLOWFORGE_HOME": "elsewhere"}).http_port == 1


def test_several_script_paths_are_separated_as_in_path(empty_folder: Path) -> None:
    settings = load_settings({"FLOWFORGE_SCRIPT_PATHS": "/data:sub"})
    assert settings.script_paths == (Path("/data"), empty_folder / "sub")


def test_limits_are_names_with_numbers_and_there_are_none_by_default(empty_folder: Path) -> None:
    settings = load_settings({})
    assert (settings.pools, settings.queue_limits) == ({}, {})
    assert (settings.max_concurrent_jobs, settings.user_max_concurrent_jobs, settings.cache_kept_ms) == (
        None,
        None,
        None,
    )
    environ = {"FLOWFORGE_POOLS": "gpu=2, db=10", "FLOWFORGE_MAX_CONCURRENT_JOBS": "50"}
    settings = load_settings(environ)
    assert (settings.pools, settings.max_concurrent_jobs) == ({"gpu": 2, "db": 10}, 50)
    (empty_folder / "flowforge.toml").write_text("max_concurrent_jobs = 3\n[queue_limits]\ndefault = 20\n")
    settings = load_settings({})
    assert (settings.queue_limits, settings.max_concurrent_jobs) == ({"default": 20}, 3)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"FLOWFORGE_POOLS": "gpu"}, r"FLOWFORGE_POOLS: 'gpu' is not a name with a number, as in gpu=2"),
        ({"FLOWFORGE_POOLS": "gpu=many"}, r"FLOWFORGE_POOLS: 'gpu=many' is not a name with a number"),
        ({"FLOWFORGE_POOLS": "gpu=2,gpu=3"}, r"FLOWFORGE_POOLS: 'gpu' is given twice"),
        ({"FLOWFORGE_POOLS": "gpu=0"}, r"FLOWFORGE_POOLS: .* is refused: .*its limit is 1 or more"),
        ({"FLOWFORGE_POOLS": "jobs=1"}, r"FLOWFORGE_POOLS: .* is refused: .*is not 'jobs'"),
        ({"FLOWFORGE_QUEUE_LIMITS": "default=0"}, r"FLOWFORGE_QUEUE_LIMITS: .* is refused: the limit of a queue is 1"),
        ({"FLOWFORGE_MAX_CONCURRENT_JOBS": "0"}, r"FLOWFORGE_MAX_CONCURRENT_JOBS: 0 is refused: expected 1 or more"),
        ({"FLOWFORGE_USER_MAX_CONCURRENT_JOBS": "x"}, r"FLOWFORGE_USER_MAX_CONCURRENT_JOBS: 'x' is not a number"),
        ({"FLOWFORGE_CACHE_KEPT_MS": "-1"}, r"FLOWFORGE_CACHE_KEPT_MS: -1 is refused"),
        ({"FLOWFORGE_HTTP_PORT": "http"}, r"FLOWFORGE_HTTP_PORT: 'http' is not a number"),
        ({"FLOWFORGE_HTTP_PORT": "70000"}, r"FLOWFORGE_HTTP_PORT: 70000 is refused: a port is 0"),
        ({"FLOWFORGE_NATS_PORT": "-1"}, r"FLOWFORGE_NATS_PORT: -1 is refused"),
        ({"FLOWFORGE_NAMESPACE": "a.b"}, r"FLOWFORGE_NAMESPACE: a\.b is refused: a namespace matches"),
        ({"FLOWFORGE_AUTH": "maybe"}, r"FLOWFORGE_AUTH: 'maybe' is neither 'on' nor 'off'"),
        ({"FLOWFORGE_AUTH": "off", "FLOWFORGE_HTTP_HOST": "0.0.0.0"}, r"FLOWFORGE_AUTH: off is refused.*loopback"),
        ({"FLOWFORGE_PUBLIC_URL": "flowforge.example"}, r"FLOWFORGE_PUBLIC_URL: .*expected http://"),
        ({"FLOWFORGE_DATABASE_URL": "mysql://h/d"}, r"FLOWFORGE_DATABASE_URL: .*expected postgresql://"),
        ({"FLOWFORGE_NATS_URL": "localhost"}, r"FLOWFORGE_NATS_URL: localhost is refused: expected nats://"),
        ({"FLOWFORGE_SCRIPT_PATHS": ".flowforge/x"}, r"FLOWFORGE_SCRIPT_PATHS: .*may not use FLOWFORGE_HOME"),
        ({"FLOWFORGE_SCRIPT_PATHS": "/"}, r"FLOWFORGE_SCRIPT_PATHS: .*may not use FLOWFORGE_HOME"),
    ],
)
def test_a_bad_value_is_refused_by_name(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(environ)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http_prot = 1", r"unknown key 'http_prot'; known are home, database_url"),
        ('http_port = "8080"', r"flowforge\.toml: http_port: Expected `int`, got `str`, not '8080'"),
        ("home = 3", r"flowforge\.toml: home: Expected a path, not 3"),
        ("script_paths = [1]", r"flowforge\.toml: script_paths: Expected a path"),
        ("http_port = ", r"flowforge\.toml: not valid TOML"),
    ],
)
def test_a_bad_file_is_refused(empty_folder: Path, text: str, message: str) -> None:
    (empty_folder / "flowforge.toml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_settings({})


def test_auth_may_be_off_on_loopback() -> None:
    assert not load_settings({"FLOWFORGE_AUTH": "off"}).auth_is_on


def test_callbacks_come_to_the_public_address_or_to_this_machine() -> None:
    assert load_settings({"FLOWFORGE_HTTP_PORT": "9000"}).callbacks_url == "http://127.0.0.1:9000"
    assert load_settings({"FLOWFORGE_PUBLIC_URL": "https://x.example/ff/"}).callbacks_url == "https://x.example/ff"


def test_archives_are_in_the_home_unless_said_otherwise(tmp_path: Path):
    assert load_settings({"FLOWFORGE_HOME": str(tmp_path)}).archive_folder == tmp_path / "archives"
    elsewhere = load_settings({"FLOWFORGE_HOME": str(tmp_path), "FLOWFORGE_ARCHIVE_DIR": "relative"})
    assert elsewhere.archive_folder == Path("relative").absolute()


@pytest.mark.parametrize("name", ["RUNS", "LOG_LINES", "DECISIONS"])
def test_retention_is_a_number_of_days(tmp_path: Path, name: str):
    home = {"FLOWFORGE_HOME": str(tmp_path)}
    variable = f"FLOWFORGE_RETENTION_{name}_DAYS"
    assert getattr(load_settings({**home, variable: "90"}), f"retention_{name.lower()}_days") == 90
    assert getattr(load_settings(home), f"retention_{name.lower()}_days") is None
    for wrong in ("0", "-1", "soon"):
        with pytest.raises(SettingsError, match=variable):
            load_settings({**home, variable: wrong})
