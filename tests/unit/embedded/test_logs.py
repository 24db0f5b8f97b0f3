from pathlib import Path

import pytest

from infra.embedded import logs


def test_the_last_start_is_kept_beside(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    logs.rotate(log)
    log.write_text("old")
    logs.rotate(log)
    assert not log.exists()
    assert (tmp_path / "a.log.1").read_text() == "old"


def test_a_log_that_grew_too_long_is_put_aside_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LOG_BYTES_MAX", 10)
    log = tmp_path / "a.log"
    with log.open("a") as writer:
        writer.write("x" * 11)
        writer.flush()
        logs.cap(log)
        writer.write("next")
    assert log.read_text() == "next"
    assert (tmp_path / "a.log.1").read_text() == "x" * 11


def test_a_log_that_cannot_be_put_aside_ends_nothing_and_has_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LOG_BYTES_MAX", 10)
    log = tmp_path / "a.log"
    log.write_text("x" * 11)
    (tmp_path / "a.log.1").symlink_to("/dev/full")
    logs.cap(log)
    assert log.stat().st_size == 0


def test_the_tail_is_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert logs.tail(log) == ""
    log.write_text("\n".join(map(str, range(10_000))))
    assert logs.tail(log).splitlines() == [str(n) for n in range(10_000 - logs.TAIL_LINES, 10_000)]
