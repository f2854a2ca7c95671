"""Who is let in over OPC UA, what is said when not, and that nothing is ever lowered by itself."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from rigs import ServerProcess, free_port
from rigs.opcua import services, start_node_opcua
from watching import Seen, running, until
from wiretap import tapped

from isthmus.edge.opcua_client.security import own_certificate
from isthmus.edge.source import Limits
from isthmus.edge.sources.opcua import Opcua, OpcuaTag
from isthmus.model.errors import DeviceAway, DeviceRefuses

pytestmark = pytest.mark.peer("node-opcua")
SPEED = [OpcuaTag(name="speed", node="Objects/Plant/Press/speed")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = start_node_opcua(free_port(), tmp_path_factory.mktemp("server"))
    yield process
    process.kill()


@pytest.fixture
def secured(server: ServerProcess, tmp_path: Path) -> dict[str, Any]:
    """The fields of a source that is let in."""
    return {
        "name": "press",
        "url": f"opc.tcp://127.0.0.1:{server.port}",
        "server_certificate": server.order("fingerprint"),
        "certificates": tmp_path / "tls",
        "timeout_s": 2,
        "publishing_ms": 50,
    }


def first_value(**fields: Any) -> Seen:  # noqa: ANN401  the source's fields
    """Run a source until its first value."""
    seen, source = Seen(), Opcua(**fields)

    async def check() -> None:
        async with running(source, SPEED, seen) as task:
            await until(lambda: seen.rows, 5, task)

    asyncio.run(check())
    return seen


def refusal(sort: type[DeviceAway] = DeviceRefuses, **fields: Any) -> str:  # noqa: ANN401  as above
    """Run a source that must be refused; its sentence."""
    source = Opcua(**fields)
    with pytest.raises(sort) as caught:
        asyncio.run(source.run(source.plan(SPEED, Limits()), Seen()))
    return str(caught.value)


def test_a_pinned_server_is_read_signed_and_encrypted_by_default(secured: dict[str, Any]) -> None:
    seen = first_value(**secured)
    assert seen.ups == [(secured["url"], "Basic256Sha256, signed and encrypted")]
    assert seen.rows[0].value == 12.5


def test_an_unknown_server_is_refused_with_the_fingerprint_to_approve(secured: dict[str, Any]) -> None:
    pinned = secured.pop("server_certificate")
    sentence = refusal(**secured)
    shown = sentence.split('server_certificate = "')[1].split('"')[0]
    assert shown.replace(":", "").lower() == pinned
    first_value(**secured, server_certificate=shown)


def test_another_certificate_than_the_approved_one_is_refused(secured: dict[str, Any]) -> None:
    secured["server_certificate"] = "00" * 32
    assert "another certificate than the approved one" in refusal(**secured)


def test_an_endpoint_that_is_not_there_is_refused_and_nothing_weaker_is_tried(
    server: ServerProcess, secured: dict[str, Any]
) -> None:
    with tapped(server.port) as tap:
        secured |= {"url": f"opc.tcp://127.0.0.1:{tap.port}", "security": "Aes256_Sha256_RsaPss"}
        sentence = refusal(**secured)
        asked = [service for stream in tap.said for service in services(stream)]
    assert "Basic256Sha256/SignAndEncrypt" in sentence
    assert "CreateSession" not in asked


def test_a_password_comes_from_where_the_plant_file_says_and_is_never_readable_on_the_wire(
    server: ServerProcess, secured: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRESS_PASSWORD", "tell me")
    (tmp_path / "password").write_text("tell me\n")
    with tapped(server.port) as tap:
        secured["url"] = f"opc.tcp://127.0.0.1:{tap.port}"
        for reference in ("env:PRESS_PASSWORD", f"file:{tmp_path / 'password'}"):
            assert first_value(**secured, user="reader", password=reference).rows
        assert not any(b"tell me" in stream for stream in tap.said)


def test_a_wrong_password_is_refused_in_words(secured: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRESS_PASSWORD", "wrong")
    assert "check `user`" in refusal(**secured, user="reader", password="env:PRESS_PASSWORD")  # noqa: S106


def test_a_person_may_log_in_with_a_certificate(secured: dict[str, Any], tmp_path: Path) -> None:
    person = own_certificate(tmp_path / "person")
    assert first_value(**secured, user_certificate=person.certificate, user_key=person.key).rows
    stranger = own_certificate(tmp_path / "stranger")
    sentence = refusal(**secured, user_certificate=person.certificate, user_key=stranger.key)
    assert "user_certificate" in sentence
    assert "cannot be read" in refusal(**secured, user_certificate=tmp_path / "nowhere.der")


def test_a_password_that_stands_nowhere_is_refused_by_the_name_of_its_place(secured: dict[str, Any]) -> None:
    assert "NOT_SET" in refusal(**secured, user="reader", password="env:NOT_SET")  # noqa: S106
    assert "/nowhere" in refusal(**secured, user="reader", password="file:/nowhere")  # noqa: S106


def test_on_a_readable_channel_a_password_goes_only_to_a_server_that_is_known(
    secured: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRESS_PASSWORD", "tell me")
    del secured["server_certificate"]
    sentence = refusal(**secured, security="none", user="reader", password="env:PRESS_PASSWORD")  # noqa: S106
    assert "fingerprint" in sentence or "readable" in sentence


def test_a_folder_that_cannot_be_written_is_named(secured: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    secured["certificates"] = tmp_path / "file" / "tls"
    assert "set `certificates`" in refusal(**secured)


def test_no_security_has_to_be_written(secured: dict[str, Any]) -> None:
    assert first_value(**secured, security="none").ups[0][1] == "none"


def test_a_server_that_does_not_trust_us_yet_is_told_with_the_mend(tmp_path: Path) -> None:
    process = start_node_opcua(free_port(), tmp_path, "strict")
    try:
        sentence = refusal(
            name="press",
            url=f"opc.tcp://127.0.0.1:{process.port}",
            server_certificate=process.order("fingerprint"),
            certificates=tmp_path / "tls",
            timeout_s=2,
        )
        nobody = refusal(name="press", url=f"opc.tcp://127.0.0.1:{process.port}", security="none")
    finally:
        process.kill()
    assert "rejected certificates" in sentence
    assert "log-in" in nobody


def test_our_certificate_is_made_once_names_its_uri_and_keeps_its_key_to_itself(tmp_path: Path) -> None:
    own = own_certificate(tmp_path / "new" / "tls")
    assert own_certificate(tmp_path / "new" / "tls") == own
    assert stat.S_IMODE(own.key.stat().st_mode) == 0o600
    before = own.certificate.read_bytes()
    own.key.write_bytes(own_certificate(tmp_path / "other").key.read_bytes())
    own_certificate(tmp_path / "new" / "tls")
    assert own.certificate.read_bytes() != before  # a key that is not the certificate's is of no use
    made = x509.load_der_x509_certificate(own.certificate.read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [own.application_uri]
