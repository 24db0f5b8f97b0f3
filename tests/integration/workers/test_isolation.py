"""Scripts apart from the machine: what they cannot reach, what they may take, and what is told of both."""

import asyncio
import os
import signal
import socket
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import psutil
import pytest

from services.workers import landlock
from tests.integration.workers.conftest import Start
from tests.integration.workers.executing import Execution, Told, lines_of, run_script

MB = 1024**2
confined = pytest.mark.skipif(
    not landlock.abi(), reason="this kernel has no Landlock: scripts cannot be confined to their files here"
)
REACHES = """
import json, os, sys
def tried(action):
    try:
        action()
        return "done"
    except OSError as fault:
        return type(fault).__name__
home = os.environ["HOME_OF_FLOWFORGE"]
open("mine", "w").write("x")
os.makedirs("below/deep"); os.rename("mine", "below/deep/mine"); os.symlink("below", "link")
told = {
    "key": tried(lambda: open(home + "/admin.key").read()),
    "list": tried(lambda: os.listdir(home)),
    "new": tried(lambda: open(home + "/new", "w")),
    "outside": tried(lambda: open(os.path.dirname(os.environ["HOME"]) + "/outside", "w")),
    "tmp": tried(lambda: open("/tmp/outside-of-all", "w")),
    "shadow": tried(lambda: open("/etc/shadow").read()),
    "root": tried(lambda: os.listdir("/root")),
    "usr": tried(lambda: open("/usr/written-by-a-script", "w")),
    "environ": tried(lambda: open(f"/proc/{os.getppid()}/environ").read()),
    "signal": tried(lambda: os.kill(os.getppid(), 0)),
    "passwd": tried(lambda: open("/etc/passwd").read()),
    "null": tried(lambda: open("/dev/null", "w").write("x")),
    "python": tried(lambda: __import__("sqlite3")),
}
json.dump(told, open(os.environ["FLOWFORGE_OUTPUT"], "w"))
"""
ALLOWED = {"passwd", "null", "python"}


def output_of(told: Told) -> object:
    assert told.kind == "JobCompleted", told.report
    return msgspec.json.decode(told.report.output)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of an installation, with what is in it."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "admin.key").write_text("the key")
    return tmp_path / "home"


@confined
async def test_a_script_reaches_its_own_folder_and_what_programs_need_and_nothing_else(
    builtin_execution: Execution, home: Path
) -> None:
    told = await run_script(builtin_execution, "python", REACHES, script={"env": {"HOME_OF_FLOWFORGE": str(home)}})
    seen = msgspec.convert(output_of(told), dict[str, str])
    assert {name: seen[name] for name in ALLOWED} == dict.fromkeys(ALLOWED, "done")
    if not landlock.restricts_signals(landlock.abi()):
        del seen["signal"]
    assert {what for name, what in seen.items() if name not in ALLOWED} == {"PermissionError"}, seen


@confined
async def test_every_layer_is_told_with_the_start_and_the_end(builtin_execution: Execution) -> None:
    job = await builtin_execution.hand_out("script", payload={"language": "bash", "source": "sleep 0.3"})
    began = await builtin_execution.report(job, "JobStarted")
    ended = await builtin_execution.ending(job)
    assert began.report.isolation == ended.report.isolation
    assert {"own_process_group", "no_new_privileges", "resource_limits", "landlock_files"} <= set(
        ended.report.isolation
    )


