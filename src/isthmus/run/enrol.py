"""An edge's first contact with its site: the code proves the site to the edge and the edge to the site."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from isthmus.model.errors import UsageError
from isthmus.wire import tls
from isthmus.wire.link import ENROL, Authority, Enrolled, EnrolRequest

_WAIT_S: Final = 20.0


def enrol_edge(folder: Path, site: str, code: str) -> Enrolled:
    """Enrol this machine at `site`; key and certificates stand in `folder` afterwards.

    Raises UsageError when the code is no code, the site is not the one that gave it, or says no.
    """
    secret, _, fingerprint = code.strip().partition(".")
    if not secret or len(fingerprint) != 32:  # noqa: PLR2004  hex digits of the fingerprint
        msg = "a code looks like SECRET.FINGERPRINT and comes from `isthmus enrol code` on the site"
        raise UsageError(msg)
    url = site.rstrip("/") + ENROL
    try:
        ca = _authority(url)
        if tls.fingerprint(ca.encode()) != fingerprint.lower():
            msg = (
                f"{site} is not the site that gave this code: its authority has another fingerprint. "
                "Check the address; if it is right, somebody stands in between"
            )
            raise UsageError(msg)
        key = ec.generate_private_key(ec.SECP256R1())
        body = msgspec.json.encode(EnrolRequest(secret, tls.new_request(key).decode()))
        with httpx.Client(verify=tls.trusting(ca), trust_env=False, timeout=_WAIT_S) as client:
            reply = client.post(url, content=body)
        if reply.status_code != httpx.codes.OK:
            msg = f"{site} says no: {reply.text}"
            raise UsageError(msg)
        enrolled = msgspec.json.decode(reply.content, type=Enrolled)
    except httpx.HTTPError as error:
        msg = f"{site} cannot be reached ({error}); is the site running, and the address right?"
        raise UsageError(msg) from error
    except (msgspec.MsgspecError, ValueError) as error:
        msg = f"what answers at {site} is no site of isthmus ({error})"
        raise UsageError(msg) from error
    tls.write_key(folder / "own.key", key)
    tls.save_enrolled(folder, enrolled.certificate, enrolled.ca)
    return enrolled


def _authority(url: str) -> str:
    """Whom the site names as its authority. Not trusted yet: the caller compares it with the code."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with httpx.Client(verify=context, trust_env=False, timeout=_WAIT_S) as client:
        return msgspec.json.decode(client.get(url).content, type=Authority).ca
