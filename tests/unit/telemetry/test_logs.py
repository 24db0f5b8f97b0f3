"""How log records are written, and what they never say."""

import io
import json
import logging
import sys
from typing import Any

import pytest
from flowforge.tracing import about

from infra.telemetry.logs import AboutWork, JsonLines, TextLines, masked, readable
from infra.telemetry.measures import LABELS_MAX, OTHER, Measures

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def record(message: str, *arguments: Any, exc_info: Any = None) -> logging.LogRecord:
    return logging.LogRecord("a.logger", logging.WARNING, "f", 1, message, arguments, exc_info)


def test_a_record_is_one_line_of_json():
    told = json.loads(JsonLines("triggers").format(record("two\nlines and %d", 3)))
    assert told.pop("time").endswith("Z")
    assert told == {
        "level": "warning", "service": "triggers", "logger": "a.logger", "message": "two\nlines and 3",
    }  # fmt: skip


def test_a_stack_stands_in_its_record():
    try:
        raise ValueError("no such thing")
    except ValueError:
        line = JsonLines("x").format(record("it failed", exc_info=sys.exc_info()))
    assert "\n" not in line
    assert json.loads(line)["stack"].endswith("ValueError: no such thing\n")
    assert readable(line).endswith("ValueError: no such thing")


def test_what_the_task_has_in_hand_is_told():
    work = AboutWork()
    token = about.set(work)
    try:
        assert "run_id" not in json.loads(JsonLines("x").format(record("m")))
        work.set("flowforge.reports.RUN.JOB.JobStarted", "JobStarted", "EVENT", TRACEPARENT)
        told = json.loads(JsonLines("x").format(record("m")))
        assert told["run_id"] == "RUN"
        assert told["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
        assert "[event_type=JobStarted event_id=EVENT" in TextLines().format(record("m"))
        work.set("flowforge.runs.workflow.RUN2.WorkflowTriggered", "WorkflowTriggered", "EVENT", None)
        told = json.loads(JsonLines("x").format(record("m")))
        assert (told["run_id"], "trace_id" in told) == ("RUN2", False)
        work.clear()
        assert "event_id" not in json.loads(JsonLines("x").format(record("m")))
    finally:
        about.reset(token)


@pytest.mark.parametrize("formatter", [JsonLines("x"), TextLines()], ids=["json", "text"])
def test_no_login_and_no_key_is_written(formatter: logging.Formatter):
    try:
        raise OSError("nats://worker:canary-1@127.0.0.1:4222 is away, postgresql://a:canary-2@h/db too")
    except OSError as fault:
        line = formatter.format(record("%s: Authorization: Bearer canary-3", fault, exc_info=sys.exc_info()))
    assert "canary" not in line
    assert "nats://***@127.0.0.1:4222" in line


def test_what_holds_no_login_stays_as_it_is():
    text = "http://127.0.0.1:8080/api/x?a=b@c and user:name"
    assert masked(text) == text


def test_lines_of_others_are_shown_as_they_are():
    for line in ("[1] 2026 nats", '{"time": 3}', '{"time":"x"}'):
        assert readable(line) == line
    shown = readable(JsonLines("x").format(record("hello")))
    assert shown.endswith("warning a.logger hello")


def test_logging_goes_on_when_a_message_makes_no_sense():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines("x"))
    handler.emit(record("a lone surrogate \ud800 in a name"))
    assert stream.getvalue()


def test_labels_are_told_apart_up_to_a_limit():
    measures = Measures()
    for number in range(LABELS_MAX + 10):
        measures.add("messages_total", kind=str(number))
        measures.time("turn_duration_seconds", 0.003, kind=str(number))
    told = measures.now()
    assert len(told.counts) == len(told.times) == LABELS_MAX + 1
    assert told.counts[-1].labels == (("kind", OTHER),)
    assert told.counts[-1].value == 10
    assert told.memory_bytes > 0
