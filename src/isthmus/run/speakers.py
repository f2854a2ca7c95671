"""Who may speak for which source, from the plant file and the register."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.model.equipment import beside
from isthmus.site.intake.speakers import Speakers

if TYPE_CHECKING:
    from isthmus.plantfile import PlantFile
    from isthmus.site.intake.certificates import Certificates


def speakers_of(file: PlantFile, certificates: Certificates) -> Speakers:
    """As the plant file assigns its sources to edges."""
    return Speakers(
        {source.name: source.edge for source in file.sources},
        certificates.members,
        beside(file.plant.path, "conduit", file.edge.conduit),
    )
