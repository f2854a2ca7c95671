"""Operator, account and user of a NATS server as signed tokens, and the user's .creds file."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import nkeys

_FREE = {"subs": -1, "data": -1, "payload": -1}
_ACCOUNT = {
    **_FREE,
    **dict.fromkeys(("imports", "exports", "conn", "leaf", "mem_storage", "disk_storage", "streams", "consumer"), -1),
    "wildcards": True,
}


def settings_and_creds(folder: Path) -> tuple[str, Path]:
    """Lines for a server's file, and the file of a user that it lets in."""
    operator, account, system, user = (
        nkeys.from_seed(nkeys.encode_seed(os.urandom(32), prefix))
        for prefix in (
            nkeys.PREFIX_BYTE_OPERATOR,
            nkeys.PREFIX_BYTE_ACCOUNT,
            nkeys.PREFIX_BYTE_ACCOUNT,
            nkeys.PREFIX_BYTE_USER,
        )
    )
    accounts = {
        _name(key): _token(operator, key, "account", {"limits": limits, "default_permissions": {"pub": {}, "sub": {}}})
        for key, limits in ((account, _ACCOUNT), (system, {**_ACCOUNT, "mem_storage": 0, "disk_storage": 0}))
    }
    creds = folder / "isthmus.creds"
    creds.write_text(
        f"-----BEGIN NATS USER JWT-----\n{_token(account, user, 'user', {'pub': {}, 'sub': {}, **_FREE})}\n"
        "------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )
    preload = "\n".join(f"  {name}: {token}" for name, token in accounts.items())
    settings = f"operator: {_token(operator, operator, 'operator', {})}\nsystem_account: {_name(system)}\n"
    return f"{settings}resolver: MEMORY\nresolver_preload: {{\n{preload}\n}}", creds


def _name(key: Any) -> str:  # noqa: ANN401  the library has no types
    return key.public_key.decode()


def _token(issuer: Any, subject: Any, kind: str, what: dict[str, Any]) -> str:  # noqa: ANN401  as above
    claims = {
        "jti": os.urandom(8).hex(),
        "iat": 1_700_000_000,
        "iss": _name(issuer),
        "name": kind,
        "sub": _name(subject),
        "nats": {**what, "type": kind, "version": 2},
    }
    parts = ".".join(_coded(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, claims))
    return f"{parts}.{_coded(issuer.sign(parts.encode()))}"


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
