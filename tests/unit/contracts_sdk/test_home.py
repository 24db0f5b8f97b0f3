"""Where an installation is found: given, environment, files, in this order."""

from pathlib import Path

import pytest
from flowforge import Unreachable, home


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLOWFORGE_HOME", "FLOWFORGE_NATS_URL", "FLOWFORGE_NAMESPACE", "FLOWFORGE_NATS_INBOX_PREFIX"):
        monkeypatch.delenv(name, raising=False)


def test_a_worker_finds_its_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWFORGE_HOME", str(tmp_path))
    with pytest.raises(Unreachable, match="endpoints"):
        home.worker_nats_url()
    (tmp_path / "endpoints.json").write_text('{"nats": "nats://external@h:1", "later": "unknown"}')
    assert home.worker_nats_url() == "nats://external@h:1"
    (tmp_path / "endpoints.json").write_text('{"nats": "nats://external@h:1", "worker_nats": "nats://worker@h:1"}')
    assert home.worker_nats_url() == "nats://worker@h:1"
    monkeypatch.setenv("FLOWFORGE_NATS_URL", "nats://env@h:1")
    assert home.worker_nats_url() == "nats://env@h:1"
    assert home.worker_nats_url("nats://given@h:1") == "nats://given@h:1"


def test_a_file_that_makes_no_sense_is_told(tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text("{")
    with pytest.raises(Unreachable, match="cannot be read"):
        home.endpoints(tmp_path)


def test_a_file_that_makes_no_sense_is_in_nobodys_way_who_has_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "endpoints.json").write_text("{")
    monkeypatch.setenv("FLOWFORGE_HOME", str(tmp_path))
    assert home.worker_nats_url("nats://given@h:1") == "nats://given@h:1"


def test_the_admin_key_is_read_where_it_is(tmp_path: Path) -> None:
    assert home.admin_key(tmp_path) is None
    (tmp_path / "admin.key").write_text("ffk_1\n")
    assert home.admin_key(tmp_path) == "ffk_1"


def test_namespace_and_inboxes_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (home.namespace(), home.inbox_prefix()) == ("flowforge", "_INBOX")
    monkeypatch.setenv("FLOWFORGE_NAMESPACE", "other")
    monkeypatch.setenv("FLOWFORGE_NATS_INBOX_PREFIX", "_INBOX_workers")
    assert (home.namespace(), home.inbox_prefix(), home.namespace("given")) == ("other", "_INBOX_workers", "given")


def test_passwords_are_not_shown() -> None:
    assert home.without_password("nats://me:secret@host:4222") == "nats://me@host:4222"
    assert home.without_password("nats://host:4222") == "nats://host:4222"
    assert home.without_password("nats://t0ken@host:4222") == "nats://***@host:4222"
    assert home.without_password("postgresql://me@host/db") == "postgresql://me@host/db"
