"""One script as a process: a session of its own, lines heard as they are written, nothing left when it ends.

The script leads its own process group and dies with this process (prctl(2), PR_SET_PDEATHSIG). What it started and put
into other groups is found by `Strays`; what all of it takes is measured by `Watch`.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from flowforge.reports import JobUsage

from services.workers import settings
from services.workers.confinement import Started
from services.workers.strays import Strays
from services.workers.watch import Group, Watch

Line = Callable[[str], None]


class ScriptProcess:
    """A script that runs in `folder` with exactly the environment `env`; `line` gets each line of its output.

    `mark` is an entry of that environment which no other job has. Raises OSError, ValueError or SubprocessError when it
    cannot be started. To be made in the main thread: the kernel ends the script when the thread that started it ends.
    """

    def __init__(
        self,
        started: Started,
        *,
        env: Mapping[str, str],
        folder: Path,
        mark: str,
        line: Line,
        strays: Strays,
        watch: Watch,
    ) -> None:
        parent = os.getpid()
        self.out = Lines(line)
        self.err = Lines(line)
        self._mark = mark
        self._strays = strays
        self._watch = watch
        self._process = subprocess.Popen(
            started.command,
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: started.inside.enter(parent),  # noqa: PLW1509 - it calls the kernel and nothing else
        )
        most = started.inside.limits.memory_bytes
        try:
            self._group = Group(self._process.pid, mark, memory_bytes_max=most, kill=self._kill_all)
            self._pidfd = os.pidfd_open(self._process.pid)
        except OSError:  # too many open files: a script that nobody can watch does not run
            self._signal(signal.SIGKILL)
            with self._process:
                raise
        strays.known.add(self._process.pid)
        watch.begin(self._group)

    @property
    def usage(self) -> JobUsage:
        """What it took; the processor time is known once it was cleared."""
        return self._group.usage()

    @property
    def excess(self) -> str | None:
        """What it took too much of, and was therefore ended; in words."""
        return self._group.excess()

    def listen(self) -> None:
        """Begin to hear its output."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.out.listen(self._process.stdout)
        self.err.listen(self._process.stderr)

    async def ended(self) -> int:
        """The exit status once it ended (negative: the signal that ended it)."""
        loop = asyncio.get_running_loop()
        exited = loop.create_future()
        loop.add_reader(self._pidfd, lambda: exited.done() or exited.set_result(None))
        try:
            await exited
        finally:
            loop.remove_reader(self._pidfd)
        # it is not reaped yet: until `clear` has ended its group, the group's number stays taken
        found = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - it has ended
        assert found is not None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    async def terminate(self, wait_s: float) -> None:
        """Ask the whole group to end, and make it after `wait_s`."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ended(), wait_s)

    async def clear(self) -> None:
        """End whatever is left of the script and its descendants, and hear the last of what they wrote."""
        self._signal(signal.SIGKILL)
        self._watch.end(self._group)
        await self._reap()
        os.close(self._pidfd)
        self._strays.known.discard(self._process.pid)
        for usage in self._strays.end(self._mark, self._group.pids):
            self._group.ended(usage)
        try:
            async with asyncio.timeout(settings.drain_wait_s):
                await self.out.ended.wait()
                await self.err.ended.wait()
        except TimeoutError:
            pass  # something that we cannot see holds the pipes
        finally:
            self.out.close()
            self.err.close()

    async def _reap(self) -> None:
        """Wait for the script, and for those of its group that became ours by its death; the kernel says what each took."""
        _, status, usage = os.wait4(self._process.pid, 0)  # noqa: ASYNC222 - it was killed
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._group.ended(usage)
        loop = asyncio.get_running_loop()
        until = loop.time() + settings.reap_wait_s
        with contextlib.suppress(ChildProcessError):
            while loop.time() < until:
                reaped, _, usage = os.wait4(-self._process.pid, os.WNOHANG)  # noqa: ASYNC222 - it does not wait
                if reaped:
                    self._group.ended(usage)
                else:
                    await asyncio.sleep(settings.reap_pause_s)

    def _kill_all(self) -> None:
        self._signal(signal.SIGKILL)
        for pid in self._group.pids - {self._process.pid}:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _signal(self, which: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, which)


class Lines:
    """Hears one pipe, cuts what comes through it into lines, and keeps the last ones.

    The loop only watches the pipe. As a transport's its descriptor would be closed twice (uvloop, handle.pyx: by libuv
    and then with the file object), the second time perhaps as that of a file which another thread has just opened.
    """

    def __init__(self, line: Line) -> None:
        self.ended = asyncio.Event()
        self.last: deque[str] = deque(maxlen=settings.stderr_lines_shown)
        self._line = line
        self._rest = b""
        self._is_cut = False
        self._pipe: IO[bytes] | None = None

    def listen(self, pipe: IO[bytes]) -> None:
        """Hear the pipe to its end, or until `close`; from here on it is ours."""
        os.set_blocking(pipe.fileno(), False)
        self._pipe = pipe
        asyncio.get_running_loop().add_reader(pipe.fileno(), self._read)

    def close(self) -> None:
        """Nothing more is heard; what was left of a line is told."""
        if self._pipe is not None:
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            self._pipe.close()
            self._pipe = None
        if self._rest:
            self._take(self._rest)
            self._rest = b""
        self.ended.set()

    def _read(self) -> None:
        assert self._pipe is not None
        try:
            data = os.read(self._pipe.fileno(), settings.read_bytes_max)
        except BlockingIOError:
            return
        if data:
            self._cut(data)
        else:
            self.close()

    def _cut(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            self._take(line)
        if len(self._rest) > settings.line_bytes_max:
            self._take(self._rest)
            self._rest, self._is_cut = b"", True

    def _take(self, line: bytes) -> None:
        """The rest of a line that was cut is told as a line of its own when it ends."""
        if self._is_cut and not line:
            self._is_cut = False
            return
        self._is_cut = False
        text = line.decode(errors="replace")
        self.last.append(text)
        self._line(text)
