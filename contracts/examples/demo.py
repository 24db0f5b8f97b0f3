"""The main job on real data, from an empty folder to the report, then all is stopped: what `make demo` runs.

Every step is one that a person would type: `flowforge up`, `apply`, `worker`, `watch`, `run`, `verify`; the events come
from a program that knows nothing of FlowForge (publisher.py). What comes out is compared with figures that are computed
here in another way (figures.py). The exit status is 0 only if all expectations held and no process is left.

    python contracts/examples/demo.py [--home FOLDER]      with --home, the folder is kept, and may be used again
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import figures
import httpx
from flowforge import Client
from rich.console import Console
from rich.table import Table
from rich.text import Text
from standardwebhooks import Webhook

from infra.embedded.process import spawn

EXAMPLES = Path(__file__).resolve().parent
DATA = EXAMPLES / "data"
FLOWFORGE = str(Path(sys.executable).with_name("flowforge"))
START_TIMEOUT_S = 60.0
EVENT_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 12.0
LOOK_INTERVAL_S = 0.02
REPORT_LINES_SHOWN = 26


class Broken(Exception):
    """The demonstration cannot go on; the message says why."""


class Story:
    """Tells the parts, what they took, and whether what was expected came true."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.began_at = datetime.now(UTC).isoformat()
        self.parts: list[tuple[str, float]] = []
        self.broken: list[str] = []

    @contextlib.contextmanager
    def part(self, title: str, why: str = "") -> Generator[None]:
        """One part, with a heading and its time."""
        self.console.print(
            Text.assemble("\n", (f"{len(self.parts) + 1}  {title}", "bold"), (f"   {why}", "dim")), soft_wrap=True
        )
        began_at = time.monotonic()
        yield
        self.parts.append((title, time.monotonic() - began_at))

    def expect(self, claim: str, is_so: bool, otherwise: object = "") -> None:
        """A claim that must hold for the demonstration to succeed."""
        sign = Text("  ok  ", "green") if is_so else Text("  NOT ", "bold red")
        self.console.print(
            sign.append(claim, "default").append("" if is_so else f": {otherwise}", "red"), soft_wrap=True
        )
        if not is_so:
            self.broken.append(claim)

    def command(self, *words: str) -> None:
        """What a person would type now."""
        self.console.print(Text(f"  $ {' '.join(words)}", "cyan"), soft_wrap=True)
        self.console.file.flush()

    def times(self) -> None:
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
        table.add_column(justify="right")
        table.add_column()
        for title, took_s in self.parts:
            table.add_row(f"{took_s:.2f} s", title)
        table.add_row(f"{sum(took for _, took in self.parts):.2f} s", Text("altogether", "bold"))
        self.console.print(Text("\nTimes", "bold"))
        self.console.print(table)


