"""What the site asks of its book of tags; `site/historian/tags.py` keeps it in history's manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from isthmus.model.samples import TagInfo


class Version(Protocol):
    """One number that a name had."""

    @property
    def id(self) -> int:
        """The tag's number."""
        ...

    @property
    def info(self) -> TagInfo:
        """What it stood for."""
        ...

    @property
    def valid_to_ns(self) -> int | None:
        """Until when it counted; None while it does."""
        ...


class Tags(Protocol):
    """The site's tags: names, and the numbers behind which history keeps their samples."""

    def intern_all(self, infos: Sequence[TagInfo]) -> list[int]:
        """The number of each tag, given to it now if it has none; durable when this returns."""
        ...

    def find(self, name: str) -> int | None:
        """The number that a name has now, or None."""
        ...

    def info(self, tag: int, /) -> TagInfo:
        """What a tag is, by its number. Raises KeyError for a number never given."""
        ...

    def versions(self, name: str) -> Sequence[Version]:
        """Every number that a name ever had, oldest first: a tag whose unit changed goes on under another."""
        ...

    def former(self) -> Sequence[Version]:
        """Every number that counts no more: tags whose kind or unit changed."""
        ...

    def all(self) -> Mapping[int, TagInfo]:
        """Every number that counts now."""
        ...
