"""`[erp]`: the business system that orders come from and reports go to. Each has its own class in `erps/`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, cast

from msgspec import Meta

from isthmus.model.errors import ErpAway
from isthmus.model.plant import Plant, Section

if TYPE_CHECKING:
    from isthmus.enterprise.erp import Erp

Seconds = Annotated[float, Meta(gt=0)]
Secret = Annotated[str, Meta(pattern=r"^(env|file):.+$", description="env:NAME or file:path; the secret itself never")]


class ErpSection(Section, frozen=True, kw_only=True, tag_field="kind", tag=True):
    """`[erp]`: what every business system has, whatever it is. Its own class adds the rest."""

    conduit: Annotated[str, Meta(description="name of the [[conduit]] it is reached through")] = "erp"
    poll_s: Annotated[float, Meta(gt=0, description="how often it is asked what changed, s")] = 5.0
    whole_s: Annotated[
        float, Meta(gt=0, description="how often what it only gives whole is read (stock, material due in), s")
    ] = 60.0
    scan_s: Annotated[float, Meta(gt=0, description="how often everything is read, so that deletions are seen, s")] = (
        900.0
    )
    compare_s: Annotated[
        float, Meta(gt=0, description="how often its figures are compared with what was reported, s")
    ] = 86_400.0
    deadline_s: Annotated[float, Meta(gt=0, description="longest wait for one report, s")] = 15.0
    retry_s: Annotated[float, Meta(gt=0, description="first wait after it went away, s")] = 1.0
    retry_most_s: Annotated[float, Meta(gt=0, description="longest wait between two tries, s")] = 15.0
    attempts: Annotated[
        int, Meta(ge=1, description="a report that failed so often without a reason is parked for a person")
    ] = 20


class ErpKind(Protocol):
    """What the own class of each business system adds to `ErpSection`; the conformance suite asks for it."""

    def open(self, plant: Plant) -> Erp:
        """The door to it. Nothing is sent yet."""
        ...


def opened(section: ErpSection, plant: Plant) -> Erp:
    """The door to the business system of a plant file's `[erp]`. Nothing is sent yet."""
    return cast("ErpKind", section).open(plant)


def secret(reference: str, field: str) -> str:
    """The secret behind `env:NAME` or `file:path`. Raises ErpAway with what to set where it is not there."""
    kind, _, where = reference.partition(":")
    if kind == "env":
        value = os.environ.get(where, "")
        mend = f"set the environment variable {where}"
    else:
        mend = f"write it to {where}"
        try:
            value = Path(where).read_text()
        except OSError as error:
            msg = f"[erp] {field}: {where} cannot be read ({error.strerror}); {mend}"
            raise ErpAway(msg) from error
    if not value.strip():
        msg = f"[erp] {field}: {reference} is empty; {mend}"
        raise ErpAway(msg)
    return value.strip()