class System:
    """A FlowForge of its own below `home`, with the worker of the examples; `out` takes what workflows write."""

    def __init__(self, story: Story, home: Path) -> None:
        self.story, self.home = story, home
        self.out = home.with_name(home.name + "-out")
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("FLOWFORGE_")} | {
            "FLOWFORGE_HOME": str(home),
            "FLOWFORGE_SCRIPT_PATHS": os.pathsep.join((str(DATA), str(self.out))),
        }
        self._up: subprocess.Popen[bytes] | None = None
        self._worker: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once everything answers. Raises Broken with what `up` said."""
        self.out.mkdir(parents=True, exist_ok=True)
        endpoints = self.home / "endpoints.json"
        endpoints.unlink(missing_ok=True)
        words = ("up", "--http-port", "0", "--nats-port", "0")
        self.story.command("flowforge", *words)
        self._up = spawn(
            [FLOWFORGE, *words], env=self.env, log=self.out / "up.log", death_signal=signal.SIGTERM, cwd=EXAMPLES
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not endpoints.exists():
            if self._up.poll() is not None or time.monotonic() > deadline:
                raise Broken(f"FlowForge did not start:\n{(self.out / 'up.log').read_text()}")
            time.sleep(LOOK_INTERVAL_S)

    def start_worker(self) -> None:
        self.story.command("flowforge", "worker", "workers:worker")
        command = [FLOWFORGE, "worker", "workers:worker"]
        self._worker = spawn(
            command, env=self.env, log=self.out / "worker.log", death_signal=signal.SIGTERM, cwd=EXAMPLES
        )

    def type(self, *words: str) -> int:
        """Run a command of the command line, as a person sees it; its exit status."""
        self.story.command("flowforge", *words)
        return subprocess.run([FLOWFORGE, *words], env=self.env, cwd=EXAMPLES, check=False).returncode

    def publish(self, *options: str) -> dict[str, Any]:
        """Let the external publisher announce something; the event. It is given an address and nothing else."""
        url = json.loads((self.home / "endpoints.json").read_text())["nats"]
        self.story.command("python", "publisher.py", "--nats", "nats://…", *options)
        command = [sys.executable, str(EXAMPLES / "publisher.py"), "--nats", url, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=EXAMPLES)
        if done.returncode != 0:
            raise Broken(f"the publisher failed:\n{done.stderr}")
        return json.loads(done.stdout)

    def ask(self, question: Callable[[Client], Awaitable[Any]]) -> Any:
        """The answer of the HTTP interface, over the client of the Python package."""

        async def asked() -> Any:
            async with Client(home=self.home) as client:
                return await question(client)

        return asyncio.run(asked())

    def decision(self, workflow: str, trigger: str, event: dict[str, Any]) -> dict[str, Any]:
        """What a trigger decided about an event, once it did. Raises Broken when it does not."""

        async def decided(client: Client) -> dict[str, Any]:
            async with asyncio.timeout(EVENT_TIMEOUT_S):
                while True:
                    page = await client.decisions(workflow, trigger, cause=event["id"])
                    if page["items"]:
                        return page["items"][0]
                    await asyncio.sleep(LOOK_INTERVAL_S)

        try:
            return self.ask(decided)
        except TimeoutError:
            raise Broken(f"trigger {trigger} decided nothing about event {event['id']}") from None

    def stop(self) -> list[int]:
        """End the worker and everything else, as Ctrl-C does; the exit statuses."""
        started = [process for process in (self._worker, self._up) if process is not None]
        self._worker = self._up = None
        statuses: list[int] = []
        for process in started:
            process.terminate()
            try:
                statuses.append(process.wait(STOP_TIMEOUT_S))
            except subprocess.TimeoutExpired:
                process.kill()
                statuses.append(process.wait())
        return statuses

    def left_behind(self) -> list[str]:
        """Processes that still carry the mark of this home in their environment or command; `pid command`."""
        mine, marks = _ancestors(), (str(self.home).encode(), str(self.out).encode())
        found: list[str] = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) not in mine:
                with contextlib.suppress(OSError):
                    command = (entry / "cmdline").read_bytes()
                    if any(mark in command + (entry / "environ").read_bytes() for mark in marks):
                        found.append(f"{entry.name} {command.replace(bytes(1), b' ').decode(errors='replace')[:80]}")
        return found


def _ancestors() -> set[int]:
    """This process and those above it: they may name the home as an option."""
    found, pid = {os.getpid()}, os.getppid()
    while pid > 1 and pid not in found:
        found.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return found


# --- the parts --------------------------------------------------------------------------------------------------------


def tell(story: Story, system: System) -> None:
    """The whole story. Raises Broken when it cannot go on."""
    with story.part("Start", "Postgres, NATS and the services, each a process of its own"):
        system.start()
        system.start_worker()
    with story.part("Register the workflows"):
        story.expect("all definitions were taken", system.type("apply", "-f", ".") == 0)
    run_id, event = announce(story, system)
    report(story, system, run_id)
    history(story, system, run_id)
    failures(story, system)
    decisions(story, system, run_id, event)
    causes(story, system, run_id, event)
    webhook(story, system)
    what_if(story, system)
    past(story, system, run_id)
    with story.part("Verify", "the log's hash chain, and the read models against a fresh rebuild"):
        story.expect("log and read models are whole", system.type("verify") == 0)


def announce(story: Story, system: System) -> tuple[str, dict[str, Any]]:
    """An event of an external system starts the run; its id, and the event."""
    target = system.out / "report.md"
    with story.part("Announce the data set", "an external program publishes one CloudEvent on NATS"):
        event = system.publish("--folder", DATA.name, "--report", str(target))
        decision = system.decision("csv-report", "on-published", event)
        fired = decision["decision"] == "fired"
        story.expect("the trigger fired, and says so", fired, decision)
        if not fired:
            raise Broken("without a run there is nothing to show")
    run_id = str(decision["run_id"])
    with story.part("Watch the run"):
        story.expect("the run completed", system.type("watch", run_id) == 0)
    return run_id, event


def report(story: Story, system: System, run_id: str) -> None:
    """The report's content, compared with figures computed here."""
    with story.part("The report"):
        run = system.ask(lambda client: client.run(run_id))
        output = run.get("output_data") or {}
        path = Path(str(output.get("report")))
        if not path.is_file():
            raise Broken(f"the run wrote no report: its output is {output}")
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        for line in lines[:REPORT_LINES_SHOWN]:
            story.console.print(Text(f"  | {line}"), soft_wrap=True)
        story.console.print(Text(f"  | … {len(lines) - REPORT_LINES_SHOWN} more lines", "dim"))
        expected = figures.computed(DATA)
        differences = figures.differences(expected, figures.said(text))
        story.expect(f"{len(expected)} groups of figures equal those computed here", not differences, differences[:3])
        files, rows = expected["", ""][:2]
        told = (output.get("files"), output.get("rows"))
        story.expect(f"the run's output says {files} files, {rows:,} rows", told == (files, rows), told)


