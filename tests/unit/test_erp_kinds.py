"""Every business system that a plant file may name can be opened; the section they share cannot."""

from __future__ import annotations

from isthmus.enterprise.config import ErpSection
from isthmus.enterprise.erps import kinds


def test_every_kind_of_erp_opens_its_own_door() -> None:
    shipped = {name: kind for name, kind in kinds().items() if kind.__module__.startswith("isthmus.")}
    assert "tryton" in shipped
    assert [name for name, kind in shipped.items() if not callable(getattr(kind, "open", None))] == []
    assert not hasattr(ErpSection, "open")
