"""The JSON Schema of plant.toml, made from the sections' own classes, for editors that complete and check."""

from __future__ import annotations

from typing import Any

import msgspec

from isthmus.edge.sources import kinds as source_kinds
from isthmus.plantfile import Sections


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of the whole plant file."""
    sources = list(source_kinds().values())
    (plant_file, *_), parts = msgspec.json.schema_components([Sections, *sources], ref_template="#/$defs/{name}")
    sections = parts[plant_file["$ref"].rpartition("/")[2]]
    sections["properties"]["source"]["items"] = {"oneOf": [{"$ref": f"#/$defs/{cls.__name__}"} for cls in sources]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Isthmus plant file",
        **plant_file,
        "$defs": parts,
    }