def history(story: Story, system: System, run_id: str) -> None:
    """The run as the log has it."""
    with story.part("The run's history", "as events, in the order in which they were logged"):
        events = system.ask(lambda client: _all_events(client, run_id))
        table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 2))
        table.add_column("position", justify="right")
        table.add_column("after", justify="right")
        table.add_column("event")
        table.add_column("node")
        began_at = datetime.fromisoformat(events[0]["recorded_at"])
        for event in events:
            after_s = (datetime.fromisoformat(event["recorded_at"]) - began_at).total_seconds()
            table.add_row(str(event["position"]), f"{after_s * 1000:.0f} ms", event["type"], _node(event["data"]))
        story.console.print(table)
        ends = (events[0]["type"], events[-1]["type"])
        story.expect("it begins with the decision and ends with the end", ends == ("WorkflowTriggered", "RunCompleted"))
        versions = [event["version"] for event in events]
        story.expect("no event is missing", versions == list(range(1, len(events) + 1)), versions)


async def _all_events(client: Client, run_id: str) -> list[dict[str, Any]]:
    return [event async for event in client.events(run_id)]


def _node(data: dict[str, Any]) -> str:
    instance = data.get("instance")
    return f"{data.get('node_id', '')}[{instance}]" if instance else str(data.get("node_id", ""))


def failures(story: Story, system: System) -> None:
    """A retry that succeeds, a branch that fails for good, and what runs then."""
    with story.part("Failures", "a retry that succeeds, a branch that fails for good, its alarm and clean-up"):
        status = system.type("run", "retry-and-cleanup", "--watch", "--label", "part=failures")
        story.expect("the exit status says that the run failed", status == 1, status)
        page = system.ask(lambda client: client.runs(workflow_id="retry-and-cleanup", limit=1))
        run = system.ask(lambda client: client.run(page["items"][0]["run_id"]))
        error = run["error"] or {}
        for name in ("code", "message", "affected_nodes", "dependency_chain", "suggested_resolution"):
            shown = " > ".join(error[name]) if isinstance(error.get(name), list) else error.get(name, "")
            story.console.print(Text.assemble((f"  {name:<21}", "dim"), str(shown)), soft_wrap=True)
        nodes = {node["node_id"]: node for node in run["node_runs"]}
        statuses = {node_id: node["status"] for node_id, node in nodes.items()}
        story.expect("fetch succeeded at its third attempt", nodes["fetch"]["attempt"] == 3, nodes["fetch"])
        story.expect(
            "book failed, the copy under way was cancelled, what follows was skipped",
            [statuses[name] for name in ("fetch", "book", "copy", "publish")]
            == ["completed", "failed", "cancelled", "skipped"],
            statuses,
        )
        both = [statuses[name] for name in ("alarm", "clean-up")]
        story.expect("alarm and clean-up ran all the same", both == ["completed", "completed"], statuses)
        story.expect("the error says what to do", bool(error.get("suggested_resolution")), error)


def decisions(story: Story, system: System, run_id: str, event: dict[str, Any]) -> None:
    """What does not start anything is on record as well, and why."""
    with story.part("Decisions", "the same event again, and one that the filter does not match"):
        small = system.out / "small"
        small.mkdir(exist_ok=True)
        (small / "three.csv").write_text("n\n1\n2\n3\n")
        target = str(system.out / "report.md")
        system.publish("--folder", DATA.name, "--report", target, "--id", event["id"])
        unmatched = system.publish("--folder", str(small), "--report", target)
        decision = system.decision("csv-report", "on-published", unmatched)
        system.type("triggers", "decisions", "csv-report", "on-published")
        story.expect("three rows are too few, and the decision says so", _is_refusal(decision), decision)
        page = system.ask(lambda client: client.decisions("csv-report", "on-published", cause=event["id"]))
        runs = [item["run_id"] for item in page["items"]]
        story.expect("the same event twice started one run", runs == [run_id], runs)


