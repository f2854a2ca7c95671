"""Tryton's REST door: how rows are asked for and written, how values are spelled, how a no is heard."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import date, datetime, tzinfo
from datetime import time as clock
from decimal import Decimal
from typing import Any, Final

import msgspec

from isthmus.enterprise.config import secret
from isthmus.enterprise.rest import Reply, Rest
from isthmus.model.errors import ErpAway, ErpRefuses
from isthmus.model.time import from_datetime

Row = dict[str, Any]

_HTTP_REFUSED: Final = 400
_HTTP_NO_KEY: Final = (401, 403)


class Wire:
    """One database as one user. Every public verb of the door calls `begin` first."""

    def __init__(self, url: str, database: str, user: str, key: str, deadline_s: float) -> None:
        self.user = user
        self._place = f"{url} database {database}"
        self._url = f"{url.rstrip('/')}/{database}/rest/model/"
        self._key = key
        self._deadline_s = deadline_s
        self._rest: Rest | None = None
        self._context = ""

    def close(self) -> None:
        """Leave no connection behind."""
        if self._rest is not None:
            self._rest.close()
            self._rest = None

    def begin(self) -> None:
        """From now on one deadline for all calls together. Raises ErpAway where the key cannot be had."""
        if self._rest is None:
            headers = {"Authorization": f"Bearer {secret(self._key, 'key')}"}
            self._rest = Rest(self._url, headers, self._deadline_s)
        self._rest.begin()

    def search(self, model: str, domain: Sequence[Any], fields: Sequence[str], more: Row | None = None) -> list[Row]:
        """Rows of a model; a field with dots brings rows within rows."""
        query = [("d", _b64(domain)), *(("f", field) for field in fields)]
        headers = {"X-Tryton-Context": _b64(more)} if more else None
        reply = self._call("GET", model, query=query, headers=headers)
        return list(self._must(reply, f"read {model}"))

    def create(self, model: str, values: Row, what: str) -> Row:
        """Make one row. `what` says in words what it is for, should Tryton say no."""
        return dict(self._must(self._call("POST", model, json=values, headers=self._as_us()), what))

    def write(self, model: str, row: int, values: Row, what: str) -> None:
        """Change fields of one row."""
        self._must(self._call("PUT", f"{model}/{row}", json=values, headers=self._as_us()), what)

    def delete(self, model: str, row: int, what: str) -> None:
        """Delete one row."""
        self._must(self._call("DELETE", f"{model}/{row}", headers=self._as_us()), what)

    def act(self, model: str, row: int, action: str, what: str) -> None:
        """Press one of Tryton's buttons on a row."""
        self._must(self._call("POST", f"{model}/{row}/{action}", json={}, headers=self._as_us()), what)

    def _as_us(self) -> dict[str, str]:
        if not self._context:
            fields = ["company.id", "employee.id"]
            found = self.search("res.user", [["login", "=", self.user]], fields)
            if not found or not found[0]["company"]:
                msg = f"Tryton's user {self.user} has no company; give it one and an employee there"
                raise ErpAway(msg)
            user = found[0]
            self._context = _b64(
                {"company": user["company"]["id"], "employee": (user["employee"] or {}).get("id")},
            )
        return {"X-Tryton-Context": self._context}

    def _call(self, method: str, path: str, **more: Any) -> Reply:  # noqa: ANN401  handed on as it is
        assert self._rest is not None  # noqa: S101  every public verb begins first
        return self._rest.call(method, path, **more)

    def _must(self, reply: Reply, what: str) -> Any:  # noqa: ANN401  a row, rows or nothing
        if reply.status < _HTTP_REFUSED:
            return reply.body
        if reply.status in _HTTP_NO_KEY:
            msg = (
                f"Tryton at {self._place} does not take the key of [erp]; "
                f"make an application key for REST under the user {self.user} and give it as `key`"
            )
            raise ErpAway(msg)
        if reply.status == _HTTP_REFUSED and isinstance(reply.body, dict):
            said = " ".join(str(reply.body.get(part) or "") for part in ("message", "description")).strip(" -")
            msg = f"Tryton would not {what}: {said}"
            raise ErpRefuses(msg)
        msg = f"Tryton at {self._place} failed with HTTP {reply.status} when asked to {what}; see its log"
        raise ErpAway(msg)


def code_of(product: Row) -> str:
    """The code of a product, or what stands for one that has none."""
    return str(product.get("code") or f"product,{product['id']}")


def _b64(value: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode()


def decimal_of(value: Row | None) -> Decimal:
    """A decimal number; 0 where there is none."""
    return Decimal(value["decimal"]) if value else Decimal(0)


def text_of(value: float) -> str:
    """A quantity as text, without a decimal point where it has no decimals."""
    return str(int(value)) if value == int(value) else repr(value)


def seconds_of(cycle: Row) -> float:
    """How long a cycle took, 0 where nothing is said yet."""
    return float((cycle["duration"] or {}).get("seconds", 0.0))


def moment_of(value: Row | None) -> datetime | None:
    """A moment by Tryton's own clock, without a zone: only compared with others of its kind."""
    if not value:
        return None
    parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    return datetime(*(value[part] for part in parts))  # noqa: DTZ001  Tryton's own clock, only compared with itself


def asked(value: datetime) -> Row:
    """A moment as it stands in a question to Tryton."""
    parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    return {"__class__": "datetime", **{part: getattr(value, part) for part in parts}}


def start_of(value: Row | None, zone: tzinfo) -> int | None:
    """The first moment of a day of the plant."""
    if not value:
        return None
    day = date(value["year"], value["month"], value["day"])
    return from_datetime(datetime.combine(day, clock.min, tzinfo=zone))


def end_of(value: Row | None, zone: tzinfo) -> int | None:
    """The day's last second, so that a page shows the very day that the planner wrote."""
    if not value:
        return None
    day = date(value["year"], value["month"], value["day"])
    return from_datetime(datetime.combine(day, clock(23, 59, 59), tzinfo=zone))