@confined
async def test_shared_folders_may_be_used_by_every_script(execution: Execution, start: Start, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    await asyncio.to_thread(start, FLOWFORGE_SCRIPT_PATHS=str(tmp_path / "shared"))
    wrote = await run_script(execution, "bash", "mkdir $FLOWFORGE_SCRIPT_PATHS/a; echo 7 > $FLOWFORGE_SCRIPT_PATHS/a/n")
    assert wrote.kind == "JobCompleted"
    read = await run_script(execution, "bash", "cat $FLOWFORGE_SCRIPT_PATHS/a/n > $FLOWFORGE_OUTPUT")
    assert output_of(read) == 7


@confined
@pytest.mark.parametrize("language", ["bash", "node"])
async def test_ordinary_programs_run_confined(builtin_execution: Execution, language: str) -> None:
    sources = {
        "bash": "echo b > b; sort b /etc/hostname | head -1 > c; cat <<< here; tar cf t.tar b; python3 -c 'print(1)'",
        "node": "require('child_process').execSync('ls /usr'); console.log(require('os').cpus().length > 0)",
    }
    told = await run_script(builtin_execution, language, sources[language])
    assert told.kind == "JobCompleted", told.report


@confined
async def test_processes_of_python_work_together_confined(builtin_execution: Execution) -> None:
    source = (
        "import json, multiprocessing, os\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.Pool(2) as pool:\n"
        "        json.dump(pool.map(abs, [-1, -2]), open(os.environ['FLOWFORGE_OUTPUT'], 'w'))\n"
    )
    assert output_of(await run_script(builtin_execution, "python", source)) == [1, 2]


@confined
async def test_a_script_may_call_out_but_takes_no_port_that_others_expect(builtin_execution: Execution) -> None:
    if not landlock.restricts_ports(landlock.abi()):
        pytest.skip("this kernel's Landlock cannot forbid ports")
    source = (
        "import json, os, socket\n"
        "def bound(port):\n"
        "    with socket.socket() as s:\n"
        "        try: s.bind(('127.0.0.1', port)); return True\n"
        "        except PermissionError: return False\n"
        "socket.create_connection(('127.0.0.1', int(os.environ['PORT']))).close()\n"
        "json.dump([bound(0), bound(int(os.environ['PORT']) + 1)], open(os.environ['FLOWFORGE_OUTPUT'], 'w'))\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        told = await run_script(builtin_execution, "python", source, script={"env": {"PORT": port}})
    assert output_of(told) == [True, False]


@confined
async def test_what_is_not_allowed_is_told_with_what_is(builtin_execution: Execution) -> None:
    told = await run_script(builtin_execution, "bash", "echo x > /usr/x")
    assert told.report.error.message.startswith(
        "the script failed with exit status 1 (scripts reach their own folder, $HOME, and those of "
        "FLOWFORGE_SCRIPT_PATHS): "
    )


async def test_trusted_scripts_reach_what_their_user_does(execution: Execution, start: Start, tmp_path: Path) -> None:
    await asyncio.to_thread(start, FLOWFORGE_SCRIPT_ISOLATION="trusted")
    told = await run_script(execution, "bash", f"echo x > {tmp_path}/outside")
    assert told.kind == "JobCompleted"
    assert (tmp_path / "outside").exists()
    assert not [layer for layer in told.report.isolation if layer.startswith(("landlock", "bubblewrap"))]


async def test_root_has_no_more_than_files_and_ports(builtin_execution: Execution) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has something to give up")
    told = await run_script(builtin_execution, "bash", "grep CapEff /proc/self/status; ulimit -n 100000")
    assert told.report.error.message.endswith("Operation not permitted")
    (line,) = lines_of(builtin_execution, told.job_id)[:1]
    assert int(line.split()[1], 16) == 0b100_1111_1011
    assert "fewer_capabilities" in told.report.isolation


# --- what a script takes ----------------------------------------------------------------------------------------------


async def test_processor_time_and_peak_memory_are_those_of_all_its_processes(builtin_execution: Execution) -> None:
    burns = (
        "import time\nb = bytearray(200_000_000)\nt = time.process_time()\nwhile time.process_time() < t + 0.3: pass"
    )
    source = f"import subprocess, sys\nfor n in range(2): subprocess.Popen([sys.executable, '-c', {burns!r}])\n"
    waits = "import os\nfor n in range(2): os.wait()\n"
    told = await run_script(builtin_execution, "python", source + waits)
    assert told.kind == "JobCompleted"
    assert told.report.usage.cpu_ms >= 600
    assert 200_000_000 < told.report.usage.peak_memory_bytes < 900 * MB


async def test_what_was_left_behind_is_counted_too(builtin_execution: Execution) -> None:
    burns = "import time\nt = time.process_time()\nwhile time.process_time() < t + 0.3: pass\ntime.sleep(600)"
    told = await run_script(
        builtin_execution, "bash", f'python3 -c "{burns}" & (setsid python3 -c "{burns}" &); sleep 2'
    )
    assert told.kind == "JobCompleted"
    assert told.report.usage.cpu_ms >= 500


async def test_usage_is_told_of_a_script_that_failed(builtin_execution: Execution) -> None:
    told = await run_script(builtin_execution, "python", "b = bytearray(100_000_000)\nraise SystemExit(3)")
    assert told.kind == "JobFailed"
    assert told.report.usage.peak_memory_bytes > 100_000_000
    short = await run_script(builtin_execution, "bash", "true")
    assert 0 < short.report.usage.peak_memory_bytes < 300 * MB


@pytest.mark.parametrize(
    "source",
    [
        "b = bytearray(200_000_000)\nimport time\ntime.sleep(600)",
        "b = bytearray(200_000_000)",
        "b = []\nwhile True: b.append(bytearray(1_000_000))",
    ],
)
async def test_more_memory_than_allowed_fails_the_script_and_names_the_limit(
    builtin_execution: Execution, source: str
) -> None:
    told = await run_script(builtin_execution, "python", source, script={"max_memory_mb": 64})
    error = told.report.error
    assert error.code == "NODE_EXECUTION_FAILED"
    assert error.message.startswith("the script took ")
    assert "at most 64 MB are allowed (max_memory_mb)" in error.message


async def test_all_processes_together_are_limited(builtin_execution: Execution) -> None:
    one = "import time\nb = bytearray(40_000_000)\ntime.sleep(600)"
    source = (
        f"import os, subprocess, sys\nfor n in range(5): subprocess.Popen([sys.executable, '-c', {one!r}])\nos.wait()"
    )
    told = await run_script(builtin_execution, "python", source, script={"max_memory_mb": 150})
    assert "at most 150 MB are allowed (max_memory_mb)" in told.report.error.message


async def test_a_name_that_is_no_text_hides_no_process(builtin_execution: Execution) -> None:
    renamed = (
        "import ctypes, time\nctypes.CDLL(None).prctl(15, b'\\xff) Z 1')\nb = bytearray(200_000_000)\ntime.sleep(600)"
    )
    told = await run_script(builtin_execution, "python", renamed, script={"max_memory_mb": 64})
    assert "at most 64 MB are allowed (max_memory_mb)" in told.report.error.message
    left = (
        "import ctypes, os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    ctypes.CDLL(None).prctl(15, b'\\xff')\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(600)\n"
        "time.sleep(0.2)"
    )
    told = await run_script(builtin_execution, "python", left)
    [pid] = lines_of(builtin_execution, told.job_id)
    assert not psutil.pid_exists(int(pid))


async def test_asking_for_far_too_much_memory_names_the_limit(builtin_execution: Execution) -> None:
    told = await run_script(builtin_execution, "python", "bytearray(10**12)", script={"max_memory_mb": 64})
    assert told.report.error.message.startswith(
        "the script failed with exit status 1 (it may take at most 64 MB of memory: max_memory_mb)"
    )


async def test_memory_within_the_limit_is_no_matter(builtin_execution: Execution) -> None:
    script = {"max_memory_mb": 200}
    assert (
        await run_script(builtin_execution, "python", "bytearray(90_000_000)", script=script)
    ).kind == "JobCompleted"
    assert (await run_script(builtin_execution, "node", "[].concat(1)", script=script)).kind == "JobCompleted"


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("bash", "head -c 3000000 /dev/zero > large"),
        ("bash", "exec head -c 3000000 /dev/zero > large"),
        ("python", "open('large', 'wb').write(bytes(3_000_000))"),
    ],
)
async def test_a_file_that_is_too_large_fails_the_script_and_names_the_limit(
    builtin_execution: Execution, language: str, source: str
) -> None:
    told = await run_script(builtin_execution, language, source, script={"max_file_mb": 2})
    assert told.report.error.code == "NODE_EXECUTION_FAILED"
    assert "(a file may have at most 2 MB: max_file_mb)" in told.report.error.message


