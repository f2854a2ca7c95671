"""Accounts: no default password, links that open once, waits for who guesses, and always an administrator."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from litestar.testing import TestClient
from visits import make_silent  # noqa: F401  fixtures

import web_world as worlds
from isthmus.model.time import NS_PER_HOUR, NS_PER_S
from isthmus.site.records.database import Database
from isthmus.site.records.postgresql import PostgresDatabase
from isthmus.web.accounts import AccountRefused, Accounts, Cost, Look, Person
from isthmus.web.config import WebSection, mistakes_in
from isthmus.web.server import address, first_link
from web_world import Visitor

CHEAP = Cost(n=16, r=1, p=1)
ADMIN = Person(name="ann", full_name="Ann", role="administrator")
GOOD = "three words do well"


class Clock:
    now_ns = 1_700_000_000 * NS_PER_S

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer("postgresql"))])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | Database]:
    """Every claim holds wherever people are kept."""
    if request.param == "sqlite":
        yield tmp_path
        return
    database = PostgresDatabase(request.getfixturevalue("postgres").database())
    yield database
    database.close()


@pytest.fixture
def accounts(place: Path | Database, clock: Clock) -> Iterator[Accounts]:
    made = Accounts(place, clock, cost=CHEAP)
    yield made
    made.close()


def test_a_new_house_knows_nobody_and_lets_nobody_in(accounts: Accounts) -> None:
    assert accounts.people() == []
    for name in ("admin", "administrator", "root", ""):
        with pytest.raises(AccountRefused, match="Name or password is wrong"):
            accounts.log_in(name, name, "127.0.0.1")


def test_the_first_link_makes_one_administrator_and_never_another(accounts: Accounts) -> None:
    token = accounts.first_link()
    assert token is not None
    session = accounts.session(accounts.use_link(token, ADMIN, GOOD))
    assert session is not None
    assert session.person.role == "administrator"
    with pytest.raises(AccountRefused, match="used or is too old"):
        accounts.use_link(token, Person(name="eve", full_name="Eve", role="administrator"), GOOD)
    assert accounts.first_link() is None


def test_the_first_link_is_given_while_others_have_accounts_but_nobody_keeps_them(accounts: Accounts) -> None:
    accounts.add(Person(name="bob", full_name="Bob", role="operator"), GOOD)
    token = accounts.first_link()
    assert token is not None
    accounts.use_link(token, ADMIN, GOOD)
    assert accounts.first_link() is None


def test_a_newer_first_link_closes_the_older_and_all_close_after_a_day(accounts: Accounts, clock: Clock) -> None:
    older, newer = accounts.first_link(), accounts.first_link()
    assert older is not None
    assert newer is not None
    assert accounts.link_is_open(older) == (False, None)
    assert accounts.link_is_open(newer) == (True, None)
    clock.now_ns += 25 * NS_PER_HOUR
    assert accounts.link_is_open(newer) == (False, None)


def test_a_weak_password_is_refused(accounts: Accounts) -> None:
    for password in ("", "short", "ann"):
        with pytest.raises(AccountRefused, match="at least 10"):
            accounts.add(ADMIN, password)


def test_who_guesses_waits_longer_each_time_and_even_the_right_password_waits(accounts: Accounts, clock: Clock) -> None:
    accounts.add(ADMIN, GOOD)
    for _ in range(6):
        with pytest.raises(AccountRefused, match="wrong"):
            accounts.log_in("ann", "a wrong password", "10.0.0.1")
    with pytest.raises(AccountRefused, match="Try again in 2 s"):
        accounts.log_in("ann", GOOD, "10.0.0.2")
    with pytest.raises(AccountRefused, match="Try again in"):
        accounts.log_in("somebody-else", GOOD, "10.0.0.1")
    clock.now_ns += 3 * NS_PER_S
    assert accounts.session(accounts.log_in("ANN", GOOD, "10.0.0.2")) is not None


def test_a_session_ends_after_its_hours_and_at_log_out(accounts: Accounts, clock: Clock) -> None:
    accounts.add(ADMIN, GOOD)
    first, second = (accounts.log_in("ann", GOOD, "x") for _ in range(2))
    accounts.log_out(first)
    assert accounts.session(first) is None
    assert accounts.session(second) is not None
    clock.now_ns += 13 * NS_PER_HOUR
    assert accounts.session(second) is None


def test_a_closed_account_loses_its_sessions_at_once(accounts: Accounts) -> None:
    accounts.add(ADMIN, GOOD)
    accounts.add(Person(name="bob", full_name="Bob", role="operator"), GOOD)
    token = accounts.log_in("bob", GOOD, "x")
    accounts.change(Person(name="bob", full_name="Bob", role="operator", open=False))
    assert accounts.session(token) is None
    with pytest.raises(AccountRefused, match="wrong"):
        accounts.log_in("bob", GOOD, "x")


def test_the_last_administrator_can_neither_leave_nor_change_role(accounts: Accounts) -> None:
    accounts.add(ADMIN, GOOD)
    for wanted in (
        Person(name="ann", full_name="Ann", role="operator"),
        Person(name="ann", full_name="Ann", role="administrator", open=False),
    ):
        with pytest.raises(AccountRefused, match="last open administrator"):
            accounts.change(wanted)


def test_the_file_holds_no_password_no_token_and_is_for_its_owner_alone(tmp_path: Path, clock: Clock) -> None:
    accounts = Accounts(tmp_path, clock, cost=CHEAP)
    accounts.add(ADMIN, GOOD)
    token, link = accounts.log_in("ann", GOOD, "x"), accounts.link_for("ann")
    accounts.close()
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (GOOD, token, link):
        assert secret.encode() not in held
    assert stat.S_IMODE((tmp_path / "accounts.sqlite").stat().st_mode) == 0o600


def test_accounts_survive_and_keep_their_look(place: Path | Database, clock: Clock) -> None:
    made = Accounts(place, clock, cost=CHEAP)
    made.add(ADMIN, GOOD)
    made.change(Person(name="ann", full_name="Ann", role="administrator", look=Look(theme="dark", green=True)))
    made.close()
    again = Accounts(place, clock)
    found = again.find("Ann")
    again.close()
    assert found is not None
    assert found.look == Look(theme="dark", green=True)


def test_pages_take_a_first_visitor_from_the_printed_link_to_an_account_for_somebody_else(
    silent: worlds.World,
) -> None:
    people = silent.app.state.house.accounts
    people._run("DELETE FROM person")
    section = WebSection(listen="127.0.0.1:8600")
    link = first_link(silent.app, section)
    assert link is not None
    assert link.startswith(f"{address(section)}/enter/")
    with TestClient(silent.app) as client:
        path = link.removeprefix(address(section))
        assert "You are the first here" in client.get(path).text
        fields = {"name": "ann", "full_name": "Ann", "password": GOOD, "again": GOOD}
        assert client.post(path, data={**fields, "again": "other words do well"}).status_code == 400
        entered = client.post(path, data=fields, follow_redirects=False)
        assert entered.status_code == 303
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=lax" in cookie.lower()
        ann = Visitor.__new__(Visitor)
        ann.client, ann.token = client, entered.cookies["isthmus"]
        made = ann.post("/accounts", name="bob", full_name="Bob", role="operator", machine=worlds.path("Paint"))
        token = made.text.partition("/enter/")[2].partition('"')[0]
        client.cookies.clear()
        bob = client.post(f"/enter/{token}", data={"password": GOOD, "again": GOOD}, follow_redirects=False)
        assert bob.status_code == 303
        assert client.get("/", follow_redirects=False).headers["location"] == f"/machine/{worlds.below('Paint')}"
        assert client.get("/accounts").status_code == 403
        assert client.get(path).status_code == 410


def test_after_logging_in_one_is_sent_to_no_other_site(silent: worlds.World) -> None:
    with TestClient(silent.app) as client:
        for after, wanted in (("/orders?order=1", "/orders?order=1"), ("//evil.example", "/"), ("https://evil", "/")):
            form = {"name": "planner", "password": worlds.PASSWORD, "after": after}
            answer = client.post("/log-in", data=form, follow_redirects=False)
            assert answer.headers["location"] == wanted


def test_a_person_may_have_green_for_run_and_a_dark_page(silent: worlds.World) -> None:
    with TestClient(silent.app) as client:
        visitor = Visitor(client, "operator")
        assert "data-run" not in visitor.get("/plant").text.partition(">")[2].partition(">")[0]
        visitor.post("/settings", theme="dark", green="on")
        page = visitor.get("/plant").text
        assert 'data-theme="dark" data-run="green"' in page


@pytest.mark.parametrize(
    ("section", "word"),
    [
        (WebSection(listen="0.0.0.0:8600"), "without HTTPS"),
        (WebSection(listen="nowhere"), "no address with a port"),
        (WebSection(certificate=Path("x.pem")), "go together"),
    ],
)
def test_pages_open_to_others_without_https_are_refused_by_the_check(section: WebSection, word: str) -> None:
    assert word in " ".join(what for what, _ in mistakes_in(section))
    assert not list(mistakes_in(WebSection()))
    assert not list(mistakes_in(WebSection(listen="0.0.0.0:443", certificate=Path("c"), key=Path("k"))))


def test_a_strangers_guesses_keep_nobody_from_the_place_where_that_person_works(accounts: Accounts) -> None:
    accounts.add(ADMIN, GOOD)
    accounts.log_in("ann", GOOD, "10.0.0.1")
    refusals = [refusal(accounts, "Ann", f"guess {number}", "10.0.0.66") for number in range(8)]
    assert "Too many" in refusals[-1]
    assert accounts.log_in("ann", GOOD, "10.0.0.1")
    assert "Too many" in refusal(accounts, "ann", GOOD, "10.0.0.2"), "a place that is new to her waits with the name"
    refusals = [refusal(accounts, "ANN", f"guess {number}", "10.0.0.1") for number in range(8)]
    assert "Too many" in refusals[-1], "guesses at her own place are counted too"


def refusal(accounts: Accounts, name: str, password: str, address: str) -> str:
    with pytest.raises(AccountRefused) as refused:
        accounts.log_in(name, password, address)
    return str(refused.value)


def test_guesses_made_at_once_are_held_up_like_guesses_made_in_turn(accounts: Accounts) -> None:
    accounts.add(ADMIN, GOOD)
    said: list[str] = []

    def guess(number: int) -> None:
        try:
            accounts.log_in("ann", f"guess {number}", f"10.0.0.{number}")
        except AccountRefused as refused:
            said.append(str(refused))

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(guess, range(40)))
    assert said.count("Name or password is wrong.") == 6
    assert sum("Too many" in words for words in said) == 34


def test_a_link_opens_once_for_two_who_come_at_a_time(accounts: Accounts) -> None:
    accounts.add(ADMIN, GOOD)
    token = accounts.link_for("ann")
    gate = Barrier(8)

    def use(number: int) -> bool:
        gate.wait()
        try:
            accounts.use_link(token, None, f"three words do {number}")
        except AccountRefused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(use, range(8))) == 1


def test_a_link_is_not_used_up_by_a_weak_password(accounts: Accounts) -> None:
    token = accounts.first_link()
    assert token is not None
    with pytest.raises(AccountRefused, match="at least"):
        accounts.use_link(token, ADMIN, "short")
    assert accounts.session(accounts.use_link(token, ADMIN, GOOD)) is not None
