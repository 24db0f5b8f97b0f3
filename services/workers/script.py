"""The handler of `script` jobs: from the node's source to its output, or to the error that says why there is none."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any, Literal

import msgspec
from flowforge.errors import ErrorCode, JobError
from flowforge.job import Job

from services.workers import container, settings
from services.workers.confinement import CONTAINER_LAYERS, Confinement, Inside, Limits, Started
from services.workers.container import Engine
from services.workers.endings import Ending
from services.workers.process import ScriptProcess
from services.workers.secrets import Asks, JobSecrets
from services.workers.settings import ScriptDefaults
from services.workers.strays import Strays
from services.workers.watch import Watch
from services.workers.workspace import INPUT_NAME, OUTPUT_NAME, Workspace, workspace

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OWN_PREFIX = "FLOWFORGE_"
_MB = 1024**2
_encode = msgspec.json.Encoder().encode


class Script(msgspec.Struct, frozen=True):
    """The payload of a script's job."""

    language: Literal["bash", "python", "node"]
    source: str
    env: dict[str, Any] = {}
    isolation: Literal["process", "container"] = "process"
    image: str | None = None
    max_memory_mb: int | None = None
    max_file_mb: int | None = None


class ScriptRunner:
    """Runs scripts; `script_paths` are folders they may use besides their own."""

    def __init__(
        self,
        asks: Asks,
        confinement: Confinement,
        script_paths: tuple[Path, ...] = (),
        strays: Strays | None = None,
        defaults: ScriptDefaults | None = None,
    ) -> None:
        self._asks = asks
        self._confinement = confinement
        self._script_paths = script_paths
        self._strays = strays or Strays()
        self._watch = Watch()
        self._defaults = defaults or ScriptDefaults()
        self._search_path = os.environ.get("PATH") or DEFAULT_PATH

    async def run(self, job: Job) -> msgspec.Raw:
        """Run the job's script to its end, and answer its output as JSON text. Raises JobError."""
        script = _script(job)
        is_contained = script.isolation == "container"
        job.isolated([*CONTAINER_LAYERS] if is_contained else self._confinement.layers)
        env = _own_names(await _resolved(JobSecrets(self._asks, job), script.env))
        async with workspace() as place:
            place.input_file.write_bytes(job.raw_input)
            run = self._in_container if is_contained else self._confined
            ending = await run(job, script, env, place)
            if (error := ending.error()) is not None:
                raise error
            return place.output()

    async def _confined(self, job: Job, script: Script, env: dict[str, str], place: Workspace) -> Ending:
        self._confinement.check()
        limits = self._limits(job, script)
        command = _command(script, place)
        surroundings = {
            "PATH": self._search_path,
            "LANG": os.environ.get("LANG") or "C.UTF-8",
            "TZ": os.environ.get("TZ") or "UTC",
            **self._environment(job, env, place.folder),
            **({"FLOWFORGE_SCRIPT_PATHS": os.pathsep.join(map(str, self._script_paths))} if self._script_paths else {}),
            **_supervised(),
        }
        try:
            with self._confinement.around(command, place.folder, limits) as started:
                process = self._started(job, started, surroundings, place.folder)
        except (OSError, ValueError, subprocess.SubprocessError) as fault:  # no process to be had, a NUL in its words
            raise JobError(f"the script could not be started: {fault}") from fault
        try:
            status = await self._ended(job, process)
        finally:
            job.used(process.usage)
        return Ending(status, _last(job, process), limits, process.excess, self._confinement.has_files)

    async def _in_container(self, job: Job, script: Script, env: dict[str, str], place: Workspace) -> Ending:
        engine = container.engine(self._search_path)
        if engine is None:
            raise container.no_engine()
        image = container.checked_image(script.image)
        limits = self._limits(job, script)
        name = container.container_name(job)
        file = place.write(".env", container.env_file(self._environment(job, env, container.FOLDER)))
        command = engine.command(
            container=name, image=image, folder=place.folder, env_file=file, limits=limits,
            command=_inside_command(script, place),
        )  # fmt: skip
        if job.delivery > 1:
            await self._remove(job, engine, name)
        process = self._client(job, command, place.folder)
        is_ended = False
        try:
            status = await self._ended(job, process)
            is_ended = True
        finally:
            if not is_ended:
                await self._remove(job, engine, name)
        return Ending(status, _last(job, process), limits, engine=engine.name)

    async def _remove(self, job: Job, engine: Engine, name: str) -> None:
        process = self._client(job, engine.removal(name), Path("/"), is_heard=False)
        try:
            async with asyncio.timeout(settings.container_query_s):
                process.listen()
                await process.ended()
        except TimeoutError:
            pass
        finally:
            await process.clear()

    def _client(self, job: Job, command: list[str], folder: Path, *, is_heard: bool = True) -> ScriptProcess:
        """The container engine's command, which is no script: it needs what we have."""
        env = {**container.client_environment(os.environ), **_supervised()}
        started = Started(command, Inside(Limits(), gains_no_privileges=False))
        try:
            return self._started(job, started, env, folder, is_heard=is_heard)
        except (OSError, ValueError, subprocess.SubprocessError) as fault:
            raise JobError(f"the container engine could not be started: {fault}") from fault

    def _started(
        self, job: Job, started: Started, env: dict[str, str], folder: Path, *, is_heard: bool = True
    ) -> ScriptProcess:
        mark = f"{OWN_PREFIX}JOB_ID"
        return ScriptProcess(
            started,
            env={**env, mark: str(job.job_id)},
            folder=folder,
            mark=f"{mark}={job.job_id}",
            line=lambda text: None if job.is_log_full or not is_heard else job.log(text),
            strays=self._strays,
            watch=self._watch,
        )

    async def _ended(self, job: Job, process: ScriptProcess) -> int:
        """The exit status; nothing is left of it."""
        try:
            process.listen()
            return await process.ended()
        except asyncio.CancelledError:
            is_short = job.stop_reason == "stopped"
            await process.terminate(settings.stopped_wait_s if is_short else settings.terminate_wait_s)
            raise
        finally:
            await process.clear()

    def _limits(self, job: Job, script: Script) -> Limits:
        memory_mb = script.max_memory_mb or self._defaults.max_memory_mb
        file_mb = script.max_file_mb or self._defaults.max_file_mb
        cpu_s = None
        if job.deadline is not None:  # each of its processes may use every core until then
            left_s = (job.deadline - datetime.now(UTC)).total_seconds() + settings.terminate_wait_s
            cpu_s = max(1, round(left_s * (os.cpu_count() or 1)))
        return Limits(memory_mb * _MB if memory_mb else None, file_mb * _MB, cpu_s)

    def _environment(self, job: Job, env: dict[str, str], folder: PurePath) -> dict[str, str]:
        """The node's own names, and ours; `folder` is where the job's own folder is for the script."""
        trace = {} if job.traceparent is None else {"TRACEPARENT": job.traceparent}
        return {
            **trace,
            **env,
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "FLOWFORGE_INPUT": str(folder / INPUT_NAME),
            "FLOWFORGE_OUTPUT": str(folder / OUTPUT_NAME),
            "FLOWFORGE_RUN_ID": str(job.run_id),
            "FLOWFORGE_NODE_ID": job.node_id,
            "FLOWFORGE_ATTEMPT": str(job.attempt),
            "FLOWFORGE_JOB_ID": str(job.job_id),
            "FLOWFORGE_IDEMPOTENCY_KEY": job.idempotency_key,
        }


