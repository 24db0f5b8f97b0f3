"""The handler of `script` jobs: from the node's source to its output, or to the error that says why there is none."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from flowforge.errors import ErrorCode, JobError
from flowforge.job import Job

from services.workers import settings
from services.workers.process import ScriptProcess
from services.workers.secrets import Asks, JobSecrets
from services.workers.strays import Strays
from services.workers.workspace import Workspace, workspace

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OWN_PREFIX = "FLOWFORGE_"
_encode = msgspec.json.Encoder().encode


class Script(msgspec.Struct, frozen=True):
    """The payload of a script's job."""

    language: Literal["bash", "python", "node"]
    source: str
    env: dict[str, Any] = {}
    isolation: Literal["process", "container"] = "process"


class ScriptRunner:
    """Runs scripts; `script_paths` are folders they may use besides their own."""

    def __init__(self, asks: Asks, script_paths: tuple[Path, ...] = (), strays: Strays | None = None) -> None:
        self._asks = asks
        self._script_paths = script_paths
        self._strays = strays or Strays()

    async def run(self, job: Job) -> msgspec.Raw:
        """Run the job's script to its end, and answer its output as JSON text. Raises JobError."""
        script = _script(job)
        env = _own_names(await _resolved(JobSecrets(self._asks, job), script.env))
        async with workspace() as place:
            command = _command(script, place)
            place.input_file.write_bytes(job.raw_input)
            process = self._started(job, env, command, place)
            try:
                process.listen()
                status = await process.ended()
            except asyncio.CancelledError:
                is_short = job.stop_reason == "stopped"
                await process.terminate(settings.stopped_wait_s if is_short else settings.terminate_wait_s)
                raise
            finally:
                await process.clear()
            if status != 0:
                raise JobError(_failed(status, job.hidden("\n".join(process.err.last))))
            return place.output()

    def _started(self, job: Job, env: dict[str, str], command: list[str], place: Workspace) -> ScriptProcess:
        mark = f"{OWN_PREFIX}JOB_ID={job.job_id}"
        try:
            return ScriptProcess(
                command,
                env=self._environment(job, env, place),
                folder=place.folder,
                mark=mark,
                line=lambda text: None if job.is_log_full else job.log(text),
                strays=self._strays,
            )
        except (OSError, ValueError) as fault:  # too large an environment, a NUL in it, no process to be had
            raise JobError(f"the script could not be started: {fault}") from fault

    def _environment(self, job: Job, env: dict[str, str], place: Workspace) -> dict[str, str]:
        """All that the script sees: an allow-list, the node's own names, and ours."""
        supervised = os.environ.get("FLOWFORGE_SUPERVISED")
        return {
            "PATH": os.environ.get("PATH") or DEFAULT_PATH,
            "LANG": os.environ.get("LANG") or "C.UTF-8",
            "TZ": os.environ.get("TZ") or "UTC",
            **env,
            "HOME": str(place.folder),
            "TMPDIR": str(place.folder),
            "FLOWFORGE_INPUT": str(place.input_file),
            "FLOWFORGE_OUTPUT": str(place.output_file),
            "FLOWFORGE_RUN_ID": str(job.run_id),
            "FLOWFORGE_NODE_ID": job.node_id,
            "FLOWFORGE_ATTEMPT": str(job.attempt),
            "FLOWFORGE_JOB_ID": str(job.job_id),
            "FLOWFORGE_IDEMPOTENCY_KEY": job.idempotency_key,
            **({"FLOWFORGE_SCRIPT_PATHS": os.pathsep.join(map(str, self._script_paths))} if self._script_paths else {}),
            **({"FLOWFORGE_SUPERVISED": supervised} if supervised else {}),
        }


def _script(job: Job) -> Script:
    try:
        script = msgspec.json.decode(job.raw_payload, type=Script)
    except msgspec.DecodeError as fault:
        raise _invalid(f"this is no script: {fault}") from fault
    if script.isolation == "container":
        raise _invalid("isolation 'container' needs a container engine, which this worker does not use; use 'process'")
    return script


async def _resolved(secrets: JobSecrets, env: dict[str, Any]) -> dict[str, Any]:
    try:
        return await secrets.resolve(env)
    except JobError as fault:
        raise JobError(f"env: {fault}", code=fault.code, retryable=fault.retryable) from fault


def _own_names(env: Mapping[str, Any]) -> dict[str, str]:
    """The node's variables as text: strings as they are, null as empty, other values as JSON."""
    reserved = sorted(name for name in env if name.startswith(OWN_PREFIX))
    if reserved:
        raise _invalid(f"env.{reserved[0]}: names that begin with {OWN_PREFIX} are FlowForge's own")
    return {name: _text(value) for name, value in env.items()}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else _encode(value).decode()


def _command(script: Script, place: Workspace) -> list[str]:
    source = script.source.encode(errors="surrogatepass")
    match script.language:
        case "python":
            return [sys.executable, "-I", "-u", str(place.write("main.py", source))]
        case "bash":
            return [_program("bash"), str(place.write("main.sh", source))]
        case "node":
            return [_program("node"), str(place.write("main.js", source))]


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise JobError(
            f"there is no `{name}` on this worker's PATH: install it, or use another language", retryable=False
        )
    return found


def _failed(status: int, stderr: str) -> str:
    how = f"failed with exit status {status}" if status > 0 else f"was ended by {_signal_name(-status)}"
    said = stderr[-settings.stderr_chars_shown :].strip()
    return f"the script {how}: {said}" if said else f"the script {how}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _invalid(message: str) -> JobError:
    return JobError(message, code=ErrorCode.INPUT_INVALID, retryable=False)
