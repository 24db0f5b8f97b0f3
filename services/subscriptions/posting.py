"""One event, signed and posted once (Standard Webhooks 1.0); whatever comes of it is an `Attempt`."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from flowforge.envelope import CloudEvent, encode
from standardwebhooks import Webhook

from infra.bus import envelope
from infra.calls import Answer, Calls, Misled, Request, TargetRefused, Unreached, Unusable
from infra.calls import within as answered_within
from infra.eventlog import StoredEvent
from infra.failpoints import failpoint
from infra.secrets import Secrets, WrongKey, owner_of_subscription
from services.subscriptions.retries import Attempt
from services.subscriptions.settings import ATTEMPT_S, ERROR_CHARS_KEPT
from services.subscriptions.state import Subscription

CONTENT_TYPE = "application/cloudevents+json"
SECRETS_CACHED_MAX = 4_000


class CannotSign(Exception):
    """There is nothing to sign with."""


class Poster:
    """Makes the posts of all subscriptions. Without `secrets`, none can be signed, so none is made."""

    def __init__(self, calls: Calls, secrets: Secrets | None, namespace: str, clock: Callable[[], datetime]) -> None:
        self.namespace = namespace
        self._calls = calls
        self._secrets = secrets
        self._clock = clock
        self._known: dict[tuple[str, str], str] = {}

    async def post(self, subscription: Subscription, stored: StoredEvent, attempt: int) -> Attempt:
        """A logged event, under its own id. May raise `Unavailable`."""
        body = envelope(stored, self.namespace)
        failpoint("subscriptions.before_post")
        outcome = await self._post(subscription, str(stored.event_id), body, attempt)
        failpoint("subscriptions.after_post")
        return outcome

    async def test(self, subscription: Subscription, event_id: str) -> Attempt:
        """An event that stands in no log, of type `SubscriptionTested`."""
        event = CloudEvent(
            id=event_id,
            source=f"/{self.namespace}/subscriptions/{subscription.id}",
            type="SubscriptionTested",
            time=self._clock(),
        )
        return await self._post(subscription, event_id, encode(event), 1)

    async def _post(self, subscription: Subscription, event_id: str, body: bytes, attempt: int) -> Attempt:
        at, begun_s = self._clock(), time.monotonic()
        status, retry_after, error = None, "", ""
        try:
            signatures = self._signatures(await self._values(subscription, at), event_id, at, body)
            request = _request(subscription, event_id, at, body, signatures, attempt)
            answer = await answered_within(ATTEMPT_S, self._calls.send(request, lambda _: True))
            status, retry_after = answer.status, answer.headers.get("retry-after", "")
            error = "" if 200 <= answer.status < 300 else _unwelcome(answer)
        except Unreached as fault:
            error = str(fault).partition("; a timeout_ms")[0]
        except (TargetRefused, Misled, Unusable, CannotSign, WrongKey) as fault:
            error = str(fault)
        duration_ms = int((time.monotonic() - begun_s) * 1000)
        kept = error[:ERROR_CHARS_KEPT].replace("\x00", "\ufffd")  # Postgres keeps no NUL in text
        return Attempt(at, status, duration_ms, kept, retry_after)

    async def _values(self, subscription: Subscription, now: datetime) -> list[str]:
        if self._secrets is None:
            raise CannotSign("there is no key for secrets here, so nothing can be signed: set FLOWFORGE_SECRETS_KEY")
        refs, owner = subscription.secret_refs(now), owner_of_subscription(subscription.id)
        missing = [ref for ref in refs if (owner, ref) not in self._known]
        if missing:
            if len(self._known) >= SECRETS_CACHED_MAX:
                self._known.clear()
            found = await self._secrets.get(owner, refs)
            self._known |= {(owner, ref): value for ref, value in found.items()}
        values = [self._known[owner, ref] for ref in refs if (owner, ref) in self._known]
        if not values:
            raise CannotSign("its signing secret is gone: give it a new one")
        return values

    def _signatures(self, secrets: Sequence[str], event_id: str, at: datetime, body: bytes) -> str:
        text = body.decode()
        return " ".join(Webhook(secret).sign(msg_id=event_id, timestamp=at, data=text) for secret in secrets)


def _request(
    subscription: Subscription, event_id: str, at: datetime, body: bytes, signatures: str, attempt: int
) -> Request:
    headers = {
        "content-type": CONTENT_TYPE,
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signatures,
        "flowforge-subscription": subscription.id,
        "flowforge-attempt": str(attempt),
    }
    return Request("POST", subscription.url, headers, content=body, stays=True, cuts=True)


def _unwelcome(answer: Answer) -> str:
    if 300 <= answer.status < 400:
        return f"answered {answer.reason}: redirects are not followed; subscribe with the address they lead to"
    said = " ".join(answer.content.decode(errors="replace").split())
    return f"answered {answer.reason}{': ' if said else ''}{said}"