async def test_the_installation_limits_scripts_that_do_not_say(execution: Execution, start: Start) -> None:
    await asyncio.to_thread(start, FLOWFORGE_SCRIPT_MAX_MEMORY_MB="64", FLOWFORGE_SCRIPT_MAX_FILE_MB="1")
    told = await run_script(execution, "python", "b = bytearray(100_000_000)")
    assert "at most 64 MB are allowed" in told.report.error.message
    told = await run_script(execution, "bash", "head -c 2000000 /dev/zero > large")
    assert "at most 1 MB" in told.report.error.message


async def test_too_many_processes_end_the_script(builtin_execution: Execution) -> None:
    source = "for i in $(seq 1200); do sleep 603 & done; wait"
    told = await run_script(builtin_execution, "bash", source)
    assert told.report.error.message.startswith("the script ran more than 1000 processes at once")
    assert not [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == ["sleep", "603"]]


async def test_a_script_that_ran_out_of_time_tells_what_it_took(builtin_execution: Execution) -> None:
    deadline = datetime.now(UTC) + timedelta(milliseconds=700)
    told = await run_script(builtin_execution, "python", "while True: pass", deadline=deadline)
    assert told.report.error.code == "JOB_TIMEOUT"
    assert told.report.usage.cpu_ms >= 50
    assert told.report.isolation


