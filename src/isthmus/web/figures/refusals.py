"""Conduits that the site itself refuses, and how that stands."""

from __future__ import annotations

import sqlite3

from isthmus.web.house import House


def refused(house: House) -> dict[str, sqlite3.Row]:
    """What was said last of each conduit that the site itself refuses, by path."""
    rows = house.site.views.query("SELECT * FROM connections_site_cut WHERE step <> 'lifted'")
    return {row["path"]: row for row in rows}


def refusal_words(row: sqlite3.Row) -> str:
    """How a cut made on this side stands."""
    if row["step"] == "cut":
        return f"Cut from this side by {row['by']}: {row['reason'].rstrip('.')}. The edge keeps what it reads."
    return f"Cut from this side. {row['by']} asks for it to be lifted: {row['reason'].rstrip('.')}. Somebody else must agree."
