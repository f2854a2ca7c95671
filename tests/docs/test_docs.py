"""The documentation holds: nothing stale, no dead link, nothing named that is not there, no figure without its command."""

from __future__ import annotations

import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from isthmus import commands
from isthmus.edge.sources import kinds as source_kinds
from isthmus.enterprise.erps import kinds as erp_kinds
from isthmus.model import status
from isthmus.model.records import kinds
from isthmus.plantfile import KINDED, Sections, load
from isthmus.site.publish.buses import kinds as bus_kinds

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]
VERBS = {found.name.replace("_", "-") for found in pkgutil.iter_modules(commands.__path__)}

_LINK = re.compile(r"\[[^\]\n]*(?:\[[^\]\n]*\][^\]\n]*)*\]\(([^)\s]+)\)")
_FIGURE = re.compile(
    r"\d\s*(?:µs|ns a |values a second|samples a second|bytes a (?:value|sample)|times (?:faster|less|smaller))"
)
_COMMAND = re.compile(r"`isthmus ([a-z][a-z-]*)")
_SHELL = re.compile(r"^```(?:sh|console)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def headings(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^#+ (.*)$", text, re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What GitHub calls each heading of a page."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(page)}


def links(page: Path) -> Iterator[tuple[str, str]]:
    """Every relative link: its path and its anchor."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in _LINK.findall(text):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield path, anchor


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {path}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {path}#{anchor}"


def test_every_page_is_on_the_map() -> None:
    reached = {(DOCS / path).resolve() for path, _ in links(DOCS / "index.md")}
    lost = [
        str(page.relative_to(DOCS))
        for page in DOCS.rglob("*.md")
        if page.name != "index.md" and not {page.resolve(), page.parent.resolve()} & reached
    ]
    assert not lost


def test_the_made_pages_are_what_the_code_says_whoever_asks_on_whatever_terminal() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONHASHSEED": "4711", "COLUMNS": "40"}
    environment["LOGNAME"] = "somebody-else"
    command = [sys.executable, str(ROOT / "tools" / "docs.py"), "--check"]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_table_and_kind_of_the_plant_file_has_its_heading() -> None:
    told = headings(DOCS / "reference" / "plant-file.md")
    for field in msgspec.structs.fields(Sections):
        assert {f"[{field.encode_name}]", f"[[{field.encode_name}]]"} & set(told), field.encode_name
    assert set(KINDED) == {"source", "erp", "bus"}
    assert {f'[[source]] kind = "{kind}"' for kind, cls in source_kinds().items() if shipped(cls)} <= set(told)
    assert {f'[erp] kind = "{kind}"' for kind, cls in erp_kinds().items() if shipped(cls)} <= set(told)
    assert {f'[bus] kind = "{kind}"' for kind in bus_kinds()} <= set(told)


def shipped(cls: type) -> bool:
    """Not a source that another test has made for itself."""
    return cls.__module__.startswith("isthmus.")


def test_every_key_of_the_plant_file_says_what_it_means() -> None:
    text = (DOCS / "reference" / "plant-file.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\| *(\S?)[^|]*\|$", text, re.MULTILINE)
    assert len(rows) > 100
    assert [key for key, meaning in rows if not meaning] == []


def test_every_command_and_record_has_its_heading_and_every_status_its_row() -> None:
    assert {f"isthmus {verb}" for verb in VERBS} <= set(headings(DOCS / "reference" / "commands.md"))
    assert set(kinds()) <= set(headings(DOCS / "reference" / "records.md"))
    codes = (DOCS / "reference" / "status.md").read_text(encoding="utf-8")
    names = [name for name, value in vars(status).items() if name[0].isupper() and isinstance(value, int)]
    assert [name for name in names if f"`{name}`" not in codes] == []


def test_no_sentence_names_a_command_that_is_not_there() -> None:
    wrong = []
    for page in [*WRITTEN, *(ROOT / "src").rglob("*.py"), *(ROOT / "examples").rglob("*.toml")]:
        text = page.read_text(encoding="utf-8")
        named = set(_COMMAND.findall(text))
        for block in _SHELL.findall(text):
            named |= set(re.findall(r"^(?:\$ )?(?:\.venv/bin/)?isthmus ([a-z-]+)", block, re.MULTILINE))
        wrong += [f"{page.relative_to(ROOT)}: isthmus {verb}" for verb in sorted(named - VERBS)]
    assert not wrong


def test_no_page_names_a_make_target_that_is_not_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in WRITTEN:
        text = page.read_text(encoding="utf-8")
        named = set(re.findall(r"`make ([a-z-]+)", text))
        for block in _SHELL.findall(text):
            named |= set(re.findall(r"^make ([a-z-]+)", block, re.MULTILINE))
        assert named <= targets, page.name


def test_a_figure_that_claims_a_measurement_names_the_benchmark_behind_it() -> None:
    known = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    pages = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted((DOCS / "tutorial").glob("*.md"))]
    claims = 0
    for page in pages:
        for part in re.split(r"\n\n|\n(?=\|)", page.read_text(encoding="utf-8")):
            if _FIGURE.search(part) and not part.startswith("What was not measured"):
                claims += 1
                names = re.findall(r"`make bench ONLY=(\w+)`", part)
                assert names, f"{page.name}: {part}"
                assert set(names) <= known, f"{page.name}: {part}"
    assert claims


@pytest.mark.parametrize("file", sorted((ROOT / "examples" / "plants").glob("*.toml")), ids=lambda file: file.stem)
def test_an_example_passes_the_check(file: Path) -> None:
    plant = load(file)
    assert plant.plant.machines
    assert plant.sources
