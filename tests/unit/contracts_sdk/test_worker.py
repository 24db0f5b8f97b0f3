"""A worker before it has a connection: what it takes, what it refuses, how its module is found."""

import sys
from pathlib import Path

import flowforge
import pytest
from flowforge import FlowForgeError, Job, Worker
from flowforge.worker import load_worker, main


async def _handler(_job: Job) -> None:
    return


def test_job_types_are_checked_where_they_are_written() -> None:
    worker = Worker()
    worker.job("a.b-c_1")(_handler)
    with pytest.raises(ValueError, match="has a handler already"):
        worker.job("a.b-c_1")(_handler)
    with pytest.raises(ValueError, match="is no job type"):
        worker.job("two words")
    with pytest.raises(ValueError, match="at least 1"):
        Worker(concurrency=0)
    assert worker.job_types == ["a.b-c_1"]


async def test_a_worker_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="serves nothing"):
        await Worker().run()


def test_a_handler_stays_the_function_that_it_was() -> None:
    assert Worker().job("work")(_handler) is _handler


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("jobs", "is not MODULE:WORKER"),
        (":worker", "is not MODULE:WORKER"),
        ("no_such_module_here:worker", "there is no module 'no_such_module_here'"),
        ("json:loads", "is no Worker"),
        ("json:nothing", "is no Worker"),
    ],
)
def test_a_wrong_name_is_told_in_words(reference: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FlowForgeError, match=words):
        load_worker(reference)
    assert main([reference]) == 1
    assert words in capsys.readouterr().err


def test_a_module_in_the_working_folder_is_found_and_its_own_mistakes_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "found_jobs.py").write_text("from flowforge import Worker\nworker = Worker('q')\n")
    (tmp_path / "broken_jobs.py").write_text("import no_such_thing\n")
    assert load_worker("found_jobs:worker").queue == "q"
    with pytest.raises(ModuleNotFoundError, match="no_such_thing"):
        load_worker("broken_jobs:worker")


def test_the_command_needs_one_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_the_package_offers_what_it_names() -> None:
    for name in flowforge.__all__:
        assert getattr(flowforge, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = flowforge.Nothing  # pyright: ignore[reportUnknownVariableType]