def _is_refusal(decision: dict[str, Any]) -> bool:
    said = f"{decision['reason']} {decision.get('detail', '')}"
    return decision["decision"] == "not_matched" and "event.data.rows" in said and "3" in said


def causes(story: Story, system: System, run_id: str, event: dict[str, Any]) -> None:
    """A workflow that follows another one, and a schedule that is still to come."""
    with story.part("Causes", "the end of one run starts another; the clock starts a third, later"):

        async def announced(client: Client) -> dict[str, Any]:
            async with asyncio.timeout(EVENT_TIMEOUT_S):
                while True:
                    runs = (await client.runs(workflow_id="announce", limit=50))["items"]
                    for run in runs:
                        if run["input_data"]["run_id"] == run_id:
                            return await client.run(run["run_id"])
                    await asyncio.sleep(LOOK_INTERVAL_S)

        run = system.ask(announced)
        system.type("watch", run["run_id"])
        system.type("why", run["run_id"])
        steps = [(step["workflow_id"], step["cause"]["type"]) for step in run["causes"]]
        expected = [("announce", "RunCompleted"), ("csv-report", event["type"])]
        story.expect("its causes lead back to the event that the publisher sent", steps == expected, steps)
        first = system.ask(lambda client: client.upcoming("nightly", "every-night", count=3))
        system.type("triggers", "upcoming", "nightly", "every-night", "--count", "3")
        story.expect("three nights to come are known", len(first) == 3, first)


def webhook(story: Story, system: System) -> None:
    """Another system reports by a signed HTTP request, and again, and a stranger tries it without the secret."""
    with story.part("Webhook", "signed as Standard Webhooks; the same delivery twice; one that is not signed"):
        secret = "whsec_" + base64.b64encode(os.urandom(32)).decode()
        definition = system.out / "paid.json"
        trigger = {"id": "on-payment", "type": "webhook", "config": {"secret": secret, "filter": "event.data.amount > 10"}}
        node = {"id": "thank", "type": "data_transform", "expressions": {"text": "order ${string(event.data.order)} is paid"}}
        definition.write_text(json.dumps({"id": "paid", "name": "Paid", "nodes": [node], "triggers": [trigger]}))
        story.expect("the workflow was taken", system.type("apply", "-f", str(definition)) == 0)
        url = json.loads((system.home / "endpoints.json").read_text())["http"] + "/api/webhooks/paid/on-payment"
        body, now = json.dumps({"order": 7, "amount": 12}), datetime.now(UTC)
        name = f"msg_{now:%Y%m%d%H%M%S}"
        headers = {
            "content-type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(secret).sign(name, now, body),
        }
        story.command("curl", "-H", "webhook-signature:…", "-d", body, "…/api/webhooks/paid/on-payment")
        answers = [httpx.post(url, content=body, headers=headers) for _ in range(2)]
        answers.append(httpx.post(url, content=body, headers={**headers, "webhook-signature": "v1,bm90IGl0"}))
        statuses = [answer.status_code for answer in answers]
        story.expect("taken, taken as a repeat, refused", statuses == [202, 202, 401], statuses)
        decision = system.decision("paid", "on-payment", {"id": name})
        system.type("watch", str(decision["run_id"]))
        runs = system.ask(lambda client: client.runs(workflow_id="paid", since=story.began_at))["items"]
        story.expect("one run for the delivery", [run["run_id"] for run in runs] == [decision["run_id"]], runs)


def what_if(story: Story, system: System) -> None:
    """Another filter, tried on what this demonstration has recorded."""
    with story.part("What if", "the report's trigger without its threshold, over the demonstration's own history"):
        changed = system.out / "without-threshold.yaml"
        text = (EXAMPLES / "csv-report.yaml").read_text()
        changed.write_text(text.replace(" && event.data.rows >= 1000", ""))
        system.type("triggers", "what-if", str(changed), "on-published", "--since", story.began_at)
        trigger = {
            "id": "on-published", "type": "event",
            "config": {"event_type": "dataset.published", "filter": 'event.data.format == "csv"'},
            "input": {name: f"${{event.data.{at}}}" for name, at in
                      (("dataset", "name"), ("folder", "folder"), ("report", "report"))},
        }  # fmt: skip
        told = system.ask(lambda client: client.what_if(trigger, "csv-report", since=story.began_at))
        counts = (told["evaluated"], told["would_fire"], told["did_fire"])
        story.expect("of two events both would have fired, and one did", counts == (2, 2, 1), counts)


