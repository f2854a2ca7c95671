"""Our own history with the tags of the reference plant."""

from __future__ import annotations

from pathlib import Path

from isthmus.model.samples import TagInfo
from isthmus.site.config import HistorianSection
from isthmus.site.historian.store import Store
from reference.history import GROUPS


def infos() -> list[TagInfo]:
    """The reference plant's tags in the order of their numbers."""
    return [TagInfo(name=f"{each.name}/{at}", kind=each.kind) for each in GROUPS for at in range(each.tags)]


def opened(folder: Path) -> Store:
    """A store in which they have their numbers, 1 to 2000."""
    store = Store(folder, HistorianSection())
    assert store.tags.intern_all(infos()) == list(range(1, 2001))
    return store
