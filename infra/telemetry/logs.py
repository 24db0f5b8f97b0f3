"""How log records are written: one JSON object per line, or for people where somebody sits in front of them.

    {"time", "level", "service", "logger", "message", "trace_id"?, "run_id"?, "node_id"?, "job_id"?, …, "stack"?}

What a record is about is found where it is made: a turn, a request and a job say in `flowforge.tracing.about` what they have
in hand. Logins in addresses are masked, whoever logs them.
"""

import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal, TextIO

import msgspec
from flowforge.tracing import about

from infra.settings import Settings

LogFormat = Literal["text", "json"]
STACK_CHARS_MAX = 16_000
"""Of a longer stack the end is kept: it names the fault."""
_LOGIN = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s:@]*:[^/\s@]*@")
_BEARER = re.compile(r"(?i)(\b(?:bearer|x-api-key:)\s+)\S+")
_TEXT = "{time} {level} {logger} {message}"
_TRACEPARENT_TOKENS = 4
_QUIET = ("httpx", "httpcore")
"""They write addresses and headers of calls, in which secrets are."""


def write_logs(service: str, settings: Settings) -> None:
    """From now on all records of the process are written to stderr as the settings have it."""
    configure(service, settings.log_level, settings.log_format or _fitting(sys.stderr))


def configure(service: str, level: str, log_format: LogFormat) -> None:
    """The same for a level and a format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(service) if log_format == "json" else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _fitting(stream: TextIO) -> LogFormat:
    return "text" if stream.isatty() else "json"


class JsonLines(logging.Formatter):
    """One JSON object per record, its stack inside it."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": masked(record.getMessage()),
            **about.get(),
        }
        if record.exc_info is not None and record.exc_info[1] is not None:
            told["stack"] = masked("".join(traceback.format_exception(record.exc_info[1])))[-STACK_CHARS_MAX:]
        return msgspec.json.encode({name: _sound(value) for name, value in told.items()}).decode()


class TextLines(logging.Formatter):
    """For people: what happened, and in brackets what it is about."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        named = " ".join(f"{name}={value}" for name, value in about.get().items())
        line, found, rest = super().format(record).partition("\n")
        return masked(f"{line} [{named}]{found}{rest}" if named else line + found + rest)


class AboutWork(Mapping[str, str]):
    """What the task in hand is about, computed only when a record asks for it."""

    def __init__(self) -> None:
        self.subject = ""
        self.event_type = ""
        self.event_id = ""
        self.traceparent: str | None = None

    def set(self, subject: str, event_type: str, event_id: str, traceparent: str | None) -> None:
        """This message is in hand."""
        self.subject, self.event_type, self.event_id, self.traceparent = subject, event_type, event_id, traceparent

    def clear(self) -> None:
        """None is."""
        self.set("", "", "", None)

    def _told(self) -> dict[str, str]:
        if not self.event_type:
            return {}
        told = {"event_type": self.event_type, "event_id": self.event_id, **trace_of(self.traceparent)}
        tokens = self.subject.split(".")
        place = {"runs": 3, "reports": 2}.get(tokens[1] if len(tokens) > 1 else "", len(tokens))
        if place < len(tokens):
            told["run_id"] = tokens[place]
        return told

    def __getitem__(self, name: str) -> str:
        return self._told()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._told())

    def __len__(self) -> int:
        return len(self._told())


def trace_of(traceparent: str | None) -> dict[str, str]:
    """The id of the trace that this names, as a field."""
    tokens = (traceparent or "").split("-")
    return {"trace_id": tokens[1]} if len(tokens) == _TRACEPARENT_TOKENS else {}


def _sound(text: str) -> str:
    """What comes from outside may hold halves of characters, which no JSON can."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def masked(text: str) -> str:
    """The same without logins and keys: passwords stand in the addresses that services are given."""
    return _BEARER.sub(r"\1***", _LOGIN.sub(r"\1***@", text))


def readable(line: str) -> str:
    """A line of a log for people, where it is one of ours; any other as it is."""
    if not line.startswith('{"time":'):
        return line
    try:
        told = msgspec.json.decode(line, type=dict[str, str])
        shown = _TEXT.format(**told)
    except (msgspec.DecodeError, KeyError):
        return line
    stack = told.get("stack")
    return f"{shown}\n{stack.rstrip()}" if stack else shown
