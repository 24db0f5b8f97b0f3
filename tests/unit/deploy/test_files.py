"""The compose file, the chart and the image say what the code does: processes, commands, logins, ports, settings, files."""

import importlib.util
import re
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from infra.deploy import credentials
from infra.deploy.processes import HOME, HTTP_PORT, READY_FILE, SECRETS_FOLDER, Process, processes
from infra.embedded import postgres
from infra.embedded.front import LOGIN_PATH
from infra.embedded.readiness import BEAT_S
from infra.settings import PREFIX, Settings
from services.gateway.settings import body_bytes_max

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "infra" / "deploy"
CHART = DEPLOY / "chart"
KNOWN_VARIABLES = {f"{PREFIX}{name.upper()}" for name in Settings.__struct_fields__} | {"FLOWFORGE_READY_FILE"}
ALL = {process.name: process for process in processes()}
PREPARE_FILES = {
    "database-owner-url", "database-url", "database-reader-url", "nats-url-supervisor", "secrets-key", "admin-key",
}  # fmt: skip
OTHERS = {"postgres", "nats", "prepare", "front"}


def read(path: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", yaml.safe_load(path.read_text()))


COMPOSE = read(DEPLOY / "compose.yaml")
VALUES = read(CHART / "values.yaml")


def secrets_of(service: dict[str, Any]) -> set[str]:
    for each in service["secrets"]:
        assert each["target"] == f"{SECRETS_FOLDER}/{each['source']}"
    return {each["source"] for each in service["secrets"]}


def test_there_is_one_container_per_process() -> None:
    assert COMPOSE["services"].keys() - OTHERS == ALL.keys()
    assert list(VALUES["processes"]) == list(ALL)


@pytest.mark.parametrize("process", ALL.values(), ids=list(ALL))
def test_compose_gives_a_process_its_command_and_environment(process: Process) -> None:
    service = COMPOSE["services"][process.name]
    common = COMPOSE["x-environment"]
    assert service["command"] == ["python", *process.command]
    own = {name: value for name, value in service["environment"].items() if name not in common}
    assert own == process.environment
    assert secrets_of(service) == set(process.files)


@pytest.mark.parametrize("process", ALL.values(), ids=list(ALL))
def test_the_chart_gives_a_process_its_command_and_login(process: Process) -> None:
    values = VALUES["processes"][process.name]
    assert values["command"] == list(process.command)
    told = (
        values["natsUser"],
        values.get("database", False),
        values.get("secretsKey", False),
        values.get("http", False),
    )
    assert told == (process.nats_user, process.has_database, process.has_secrets_key, process.has_http)
    limits = values["resources"]
    assert {"cpu", "memory"} <= limits["requests"].keys()
    assert "memory" in limits["limits"]


def test_the_template_of_the_chart_names_the_variables_of_the_code() -> None:
    template = (CHART / "templates" / "processes.yaml").read_text()
    process = ALL["writes"]
    for name, value in process.environment.items():
        shown = value.replace(process.nats_user, "{{ $values.natsUser }}")
        assert re.search(rf'name: {name}, value: "?{re.escape(shown)}"?}}', template), name
    assert f"containerPort: {HTTP_PORT}" in template
    for file in ("database-url", "secrets-key", "nats-url-{{ $values.natsUser }}"):
        assert f"key: {file}, path: {file}" in template


def test_no_setting_is_named_that_nobody_reads() -> None:
    told = set(COMPOSE["x-environment"]) | set(VALUES["settings"])
    for service in COMPOSE["services"].values():
        told |= {name for name in service.get("environment", {}) if name.startswith(PREFIX)}
    assert {name.removesuffix("_FILE") if name != "FLOWFORGE_READY_FILE" else name for name in told} <= KNOWN_VARIABLES


def test_what_prepares_the_servers_is_given_what_it_reads() -> None:
    prepare = COMPOSE["services"]["prepare"]
    assert secrets_of(prepare) == PREPARE_FILES
    assert prepare["command"] == ["flowforge", "prepare", "servers"]
    template = (CHART / "templates" / "prepare.yaml").read_text()
    assert set(re.findall(r"\{key: ([a-z-]+), path: \1\}", template)) == PREPARE_FILES
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts["flowforge"] == "services.cli.__main__:main"
    for name in ("FLOWFORGE_DATABASE_URL_FILE", "FLOWFORGE_NATS_URL_FILE", "FLOWFORGE_SECRETS_KEY_FILE"):
        assert f"name: {name}, value: {prepare['environment'][name]}" in template


def test_every_secret_is_a_file_that_is_made(tmp_path: Path) -> None:
    made = set(credentials.make(tmp_path / "made", credentials.Servers()))
    named = {name: Path(secret["file"]).name for name, secret in COMPOSE["secrets"].items()}
    assert all(name == file for name, file in named.items())
    used = set().union(*(secrets_of(service) for service in COMPOSE["services"].values() if "secrets" in service))
    assert set(named) == used
    assert used <= made


def test_modules_and_applications_of_the_commands_are_there() -> None:
    for process in ALL.values():
        assert importlib.util.find_spec(process.command[1]) is not None
        for option in process.command[2:]:
            module, _, function = option.partition(":")
            assert option.startswith("--") or hasattr(importlib.import_module(module), function)


def test_servers_are_as_the_credentials_have_them() -> None:
    server = COMPOSE["services"]["postgres"]["environment"]
    assert (server["POSTGRES_USER"], server["POSTGRES_DB"]) == (postgres.OWNER, postgres.DATABASE)
    servers = credentials.Servers()
    assert {servers.database, servers.nats} == set(COMPOSE["x-environment"]["FLOWFORGE_WEBHOOK_DENY"].split(","))
    assert f"nats:{credentials.NATS_STORE}" in COMPOSE["services"]["nats"]["volumes"]


def test_the_image_has_what_the_processes_are_promised() -> None:
    image = (DEPLOY / "Dockerfile").read_text()
    own = (f"FLOWFORGE_HOME={HOME}", f"FLOWFORGE_READY_FILE={READY_FILE}")
    for promised in (*own, "USER 10001:10001", "--constraint requirements.lock"):
        assert promised in image
    assert int(re.findall(r"(\d+) seconds ago", image)[0]) > 3 * BEAT_S
    copied = {source for line in re.findall(r"^COPY (?!--)(.*)$", image, re.MULTILINE) for source in line.split()[:-1]}
    ignored = (ROOT / ".dockerignore").read_text().split()
    for source in copied:
        assert (ROOT / source).exists()
        assert any(line.startswith("!") and source.startswith(line[1:]) for line in ignored), source
    assert "COPY --from=console /source/services/console/dist services/console/dist" in image
    assert {"services/console/dist", "**/node_modules"} <= set(ignored)  # built in the image, not brought along


def test_the_front_lets_through_what_the_writes_take() -> None:
    front = (CHART / "files" / "front.conf.template").read_text()
    [megabytes] = re.findall(r"client_max_body_size (\d+)m;", front)
    assert int(megabytes) * 1024**2 > body_bytes_max
    assert re.findall(r"^    ([A-Z]+) reads;", front, re.MULTILINE) == ["GET", "HEAD", "OPTIONS"]
    assert re.findall(r"^    (\S+) writes;", front, re.MULTILINE) == ["default", LOGIN_PATH]
    mounted = COMPOSE["services"]["front"]["volumes"][0].split(":")[0]
    assert (DEPLOY / mounted).samefile(CHART / "files" / "front.conf.template")
