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
    ],
)
def test_nonsense_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings.load({"FLOWFORGE_HOME": str(tmp_path), name: value})
