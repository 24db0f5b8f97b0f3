"""The key of an installation, and what is sealed with it."""

import base64
import re
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from infra.secrets import MemorySecrets, NoKey, Secret, SecretKey, WrongKey, find_key, new_key_text
from infra.secrets.asking import Question, SecretsGiven, Unsealable, sealed_for
from infra.secrets.tokens import CallbackFor, CallbackTokens
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


def test_an_answer_with_secrets_is_opened_by_its_question_only():
    run = UUID("019ca945-2b5d-764f-be2e-79b6b73f502e")
    question, other = Question(run, "call", ["token"]), Question(run, "call", ["token"])
    given = sealed_for(question.asked, {"token": VALUE})
    assert VALUE.encode() not in msgspec.json.encode(given)
    assert question.opened(given) == {"token": VALUE}
    with pytest.raises(Unsealable):
        other.opened(given)
    with pytest.raises(Unsealable):
        question.opened(sealed_for(msgspec.structs.replace(question.asked, node_id="other"), {"token": VALUE}))
    with pytest.raises(Unsealable):
        question.opened(SecretsGiven())


@pytest.mark.parametrize(
    "public_key", ["", "x", base64.b64encode(bytes(32)).decode(), base64.b64encode(bytes(31)).decode()]
)
def test_a_question_without_a_proper_key_is_not_answered(public_key: str):
    asked = Question(UUID(int=0), "n", ["a"]).asked
    with pytest.raises(Unsealable):
        sealed_for(msgspec.structs.replace(asked, public_key=public_key), {"a": "b"})


def test_a_callback_token_is_read_as_what_it_was_made_for_and_nothing_else():
    tokens, others = CallbackTokens(SecretKey(bytes(32))), CallbackTokens(SecretKey(bytes([1] * 32)))
    call = CallbackFor(UUID("019ca945-2b5d-764f-be2e-79b6b73f502e"), "call", "3.0", 2)
    token = tokens.token(call)
    assert re.fullmatch(r"[A-Za-z0-9_-]{80,200}", token)
    assert tokens.read(token) == call
    assert others.read(token) is None
    for at in range(len(token) - 1):  # the last character has bits that stand for nothing
        assert tokens.read(token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]) is None
    for strange in ("", "x", "é" * 80, token + "A", token[:-4], "A" * 2_000):
        assert tokens.read(strange) is None
