"""Every NATS subject and stream name, in one place (interface.md, section 4).

The namespace is the first token of every subject; streams of another namespace than `flowforge` carry it as a prefix.
"""

import os
import re

DEFAULT_NAMESPACE = "flowforge"
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


def token(text: str) -> str:
    """`text` as one subject token: characters with a meaning in subjects become `_`."""
    return _UNSAFE.sub("_", text) or "_"


class Subjects:
    """The subjects of one namespace."""

    def __init__(self, namespace: str = DEFAULT_NAMESPACE) -> None:
        self.namespace = namespace
        prefix = "" if namespace == DEFAULT_NAMESPACE else f"{token(namespace).upper()}_"
        self.inbox_stream = f"{prefix}INBOX"
        self.runs_stream = f"{prefix}RUNS"
        self.workflows_stream = f"{prefix}WORKFLOWS"
        self.jobs_stream = f"{prefix}JOBS"
        self.reports_stream = f"{prefix}REPORTS"
        self.timers_stream = f"{prefix}TIMERS"
        self.advisories_stream = f"{prefix}ADVISORIES"
        self.blobs_bucket = f"{prefix}BLOBS".lower()

    def inbox(self, name: str = "events") -> str:
        return f"{self.namespace}.inbox.{name}"

    def run(self, workflow_id: str, run_id: object, event_type: str) -> str:
        return f"{self.namespace}.runs.{workflow_id}.{run_id}.{event_type}"

    def workflow(self, workflow_id: str, event_type: str) -> str:
        return f"{self.namespace}.workflows.{workflow_id}.{event_type}"

    def template(self, template_id: str, event_type: str) -> str:
        return f"{self.namespace}.templates.{template_id}.{event_type}"

    def prompt(self, prompt_id: str, event_type: str) -> str:
        return f"{self.namespace}.prompts.{prompt_id}.{event_type}"

    def job(self, queue: str, job_type: str) -> str:
        return f"{self.namespace}.jobs.{token(queue)}.{token(job_type)}"

    def report(self, run_id: object, job_id: object, event_type: str) -> str:
        return f"{self.namespace}.reports.{run_id}.{job_id}.{event_type}"

    def cancel(self, job_id: object) -> str:
        return f"{self.namespace}.cancels.{job_id}"

    def timer(self, run_id: object) -> str:
        return f"{self.namespace}.timers.runs.{run_id}"

    def schedule(self, workflow_id: str) -> str:
        return f"{self.namespace}.timers.schedules.{workflow_id}"

    def trigger_timer_set(self, workflow_id: str) -> str:
        return f"{self.namespace}.timers.set.{workflow_id}"

    def trigger_timer(self, workflow_id: str) -> str:
        return f"{self.namespace}.timers.triggers.{workflow_id}"

    def health(self, service: str) -> str:
        """Where each process of a service says how it is, by request and reply."""
        return f"{self.namespace}.health.{service}"

    def command(self, service: str, command: str) -> str:
        return f"{self.namespace}.commands.{service}.{command}"

    @property
    def appended(self) -> str:
        """Nudge: the log grew to the position in the body (decimal text)."""
        return f"{self.namespace}.log.appended"

    def rehearsal(self, command_id: str) -> str:
        """How far a rehearsal over the history is: `{evaluated, position, last}`."""
        return f"{self.namespace}.log.rehearsal.{command_id}"

    @property
    def defined(self) -> str:
        """Told before a save is answered: a definition changed at the position in the body (decimal text)."""
        return f"{self.namespace}.log.defined"

    @property
    def projected(self) -> str:
        """Nudge: the read models stand at the position in the body (decimal text)."""
        return f"{self.namespace}.log.projected"


def job_consumer(queue: str, job_type: str) -> str:
    """The durable consumer that workers of `job_type` on `queue` pull from."""
    return f"{token(queue)}--{token(job_type)}"


JOB_LEASE_S = float(os.environ.get("FLOWFORGE_JOB_LEASE_S") or 15)
"""A delivered job without an in-progress acknowledgement for so long is given to another worker. The same everywhere."""
JOB_HEARTBEAT_S = JOB_LEASE_S / 3
JOB_DELIVERIES_MAX = 3
