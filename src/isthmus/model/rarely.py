"""How often a trouble that goes on is said: at once, and then ever more seldom, with how much came since.

>>> rarely = Rarely()
>>> [rarely.due("disk", at_s) for at_s in (0, 1, 2, 61, 62, 182)]
[1, None, None, 3, None, 2]
"""

from __future__ import annotations

from typing import Final

FIRST_S: Final = 60.0
MOST_S: Final = 3600.0
_MOST_KEYS: Final = 10_000


class _Case:
    """One trouble: when it may be said again, how long to wait after that, what came since, and when it came last."""

    def __init__(self, now_s: float) -> None:
        self.next_s, self.wait_s, self.count, self.last_s = now_s, FIRST_S, 0, now_s


class Rarely:
    """Keeps, for each trouble by its key, when it was said. One that did not come for as long is new again."""

    def __init__(self) -> None:
        self._cases: dict[str, _Case] = {}

    def due(self, key: str, now_s: float, count: int = 1) -> int | None:
        """The trouble came: how much of it since it was last said, when it is to be said now; else None."""
        case = self._cases.get(key)
        if case is None or now_s - case.last_s > 2 * case.wait_s:
            if len(self._cases) >= _MOST_KEYS:
                self._cases.pop(next(iter(self._cases)))
            case = self._cases[key] = _Case(now_s)
        case.last_s = now_s
        case.count += count
        if now_s < case.next_s:
            return None
        came, case.count = case.count, 0
        case.next_s = now_s + case.wait_s
        case.wait_s = min(case.wait_s * 2, MOST_S)
        return came
