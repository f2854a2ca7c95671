"""The database of records and people that a plant file names."""

from __future__ import annotations

from isthmus.plantfile import PlantFile
from isthmus.site.records.postgresql import PostgresDatabase
from isthmus.site.secret import secret


def database_of(file: PlantFile) -> PostgresDatabase | None:
    """The database, not reached yet; None where records and people are files here."""
    if not file.site.database:
        return None
    reference = file.site.database_password
    return PostgresDatabase(
        file.site.database, lambda: secret(reference, "[site] database_password") if reference else None
    )
