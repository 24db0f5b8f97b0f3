"""What the built-in worker promises of scripts, run as its real process on real servers."""

import asyncio
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from tests.integration.workers.conftest import Start
from tests.integration.workers.executing import WAIT_S, Execution, lines_of, run_script

PYTHON_SPINS = "import time\nprint('on', flush=True)\ntime.sleep(600)\n"


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("bash", 'echo "{\\"got\\": $(cat "$FLOWFORGE_INPUT")}" > "$FLOWFORGE_OUTPUT"; echo said'),
        (
            "python",
            (
                "import json, os\nprint('said')\n"
                "json.dump({'got': json.load(open(os.environ['FLOWFORGE_INPUT']))}, open(os.environ['FLOWFORGE_OUTPUT'], 'w'))"
            ),
        ),
        (
            "node",
            (
                "const fs = require('fs'), e = process.env; console.log('said');\n"
                "fs.writeFileSync(e.FLOWFORGE_OUTPUT, JSON.stringify({got: JSON.parse(fs.readFileSync(e.FLOWFORGE_INPUT))}))"
            ),
        ),
    ],
)
async def test_input_in_output_and_lines_out(builtin_execution: Execution, language: str, source: str) -> None:
    told = await run_script(builtin_execution, language, source, input={"k": [1, "ü"]})
    assert told.kind == "JobCompleted", told.report
    assert msgspec.json.decode(told.report.output) == {"got": {"k": [1, "ü"]}}
    assert lines_of(builtin_execution, told.job_id) == ["said"]


async def test_no_output_is_null(builtin_execution: Execution) -> None:
    told = await run_script(builtin_execution, "bash", "true")
    assert bytes(told.report.output) == b"null"


async def test_a_script_sees_only_its_own_environment(builtin_execution: Execution) -> None:
    source = "import json, os\njson.dump({**os.environ, 'cwd': os.getcwd()}, open(os.environ['FLOWFORGE_OUTPUT'], 'w'))"
    env = {"GREETING": "hello", "COUNT": 3, "NESTED": {"a": 1}, "NOTHING": None}
    told = await run_script(builtin_execution, "python", source, attempt=2, script={"env": env})
    seen = msgspec.json.decode(told.report.output)
    assert seen.pop("LC_CTYPE", None) in (None, "C.UTF-8")  # Python's own doing (PEP 538)
    assert set(seen) == {
        "PATH", "LANG", "TZ", "HOME", "TMPDIR", "FLOWFORGE_INPUT", "FLOWFORGE_OUTPUT", "FLOWFORGE_RUN_ID",
        "FLOWFORGE_NODE_ID", "FLOWFORGE_ATTEMPT", "FLOWFORGE_JOB_ID", "FLOWFORGE_IDEMPOTENCY_KEY",
        "FLOWFORGE_SUPERVISED", "TRACEPARENT", "GREETING", "COUNT", "NESTED", "NOTHING", "cwd",
    }  # fmt: skip
    assert (seen["GREETING"], seen["COUNT"], seen["NESTED"], seen["NOTHING"]) == ("hello", "3", '{"a":1}', "")
    assert seen["HOME"] == seen["cwd"] == str(Path(seen["FLOWFORGE_INPUT"]).parent)
    assert seen["FLOWFORGE_ATTEMPT"] == "2"
    assert seen["FLOWFORGE_SUPERVISED"] == "the-home"
    assert seen["TRACEPARENT"].startswith("00-")
    assert not Path(seen["HOME"]).exists()