def past(story: Story, system: System, run_id: str) -> None:
    """A step back in time, and a run that failed goes on in a fork, from where it had got to."""
    with story.part("A step back in time", "the run as it was when the first file had been read"):
        events = system.ask(lambda client: _all_events(client, run_id))
        moment = next(event for event in events if event["type"] == "NodeCompleted" and event["data"].get("instance"))
        system.type("state", run_id, "--at", str(moment["position"]))
        state = system.ask(lambda client: client.state(run_id, moment["position"]))
        then = {row["node_id"]: row["status"] for row in state["node_runs"]}
        told = (state["status"], then["statistics"], then["write-report"])
        story.expect("it was running, and the report was yet to come", told == ("running", "running", "idle"), told)
    with story.part("And on from there", "the run that failed, forked: what had completed is taken over, two outputs are given"):
        page = system.ask(lambda client: client.runs(workflow_id="retry-and-cleanup", label="part=failures", limit=1))
        failed = page["items"][0]["run_id"]
        status = system.type("fork", failed, "--output", "book={}", "--output", "copy={}", "--label", "part=fork", "--watch")
        story.expect("the fork completed", status == 0, status)
        page = system.ask(lambda client: client.runs(workflow_id="retry-and-cleanup", label="part=fork", limit=1))
        fork = system.ask(lambda client: client.run(page["items"][0]["run_id"]))
        story.expect("it says where it comes from", fork["forked_from"]["run_id"] == failed, fork["forked_from"])
        whose = next(row for row in fork["node_runs"] if row["node_id"] == "fetch")["cached_from"]
        story.expect("fetch did not run again", whose == {"run_id": failed, "node_id": "fetch"}, whose)
    _in_the_shadow(story, system, run_id, events[0]["position"])


def _in_the_shadow(story: Story, system: System, run_id: str, began: int) -> None:
    with story.part("In the shadow of a run", "the same from its beginning, without doing anything: outcomes come from history"):
        status = system.type("fork", run_id, "--at", str(began), "--shadow", "--label", "part=shadow", "--watch")
        story.expect("the shadow run completed", status == 0, status)
        page = system.ask(lambda client: client.runs(shadow=True, label="part=shadow", limit=1))
        shadow = system.ask(lambda client: client.run(page["items"][0]["run_id"]))
        jobs = [row["node_id"] for row in shadow["node_runs"] if row["job_id"] is not None]
        story.expect("no job was handed out", not jobs, jobs)
        whose = next(row for row in shadow["node_runs"] if row["node_id"] == "write-report")["cached_from"]
        story.expect("the report is that of the other run", whose == {"run_id": run_id, "node_id": "write-report"}, whose)
        system.type("diff", run_id, shadow["run_id"])


def end(story: Story, system: System) -> None:
    """Stop everything, and look whether something is left."""
    with story.part("Stop"):
        statuses = system.stop()
        story.expect("everything stopped in order", statuses == [0, 0], statuses)
        left = system.left_behind()
        story.expect("no process is left behind", not left, left)


def main() -> int:
    options = argparse.ArgumentParser(description="Show the whole system on real data, then stop everything.")
    options.add_argument("--home", type=Path, help="a folder to use and to keep, instead of one that is removed")
    given = options.parse_args()
    story = Story()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.default_int_handler)
    home = given.home.absolute() if given.home else scratch_folder() / "home"
    system = System(story, home)
    try:
        tell(story, system)
        end(story, system)
    except Broken as broken:
        story.console.print(Text(f"\n{broken}", "red"))
        story.broken.append("the story was told to its end")
    except KeyboardInterrupt:
        story.console.print(Text("\ninterrupted, stopping …", "yellow"))
        return 130
    finally:
        system.stop()
        if given.home is None and not story.broken:
            shutil.rmtree(home.parent, ignore_errors=True)
    story.times()
    if given.home or story.broken:
        story.console.print(Text(f"\nKept: {system.home} (logs/ in it) and {system.out}", "dim"), soft_wrap=True)
    verdict = f"{len(story.broken)} of the expectations did not hold." if story.broken else "All expectations held."
    story.console.print(Text(f"\n{verdict}", "bold red" if story.broken else "bold green"))
    return 1 if story.broken else 0


def scratch_folder() -> Path:
    """A fresh folder that another account may pass through: Postgres runs as one, where we are root."""
    folder = Path(tempfile.mkdtemp(prefix="flowforge-demo-"))
    folder.chmod(0o711)
    return folder


if __name__ == "__main__":
    sys.exit(main())
