"""The HTTP line to an agent: whole documents and streams of them, each with a deadline and a size limit."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from isthmus.edge.mtconnect_client.multipart import Parts, boundary
from isthmus.edge.mtconnect_client.xml import NotMtconnect
from isthmus.model.errors import DeviceAway, DeviceRefuses

if TYPE_CHECKING:
    import httpx

_NOT_LET_IN = frozenset({401, 403, 407})


class Line:
    """Made by `connect`. Only ever sends GET."""

    def __init__(self, client: httpx.AsyncClient, where: str, *, timeout_s: float, most_bytes: int) -> None:
        self._client = client
        self.where = where
        self._timeout_s = timeout_s
        self._most_bytes = most_bytes

    async def get(self, request: str, **query: int | str) -> bytes:
        """One whole document, whatever its HTTP status: agents put their errors into documents.

        Raises DeviceAway, DeviceRefuses, NotMtconnect.
        """
        with self._told(f"does not answer {request} within {self._timeout_s:g} s"):
            async with asyncio.timeout(self._timeout_s), aclosing(self._documents(request, query)) as documents:
                async for document in documents:
                    return document
        msg = f"it answers {request} with nothing"
        raise NotMtconnect(msg)

    async def stream(self, request: str, *, silent_s: float, **query: int | str) -> AsyncGenerator[bytes, None]:
        """Documents until the agent ends the stream; DeviceAway when none comes for `silent_s`."""
        async with aclosing(self._documents(request, query)) as documents:
            while True:
                with self._told(f"sends no heartbeat for {silent_s:g} s"):
                    async with asyncio.timeout(silent_s):
                        document = await anext(documents, None)
                if document is None:
                    return
                yield document

    async def _documents(self, request: str, query: dict[str, int | str]) -> AsyncGenerator[bytes, None]:
        async with self._client.stream("GET", request, params=query) as answer:
            if answer.status_code in _NOT_LET_IN:
                msg = f"{self.where} does not let us in (HTTP {answer.status_code}); ask its owner for read access"
                raise DeviceRefuses(msg)
            if answer.is_redirect:
                msg = f"{self.where} points to {answer.headers.get('location')}; write that as the url"
                raise DeviceRefuses(msg)
            edge = boundary(answer.headers.get("content-type", ""))
            whole = bytearray()
            parts = Parts(edge, self._most_bytes) if edge else None
            async for came in answer.aiter_bytes():
                if parts is not None:
                    for document in parts.feed(came):
                        yield document
                    continue
                whole += came
                if len(whole) > self._most_bytes:
                    msg = f"one document is larger than {self._most_bytes // 1_000_000} MB"
                    raise NotMtconnect(msg)
            if whole:
                yield bytes(whole)

    @contextmanager
    def _told(self, late: str) -> Iterator[None]:
        """Failures of HTTP in a plant engineer's words."""
        import httpx  # noqa: PLC0415  only who reads an agent loads it

        try:
            yield
        except TimeoutError:
            msg = f"{self.where} {late}"
            raise DeviceAway(msg) from None
        except httpx.ConnectError as error:
            if (reason := _certificate(error)) is not None:
                msg = f"{self.where} shows a certificate that is not trusted: {reason}; name its authority in ca"
                raise DeviceRefuses(msg) from error
            msg = f"{self.where} cannot be reached: {error}; check that the agent runs and that the url is right"
            raise DeviceAway(msg) from error
        except httpx.HTTPError as error:
            msg = f"{self.where} broke off: {str(error) or type(error).__name__}"
            raise DeviceAway(msg) from error


@asynccontextmanager
async def connect(url: str, *, ca: str, timeout_s: float, most_bytes: int) -> AsyncIterator[Line]:
    """A line for as long as the block runs. Nothing is sent yet; proxies of the environment are not used."""
    import httpx  # noqa: PLC0415  as above

    context = ssl.create_default_context(cafile=ca or None) if url.startswith("https:") else False
    async with httpx.AsyncClient(
        base_url=url,
        verify=context,
        trust_env=False,
        timeout=httpx.Timeout(None, connect=timeout_s),
        limits=httpx.Limits(max_connections=2),
        headers={
            "Accept": "text/xml, multipart/x-mixed-replace",
            "Accept-Encoding": "identity",  # a small packed answer could unpack beyond every limit
            "User-Agent": "isthmus",
        },
    ) as client:
        yield Line(client, url, timeout_s=timeout_s, most_bytes=most_bytes)


def _certificate(error: BaseException | None) -> str | None:
    """Why a certificate was not trusted, when that was the cause."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return str(error)
        error = error.__cause__ or error.__context__
    return None
