"""The plant's own certificates: one authority, and under it site, relays and edges, all with TLS 1.3.

    <data>/tls/ca.pem ca.key          the plant's authority (on the site)
               own.pem own.key        this process's certificate; keys are readable by their owner only

Who may do what stands in the certificate: an edge can only dial, a site can only be dialled. So no
edge can pass for the site, whatever name or address it is reached by, and names of hosts need no care.

Expiry is an alarm and never an outage: the time in a certificate is not checked by the handshake.
The site looks at it afterwards, renews early, takes an ended certificate for OVERLAP_DAYS more and
says so; an edge takes an ended certificate of its site and says so.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from isthmus.model.errors import UsageError

Role = Literal["edge", "site", "relay"]
CA_DAYS: Final = 365 * 20
DAYS: Final = 365
RENEW_DAYS: Final = 120
"""A certificate with fewer days left is renewed."""
OVERLAP_DAYS: Final = 90
"""An edge's ended certificate is still taken for so long, with an alarm."""
_NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python's ssl has no name for."""
_USES: Final[Mapping[Role, Sequence[x509.ObjectIdentifier]]] = {
    "edge": (ExtendedKeyUsageOID.CLIENT_AUTH,),
    "site": (ExtendedKeyUsageOID.SERVER_AUTH,),
    "relay": (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH),
}


class Peer(NamedTuple):
    """Who is at the other end, read from the certificate that the handshake has verified."""

    name: str
    serial: int
    ends: datetime
    certificate: x509.Certificate


def make_authority(folder: Path, plant: str) -> None:
    """Make ca.pem and ca.key for a plant; leave them when they are there."""
    if (folder / "ca.pem").exists():
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"{plant} authority")
    builder = (
        _builder(name, name, key.public_key(), CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
    )
    write_key(folder / "ca.key", key)
    write(folder / "ca.pem", builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))


def new_request(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A signing request that shows possession of `key`, PEM; who it is for is the site's to say."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name("edge"))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def sign(  # noqa: PLR0913  a certificate says as much
    folder: Path, name: str, role: Role, key: ec.EllipticCurvePublicKey, *, hosts: Sequence[str] = (), days: int = DAYS
) -> bytes:
    """A certificate under the authority in `folder`, PEM. Raises UsageError when there is no authority."""
    try:
        ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        ca_key = load_pem_private_key((folder / "ca.key").read_bytes(), None)
    except FileNotFoundError as error:
        msg = f"{error.filename} is not there; make the plant's authority with `isthmus enrol site`"
        raise UsageError(msg) from None
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        msg = f"{folder / 'ca.key'} is not a key that isthmus made (elliptic curve P-256)"
        raise UsageError(msg)
    ends = min(timedelta(days=days), ca.not_valid_after_utc - datetime.now(UTC))
    builder = (
        _builder(_name(name), ca.subject, key, ends.total_seconds() / 86400)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_USES[role]), critical=True)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
    return builder.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM)


def make_own(folder: Path, name: str, role: Role, hosts: Sequence[str] = (), days: int = DAYS) -> None:
    """This process's own certificate, signed by the authority in the same folder; a new one when due."""
    if (folder / "own.pem").exists() and not is_due(own(folder)):
        return
    if not (folder / "own.key").exists():
        write_key(folder / "own.key", ec.generate_private_key(ec.SECP256R1()))
    write(
        folder / "own.pem", sign(folder, name, role, public_key(load_key(folder / "own.key")), hosts=hosts, days=days)
    )


