"""A script's folder: private, and gone afterwards."""

import stat
import tempfile
from pathlib import Path

import pytest
from flowforge import JobError

from services.workers.workspace import PREFIX, remove_left, workspace


async def test_a_folder_is_private_and_removed_with_what_is_in_it() -> None:
    async with workspace() as place:
        assert stat.S_IMODE(place.folder.stat().st_mode) == 0o700
        (place.folder / "sub").mkdir()
        (place.folder / "sub" / "file").write_text("x")
        (place.folder / "sub").chmod(0)
    assert not place.folder.exists()


async def test_only_folders_that_nobody_holds_are_taken_for_left() -> None:
    left = Path(tempfile.mkdtemp(prefix=PREFIX))
    (left / "input.json").write_text("{}")
    async with workspace() as place:
        remove_left()
        assert place.folder.exists()
    assert not left.exists()


async def test_output_is_checked_json() -> None:
    async with workspace() as place:
        assert bytes(place.output()) == b"null"
        place.output_file.write_text(' {"a": [1, 2]}\n')
        assert bytes(place.output()) == b' {"a": [1, 2]}\n'
        place.output_file.write_bytes(b'{"a": "\xff"}')
        with pytest.raises(JobError, match="is not JSON"):
            place.output()
