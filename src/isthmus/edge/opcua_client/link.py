"""One session with one OPC UA server, from the socket to the log-in, and its end.

asyncua makes the connection, the channel, the session and the cryptography. It is not allowed to
reconnect by itself: that is the runner's (see docs/decisions/0021-opcua-one-retry-loop.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
from cryptography.exceptions import InvalidSignature

from isthmus.edge.opcua_client import security as secure
from isthmus.edge.opcua_client.refusals import in_words, turned_down
from isthmus.edge.opcua_client.security import Mode, Policy
from isthmus.model.errors import DeviceAway, DeviceRefuses

SESSION_S: Final = 30
"""How long a server keeps the session of a client that it no longer hears."""
_CHANNEL_S: Final = 3600
_GOODBYE_S: Final = 0.5


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How a server is reached, and who we are to it; see the fields of the source."""

    name: str
    url: str
    timeout_s: float
    security: Policy
    mode: Mode
    server_certificate: str
    user: str
    password: str
    user_certificate: Path | None
    user_key: Path | None
    certificates: Path

    @property
    def security_in_words(self) -> str:
        """As a page shows it."""
        if self.security == "none":
            return "none"
        return f"{self.security}, signed" + (" and encrypted" if self.mode == "SignAndEncrypt" else "")


class Kept(NamedTuple):
    """A session that was cut off: what it takes to step into it again (Part 4, 6.7)."""

    token: Any
    nonce: Any
    log_ins: Any
    peer: bytes | None
    cut: float
    """When, by the steady clock."""


class Memory:
    """What a source keeps from one connection to the next: at most one session that was cut off.

    A line that is back within `SESSION_S` then finds its session, with the changes that the server
    has queued meanwhile, and a flapping line does not use up the server's sessions.
    """

    def __init__(self) -> None:
        self.kept: Kept | None = None
        self.reading: Any = None
        """What was being read on it."""
        self.link: Link | None = None
        """The session that stands, while one does."""

    @contextlib.contextmanager
    def holding(self, link: Link) -> Iterator[None]:
        """Let others ask over this session for as long as the block lasts."""
        self.link = link
        try:
            yield
        finally:
            self.link = None

    def take(self) -> Kept | None:
        """The session, once, while the server can still know it."""
        kept, self.kept = self.kept, None
        return kept if kept and time.monotonic() - kept.cut < SESSION_S else None


class Link:
    """An activated session. `resumed` says that it is the one that was cut off."""

    def __init__(self, access: Access, client: Any, *, resumed: bool = False) -> None:  # noqa: ANN401  asyncua has no types
        self.access, self.resumed = access, resumed
        self._client = client
        self.session = client.uaclient.session

    async def ask(self, request: Any, timeout_s: float | None = None) -> bytes:  # noqa: ANN401  any request
        """Send a request; gives the response's bytes behind its header. 0 means wait for ever.

        Raises asyncua's error for a bad service result.
        """
        from asyncua import ua  # noqa: PLC0415  heavy; see the package
        from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary  # noqa: PLC0415

        protocol = self._client.uaclient.protocol
        if protocol is None:
            msg = "the connection was closed"
            raise ConnectionError(msg)
        data = await protocol.send_request(request, timeout_s)
        nodeid_from_binary(data)
        struct_from_binary(ua.ResponseHeader, data).ServiceResult.check()
        return bytes(data)

    async def read(self, nodes: Sequence[Any], attribute: int = 13) -> list[Any]:
        """One attribute, the value if not said, of some nodes: the values, None where one is bad."""
        from asyncua import ua  # noqa: PLC0415  heavy; see the package

        found = await self.session.read_attributes(list(nodes), ua.AttributeIds(attribute)) if nodes else []
        return [one.Value.Value if one.StatusCode.is_good() and one.Value else None for one in found]

    async def endpoints(self) -> list[Any]:
        """What the server offers."""
        return list(await self._client.get_endpoints())

    async def renew(self) -> None:
        """Renew the channel's keys in time, for ever."""
        while True:
            await asyncio.sleep(self._client.secure_channel_timeout * 0.75 / 1000)
            await self._client.open_secure_channel(renew=True)
            self._client.uaclient.revolve_security_token()


@contextlib.asynccontextmanager
async def linked(access: Access, memory: Memory | None = None) -> AsyncIterator[Link]:
    """A session for as long as the block lasts. Raises DeviceAway and DeviceRefuses, also for what the block meets.

    However the block ends, the socket is gone within half a second, and the session with it; only
    when the line is cut and there is a `memory`, the session is left for the next time.
    """
    logger = logging.getLogger("asyncua")
    if logger.level == logging.NOTSET:
        # What goes wrong is said once, by the sentence of DeviceAway, not by its tracebacks.
        logger.setLevel(logging.CRITICAL + 1)
    with in_words(access.url):
        try:
            client = await _prepare(access)
            try:
                resumed = await _log_in(access, client, memory)
                try:
                    yield Link(access, client, resumed=resumed)
                except OSError:  # TimeoutError is one
                    if memory is not None:
                        memory.kept = _keep(client)
                    raise
            finally:
                if memory is not None and memory.kept is not None:
                    _hang_up(client)
                else:
                    await _goodbye(client)
        except InvalidSignature as error:
            msg = f"{access.url} signed with another key than its certificate's; somebody may stand between"
            raise DeviceRefuses(msg) from error