async def test_script_paths_are_told(execution: Execution, start: Start, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    await asyncio.to_thread(start, FLOWFORGE_SCRIPT_PATHS=str(tmp_path / "data"))
    told = await run_script(execution, "bash", 'echo "\\"$FLOWFORGE_SCRIPT_PATHS\\"" > $FLOWFORGE_OUTPUT')
    assert msgspec.json.decode(told.report.output) == str(tmp_path / "data")


async def test_lines_come_while_the_script_runs(builtin_execution: Execution) -> None:
    execution = builtin_execution
    job = await execution.hand_out("script", payload={"language": "python", "source": PYTHON_SPINS})
    told = await execution.report(job, "JobLogged")
    assert told.report.lines == ["on"]
    assert execution.of(job, "JobCompleted", "JobFailed") == []
    await execution.cancel(job)
    assert (await execution.ending(job)).report.error.code == "CANCELLED"


async def test_a_failed_script_says_its_status_and_its_last_words(builtin_execution: Execution) -> None:
    told = await run_script(builtin_execution, "bash", "echo out; for i in $(seq 20); do echo err $i >&2; done; exit 3")
    error = told.report.error
    assert (error.code, error.retryable) == ("NODE_EXECUTION_FAILED", True)
    assert error.message.startswith("the script failed with exit status 3: err 11\n")
    assert error.message.endswith("err 20")
    killed = await run_script(builtin_execution, "bash", "kill -SEGV $$")
    assert killed.report.error.message == "the script was ended by SIGSEGV"


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("echo '{' > $FLOWFORGE_OUTPUT", "OUTPUT_INVALID", "is not JSON"),
        ("touch $FLOWFORGE_OUTPUT", "OUTPUT_INVALID", "is empty"),
        ("mkdir $FLOWFORGE_OUTPUT", "OUTPUT_INVALID", "no ordinary file"),
        ("mkfifo $FLOWFORGE_OUTPUT", "OUTPUT_INVALID", "no ordinary file"),
        ("ln -s /etc/hostname $FLOWFORGE_OUTPUT", "OUTPUT_INVALID", "cannot be read"),
        ("head -c 300000 /dev/zero | tr '\\0' '[' > $FLOWFORGE_OUTPUT", "OUTPUT_INVALID", "nested too deeply"),
        ("truncate -s 65M $FLOWFORGE_OUTPUT", "PAYLOAD_TOO_LARGE", "at most 67108864"),
    ],
)
async def test_bad_output_is_refused_in_words(builtin_execution: Execution, source: str, code: str, words: str) -> None:
    told = await run_script(builtin_execution, "bash", source)
    assert (told.report.error.code, told.report.error.retryable) == (code, False)
    assert words in told.report.error.message


