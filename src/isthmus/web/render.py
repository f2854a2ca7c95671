"""Turns figures into HTML: the templates, and what they may call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple, Protocol

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from isthmus.model.states import State
from isthmus.web import roles, strip, words
from isthmus.web.accounts import Session
from isthmus.web.house import House


class Built(NamedTuple):
    """One page: its live parts, and how to read what stands around them."""

    template: str
    frame: Callable[[], Mapping[str, Any]]
    """Reads what only the whole page needs; a stream never asks."""
    cells: Mapping[str, Markup]
    """Element id to its inner HTML. The stream sends those that changed."""
    data: Mapping[str, Any] = {}
    """What the page's own module is told with every change."""
    found: bool = True
    """False when the address names nothing; the page says so."""


class Builder(Protocol):
    """Makes a page for somebody. `below` is the rest of the address, `asked` its query."""

    def __call__(self, house: House, session: Session, below: str, asked: Mapping[str, str]) -> Built:
        """Read the figures and render the live parts."""
        ...


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("isthmus.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals.update(words=words, strip=strip, STATES=words.STATES, State=State, roles=roles, may=roles.may)
    made.filters["said"] = report_in_words
    return made


def report_in_words(body: str) -> str:
    """What a report to the ERP says, from its JSON: "good 312, scrap 4"."""
    try:
        fields = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body
    if not isinstance(fields, dict):
        return body
    told = {
        key: value for key, value in fields.items() if key not in ("key", "order", "command", "lots") and value != ""
    }
    words = [f"{key.replace('_', ' ')} {value}" for key, value in told.items()]
    words += [
        f"{'lot ' + one['lot'] if one['lot'] else 'no lot'} good {one['good']}, scrap {one['scrap']}"
        for one in fields.get("lots", ())
    ]
    return ", ".join(words)


@cache
def macros(template: str) -> Any:  # noqa: ANN401  Jinja makes the module
    """The macros of a template of cells, each returning Markup."""
    return _environment().get_template(template).module


def page(built: Built, house: House, session: Session | None, **more: Any) -> str:  # noqa: ANN401  goes to the template
    """The whole page as HTML."""
    return (
        _environment()
        .get_template(built.template)
        .render(
            {"of": built.data.get("of", ""), **built.frame(), **more},
            cells=built.cells,
            house=house,
            session=session,
            plant=house.site.plant,
        )
    )


def plain(template: str, house: House, **context: Any) -> str:  # noqa: ANN401  goes to the template
    """A page without live parts: log-in, accounts, errors."""
    context = {"session": None, **context}
    return _environment().get_template(template).render(context, cells={}, house=house, plant=house.site.plant)
