"""What a machine did in a window: its states as stretches that fill it without a gap."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from isthmus.model.records.production import StateChanged
from isthmus.model.states import State
from isthmus.web.house import House

_SQL = """
SELECT time_ns, end_ns, state, native, stop_code FROM states
WHERE path = :path AND time_ns < :end
  AND time_ns >= ifnull((SELECT max(time_ns) FROM states WHERE path = :path AND time_ns <= :start), :start)
ORDER BY time_ns, ordinal
"""


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A machine in one state from `start_ns` to `end_ns`."""

    start_ns: int
    end_ns: int
    since_ns: int
    """When it entered the state, which may lie before the window."""
    state: State
    native: str = ""
    stop_code: str = ""

    @property
    def length_ns(self) -> int:
        """How long."""
        return self.end_ns - self.start_ns


def stretches(house: House, path: str, start_ns: int, end_ns: int) -> list[Stretch]:
    """The states of [start_ns, end_ns) in order, without a gap: what nobody saw is UNKNOWN."""
    changes = [
        StateChanged(
            path=path,
            time_ns=row["time_ns"],
            state=State(row["state"]),
            native=row["native"],
            stop_code=row["stop_code"],
        )
        for row in house.site.views.query(_SQL, {"path": path, "start": start_ns, "end": end_ns})
    ]
    return fill(with_previews(changes, previews(house, path)), start_ns, end_ns)


def previews(house: House, path: str) -> list[StateChanged]:
    """States that the machine has entered and that the log has not yet."""
    live = house.site.namespace.preview(path, "StateChanged")
    return sorted((record for record in live if isinstance(record, StateChanged)), key=lambda record: record.time_ns)


def with_previews(changes: list[StateChanged], live: list[StateChanged]) -> list[StateChanged]:
    """The logged changes and, behind the last of them, the live ones."""
    last = changes[-1].time_ns if changes else -1
    return changes + [record for record in live if record.time_ns > last]


def fill(changes: Iterable[StateChanged], start_ns: int, end_ns: int) -> list[Stretch]:
    """Changes in order as stretches over the whole window; equal neighbours become one."""
    out: list[Stretch] = []
    unknown = StateChanged(path="", time_ns=start_ns, state=State.UNKNOWN)
    last = unknown
    for change in changes:
        if change.time_ns >= end_ns:
            break
        if change.time_ns > start_ns:
            _put(out, last, max(last.time_ns, start_ns), change.time_ns)
        last = change
    _put(out, last, max(last.time_ns, start_ns), end_ns)
    return out


def known_since(strip: Iterable[Stretch]) -> int | None:
    """When a strip begins to know something, None when it never does."""
    return next((one.start_ns for one in strip if one.state is not State.UNKNOWN), None)


def first_ns(house: House, path: str) -> int | None:
    """When a machine was first heard of, None when it never was."""
    [row] = house.site.views.query("SELECT min(time_ns) AS first FROM states WHERE path = ?", (path,))
    live = previews(house, path)
    return row["first"] if row["first"] is not None else live[0].time_ns if live else None


def now(house: House, path: str) -> StateChanged | None:
    """The state a machine is in, None when nothing was ever heard of it."""
    live = previews(house, path)
    rows = house.site.views.query(
        "SELECT time_ns, state, native, stop_code FROM states WHERE path = ? ORDER BY time_ns DESC, ordinal DESC LIMIT 1",
        (path,),
    )
    logged = [
        StateChanged(
            path=path,
            time_ns=row["time_ns"],
            state=State(row["state"]),
            native=row["native"],
            stop_code=row["stop_code"],
        )
        for row in rows
    ]
    both = with_previews(logged, live)
    return both[-1] if both else None


def _put(out: list[Stretch], change: StateChanged, start_ns: int, end_ns: int) -> None:
    if start_ns >= end_ns:
        return
    if out and out[-1].state is change.state and out[-1].stop_code == change.stop_code:
        out[-1] = msgspec.structs.replace(out[-1], end_ns=end_ns)
        return
    since = min(change.time_ns, start_ns)
    stretch = Stretch(
        start_ns=start_ns,
        end_ns=end_ns,
        since_ns=since,
        state=change.state,
        native=change.native,
        stop_code=change.stop_code,
    )
    out.append(stretch)