async def first_to_end(*works: Coroutine[Any, Any, None]) -> None:
    """Run some coroutines until one fails or all end; the others are cancelled and awaited."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _client(access: Access) -> Any:  # noqa: ANN401  asyncua has no types
    from asyncua import Client  # noqa: PLC0415  heavy; see the package

    if urlsplit(access.url).username:
        msg = f"{access.name}: `url` carries a user; write it as `user` and `password`"
        raise DeviceRefuses(msg)
    client = Client(access.url, timeout=access.timeout_s, auto_reconnect=False)
    client.name = client.description = f"isthmus {access.name}"
    client.application_uri, client.product_uri = secure.application_uri(), "urn:isthmus"
    client.session_timeout, client.secure_channel_timeout = SESSION_S * 1000, _CHANNEL_S * 1000
    return client


async def _prepare(access: Access) -> Any:  # noqa: ANN401  asyncua has no types
    """A client that is set up for the endpoint that the plant file asks for, not yet connected."""
    client = _client(access)
    if access.security == "none":
        return client
    asking = _client(access)
    try:
        await asking.connect_sessionless()
        endpoints = await asking.get_endpoints()
    finally:
        await _goodbye(asking)
    endpoint = secure.choose(access.url, endpoints, access.security, access.mode)
    certificate = secure.first_certificate(endpoint.ServerCertificate or b"")
    secure.check_pin(access.url, certificate, access.server_certificate)
    try:
        own = secure.own_certificate(access.certificates)
    except OSError as error:
        msg = f"{access.name}: the edge's certificate cannot be kept in {access.certificates}: {error.strerror}; "
        raise DeviceRefuses(msg + "let the edge write there, or set `certificates`") from error
    client.application_uri = own.application_uri
    from asyncua import ua  # noqa: PLC0415  heavy; see the package

    await client.set_security(
        secure.policy_class(access.security),
        own.certificate,
        own.key,
        server_certificate=certificate,
        mode=ua.MessageSecurityMode[access.mode],
    )
    return client


async def _log_in(access: Access, client: Any, memory: Memory | None) -> bool:  # noqa: ANN401  asyncua has no types
    """Open the channel and activate a session; True when it is the one that was cut off."""
    try:
        await client.connect_sessionless()
    except AssertionError as error:
        # asyncua 2.1 says so, and keeps the code to itself, when a server turns the channel down by a fault.
        raise turned_down(access.url) from error
    kept = memory.take() if memory else None
    if kept is not None and await _step_in(access, client, kept):
        return True
    if access.security == "none":
        secure.choose(access.url, await client.get_endpoints(), "none", access.mode)
    await client.create_session()
    await _activate(access, client)
    return False


async def _step_in(access: Access, client: Any, kept: Kept) -> bool:  # noqa: ANN401  asyncua has no types
    """Activate a session that was cut off; False when the server no longer knows it."""
    from asyncua import ua  # noqa: PLC0415  heavy; see the package

    session = client.uaclient.session
    session.restore_authentication_token(kept.token)
    client._server_nonce, client._policy_ids = kept.nonce, kept.log_ins  # noqa: SLF001  asyncua does it by a file only
    client.security_policy.peer_certificate = kept.peer
    try:
        await _activate(access, client)
    except ua.UaStatusCodeError:
        session.reset_authentication_token()
        client._server_nonce = None  # noqa: SLF001  as above
        return False
    return True


def _keep(client: Any) -> Kept:  # noqa: ANN401  asyncua has no types
    token, nonce = client.uaclient.session.authentication_token, client._server_nonce  # noqa: SLF001  see _step_in
    return Kept(token, nonce, client._policy_ids, client.security_policy.peer_certificate, time.monotonic())  # noqa: SLF001


async def _activate(access: Access, client: Any) -> None:  # noqa: ANN401  asyncua has no types
    if access.user_certificate is not None:
        try:
            await client.load_client_certificate(str(access.user_certificate))
            await client.load_private_key(access.user_key or access.user_certificate)
        except (OSError, ValueError) as error:
            msg = f"{access.name}: `user_certificate` or `user_key` cannot be read: {error}"
            raise DeviceRefuses(msg) from error
        await client.activate_session(certificate=client.user_certificate)
    elif access.user:
        _check_password_is_covered(access, client)
        await client.activate_session(username=access.user, password=secure.secret(access.password))
    else:
        await client.activate_session()


def _check_password_is_covered(access: Access, client: Any) -> None:  # noqa: ANN401  asyncua has no types
    """On a readable channel a password goes out only encrypted for a server that is known."""
    from asyncua import ua  # noqa: PLC0415  heavy; see the package

    if access.security != "none" and access.mode == "SignAndEncrypt":
        return
    policy = client.server_policy(ua.UserTokenType.UserName).SecurityPolicyUri or ""
    if policy.endswith("#None") or not policy:
        msg = f"{access.url} wants the password readable on the wire; set `security` to Basic256Sha256"
        raise DeviceRefuses(msg)
    secure.check_pin(access.url, client.security_policy.peer_certificate or b"", access.server_certificate)


async def _goodbye(client: Any) -> None:  # noqa: ANN401  asyncua has no types
    """Close the session if the server still listens, and the socket in any case."""
    try:
        async with asyncio.timeout(_GOODBYE_S):
            await client.uaclient.close_session(delete_subscriptions=True)
            await client.close_secure_channel()
    except Exception:  # noqa: BLE001  the socket is closed below, whatever the server says
        logging.getLogger(__name__).debug("%s did not say goodbye", client.server_url.netloc)
    finally:
        _hang_up(client)


def _hang_up(client: Any) -> None:  # noqa: ANN401  asyncua has no types
    protocol = client.uaclient.protocol
    client.disconnect_socket()
    transport = getattr(protocol, "transport", None)
    if transport is not None:
        transport.abort()


def away(access: Access, why: str) -> DeviceAway:
    """The server is there and does not do what it must."""
    return DeviceAway(f"{access.url} {why}")
