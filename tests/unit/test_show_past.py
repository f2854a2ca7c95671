"""The demonstration's past: it reaches to the present, so that nothing seems to hold that nobody lived."""

from __future__ import annotations

from isthmus.model.time import NS_PER_DAY, NS_PER_MINUTE
from isthmus.run.show.past import live_through


def test_the_past_of_every_machine_reaches_to_its_end() -> None:
    until_ns = 20_400 * NS_PER_DAY + 12_345
    for machine, rows in live_through(0.1, 7, until_ns):
        newest = max(time_ns for told in rows.values() for time_ns, _ in told)
        assert until_ns - 2 * NS_PER_MINUTE < newest <= until_ns, machine.name
