"""How far back history is kept: counted in days, and never on the word of a clock alone.

What is let go is gone for good, so a clock that leapt ahead must not decide it. A day goes only when
enough of the days that would be kept hold something: a year that is empty but for its last hour is
rather a clock that was set wrong. See decision 206.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, to_datetime

DAYS_SEEN: Final = 7
"""As many days within what is kept must hold something before older ones go; fewer where fewer are kept."""
PUT_BACK_NS: Final = NS_PER_HOUR
"""An arrival that lies further back than this says that the clock stood ahead before, and was put right."""


def arrived(stood_ns: int, now_ns: int) -> int:
    """When the newest arrival was, by a clock that may have been put back."""
    return now_ns if now_ns < stood_ns - PUT_BACK_NS else max(stood_ns, now_ns)


def first_kept(today: int, keep_days: int, days: Collection[int]) -> int | None:
    """The first day that is kept; None while `days`, those that hold something, do not bear out the clock."""
    first = today - keep_days
    within = {day for day in days if first <= day <= today}
    return first if len(within) >= min(DAYS_SEEN, max((keep_days + 1) // 2, 2)) else None


def doubt(today: int, keep_days: int) -> str:
    """What a person is told while nothing is let go."""
    date = to_datetime(today * NS_PER_DAY).date()
    return (
        f"nothing is let go: by this machine's clock it is {date}, and of the {keep_days} days before that [historian] "
        "keep_days keeps, nearly none holds a sample. Set the clock if it is wrong; if it is right, old days go "
        "once a few days were recorded"
    )
