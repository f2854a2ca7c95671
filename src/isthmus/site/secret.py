"""Secrets that the plant file names and never holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from isthmus.model.errors import UsageError

Secret = Annotated[str, Meta(pattern=r"^(env|file):.+$", description="env:NAME or file:path; the secret itself never")]


def secret(reference: str, field: str) -> str:
    """The secret behind `env:NAME` or `file:path`. Raises UsageError with what to set where it is not there."""
    kind, _, where = reference.partition(":")
    if kind == "env":
        value, mend = os.environ.get(where, ""), f"set the environment variable {where}"
    else:
        mend = f"write it to {where}"
        try:
            value = Path(where).read_text(encoding="utf-8")
        except OSError as error:
            msg = f"{field}: {where} cannot be read ({error.strerror}); {mend}"
            raise UsageError(msg) from error
    if not value.strip():
        msg = f"{field}: {reference} is empty; {mend}"
        raise UsageError(msg)
    return value.strip()
