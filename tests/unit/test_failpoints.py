"""Failpoints: armed by environment, silent otherwise, fired once."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.failpoints import KILLED_EXIT_STATUS, FailpointError, Failpoints


def armed(text: str, once_folder: Path | None = None) -> Failpoints:
    environment = {"FLOWFORGE_FAILPOINTS": text}
    if once_folder is not None:
        environment["FLOWFORGE_FAILPOINTS_ONCE"] = str(once_folder)
    return Failpoints.of_environment(environment)


def test_a_point_that_is_not_armed_does_nothing():
    points = armed("triggers.after_append=error")
    points.passed("triggers.before_append")


def test_an_armed_point_raises_and_says_its_name():
    with pytest.raises(FailpointError, match=r"triggers\.after_append"):
        armed("triggers.after_append=error").passed("triggers.after_append")


def test_a_point_fires_at_the_passage_it_was_armed_for_and_only_there():
    points = armed(" a=error@3 ; b=die@2 ")
    points.passed("a")
    points.passed("a")
    with pytest.raises(FailpointError):
        points.passed("a")
    points.passed("a")


def test_with_a_folder_a_point_fires_once_ever_however_often_the_process_starts(tmp_path: Path):
    with pytest.raises(FailpointError):
        armed("a=error", tmp_path / "fired").passed("a")
    armed("a=error", tmp_path / "fired").passed("a")
    assert [marker.name for marker in (tmp_path / "fired").iterdir()] == ["a"]


def test_the_points_of_a_file_are_those_that_it_names_when_the_process_starts(tmp_path: Path):
    file = tmp_path / "triggers"
    environment = {"FLOWFORGE_FAILPOINTS_FILE": str(file)}
    assert not Failpoints.of_environment(environment).are_armed
    file.write_text("a=error\n")
    points = Failpoints.of_environment(environment)
    file.write_text("")
    assert points.are_armed
    with pytest.raises(FailpointError):
        points.passed("a")


def test_die_ends_the_process_as_if_killed_with_nothing_run_on_the_way_out(tmp_path: Path):
    program = (
        "import atexit; from infra.failpoints import failpoint;"
        "atexit.register(print, 'tidied up'); failpoint('x'); print('passed once', flush=True); failpoint('x')"
    )
    environment = {"FLOWFORGE_FAILPOINTS": "x=die@2", "PYTHONPATH": ":".join(filter(None, sys.path))}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (KILLED_EXIT_STATUS, "passed once\n"), ended.stderr


@pytest.mark.parametrize("text", ["a", "a=explode", "a=die@soon", "a=die@-1"])
def test_what_cannot_be_read_is_refused_by_its_text(text: str):
    with pytest.raises(ValueError, match=f"'{text}' is not"):
        armed(text)
