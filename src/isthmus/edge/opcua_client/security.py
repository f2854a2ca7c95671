"""Who we are to a server, and how we know that it is the server we mean.

The default is SignAndEncrypt. Nothing is ever lowered by itself: an endpoint that is not there is
a refusal, and `security = "none"` has to be written. A server's certificate is pinned by the
SHA-256 of its bytes, as the plant file holds it; without it the connection is refused, and the
sentence shows the fingerprint, so that a person can compare it with the server's own display.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from isthmus.model.errors import DeviceRefuses, NotApproved

Policy = Literal["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss", "none"]
Mode = Literal["SignAndEncrypt", "Sign"]

_URI: Final = "http://opcfoundation.org/UA/SecurityPolicy#"
_YEARS: Final = 10


class OwnCertificate(NamedTuple):
    """Our application instance certificate (Part 6, 6.2.2), DER, with its key and the URI that stands in it."""

    certificate: Path
    key: Path
    application_uri: str


def application_uri() -> str:
    """The name by which this edge announces itself to servers; it stands in its certificate."""
    return f"urn:{socket.gethostname() or 'edge'}:isthmus:edge"


def own_certificate(folder: Path) -> OwnCertificate:
    """The edge's certificate, made on first use and whenever the one that is there has run out.

    Its subject alternative names hold the application URI, which servers compare with the one announced.
    """
    host, uri = socket.gethostname() or "edge", application_uri()
    certificate, key = folder / "opcua.der", folder / "opcua-key.pem"
    if certificate.exists() and key.exists():
        known = _still_good(certificate.read_bytes(), key.read_bytes())
        if known:
            return OwnCertificate(certificate, key, known)
    folder.mkdir(parents=True, exist_ok=True)
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(key, pem, 0o600)
    _write(certificate, _self_signed(private, host, uri).public_bytes(serialization.Encoding.DER), 0o644)
    return OwnCertificate(certificate, key, uri)


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of a DER certificate, as people compare it: AA:BB:..."""
    return hashlib.sha256(certificate).digest().hex(":").upper()


def secret(reference: str) -> str:
    """What stands behind `env:NAME` or `file:PATH`; the plant file itself holds no secret.

    Raises DeviceRefuses when there is nothing.
    """
    sort, _, name = reference.partition(":")
    if sort == "env":
        found = os.environ.get(name)
        if found is None:
            msg = f"the environment variable {name}, named by `password`, is not set; set it where the edge starts"
            raise DeviceRefuses(msg)
        return found
    try:
        return Path(name).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        msg = f"the file {name}, named by `password`, cannot be read: {error.strerror}"
        raise DeviceRefuses(msg) from error


def choose(url: str, endpoints: Sequence[Any], policy: Policy, mode: Mode) -> Any:  # noqa: ANN401  asyncua's type
    """The endpoint that the plant file asks for; the server's others are never taken instead.

    Raises DeviceRefuses with the list of what the server offers.
    """
    wanted = ("None", "None_") if policy == "none" else (policy, mode)
    for endpoint in endpoints:
        if (endpoint.SecurityPolicyUri.removeprefix(_URI), endpoint.SecurityMode.name) == wanted:
            return endpoint
    offers = sorted({f"{one.SecurityPolicyUri.removeprefix(_URI)}/{one.SecurityMode.name}" for one in endpoints})
    msg = (
        f"{url} has no endpoint with {' and '.join(dict.fromkeys(wanted))}; it offers {', '.join(offers) or 'none'}. "
        "Set `security` and `mode` to one of these, or switch the wanted one on at the server"
    )
    raise DeviceRefuses(msg)


def check_pin(url: str, certificate: bytes, pinned: str) -> None:
    """Raise DeviceRefuses unless the server's certificate is the one that the plant file names.

    NotApproved where it names none.
    """
    shown = fingerprint(certificate)
    if not pinned:
        msg = (
            f"{url} shows a certificate that nobody has approved. Compare this fingerprint with the one at the "
            f'server, then write it into the plant file: server_certificate = "{shown}"'
        )
        raise NotApproved(msg, "server_certificate", shown)
    if _bare(pinned) != _bare(shown):
        msg = (
            f"{url} shows another certificate than the approved one. If the server was given a new certificate, "
            f'approve it: server_certificate = "{shown}"; if not, somebody stands between'
        )
        raise DeviceRefuses(msg)


def policy_class(policy: Policy) -> Any:  # noqa: ANN401  asyncua's type
    """The class by which asyncua knows a security policy."""
    from asyncua.crypto import security_policies as known  # noqa: PLC0415  heavy; see the package

    return {
        "Basic256Sha256": known.SecurityPolicyBasic256Sha256,
        "Aes128_Sha256_RsaOaep": known.SecurityPolicyAes128Sha256RsaOaep,
        "Aes256_Sha256_RsaPss": known.SecurityPolicyAes256Sha256RsaPss,
        "none": known.SecurityPolicyNone,
    }[policy]


def first_certificate(chain: bytes) -> bytes:
    """The server's own certificate, without the issuers that may follow it."""
    certificate = x509.load_der_x509_certificate(chain[: _der_length(chain)])
    return certificate.public_bytes(serialization.Encoding.DER)


def _der_length(der: bytes) -> int:
    if len(der) > 1 and der[1] & 0x80:
        size = der[1] & 0x7F
        return 2 + size + int.from_bytes(der[2 : 2 + size], "big")
    return 2 + (der[1] if len(der) > 1 else 0)


def _bare(text: str) -> str:
    return "".join(sign for sign in text.lower().removeprefix("sha256:") if sign in "0123456789abcdef")


def _still_good(certificate: bytes, key: bytes) -> str:
    """The application URI in our certificate, or "" when it has run out, is torn, or is not the key's."""
    try:
        made = x509.load_der_x509_certificate(certificate)
        private = serialization.load_pem_private_key(key, password=None)
    except ValueError:
        return ""
    if made.public_key() != private.public_key() or made.not_valid_after_utc <= datetime.now(UTC):
        return ""
    return next(iter(_uris(made)), "")


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def _self_signed(private: rsa.RSAPrivateKey, host: str, uri: str) -> x509.Certificate:
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "Isthmus edge"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, host)]
    )
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), x509.DNSName(host)]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .sign(private, hashes.SHA256())
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    new = path.with_name(path.name + ".new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    new.replace(path)
