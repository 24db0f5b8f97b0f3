"""Orders to execution: what people do to runs, and answers that runs wait for."""

from typing import Literal

import msgspec

from flowforge.command import Command
from flowforge.events import NULL


class CancelRun(Command, kw_only=True, frozen=True):
    """To execution. Answers `{run_id, position}`."""

    run_id: str
    reason: str = ""


class PauseRun(Command, kw_only=True, frozen=True):
    """To execution: nothing new starts. Answers as `CancelRun`, so do the following."""

    run_id: str
    reason: str = ""


class ResumeRun(Command, kw_only=True, frozen=True):
    """To execution: a paused run goes on; with `steps`, until so many nodes have started."""

    run_id: str
    steps: int | None = None


class RetryRun(Command, kw_only=True, frozen=True):
    """To execution: an ended run goes on from its failed, cancelled and stopped nodes, or from `node_ids`."""

    run_id: str
    node_ids: list[str] = []
    reason: str = ""


class DecideNode(Command, kw_only=True, frozen=True):
    """To execution: complete (with `output`), fail (with `message`) or skip a node, or one instance of it, by hand."""

    run_id: str
    node_id: str
    action: Literal["complete", "fail", "skip"]
    instance: str = ""
    output: msgspec.Raw = NULL
    message: str = ""
    comment: str = ""


class ChangeRun(Command, kw_only=True, frozen=True):
    """To execution: another priority, labels or breakpoints; what is None stays."""

    run_id: str
    priority: int | None = None
    labels: dict[str, str] | None = None
    breakpoints: list[str] | None = None


class DecideApproval(Command, kw_only=True, frozen=True):
    """To execution: a person's decision. `role` and `actor` are who decides; only approvers (and admins) may.

    `approval_id` is `<run>:<node>:<attempt>`, or `<run>:<node>:<instance>:<attempt>`.
    """

    approval_id: str
    decision: Literal["approve", "reject"]
    comment: str = ""
    role: str = ""


class ReceiveCallback(Command, kw_only=True, frozen=True):
    """To execution: what was posted to the callback address of a waiting call; its token was verified."""

    run_id: str
    node_id: str
    instance: str = ""
    attempt: int
    data: msgspec.Raw = NULL