# --- containers -------------------------------------------------------------------------------------------------------


async def test_a_container_engine_that_does_not_answer_is_told_in_words(
    execution: Execution, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    engine = tmp_path / "bin" / "docker"
    engine.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\necho Cannot connect to the daemon >&2\nexit 125\n')
    engine.chmod(0o700)
    await asyncio.to_thread(start, PATH=f"{tmp_path}/bin:{os.environ['PATH']}")
    script = {"isolation": "container", "image": "python:3.13-slim"}
    told = await run_script(execution, "python", "print(1)", script=script)
    assert told.report.error.message == ("docker could not run the script's container: Cannot connect to the daemon")
    assert told.report.isolation == ["clean_environment", "own_folder", "container"]
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert call.startswith(f"run --rm --name flowforge-{told.job_id}-1 ")
    assert call.endswith(" --entrypoint python3 python:3.13-slim -u /flowforge/main.py")


async def test_the_container_of_a_cancelled_job_is_removed(execution: Execution, start: Start, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    engine = tmp_path / "bin" / "docker"
    engine.write_text(
        f'#!/bin/sh\necho "$1 $2 $3" >> {tmp_path}/calls\n[ $1 = rm ] || {{ echo up; exec sleep 600; }}\n'
    )
    engine.chmod(0o700)
    await asyncio.to_thread(start, PATH=f"{tmp_path}/bin:{os.environ['PATH']}")
    payload = {"language": "bash", "source": "sleep 600", "isolation": "container", "image": "debian"}
    job = await execution.hand_out("script", payload=payload)
    await execution.report(job, "JobLogged")
    await execution.cancel(job)
    assert (await execution.ending(job)).report.error.code == "CANCELLED"
    assert (tmp_path / "calls").read_text().splitlines()[1:] == [f"rm --force flowforge-{job.job_id}-1"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ({}, "isolation 'container' needs `image`"),
        ({"image": "--privileged"}, "is no name of an image"),
        ({"image": "debian", "env": {"A": "two\nlines"}}, "env.A: container engines take no value of several lines"),
    ],
)
async def test_what_no_container_can_be_made_of_is_refused_in_words(
    execution: Execution, start: Start, tmp_path: Path, script: dict[str, object], words: str
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "podman").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "bin" / "podman").chmod(0o700)
    await asyncio.to_thread(start, PATH=str(tmp_path / "bin"))
    told = await run_script(execution, "bash", "true", script={"isolation": "container", **script})
    assert words in told.report.error.message
    assert (told.report.error.code, told.report.error.retryable) == ("INPUT_INVALID", False)


def _engine_answers() -> bool:
    for name in ("docker", "podman"):
        try:
            if subprocess.run([name, "image", "inspect", "alpine"], capture_output=True, check=False).returncode == 0:
                return True
        except OSError:
            continue
    return False


async def test_a_container_sees_the_jobs_folder_and_nothing_else(builtin_execution: Execution) -> None:
    if not await asyncio.to_thread(_engine_answers):
        pytest.skip("no container engine with the image `alpine` answers here")
    source = 'cp $FLOWFORGE_INPUT $FLOWFORGE_OUTPUT; echo "$A"; ls /root'
    script = {"isolation": "container", "image": "alpine", "env": {"A": "of the node"}, "max_memory_mb": 64}
    told = await run_script(builtin_execution, "bash", source, input=[1], script=script)
    assert output_of(told) == [1]
    assert lines_of(builtin_execution, told.job_id) == ["of the node"]


async def test_a_worker_that_stops_ends_its_scripts_with_all_they_started(
    builtin_execution: Execution, builtin: subprocess.Popen[bytes]
) -> None:
    source = "sleep 601 & (setsid sleep 602 &); echo on; wait"
    job = await builtin_execution.hand_out("script", payload={"language": "bash", "source": source})
    await builtin_execution.report(job, "JobLogged")
    builtin.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(builtin.wait, 6) == 0
    left = [each.info["cmdline"] for each in psutil.process_iter(["cmdline"])]
    assert ["sleep", "601"] not in left
    assert ["sleep", "602"] not in left
