"""JSON over HTTP with one deadline for everything that belongs together, and failures in the house's words."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import httpx
import msgspec

from isthmus.model.errors import ErpAway

_MOST_BYTES: Final = 64 * 1024 * 1024


class Reply(NamedTuple):
    """What came back, whatever its status. `body` is None when it was no JSON."""

    status: int
    body: Any
    text: str


class Rest:
    """One server. `begin` starts a deadline that all calls until the next `begin` share."""

    def __init__(self, url: str, headers: Mapping[str, str], deadline_s: float) -> None:
        self._url = url
        # The plant's own proxies and .netrc are not asked: the conduit says where this goes.
        self._client = httpx.Client(base_url=url, headers=dict(headers), trust_env=False)
        self._deadline_s = deadline_s
        self._until = time.monotonic() + deadline_s

    def begin(self) -> None:
        """From now on `deadline_s` for all calls together."""
        self._until = time.monotonic() + self._deadline_s

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        json: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Ask once. Raises ErpAway for silence, a broken connection or an answer that is too long."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise self._late()
        try:
            with self._client.stream(
                method, path, params=list(query), json=json, headers=dict(headers or {}), timeout=left
            ) as answer:
                return self._read(answer)
        except httpx.TimeoutException as error:
            raise self._late() from error
        except httpx.HTTPError as error:
            msg = f"{self._url} cannot be reached ({error}); see that the server runs and that the conduit is open"
            raise ErpAway(msg) from error

    def close(self) -> None:
        """Leave no connection behind."""
        self._client.close()

    def _read(self, answer: httpx.Response) -> Reply:
        body = bytearray()
        for part in answer.iter_bytes():
            body += part
            if time.monotonic() > self._until:
                raise self._late()
            if len(body) > _MOST_BYTES:
                msg = f"{self._url} answers with more than {_MOST_BYTES >> 20} MB; see what stands at this address"
                raise ErpAway(msg)
        try:
            parsed = msgspec.json.decode(bytes(body)) if body else None
        except msgspec.DecodeError:
            parsed = None
        return Reply(answer.status_code, parsed, bytes(body[:2000]).decode(errors="replace"))

    def _late(self) -> ErpAway:
        return ErpAway(f"{self._url} did not answer within {self._deadline_s:g} s; it is asked again")