def _supervised() -> dict[str, str]:
    """The mark by which a later start of the installation finds what was left over."""
    supervised = os.environ.get("FLOWFORGE_SUPERVISED")
    return {"FLOWFORGE_SUPERVISED": supervised} if supervised else {}


def _last(job: Job, process: ScriptProcess) -> str:
    """The end of its stderr, as it may be told."""
    return job.hidden("\n".join(process.err.last))


def _script(job: Job) -> Script:
    try:
        return msgspec.json.decode(job.raw_payload, type=Script)
    except msgspec.DecodeError as fault:
        raise _invalid(f"this is no script: {fault}") from fault


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
    path = str(_written(script, place))
    match script.language:
        case "python":
            return [sys.executable, "-I", "-u", path]
        case "bash":
            return [_program("bash"), path]
        case "node":
            return [_program("node"), path]


def _inside_command(script: Script, place: Workspace) -> list[str]:
    """The same in a container, with the programs of its image."""
    path = str(container.FOLDER / _written(script, place).name)
    program = ["python3", "-u"] if script.language == "python" else [script.language]
    return [*program, path]


def _written(script: Script, place: Workspace) -> Path:
    suffix = {"python": "py", "bash": "sh", "node": "js"}[script.language]
    return place.write(f"main.{suffix}", script.source.encode(errors="surrogatepass"))


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise JobError(
            f"there is no `{name}` on this worker's PATH: install it, or use another language", retryable=False
        )
    return found


def _invalid(message: str) -> JobError:
    return JobError(message, code=ErrorCode.INPUT_INVALID, retryable=False)
