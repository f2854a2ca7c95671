"""The questions of history: what each means, its address and its macro."""

from __future__ import annotations

import typing

from isthmus.model import query as q
from isthmus.site.historian.asking import sql
from isthmus.web import history_api
from manual.markdown import cleaned, page, table

_ABOUT = (
    "What can be asked of history, and how: in Python with the class of `isthmus.model.query`, by address, and as a "
    "macro of `isthmus history sql`."
)
_ADDRESS = """\
`GET /api/history/<question>` with the session of somebody who is logged in. Every address takes these; a parameter that \
an address does not use is passed over."""
_OTHERS = """\
`/api/history/tags` lists every tag; with `former=true` also what tags were before their kind or unit changed, under the \
name by which to ask for that, as `press/force#17`. `/api/history/corrections` what people put right, and `/api/history/bursts` gives the \
bursts of fast signals."""


def history_page() -> str:
    """The page."""
    asked = {type(q_.ask(_ANY)): (name, q_) for name, q_ in history_api.QUESTIONS.items()}
    parts = [cleaned(q.__doc__).partition("\n\n")[2]]
    for operator in typing.get_args(q.Operator):
        name, question = asked[operator]
        more = "".join(f"&{each}=" for each in question.takes)
        parts += [
            f"## {operator.__name__}",
            cleaned(operator.__doc__),
            f"`/api/history/{name}?tag=&from=&to={more}`",
            f"`{sql.signature(operator)}`",
        ]
    rows = []
    for alias in (
        history_api.Tags, history_api.From, history_api.To, history_api.Known, history_api.Format, history_api.EveryS,
        history_api.At, history_api.Points, history_api.Method, history_api.Bits, history_api.LongerS,
        history_api.Limit, history_api.Before,
    ):  # fmt: skip
        said = typing.get_args(alias)[1]
        rows.append([f"`{said.name}`", said.description or ""])
    limits = ", ".join(f"{name} {most:,}" for name, most in history_api.MOST_ROWS.items())
    parts += ["## By address", _ADDRESS, table(["parameter", "what"], rows), f"Rows at most: {limits}.", _OTHERS]
    return page("History", _ABOUT, parts)


_ANY = history_api.Asked(0, 1, 1, (), 2, "minmax", 0, 0, 1, before=False)
