"""A person's data, erased: no table that is kept has a trace, the chain verifies, and nothing brings it back."""

import json
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.e2e.stranger import Object, Stranger, bash, edge, fresh, problem, transform, workflow

FORGOTTEN_WITHIN_S = 240
TABLES = """
    select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname !~ '^pg_|information_schema' order by 1, 2
"""


async def tables_with(stranger: Stranger, text: str) -> list[str]:
    """Tables of which some row has the text, in any column, as text or as bytes."""
    password = json.loads((stranger.home / "credentials.json").read_text())["postgres"]["owner"]
    address = stranger.endpoints["database"].rpartition("@")[2]
    connection = await asyncpg.connect(f"postgresql://flowforge_owner:{password}@{address}")
    wanted = [text, text.encode().hex()]
    try:
        return [
            f"{schema}.{table}"
            for schema, table in await connection.fetch(TABLES)
            if await connection.fetchval(
                f'select exists (select from "{schema}"."{table}" t where strpos(t::text, $1) > 0 or strpos(t::text, $2) > 0)',
                *wanted,
            )
        ]
    finally:
        await connection.close()


def files_with(folder: Path, text: str) -> list[str]:
    wanted = text.encode()
    return [
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and wanted in path.read_bytes()
    ]


def telling() -> Object:
    """A workflow whose every part repeats what it is given, its log lines too."""
    return workflow(
        transform("a", expressions={"mail": "${input.mail}"}),
        bash("b", 'cat "$FLOWFORGE_INPUT"; cat "$FLOWFORGE_INPUT" > "$FLOWFORGE_OUTPUT"'),
        bash("c", 'cat "$FLOWFORGE_INPUT" >&2; exit 1'),
        edges=[edge("a", "b"), edge("b", "c")],
    )


async def test_a_text_is_erased_from_all_that_keeps_it(stranger: Stranger):
    canary = f"{fresh('ada')}@example.org"
    definition = telling()
    stranger.save(definition)
    run_id = stranger.execute(definition["id"], input_data={"mail": canary}, labels={"who": canary})
    other = stranger.execute(definition["id"], input_data={"mail": "grace@example.org"})
    before = {key: stranger.ended(run_id)[key] for key in ("status", "execution_path", "created_at")}
    kept = stranger.ended(other)
    found = await tables_with(stranger, canary)
    assert "projections.runs" in found
    assert any(table.startswith("eventlog.events_") for table in found)

    shown = stranger.cli("erase", "--text", canary, "--json")
    assert shown.status == 0, shown.err
    assert (shown.json["done"], shown.json["runs"]) == (False, [run_id])
    assert stranger.get(f"/api/runs/{run_id}")["input_data"] == {"mail": canary}

    done = stranger.cli("erase", "--text", canary, "--reason", "asked for", "--yes", "--json")
    assert done.status == 0, done.err
    assert (done.json["done"], done.json["runs"]) == (True, [run_id])
    assert done.json["events"] == shown.json["events"]
    assert await tables_with(stranger, canary) == []
    assert canary not in done.out
    assert files_with(stranger.home / "logs", canary) == []
    assert [file for file in files_with(stranger.home, canary) if "streams/JOBS/" not in file] == []

    run = stranger.get(f"/api/runs/{run_id}")
    assert {key: run[key] for key in before} == before
    assert (run["input_data"], run["labels"]) == (None, {})
    assert stranger.get(f"/api/runs/{other}") == kept
    assert stranger.cli("verify").status == 0
    again = stranger.cli("erase", "--text", canary, "--json")
    assert (again.json["events"], again.json["runs"]) == (0, [])


@pytest.mark.faults  # the server takes its time: up to two minutes
def test_files_of_the_bus_forget_it_within_minutes_while_other_jobs_wait(stranger: Stranger):
    canary = f"{fresh('ada')}@example.org"
    stranger.execute(stranger.save(workflow({"id": "a", "type": "job", "job_type": fresh("nobody")}))["id"])
    says = (
        "import json,os; e = os.environ; "
        "json.dump(open(e['FLOWFORGE_INPUT']).read() * 9000, open(e['FLOWFORGE_OUTPUT'], 'w'))"
    )
    large = workflow(bash("a", f'python3 -c "{says}"'))
    run = stranger.run(large, input_data={"mail": canary})
    assert "$blob" in str(stranger.get(f"/api/runs/{run['run_id']}/nodes/a")["output"])
    assert files_with(stranger.home / "nats", canary)
    assert stranger.cli("erase", run["run_id"], "--yes").status == 0
    left = files_with(stranger.home / "nats", canary)
    assert all("streams/JOBS/" in file for file in left), left
    deadline = time.monotonic() + FORGOTTEN_WITHIN_S
    while left:
        assert time.monotonic() < deadline, left
        time.sleep(1)
        left = files_with(stranger.home / "nats", canary)


def test_an_erased_run_cannot_go_on(stranger: Stranger):
    run = stranger.run(telling(), input_data={"mail": "x@example.org"})
    assert stranger.cli("erase", run["run_id"], "--yes").status == 0
    for act in ("retry", "fork"):
        refused = problem(stranger.http.post(f"/api/runs/{run['run_id']}/{act}", json={}), 409)
        assert "was erased" in refused["detail"]


def test_a_run_under_way_is_not_erased(stranger: Stranger):
    run_id = stranger.execute(stranger.save(workflow(bash("a", "sleep 60")))["id"])
    refused = stranger.cli("erase", run_id, "--yes")
    assert refused.status == 1
    assert f"flowforge cancel {run_id}" in " ".join(refused.err.split())
    assert stranger.cli("cancel", run_id).status == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "nothing to erase is named"),
        (("not-a-run",), "is no id of a run"),
        (("01a00000-0000-7000-8000-000000000000",), "there is no run"),
        (("--text", "a"), "too short"),
    ],
)
def test_what_makes_no_sense_is_refused_and_says_why(stranger: Stranger, words: Any, told: str):
    refused = stranger.cli("erase", *words)
    assert refused.status != 0
    assert told in refused.err
