"""People who may log in, their sessions and their one-time links: one SQLite file, or tables in PostgreSQL.

Passwords are kept as scrypt hashes (RFC 7914) with their own salt; sessions and links only as
SHA-256 of their token, so a stolen file opens nothing. There is no default account: while there is
no administrator, the process prints a link that makes the first one, once.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from isthmus.model.errors import DatabaseAway, IsthmusError
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_S
from isthmus.site.records.database import Connection, Cursor, Database, SqliteDatabase
from isthmus.web.roles import Role

PASSWORD_AT_LEAST: Final = 10
_MEMORY = 64 << 20
_FREE_TRIES: Final = 5
_LONGEST_WAIT_S: Final = 900
_LINK_HOURS: Final = 24
_USED: Final = "This link has been used or is too old. Ask for a new one."
_KNOWN_DAYS: Final = 90
TABLES: Final = ("person", "session", "link", "failed", "known")
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS person (name TEXT PRIMARY KEY COLLATE NOCASE, full_name TEXT NOT NULL, role TEXT NOT NULL,
    secret TEXT NOT NULL, machine TEXT NOT NULL DEFAULT '', look TEXT NOT NULL DEFAULT '{}', open INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS session (token TEXT PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE, form TEXT NOT NULL,
    ends_ns INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS link (token TEXT PRIMARY KEY, name TEXT, ends_ns INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS failed (who TEXT PRIMARY KEY, times INTEGER NOT NULL, until_ns INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS known (name TEXT NOT NULL COLLATE NOCASE, address TEXT NOT NULL, ends_ns INTEGER NOT NULL,
    PRIMARY KEY (name, address));
"""


class AccountRefused(IsthmusError):
    """An account cannot be made, changed or entered; the message says why, to the person."""


class Cost(NamedTuple):
    """What a hash costs (RFC 7914): 16 MB and some tenths of a second. It stands with each hash, so it may grow."""

    n: int = 1 << 14
    r: int = 8
    p: int = 5


USUAL: Final = Cost()


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """How a person wants the pages to look."""

    theme: str = "auto"
    """auto, light or dark"""
    green: bool = False
    """True paints running machines green instead of slate."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with an account."""

    name: str
    full_name: str
    role: Role
    machine: str = ""
    """Whole path of the machine on whose page an operator lands; "" for none."""
    look: Look = Look()
    open: bool = True
    """False when the account is closed: nobody may enter by it."""


class Session(NamedTuple):
    """One log-in. `form` must come back with every form (CSRF)."""

    person: Person
    form: str


