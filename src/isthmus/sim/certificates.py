"""Certificates for the simulated controllers: each its own, as devices come from the factory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def make(folder: Path, machine: str) -> tuple[Path, Path, str]:
    """Certificate (DER), key (PEM) and SHA-256 fingerprint of a controller; made where missing.

    The URI in it is the server's applicationUri, as OPC UA Part 6, 6.2.2 demands.
    """
    certificate, key_file = folder / f"{machine}.der", folder / f"{machine}.key.pem"
    folder.mkdir(parents=True, exist_ok=True)
    if not certificate.exists():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        certificate.write_bytes(_signed(key, machine).public_bytes(Encoding.DER))
    print_ = x509.load_der_x509_certificate(certificate.read_bytes()).fingerprint(hashes.SHA256())
    return certificate, key_file, print_.hex()


def _signed(key: rsa.RSAPrivateKey, machine: str) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"simulated {machine}")])
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
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier(f"urn:isthmus:sim:{machine}"), x509.DNSName("localhost")]
            ),
            critical=False,
        )
        .add_extension(usage, critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
