"""The HTTP client for an address that a node named: it goes where calls may go, and tells nothing of our environment."""

import contextlib
from collections.abc import AsyncIterator

import httpx2

from infra.calls import Targets
from infra.calls.limits import response_bytes_max
from services.workers.prompts.asking import ProviderFailed

_SENT = frozenset({"accept", "authorization", "connection", "content-length", "content-type", "transfer-encoding"})
"""Of what the provider's client sends; the rest is about us, or of variables that it reads by itself."""


def guarded(targets: Targets, api_key: str) -> httpx2.AsyncClient:
    """A client that follows no redirect and asks no proxy. Its calls raise TargetRefused and ProviderFailed
    besides httpx2's errors."""
    return httpx2.AsyncClient(transport=Guarded(targets, api_key), trust_env=False, follow_redirects=False)


class Guarded(httpx2.AsyncHTTPTransport):
    """Connects to an address that was looked at, whatever the name of the host means to anybody else by then."""

    def __init__(self, targets: Targets, api_key: str) -> None:
        super().__init__(trust_env=False)
        self._targets = targets
        self._api_key = api_key

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url, host = request.url, request.url.raw_host.decode()
        try:
            addresses = await self._targets.addresses(host, url.port or (443 if url.scheme == "https" else 80))
        except OSError as fault:
            raise httpx2.ConnectError(f"'{host}' cannot be resolved: {fault.strerror or fault}") from fault
        sent = {name: value for name, value in request.headers.items() if name.lower() in _SENT}
        ours = {"host": url.netloc.decode(), "user-agent": "FlowForge", "accept-encoding": "identity"}
        request.headers = httpx2.Headers({**sent, **ours, "authorization": f"Bearer {self._api_key}"})
        request.extensions = {**request.extensions, "sni_hostname": host}
        for address in addresses[:-1]:
            request.url = url.copy_with(host=address)
            with contextlib.suppress(httpx2.ConnectError, httpx2.ConnectTimeout):
                return await self._bounded(request)
        request.url = url.copy_with(host=addresses[-1])
        return await self._bounded(request)

    async def _bounded(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.stream.aclose()
            raise httpx2.RemoteProtocolError("the answer is compressed, which was not asked for")
        response.stream = _Bounded(response.stream)
        return response


class _Bounded(httpx2.AsyncByteStream):
    """An answer that is read up to `response_bytes_max`."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > response_bytes_max:
                most = response_bytes_max // 1024**2
                raise ProviderFailed(f"its answer has more than {most} MiB, the limit", is_worth_another_try=False)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
