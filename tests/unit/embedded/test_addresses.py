"""What every process is told of the servers of one installation."""

from pathlib import Path
from typing import Any

import pytest

from infra.embedded.addresses import Addresses
from infra.embedded.home import Credentials, Home
from infra.embedded.nats import USERS
from infra.embedded.services import default_services
from infra.settings import Settings


def environment(tmp_path: Path, name: str, **given: Any) -> dict[str, str]:
    credentials = Credentials(dict.fromkeys(("owner", "service", "reader"), "pw"), dict.fromkeys(USERS, "pw"))
    settings = Settings(home=tmp_path, webhook_deny=("more:1",), **given)
    addresses = Addresses(settings, Home(tmp_path), credentials, http_port=1, nats_port=2, postgres_port=3)
    return addresses.service_environment(next(each for each in default_services() if each.name == name))


@pytest.mark.parametrize(
    ("given", "servers"),
    [
        ({}, "127.0.0.1:3,127.0.0.1:2"),
        (
            {"database_url": "postgresql://u:p%40@a:5,b/db?x=//y", "nats_url": "nats://u:p@c:7,tls://d"},
            "a:5,b:5432,c:7,d:4222",
        ),
        ({"database_url": "postgresql:///db?host=/run", "nats_url": "nats://[::1]"}, "[::1]:4222"),
        ({"database_url": "postgresql://[::1]:9/db"}, "[::1]:9,127.0.0.1:2"),
    ],
)
def test_workers_know_where_calls_never_go(tmp_path: Path, given: dict[str, str], servers: str) -> None:
    assert environment(tmp_path, "workers", **given)["FLOWFORGE_WEBHOOK_DENY"] == f"more:1,{servers}"


def test_only_who_needs_it_gets_the_key_of_secrets(tmp_path: Path) -> None:
    holding = [
        service.name
        for service in default_services()
        if "FLOWFORGE_SECRETS_KEY" in environment(tmp_path, service.name, secrets_key="k")
    ]
    assert holding == ["catalog", "execution", "subscriptions", "front"]