def server_context(folder: Path) -> ssl.SSLContext:
    """What a site listens with: a client may come without a certificate, but never with a foreign one."""
    context = _context(folder, ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def client_context(folder: Path) -> ssl.SSLContext:
    """What an edge dials with: its own certificate, and no trust but the plant's authority."""
    return _context(folder, ssl.PROTOCOL_TLS_CLIENT)


def trusting(ca_pem: str) -> ssl.SSLContext:
    """What a first contact dials with: no certificate yet, and no trust but this authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _strict(context)
    context.load_verify_locations(cadata=ca_pem)
    return context


def peer_of(der: bytes) -> Peer:
    """Who a verified certificate speaks of."""
    return _peer(x509.load_der_x509_certificate(der))


def peer_of_pem(pem: str) -> Peer:
    """Who a certificate speaks of."""
    return _peer(x509.load_pem_x509_certificate(pem.encode()))


def own(folder: Path) -> Peer:
    """Who this process is. Raises UsageError when it has no certificate yet."""
    try:
        return _peer(x509.load_pem_x509_certificate((folder / "own.pem").read_bytes()))
    except FileNotFoundError:
        msg = f"{folder / 'own.pem'} is not there; enrol this machine with `isthmus enrol edge`"
        raise UsageError(msg) from None


def is_due(peer: Peer) -> bool:
    """True when the certificate should be renewed."""
    return peer.ends - datetime.now(UTC) < timedelta(days=RENEW_DAYS)


def renewed(folder: Path, peer: Peer, role: Role = "edge") -> str:
    """A new certificate for the same name and the same key, PEM."""
    return sign(folder, peer.name, role, public_key(peer.certificate)).decode()


def take_renewed(folder: Path, pem: str) -> bool:
    """Put a renewed certificate in place. False when it is not for our key and name under our authority."""
    try:
        new = x509.load_pem_x509_certificate(pem.encode())
        ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        new.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    held = own(folder)
    if new.public_key() != held.certificate.public_key() or new.subject != held.certificate.subject:
        return False
    write(folder / "own.pem", pem.encode())
    return True


def may_be(peer: Peer, role: Role) -> bool:
    """Whether the certificate gives the rights of a role."""
    try:
        given = peer.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return set(given) == set(_USES[role])


def fingerprint(ca_pem: bytes) -> str:
    """The first 32 hex digits of the SHA-256 of an authority's certificate."""
    return sha256(x509.load_pem_x509_certificate(ca_pem).public_bytes(Encoding.DER)).hexdigest()[:32]


def request_key(request_pem: bytes) -> ec.EllipticCurvePublicKey:
    """The key of a signing request whose own signature holds. Raises ValueError otherwise."""
    request = x509.load_pem_x509_csr(request_pem)
    if not request.is_signature_valid:
        msg = "the signing request is not signed by its own key"
        raise ValueError(msg)
    return public_key(request)


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """A private key as `write_key` wrote it."""
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        msg = f"{path} is not a key that isthmus made (elliptic curve P-256)"
        raise UsageError(msg)
    return key


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Write a private key that only its owner can read, from the first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, 0o600)
        file.write(pem)
        file.flush()
        os.fsync(handle)


def save_enrolled(folder: Path, certificate: str, ca: str) -> None:
    """What an enrolment brought, beside the key that stands there."""
    write(folder / "ca.pem", ca.encode())
    write(folder / "own.pem", certificate.encode())


def _context(folder: Path, protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    _strict(context)
    try:
        context.load_verify_locations(folder / "ca.pem")
        context.load_cert_chain(folder / "own.pem", folder / "own.key")
    except FileNotFoundError:
        msg = f"{folder} lacks ca.pem, own.pem or own.key; enrol this machine first (`isthmus enrol --help`)"
        raise UsageError(msg) from None
    except ssl.SSLError as error:
        msg = f"{folder}: certificate and key do not belong together ({error.reason}); enrol this machine again"
        raise UsageError(msg) from None
    return context


def _strict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the plant's authority gives the right to be dialled to the site alone
    context.verify_flags |= _NO_CHECK_TIME


def _peer(certificate: x509.Certificate) -> Peer:
    name = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    return Peer(str(name), certificate.serial_number, certificate.not_valid_after_utc, certificate)


def public_key(
    holder: x509.Certificate | x509.CertificateSigningRequest | ec.EllipticCurvePrivateKey,
) -> ec.EllipticCurvePublicKey:
    """The holder's key. Raises ValueError when it is of another kind than the plant's."""
    key = holder.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        msg = "the key is not one of elliptic curve P-256"
        raise ValueError(msg)
    return key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: float
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + timedelta(days=days)) - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def write(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all. Raises OSError."""
    new = path.with_name(f".{path.name}")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
