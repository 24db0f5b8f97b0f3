"""Writes the documents, or checks that they are what the code says."""

import argparse
import sys
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import cast

import msgspec
from litestar import Litestar

from infra.documents import asyncapi, openapi
from infra.embedded.front import load_app
from infra.settings import load_settings


def texts(reads: str, writes: str) -> dict[str, bytes]:
    """Each document's file name and what it should hold."""
    settings = load_settings({})
    reading, writing = (cast("Litestar", load_app(name, settings)) for name in (reads, writes))
    number = version("flowforge")
    told = {"openapi.json": openapi.document(reading, writing, number), "asyncapi.json": asyncapi.document(number)}
    return {name: msgspec.json.format(msgspec.json.encode(each), indent=1) + b"\n" for name, each in told.items()}


def main() -> int:
    """Exit status 1 where they were checked and differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reads", required=True)
    parser.add_argument("--writes", required=True)
    parser.add_argument("--check", action="store_true", help="write nothing; say what differs")
    given = parser.parse_args()
    folder = Path(str(files("flowforge"))) / "documents"
    differing: list[str] = []
    for name, text in texts(given.reads, given.writes).items():
        path = folder / name
        if not path.exists() or path.read_bytes() != text:
            differing.append(name)
            if not given.check:
                path.write_bytes(text)
    if given.check and differing:
        sys.stderr.write(f"{', '.join(differing)}: not what the code says; `make documents` writes them anew\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