class Accounts:
    """The store of people and sessions; every method may be called from any thread."""

    def __init__(
        self, place: Path | Database, clock: Callable[[], int], session_hours: float = 12.0, cost: Cost = USUAL
    ) -> None:
        self._place = place
        self._db: Connection | None = tables_of(place) if isinstance(place, Path) else None
        self._lock = threading.Lock()
        self._clock = clock
        self._cost = cost
        self._nobody = _hashed("", cost)
        self._session_ns = int(session_hours * NS_PER_HOUR)

    def close(self) -> None:
        """Close the file, or the connection."""
        with self._lock:
            self._let_go()

    # People

    def people(self) -> list[Person]:
        """Everybody, by name."""
        return [_person(row) for row in self._all("SELECT * FROM person ORDER BY name")]

    def find(self, name: str) -> Person | None:
        """The person of that name, whatever its case."""
        rows = self._all("SELECT * FROM person WHERE name = ?", name)
        return _person(rows[0]) if rows else None

    def add(self, person: Person, password: str) -> None:
        """Make an account. Raises AccountRefused for a taken name or a weak password."""
        name = person.name.strip()
        if not name or not all(sign.isalnum() or sign in ".-_" for sign in name):
            msg = "A log-in name may have letters, digits, '.', '-' and '_'."
            raise AccountRefused(msg)
        secret = _hashed(_strong(password, name), self._cost)
        columns = (name, person.full_name.strip() or name, person.role, secret, person.machine)
        try:
            self._run(
                "INSERT INTO person (name, full_name, role, secret, machine, open) VALUES (?, ?, ?, ?, ?, 1)", *columns
            )
        except sqlite3.IntegrityError as error:
            msg = f"The name {name} is taken; choose another."
            raise AccountRefused(msg) from error

    def invite(self, person: Person) -> str:
        """Make an account that nobody can enter but by the one-time link whose token is returned.

        Raises AccountRefused for a taken or impossible name.
        """
        self.add(person, secrets.token_urlsafe(24))
        return self.link_for(person.name.strip())

    def change(self, person: Person) -> None:
        """Store a person's name, role, machine, look and whether the account is open.

        A closed account loses its sessions at once. Raises AccountRefused for the last open administrator.
        """
        others = [
            other
            for other in self.people()
            if other.role == "administrator" and other.open and other.name.lower() != person.name.lower()
        ]
        if not others and not (person.role == "administrator" and person.open) and self._is_administrator(person.name):
            msg = "This is the last open administrator; make another one first."
            raise AccountRefused(msg)
        self._run(
            "UPDATE person SET full_name = ?, role = ?, machine = ?, look = ?, open = ? WHERE name = ?",
            person.full_name,
            person.role,
            person.machine,
            msgspec.json.encode(person.look).decode(),
            int(person.open),
            person.name,
        )
        if not person.open:
            self._run("DELETE FROM session WHERE name = ?", person.name)

    def set_password(self, name: str, password: str) -> None:
        """Store a new password and end the person's sessions. Raises AccountRefused for a weak one."""
        self._run("UPDATE person SET secret = ? WHERE name = ?", _hashed(_strong(password, name), self._cost), name)
        self._run("DELETE FROM session WHERE name = ?", name)

    # Log-in

    def log_in(self, name: str, password: str, address: str) -> str:
        """Check a password; returns the token of a new session.

        Raises AccountRefused with the same words whether the name or the password is wrong, and with
        the seconds to wait after too many failures of the name or from the address. A person at an
        address from which that person has logged in before has a count apart: a stranger's guesses
        elsewhere keep nobody from work.
        """
        now = self._clock()
        whos = self._counted_as(name, address, now)
        until = self._count_try(whos, now)
        if until > now:
            msg = f"Too many failed tries. Try again in {-(-(until - now) // NS_PER_S)} s."
            raise AccountRefused(msg)
        rows = self._all("SELECT * FROM person WHERE name = ? AND open <> 0", name)
        # An unknown name costs the same time as a known one.
        if not _matches(password, rows[0]["secret"] if rows else self._nobody) or not rows:
            msg = "Name or password is wrong."
            raise AccountRefused(msg)
        for who in whos:
            self._run("DELETE FROM failed WHERE who = ?", who)
        ends_ns = now + _KNOWN_DAYS * NS_PER_DAY
        self._run("INSERT OR REPLACE INTO known VALUES (?, ?, ?)", rows[0]["name"], address, ends_ns)
        return self._begin(rows[0]["name"])

    def session(self, token: str) -> Session | None:
        """The session of a token, or None when there is none or it has ended."""
        rows = self._all(
            "SELECT person.*, session.form AS form FROM session JOIN person USING (name) "
            "WHERE token = ? AND ends_ns > ? AND open <> 0",
            _digest(token),
            self._clock(),
        )
        return Session(_person(rows[0]), rows[0]["form"]) if rows else None

    def log_out(self, token: str) -> None:
        """End one session."""
        self._run("DELETE FROM session WHERE token = ?", _digest(token))

    # One-time links

    def first_link(self) -> str | None:
        """A token that makes the first administrator, or None when there is one."""
        if self.has_administrator():
            return None
        self._run("DELETE FROM link WHERE name IS NULL")
        return self._link(None)

    def has_administrator(self) -> bool:
        """Whether somebody can keep accounts."""
        return bool(self._all("SELECT 1 FROM person WHERE role = 'administrator' AND open <> 0 LIMIT 1"))

    def link_for(self, name: str) -> str:
        """A token by which a person logs in once and chooses a password."""
        return self._link(name)

    def link_is_open(self, token: str) -> tuple[bool, str | None]:
        """Whether a link still holds, and for whom; nobody's link makes the first administrator."""
        rows = self._all("SELECT name FROM link WHERE token = ? AND ends_ns > ?", _digest(token), self._clock())
        return (True, rows[0]["name"]) if rows else (False, None)

    def use_link(self, token: str, person: Person | None, password: str) -> str:
        """Use a link up: make the first administrator, or give its person a new password. Returns a session's token.

        Raises AccountRefused when the link is used, too old or there is an administrator already.
        """
        holds, name = self.link_is_open(token)
        if not holds or (name is None and (person is None or self.has_administrator())):
            raise AccountRefused(_USED)
        # Taken before it is used: of two who come with one link at a time, one finds it gone.
        taken = self._all("DELETE FROM link WHERE token = ? RETURNING ends_ns", _digest(token))
        if not taken:
            raise AccountRefused(_USED)
        try:
            if name is None:
                assert person is not None  # noqa: S101  asked above
                self.add(person, password)
                name = person.name.strip()
            else:
                self.set_password(name, password)
        except AccountRefused:
            self._run("INSERT INTO link VALUES (?, ?, ?)", _digest(token), name, taken[0]["ends_ns"])
            raise
        return self._begin(name)

    # Inside

    def _is_administrator(self, name: str) -> bool:
        found = self.find(name)
        return found is not None and found.role == "administrator" and found.open

    def _begin(self, name: str) -> str:
        token, now = secrets.token_urlsafe(32), self._clock()
        self._run("DELETE FROM session WHERE ends_ns <= ?", now)
        ends = now + self._session_ns
        self._run("INSERT INTO session VALUES (?, ?, ?, ?)", _digest(token), name, secrets.token_urlsafe(24), ends)
        return token

    def _link(self, name: str | None) -> str:
        token = secrets.token_urlsafe(24)
        self._run("INSERT INTO link VALUES (?, ?, ?)", _digest(token), name, self._clock() + _LINK_HOURS * NS_PER_HOUR)
        return token

    def _counted_as(self, name: str, address: str, now: int) -> tuple[str, ...]:
        """Under what a try is counted."""
        self._run("DELETE FROM known WHERE ends_ns <= ?", now)
        name = name.lower()[:120]
        if self._all("SELECT 1 FROM known WHERE name = ? AND address = ?", name, address):
            return (f"name {name} at {address}",)
        return (f"name {name}", f"address {address}")

    def _count_try(self, whos: Sequence[str], now: int) -> int:
        """Until when to wait, 0 for not at all. A try counts as failed before it is checked: many at once count as many."""
        marks = ", ".join("?" * len(whos))
        with self._lock:
            self._execute("DELETE FROM failed WHERE until_ns < ?", (now - 24 * NS_PER_HOUR,))
            found = self._execute(f"SELECT * FROM failed WHERE who IN ({marks})", whos).fetchall()  # noqa: S608  marks
            until = max((row["until_ns"] for row in found), default=0)
            if until > now:
                return int(until)
            before = {row["who"]: row["times"] for row in found}
            for who in whos:
                times = 1 + before.get(who, 0)
                wait_s = min(_LONGEST_WAIT_S, 1 << (times - _FREE_TRIES)) if times > _FREE_TRIES else 0
                row = (who, times, now + wait_s * NS_PER_S)
                self._execute("INSERT OR REPLACE INTO failed VALUES (?, ?, ?)", row)
        return 0

    def _all(self, sql: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            return self._execute(sql, values).fetchall()

    def _run(self, sql: str, *values: object) -> None:
        with self._lock:
            self._execute(sql, values)

    def _execute(self, sql: str, values: Sequence[object]) -> Cursor:
        """One statement; the lock is held. A connection that broke is made anew by the next one."""
        if self._db is None:
            self._db = tables_of(self._place)
        try:
            return self._db.execute(sql, values)
        except DatabaseAway:
            self._let_go()
            raise

    def _let_go(self) -> None:
        if self._db is not None:
            self._db.close()
        self._db = None


def tables_of(place: Path | Database) -> Connection:
    """A connection to the tables of people, which are made where there are none; a folder's file is its owner's alone."""
    if isinstance(place, Path):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = place / "accounts.sqlite"
        db: Connection = SqliteDatabase(path).connect()
        path.chmod(0o600)
        db.execute("PRAGMA synchronous = FULL")
    else:
        db = place.connect()
    db.executescript(_SCHEMA)
    return db


def _person(row: sqlite3.Row) -> Person:
    look = msgspec.json.decode(row["look"], type=Look)
    return Person(
        name=row["name"],
        full_name=row["full_name"],
        role=row["role"],
        machine=row["machine"],
        look=look,
        open=bool(row["open"]),
    )


def _strong(password: str, name: str) -> str:
    if len(password) < PASSWORD_AT_LEAST or password.lower() == name.lower():
        msg = f"A password needs at least {PASSWORD_AT_LEAST} characters and is not the name; three words do well."
        raise AccountRefused(msg)
    return password


def _scrypt(password: str, salt: bytes, cost: Cost) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=_MEMORY)


def _hashed(password: str, cost: Cost) -> str:
    salt = secrets.token_bytes(16)
    return f"scrypt${cost.n}${cost.r}${cost.p}${salt.hex()}${_scrypt(password, salt, cost).hex()}"


def _matches(password: str, secret: str) -> bool:
    _, n, r, p, salt, digest = secret.split("$")
    found = _scrypt(password, bytes.fromhex(salt), Cost(int(n), int(r), int(p)))
    return hmac.compare_digest(found, bytes.fromhex(digest))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