async def test_what_cannot_be_run_is_refused_in_words(execution: Execution, start: Start, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    await asyncio.to_thread(start, PATH=str(tmp_path / "empty"))
    cases: dict[str, dict[str, Any]] = {
        "there is no `node` on this worker's PATH": {"language": "node"},
        "isolation 'container' needs a container engine": {"language": "bash", "isolation": "container"},
        "env.FLOWFORGE_OUTPUT: names that begin with FLOWFORGE_": {
            "language": "python",
            "env": {"FLOWFORGE_OUTPUT": "x"},
        },
        "this is no script: Invalid enum value 'perl'": {"language": "perl"},
        "the script could not be started": {"language": "python", "env": {"A": "nul \0 inside"}},
    }
    for words, script in cases.items():
        told = await run_script(execution, "", "true", script=script)
        assert told.kind == "JobFailed"
        assert words in told.report.error.message


async def test_time_up_ends_the_whole_group(builtin_execution: Execution) -> None:
    execution = builtin_execution
    source = "trap '' TERM; sleep 600 & echo $! $$; setsid sleep 600 & echo $!; wait; wait"
    job = await execution.hand_out(
        "script",
        payload={"language": "bash", "source": source},
        deadline=datetime.now(UTC) + timedelta(milliseconds=500),
    )
    told = await execution.ending(job)
    assert told.report.error.code == "JOB_TIMEOUT"
    pids = [int(word) for line in lines_of(execution, job.job_id) for word in line.split()]
    assert len(pids) == 3
    assert not any(psutil.pid_exists(pid) for pid in pids)


async def test_nothing_is_left_of_a_script_that_ended(builtin_execution: Execution) -> None:
    begun = "sleep 600 & echo $!; (setsid sleep 600 & echo $!); (setsid env -i sleep 600 & echo $!)"
    source = f"{begun}; mkdir locked; touch locked/x; chmod 000 locked; pwd"
    told = await run_script(builtin_execution, "bash", source)
    *pids, folder = lines_of(builtin_execution, told.job_id)
    assert told.kind == "JobCompleted"
    assert len(pids) == 3
    assert not any(psutil.pid_exists(int(pid)) for pid in pids)
    assert not Path(folder).exists()


async def test_a_killed_worker_takes_its_scripts_along(
    builtin_execution: Execution, builtin: subprocess.Popen[bytes]
) -> None:
    job = await builtin_execution.hand_out("script", payload={"language": "bash", "source": "echo $$; exec sleep 600"})
    await builtin_execution.report(job, "JobLogged")
    (pid,) = lines_of(builtin_execution, job.job_id)
    script = psutil.Process(int(pid))
    builtin.kill()
    await asyncio.to_thread(script.wait, WAIT_S)


async def test_too_much_output_is_cut_and_told(builtin_execution: Execution) -> None:
    told = await run_script(
        builtin_execution,
        "bash",
        "head -c 100000 /dev/zero | tr '\\0' x; echo; printf 'a\\0b\\r\\n'; yes $(printf long%.0s {1..20}) | head -n 200000",
    )
    seen = lines_of(builtin_execution, told.job_id)
    assert told.kind == "JobCompleted"
    assert seen[0].startswith("xxx")
    assert seen[0].endswith("more characters]")
    assert "a\ufffdb" in seen[:4]
    assert seen[-1].startswith("[log truncated")
    assert sum(map(len, seen)) < 9 * 1024 * 1024


async def test_a_large_output_travels_by_reference(builtin_execution: Execution) -> None:
    told = await run_script(
        builtin_execution,
        "python",
        "import json, os\njson.dump('x' * 5_000_000, open(os.environ['FLOWFORGE_OUTPUT'], 'w'))",
    )
    assert msgspec.json.decode(told.report.output)["size"] == 5_000_002


async def test_a_worker_that_must_end_hands_its_scripts_back(
    execution: Execution, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "shared").mkdir()
    shared = {"FLOWFORGE_SCRIPT_PATHS": str(tmp_path / "shared")}
    leaving = await asyncio.to_thread(start, **shared)
    source = "if [ -e {0} ]; then echo '\"second\"' > $FLOWFORGE_OUTPUT; else touch {0}; echo on; sleep 600; fi"
    payload = {"language": "bash", "source": source.format(tmp_path / "shared" / "marker")}
    job = await execution.hand_out("script", payload=payload)
    await execution.report(job, "JobLogged")
    leaving.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(leaving.wait, 4) == 0
    await asyncio.to_thread(start, **shared)
    told = await execution.ending(job)
    assert told.report.delivery == 2
    assert msgspec.json.decode(told.report.output) == "second"


@pytest.mark.faults
@pytest.mark.parametrize("point", ["workers.before_report", "workers.after_report"])
@pytest.mark.parametrize("action", ["die", "error"])
async def test_a_failure_around_the_report_loses_nothing(
    execution: Execution, start: Start, point: str, action: str
) -> None:
    lease = {"FLOWFORGE_JOB_LEASE_S": "2"}
    failing = await asyncio.to_thread(start, FLOWFORGE_FAILPOINTS=f"{point}={action}", **lease)
    job = await execution.hand_out("script", payload={"language": "bash", "source": "true"})
    if action == "die":
        assert await asyncio.to_thread(failing.wait, WAIT_S) == 137
        await asyncio.to_thread(start, **lease)
    told = await execution.ending(job)
    await execution.settled("script")
    assert told.kind == "JobCompleted"


async def test_what_a_killed_worker_left_is_removed_by_the_next(
    execution: Execution, start: Start, tmp_path: Path
) -> None:
    killed = await asyncio.to_thread(start)
    job = await execution.hand_out("script", payload={"language": "bash", "source": "echo begun; exec sleep 600"})
    await execution.report(job, "JobLogged")
    (left,) = tmp_path.glob("flowforge-*")
    killed.kill()
    killed.wait()
    assert left.exists()
    await asyncio.to_thread(start)
    async with asyncio.timeout(WAIT_S):
        while left.exists():
            await asyncio.sleep(0.01)
