"""Scripts in containers, with docker or podman where one is installed: the image, and the job's own folder in it.

The container sees nothing else of the machine; its network is the engine's default. What it takes is limited by the
engine. It is removed when its script ends, and ended by force when the job is.
"""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import msgspec
from flowforge.errors import ErrorCode, JobError
from flowforge.job import Job

from services.workers import settings
from services.workers.confinement import Limits

FOLDER = PurePosixPath("/flowforge")
"""Where the job's folder is, inside."""
ENGINES = ("docker", "podman")
ENGINE_FAILED = 125
"""The exit status of an engine that could not do it (docker-run(1), podman-run(1))."""
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,499}")
_CLIENT_NAMES = ("PATH", "HOME", "USER", "LANG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
_CLIENT_PREFIXES = ("DOCKER_", "CONTAINER", "PODMAN_")


class Engine(msgspec.Struct, frozen=True):
    """A container engine by its command."""

    name: str
    program: str

    def command(
        self, *, container: str, image: str, folder: Path, env_file: Path, limits: Limits, command: Sequence[str]
    ) -> list[str]:
        """The command that runs `command` in a container of that name, and ends with its exit status."""
        words = [
            self.program, "run", "--rm", "--name", container, "--label", "flowforge.job",
            "--volume", f"{folder}:{FOLDER}", "--workdir", str(FOLDER), "--env-file", str(env_file),
            "--security-opt", "no-new-privileges", "--pids-limit", str(settings.processes_max),
            "--ulimit", f"fsize={limits.file_bytes}:{limits.file_bytes}", "--ulimit", "core=0:0", *self._user(),
        ]  # fmt: skip
        if limits.memory_bytes is not None:
            words += ["--memory", f"{limits.memory_bytes}b", "--memory-swap", f"{limits.memory_bytes}b"]
        return [*words, "--entrypoint", command[0], image, *command[1:]]

    def removal(self, container: str) -> list[str]:
        """The command that ends and removes the container of this name, if there is one."""
        return [self.program, "rm", "--force", container]

    def _user(self) -> list[str]:
        """Whoever we are, so that what is written to the folder is ours."""
        if os.geteuid() == 0:
            return []
        return ["--userns", "keep-id"] if self.name == "podman" else ["--user", f"{os.geteuid()}:{os.getegid()}"]


def engine(search_path: str) -> Engine | None:
    """The first engine that is installed."""
    for name in ENGINES:
        if (program := shutil.which(name, path=search_path)) is not None:
            return Engine(name, program)
    return None


def checked_image(image: str | None) -> str:
    """Raises JobError for what is the name of no image."""
    if image is None:
        raise _invalid("isolation 'container' needs `image`, the image to run in, such as python:3.13-slim")
    if not _IMAGE.fullmatch(image):
        raise _invalid(f"image: {image!r} is no name of an image: use such as registry/name:tag")
    return image


def env_file(env: Mapping[str, str]) -> bytes:
    """The environment as engines read it. Raises JobError for what they cannot take."""
    for name, value in env.items():
        if "\n" in value or "\r" in value or "\0" in value:
            raise _invalid(
                f"env.{name}: container engines take no value of several lines: encode it, or use isolation 'process'"
            )
    return "".join(f"{name}={value}\n" for name, value in env.items()).encode(errors="surrogateescape")


def client_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What the engine's command gets of ours: nothing of the job, nothing secret."""
    return {
        name: value for name, value in environ.items() if name in _CLIENT_NAMES or name.startswith(_CLIENT_PREFIXES)
    }


def container_name(job: Job) -> str:
    """The same in every delivery of an attempt, so that one which was left behind is found."""
    return f"flowforge-{job.job_id}-{job.attempt}"


def no_engine() -> JobError:
    return _invalid(
        "isolation 'container' needs a container engine, and neither docker nor podman is on this worker's PATH: "
        "install one, or use isolation 'process'"
    )


def _invalid(message: str) -> JobError:
    return JobError(message, code=ErrorCode.INPUT_INVALID, retryable=False)
