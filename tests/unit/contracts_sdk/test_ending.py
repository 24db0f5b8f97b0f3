"""A program that has read a definition ends as it meant to."""

import subprocess
import sys

READING = """
import sys
from flowforge.definition import parse

_, faults = parse({"id": "w", "name": "W", "nodes": [{"id": "a", "type": "start"}]})
sys.exit(len(faults) + 7)
"""


def test_reading_a_definition_leaves_the_exit_status_alone():
    # memory that was freed is overwritten, so that whoever reads it fails for sure and not now and then
    ended = subprocess.run([sys.executable, "-c", READING], env={"PYTHONMALLOC": "debug"}, check=False, timeout=60)
    assert ended.returncode == 7
