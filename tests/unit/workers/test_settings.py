"""What an installation may choose of the built-in worker."""

from pathlib import Path

import pytest

from infra.settings import SettingsError
from services.workers import settings


def test_queues_and_concurrency_are_read(tmp_path: Path) -> None:
    given = {"FLOWFORGE_HOME": str(tmp_path), "FLOWFORGE_SCRIPT_QUEUES": "default, gpu,default"}
    loaded = settings.load({**given, "FLOWFORGE_SCRIPT_CONCURRENCY": "3"})
    assert (loaded.queues, loaded.concurrency) == (("default", "gpu"), 3)
    assert settings.load({"FLOWFORGE_HOME": str(tmp_path)}).queues == ("default",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLOWFORGE_SCRIPT_CONCURRENCY", "many"),
        ("FLOWFORGE_SCRIPT_CONCURRENCY", "0"),
        ("FLOWFORGE_SCRIPT_QUEUES", "a,,b"),
        ("FLOWFORGE_CALL_CONCURRENCY", "1001"),
        ("FLOWFORGE_WEBHOOK_ALLOW", "*"),
        ("FLOWFORGE_WEBHOOK_ALLOW", "10.0.0.0/8, 10.0.0.0/99"),
        ("FLOWFORGE_WEBHOOK_DENY", "http://db:5432"),
        ("FLOWFORGE_SCRIPT_ISOLATION", "off"),
        ("FLOWFORGE_SCRIPT_MAX_MEMORY_MB", "8"),
        ("FLOWFORGE_SCRIPT_MAX_FILE_MB", "1.5"),
        ("FLOWFORGE_SCRIPT_MEMORY_MB", "0"),
    ],
)
def test_nonsense_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings.load({"FLOWFORGE_HOME": str(tmp_path), name: value})


def test_targets_are_read_and_flowforges_own_http_server_is_among_its_servers(tmp_path: Path) -> None:
    loaded = settings.load(
        {
            "FLOWFORGE_HOME": str(tmp_path),
            "FLOWFORGE_WEBHOOK_ALLOW": "10.0.0.0/8, *.internal:8443",
            "FLOWFORGE_WEBHOOK_DENY": "db:5432,[::1]:4222",
            "FLOWFORGE_HTTP_HOST": "::1",
            "FLOWFORGE_HTTP_PORT": "9000",
        }
    )
    assert loaded.common.webhook_allow == ("10.0.0.0/8", "*.internal:8443")
    assert loaded.own_servers == ("db:5432", "[::1]:4222", "[::1]:9000")


def test_what_scripts_may_take_and_how_they_are_kept_apart_is_chosen(tmp_path: Path) -> None:
    home = {"FLOWFORGE_HOME": str(tmp_path)}
    loaded = settings.load(home)
    assert (loaded.isolation, loaded.memory_mb, loaded.defaults) == (
        "confined",
        None,
        settings.ScriptDefaults(None, 4096),
    )
    chosen = {"ISOLATION": "required", "MAX_MEMORY_MB": "512", "MAX_FILE_MB": "100", "MEMORY_MB": "2048"}
    loaded = settings.load(home | {f"FLOWFORGE_SCRIPT_{name}": value for name, value in chosen.items()})
    assert (loaded.isolation, loaded.memory_mb, loaded.defaults) == (
        "required",
        2048,
        settings.ScriptDefaults(512, 100),
    )
