"""The key of an installation, and what is sealed with it."""

import base64
from pathlib import Path

import pytest

from infra.secrets import MemorySecrets, NoKey, Secret, SecretKey, WrongKey, find_key, new_key_text
from infra.settings import Settings

OWNER, VALUE = "webhooks/w/t", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def test_what_was_sealed_is_opened_by_the_same_key_only():
    key, other = SecretKey(bytes(32)), SecretKey(bytes([1] * 32))
    name = key.fingerprint(OWNER, VALUE)
    sealed = key.seal(OWNER, name, VALUE)
    assert key.open(OWNER, name, sealed) == VALUE
    assert VALUE.encode() not in sealed
    with pytest.raises(WrongKey):
        other.open(OWNER, name, sealed)


@pytest.mark.parametrize("owner", ["webhooks/w/u", "webhooks/w/", ""])
def test_a_row_cannot_take_the_place_of_another(owner: str):
    key = SecretKey(bytes(32))
    name = key.fingerprint(OWNER, VALUE)
    sealed = key.seal(OWNER, name, VALUE)
    with pytest.raises(WrongKey):
        key.open(owner, name, sealed)
    with pytest.raises(WrongKey):
        key.open(OWNER, "0" * 32, sealed)
    with pytest.raises(WrongKey):
        key.open(OWNER, name, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(WrongKey):
        key.open(OWNER, name, b"")


def test_sealing_twice_looks_different_and_the_fingerprint_is_the_same():
    key = SecretKey(bytes(32))
    name = key.fingerprint(OWNER, VALUE)
    assert key.seal(OWNER, name, VALUE) != key.seal(OWNER, name, VALUE)
    assert key.fingerprint(OWNER, VALUE) == name
    assert len(name) == 32


def test_a_fingerprint_belongs_to_one_owner_one_secret_and_one_key():
    key, other = SecretKey(bytes(32)), SecretKey(bytes([1] * 32))
    names = [
        key.fingerprint(OWNER, VALUE), key.fingerprint("webhooks/w/u", VALUE), key.fingerprint(OWNER, VALUE + "x"),
        key.fingerprint(OWNER + VALUE[:1], VALUE[1:]), other.fingerprint(OWNER, VALUE),
    ]  # fmt: skip
    assert len(set(names)) == len(names)


def test_the_key_is_found_in_the_settings_or_in_home(tmp_path: Path):
    given, filed = new_key_text(), new_key_text()
    with pytest.raises(NoKey, match=r"FLOWFORGE_SECRETS_KEY.*secrets\.key.*openssl rand -base64 32"):
        find_key(Settings(home=tmp_path))
    (tmp_path / "secrets.key").write_text(filed + "\n")
    assert find_key(Settings(home=tmp_path)).id == SecretKey(base64.b64decode(filed)).id
    assert find_key(Settings(home=tmp_path, secrets_key=given)).id == SecretKey(base64.b64decode(given)).id


@pytest.mark.parametrize("text", ["", "not base64!", base64.b64encode(bytes(31)).decode(), "a" * 64])
def test_what_is_no_key_is_refused_and_not_repeated(tmp_path: Path, text: str):
    (tmp_path / "secrets.key").write_text(text)
    with pytest.raises(WrongKey, match=r"secrets\.key.*openssl") as told:
        find_key(Settings(home=tmp_path))
    assert not text or text not in str(told.value)
    with pytest.raises(WrongKey, match="FLOWFORGE_SECRETS_KEY") as told:
        find_key(Settings(home=tmp_path, secrets_key=text))
    assert not text or text not in str(told.value)


async def test_a_secret_kept_twice_is_kept_once_and_shows_itself_to_nobody():
    secrets = MemorySecrets(SecretKey(bytes(32)))
    secret = Secret(OWNER, secrets.fingerprint(OWNER, VALUE), VALUE)
    await secrets.put([secret])
    before = dict(secrets.sealed)
    await secrets.put([secret])
    assert secrets.sealed == before
    assert await secrets.get(OWNER, [secret.fingerprint, "0" * 32]) == {secret.fingerprint: VALUE}
    assert VALUE not in repr(secret)
