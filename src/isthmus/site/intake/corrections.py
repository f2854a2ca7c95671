"""A person puts a sample right: history keeps both versions, the log says who and why, folds run again.

History first, then the log; what a crash left unlogged between the two is logged at the next start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from isthmus.model.equipment import beside
from isthmus.model.records.people import SampleCorrected
from isthmus.site.historian.corrections import Correction
from isthmus.site.site import Site

_KIND: Final = SampleCorrected.__name__


def correct(site: Site, said: Sequence[Correction]) -> None:
    """Put samples right for good; the folds that read them follow by themselves.

    Raises UsageError with nothing stored, OSError when the disk refuses.
    """
    with site.correcting:
        site.historian.correct(said)
        _tell(site)
    site.show_newest(sorted({each.tag for each in said}))


def tell(site: Site) -> int:
    """Log every correction that history has and the log has not; how many there were."""
    with site.correcting:
        return _tell(site)


def _tell(site: Site) -> int:
    known = {
        (row["path"], row["time_ns"], row["ordinal"]): (row["revision"], row["said_ns"])
        for row in site.views.query(
            "SELECT path, time_ns, ordinal, revision, CAST(json_extract(body, '$.said_ns') AS BIGINT) AS said_ns FROM facts WHERE kind = ?",
            (_KIND,),
        )
    }
    new: list[SampleCorrected] = []
    for each in site.historian.corrections():
        name = site.tags.info(each.tag).name
        path = beside(site.plant.path, "source", name.partition("/")[0])
        revision, said_ns = known.get((path, each.time_ns, each.tag), (-1, -1))
        if each.said_ns <= said_ns:
            continue
        known[path, each.time_ns, each.tag] = (revision + 1, each.said_ns)
        new.append(
            SampleCorrected(
                path=path,
                time_ns=each.time_ns,
                ordinal=each.tag,
                revision=revision + 1,
                tag=name,
                value="" if each.value is None else str(each.value),
                status=each.status,
                why=each.why,
                by=each.by,
                said_ns=each.said_ns,
            )
        )
    if new:
        site.append(new)
    return len(new)
