"""The JSON Schema of plant.toml, made from the sections' own classes, for editors that complete and check."""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Annotated, Any, Union

import msgspec

from isthmus.plantfile import KINDED, Sections


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of the whole plant file."""
    told = _Told()
    kinds = {table: [told.struct(cls) for cls in classes().values()] for table, classes in KINDED.items()}
    top = told.struct(Sections)
    every = [top, *(cls for classes in kinds.values() for cls in classes)]
    (plant_file, *_), parts = msgspec.json.schema_components(every, ref_template="#/$defs/{name}")
    properties = parts[top.__name__]["properties"]
    choices = {table: {"oneOf": [{"$ref": f"#/$defs/{cls.__name__}"} for cls in each]} for table, each in kinds.items()}
    properties["source"]["items"] = choices["source"]
    properties["erp"] = choices["erp"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Isthmus plant file",
        **plant_file,
        "$defs": parts,
    }


class _Told:
    """The same structs as an editor needs them: files are text, and a default is what a person would write."""

    def __init__(self) -> None:
        self._known: dict[type, type[msgspec.Struct]] = {}

    def struct(self, cls: type[msgspec.Struct]) -> type[msgspec.Struct]:
        if cls not in self._known:
            config = cls.__struct_config__
            fields = [self._field(field) for field in msgspec.structs.fields(cls)]
            self._known[cls] = msgspec.defstruct(
                cls.__name__,
                fields,
                kw_only=True,
                tag_field=config.tag_field,
                tag=config.tag,
                forbid_unknown_fields=True,
                namespace={"__doc__": cls.__doc__},
            )
        return self._known[cls]

    def _field(self, field: msgspec.structs.FieldInfo) -> Any:  # noqa: ANN401  defstruct takes several shapes
        wanted = self._type(field.type)
        if field.required:
            return field.encode_name, wanted
        shown = str(field.default) if isinstance(field.default, Path) else field.default
        if isinstance(shown, (str, int, float, bool)):
            wanted = Annotated[wanted, msgspec.Meta(extra_json_schema={"default": shown})]
        # A default made by a function is not written into the schema, where it could not be told.
        return field.encode_name, wanted, msgspec.field(default_factory=dict)

    def _type(self, wanted: Any) -> Any:  # noqa: ANN401  types are values here
        if wanted is Path:
            return str
        if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
            return self.struct(wanted)
        origin, args = typing.get_origin(wanted), typing.get_args(wanted)
        if origin is Annotated:
            return Annotated[(self._type(args[0]), *args[1:])]
        if origin in (types.UnionType, Union):
            return Union[tuple(self._type(each) for each in args)]  # noqa: UP007  made at run time
        if origin is tuple and len(args) > 1 and args[1] is Ellipsis:
            return tuple.__class_getitem__((self._type(args[0]), ...))
        return wanted
