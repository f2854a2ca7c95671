"""Finds on which line of a TOML file each key stands, so that a mistake can name it.

tomllib gives values without places. This walks the same text, which tomllib has already accepted,
and only keeps places: `("source", 0, "tags", 2, "name") -> 41`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Place = tuple[str | int, ...]

_BARE: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def lines_of(text: str) -> Mapping[Place, int]:
    """Line numbers, from 1, of every key, table and list element of a valid TOML text."""
    return _Walk(text).places


def line_at(places: Mapping[Place, int], place: Place) -> int:
    """The line of a place, or of the nearest thing around it that has one; 0 when nothing has."""
    for length in range(len(place), 0, -1):
        if place[:length] in places:
            return places[place[:length]]
    return 0


class _Walk:
    """One pass over the text. Trusts that it is valid TOML."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.line = text, 0, 1
        self.places: dict[Place, int] = {}
        self._counts: dict[Place, int] = {}
        table: Place = ()
        while self._skip_blank():
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _step(self, count: int = 1) -> None:
        self.line += self.text.count("\n", self.at, self.at + count)
        self.at += count

    def _skip_blank(self) -> bool:
        """Skip white space, line ends and comments; False at the end of the text."""
        while (char := self._peek()) and (char.isspace() or char == "#"):
            if char == "#":
                end = self.text.find("\n", self.at)
                self._step((len(self.text) if end < 0 else end) - self.at)
            else:
                self._step()
        return bool(char)

    def _skip_spaces(self) -> None:
        while self._peek() in (" ", "\t") and self._peek():
            self._step()

    def _key(self) -> list[str]:
        parts: list[str] = []
        while True:
            self._skip_spaces()
            if self._peek() in ('"', "'"):
                parts.append(self._string())
            else:
                start = self.at
                while self._peek() in _BARE and self._peek():
                    self._step()
                parts.append(self.text[start : self.at])
            self._skip_spaces()
            if self._peek() != ".":
                return parts
            self._step()

    def _resolve(self, parts: list[str]) -> Place:
        """A dotted name from the root, with the index of the newest element of each list of tables."""
        place: Place = ()
        for part in parts:
            place = (*place, part)
            if place in self._counts:
                place = (*place, self._counts[place])
        return place

    def _header(self) -> Place:
        line = self.line
        listed = self.text.startswith("[[", self.at)
        self._step(2 if listed else 1)
        parts = self._key()
        self._step(2 if listed else 1)
        if not listed:
            place = self._resolve(parts)
        else:
            place = (*self._resolve(parts[:-1]), parts[-1])
            self.places.setdefault(place, line)
            self._counts[place] = self._counts.get(place, -1) + 1
            place = (*place, self._counts[place])
        for length in range(1, len(place) + 1):  # [a.b] also says where a begins
            self.places.setdefault(place[:length], line)
        return place

    def _pair(self, table: Place) -> None:
        line = self.line
        place = table
        for part in self._key():
            place = (*place, part)
            self.places.setdefault(place, line)
        self._step()  # the equals sign
        self._value(place)

    def _value(self, place: Place) -> None:
        self._skip_blank()
        char = self._peek()
        if char in ('"', "'"):
            self._string()
        elif char == "[":
            self._list(place)
        elif char == "{":
            self._inline_table(place)
        else:
            while self._peek() and self._peek() not in ",]}#\n":
                self._step()

    def _list(self, place: Place) -> None:
        self._step()
        index = 0
        while self._skip_blank() and self._peek() != "]":
            self.places[(*place, index)] = self.line
            self._value((*place, index))
            index += 1
            self._skip_blank()
            if self._peek() == ",":
                self._step()
        self._step()

    def _inline_table(self, place: Place) -> None:
        self._step()
        while self._skip_blank() and self._peek() != "}":
            self._pair(place)
            self._skip_blank()
            if self._peek() == ",":
                self._step()
        self._step()

    def _string(self) -> str:
        quote = self._peek()
        mark = quote * 3 if self.text.startswith(quote * 3, self.at) else quote
        self._step(len(mark))
        start = self.at
        while self._peek() and not self.text.startswith(mark, self.at):
            self._step(2 if quote == '"' and self._peek() == "\\" else 1)
        content = self.text[start : self.at]
        self._step(len(mark))
        while len(mark) > 1 and self._peek() == quote:  # """"text"" and a quote": up to two more belong to it
            self._step()
        return content
