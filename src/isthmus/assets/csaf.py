"""A folder of CSAF 2.0 advisories as rows: which product, which versions, what is known of them.

Documents lie as .json files, or packed as .zip, .tar, .tar.gz or .tar.xz. What cannot be read is told with
its place in the document, never skipped silently. Source: OASIS Common Security Advisory Framework 2.0,
sections 3.2.2 and 3.2.3.
"""

from __future__ import annotations

import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from isthmus.model.errors import UsageError

Status = Literal["known_affected", "known_not_affected", "fixed", "under_investigation"]
_STATUSES: Final[tuple[Status, ...]] = ("known_affected", "under_investigation", "fixed", "known_not_affected")
_LIKE: Final[Mapping[str, Status]] = {
    "first_affected": "known_affected",
    "last_affected": "known_affected",
    "first_fixed": "fixed",
    "recommended": "fixed",
}
_ENDS: Final = frozenset({"first_affected", "last_affected"})
_LARGEST: Final = 64 << 20
_PATCHES: Final = frozenset({"vendor_fix"})
_READ: Final = "2."


class Row(NamedTuple):
    """One product of one advisory, with what all of its vulnerabilities say together: the worst stands."""

    advisory: str
    title: str
    released: str
    vendor: str
    product: str
    version: str
    product_id: str
    order_numbers: tuple[str, ...]
    status: Status
    cves: tuple[str, ...]
    score: float
    fix: str
    patch: bool
    end: bool = False
    """True when the version is but an end of what is affected: of any other version the row says nothing."""


class Library(NamedTuple):
    """All rows, and how far they reach."""

    rows: Sequence[Row]
    documents: int
    newest: str
    """Date of the newest advisory, "" without any."""
    told: tuple[str, ...]
    """Documents that could not be read, a sentence each."""


class _Lenient(msgspec.Struct, frozen=True):
    """What is not named here may stand in a document and is passed over."""


class _Tracking(_Lenient, frozen=True):
    id: str
    current_release_date: str = ""
    initial_release_date: str = ""


class _Head(_Lenient, frozen=True):
    tracking: _Tracking
    title: str = ""
    csaf_version: str = "2.0"


class _Helper(_Lenient, frozen=True):
    model_numbers: tuple[str, ...] = ()
    skus: tuple[str, ...] = ()


class _Product(_Lenient, frozen=True):
    product_id: str
    name: str = ""
    product_identification_helper: _Helper | None = None


class _Branch(_Lenient, frozen=True):
    name: str = ""
    category: str = ""
    product: _Product | None = None
    branches: tuple[_Branch, ...] | None = None


class _Relationship(_Lenient, frozen=True):
    full_product_name: _Product
    product_reference: str
    relates_to_product_reference: str


class _Group(_Lenient, frozen=True):
    group_id: str
    product_ids: tuple[str, ...] = ()


class _Tree(_Lenient, frozen=True):
    branches: tuple[_Branch, ...] | None = None
    full_product_names: tuple[_Product, ...] | None = None
    relationships: tuple[_Relationship, ...] | None = None
    product_groups: tuple[_Group, ...] | None = None


class _Score(_Lenient, frozen=True):
    products: tuple[str, ...] = ()
    cvss_v3: Any = None
    cvss_v2: Any = None


class _Remedy(_Lenient, frozen=True):
    category: str = ""
    details: str = ""
    product_ids: tuple[str, ...] | None = None
    group_ids: tuple[str, ...] | None = None


class _Vulnerability(_Lenient, frozen=True):
    cve: str | None = None
    product_status: dict[str, tuple[str, ...]] | None = None
    scores: tuple[_Score, ...] | None = None
    remediations: tuple[_Remedy, ...] | None = None


class _Document(_Lenient, frozen=True):
    document: _Head
    product_tree: _Tree | None = None
    vulnerabilities: tuple[_Vulnerability, ...] | None = None


_DOCUMENT: Final = msgspec.json.Decoder(_Document)


def load(folder: Path, progress: Callable[[int], None] = lambda _: None, today: date | None = None) -> Library:
    """Read every document of a folder or archive. Raises UsageError when there is nothing to read.

    A release date after `today` does not make the advisories newer than they are.
    """
    rows: list[Row] = []
    told: list[str] = []
    newest, count = "", 0
    for name, body in _documents(folder, told):
        try:
            found, released = _rows(_decoded(body))
        except (ValueError, RecursionError) as error:
            told.append(f"{name} is no CSAF 2.0 advisory and was left out: {error}")
            continue
        rows += found
        count += 1
        if wrong := _undated(released, today):
            told.append(f"{name}: document.tracking.current_release_date {wrong}; it does not count for their age")
        else:
            newest = max(newest, released)
        progress(count)
    if not count:
        msg = f"{folder} holds no CSAF advisory; give the folder of .json files, or a .zip or .tar.xz of them"
        raise UsageError(msg + "".join(f"\n    {line}" for line in told[:3]))
    return Library(rows, count, newest, tuple(told))


def _decoded(body: bytes) -> _Document:
    """Raises ValueError with the place and what stands there."""
    try:
        found = _DOCUMENT.decode(body)
    except msgspec.ValidationError as error:
        raise ValueError(_placed(str(error))) from error
    except msgspec.DecodeError as error:
        msg = f"it is no JSON ({error})"
        raise ValueError(msg) from error
    if not found.document.csaf_version.startswith(_READ):
        msg = f"document.csaf_version is {found.document.csaf_version!r}, and 2.0 is read"
        raise ValueError(msg)
    return found


def _placed(said: str) -> str:
    """A decoder's sentence with the place first.

    >>> _placed("Object missing required field `document`"), _placed("Expected `str`, got `int` - at `$.a.id`")
    ('the field `document` is missing', 'at a.id: expected `str`, got `int`')
    """
    what, _, place = said.partition(" - at ")
    where = place.strip("`").removeprefix("$").lstrip(".")
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", what):
        return f"the field `{where}{'.' if where else ''}{missing[1]}` is missing"
    plain = what[:1].lower() + what[1:]
    return f"at {where}: {plain}" if where else plain


def _undated(released: str, today: date | None) -> str:
    """What is wrong with a date; "" when nothing is."""
    try:
        day = date.fromisoformat(released)
    except ValueError:
        return f"{released!r} is no date" if released else "is missing"
    return f"{released} lies in the future" if today and day > today else ""


def _documents(folder: Path, told: list[str]) -> Iterator[tuple[str, bytes]]:
    try:
        paths = sorted(folder.rglob("*")) if folder.is_dir() else [folder] if folder.exists() else []
    except OSError as error:
        msg = f"{folder} cannot be read: {error.strerror}"
        raise UsageError(msg) from error
    for path in paths:
        kind = path.suffix.lower()
        packed = kind in (".zip", ".tar", ".tgz", ".txz") or path.name.lower().endswith((".tar.xz", ".tar.gz"))
        if not path.is_file():
            continue
        if kind == ".json":
            yield from _plain(path, told)
        elif kind == ".zip":
            yield from _zipped(path, told)
        elif packed or not folder.is_dir():
            yield from _packed(path, told)


def _plain(path: Path, told: list[str]) -> Iterator[tuple[str, bytes]]:
    try:
        if _fits(path.name, path.stat().st_size, told):
            yield path.name, path.read_bytes()
    except OSError as error:
        told.append(f"{path.name} cannot be read: {error.strerror}")


def _fits(name: str, size: int, told: list[str]) -> bool:
    if size > _LARGEST:
        told.append(f"{name} is larger than any advisory ({size / 1e6:.0f} MB)")
    return size <= _LARGEST


def _zipped(path: Path, told: list[str]) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.filename.lower().endswith(".json") and _fits(member.filename, member.file_size, told):
                    yield member.filename, archive.read(member)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        told.append(f"{path.name} cannot be read to its end: {error}")


def _packed(path: Path, told: list[str]) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if not (member.isfile() and member.name.lower().endswith(".json")):
                    continue
                stream = archive.extractfile(member) if _fits(member.name, member.size, told) else None
                if stream is not None:
                    yield member.name, stream.read()
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        plain = str(error).partition("\n")[0].rstrip(":")
        told.append(f"{path.name} cannot be read to its end: {plain}")


def _rows(found: _Document) -> tuple[list[Row], str]:
    tracking, tree = found.document.tracking, found.product_tree or _Tree()
    released = (tracking.current_release_date or tracking.initial_release_date)[:10]
    groups = {one.group_id: one.product_ids for one in tree.product_groups or ()}
    facts = _Facts(found.vulnerabilities or (), groups)
    products = [*_products(tree.branches or (), "", ""), *_named(tree.full_product_names or ())]
    products += _related(tree.relationships or (), products)
    rows = [
        Row(
            advisory=tracking.id,
            title=found.document.title,
            released=released,
            vendor=product.vendor,
            product=product.name,
            version=product.version,
            product_id=product.id,
            order_numbers=product.order_numbers,
            status=status,
            cves=tuple(facts.cves.get(product.id, ())),
            score=facts.scores.get(product.id, 0.0),
            fix=facts.fixes.get(product.id, ("", False))[0],
            patch=facts.fixes.get(product.id, ("", False))[1],
            end=product.id in facts.ends,
        )
        for product in products
        if (status := facts.status.get(product.id))
    ]
    return rows, released


class _Told(NamedTuple):
    """A product as its place in the tree says it."""

    id: str
    vendor: str
    name: str
    version: str
    order_numbers: tuple[str, ...]


def _products(branches: Sequence[_Branch], vendor: str, name: str, version: str = "") -> Iterator[_Told]:
    for branch in branches:
        kind, text = branch.category, branch.name
        below = (vendor, name, version)
        if kind == "vendor":
            below = (text, name, version)
        elif kind in ("product_version", "product_version_range"):
            below = (vendor, name, text)
        elif kind != "product_family" or not name:
            below = (vendor, f"{name} {text}".strip() if kind != "product_name" else text, version)
        if product := branch.product:
            yield _Told(product.product_id, *below, _order_numbers(product))
        yield from _products(branch.branches or (), *below)


def _named(products: Sequence[_Product]) -> Iterator[_Told]:
    for product in products:
        yield _Told(product.product_id, "", product.name, "", _order_numbers(product))


def _related(relationships: Sequence[_Relationship], products: Sequence[_Told]) -> Iterator[_Told]:
    """One product on another: the maker, order numbers and the version of either; of two versions neither is sure."""
    known = {one.id: one for one in products}
    for one in relationships:
        both = [known[name] for name in (one.product_reference, one.relates_to_product_reference) if name in known]
        versions = {each.version for each in both if each.version}
        yield _Told(
            one.full_product_name.product_id,
            next((each.vendor for each in both if each.vendor), ""),
            one.full_product_name.name or " on ".join(each.name for each in both),
            versions.pop() if len(versions) == 1 else "",
            (*_order_numbers(one.full_product_name), *(number for each in both for number in each.order_numbers)),
        )


def _order_numbers(product: _Product) -> tuple[str, ...]:
    helper = product.product_identification_helper or _Helper()
    return (*helper.model_numbers, *helper.skus)


class _Facts:
    """By product, what all vulnerabilities of a document say."""

    def __init__(self, vulnerabilities: Sequence[_Vulnerability], groups: Mapping[str, Sequence[str]]) -> None:
        self.status: dict[str, Status] = {}
        self.ends: set[str] = set()
        self.cves: dict[str, list[str]] = {}
        self.scores: dict[str, float] = {}
        self.fixes: dict[str, tuple[str, bool]] = {}
        for one in vulnerabilities:
            self._statuses(one)
            for score in one.scores or ():
                worst = _base(score.cvss_v3) or _base(score.cvss_v2)
                for product in score.products:
                    self.scores[product] = max(worst, self.scores.get(product, 0.0))
            self._remedies(one, groups)

    def _statuses(self, one: _Vulnerability) -> None:
        for said, products in (one.product_status or {}).items():
            status = _LIKE.get(said, said)
            if status not in _STATUSES:
                continue
            for product in products:
                known = self.status.get(product, status)
                self.status[product] = min(known, status, key=_STATUSES.index)
                if said in _ENDS:
                    self.ends.add(product)
                if one.cve and status in ("known_affected", "under_investigation"):
                    self.cves.setdefault(product, []).append(one.cve)

    def _remedies(self, one: _Vulnerability, groups: Mapping[str, Sequence[str]]) -> None:
        for remedy in one.remediations or ():
            patch = remedy.category in _PATCHES
            grouped = [product for group in remedy.group_ids or () for product in groups.get(group, ())]
            for product in (*(remedy.product_ids or ()), *grouped):
                if product not in self.fixes or (patch and not self.fixes[product][1]):
                    self.fixes[product] = (remedy.details, patch)


def _base(cvss: Any) -> float:  # noqa: ANN401  JSON of others
    """A score only sorts, so one that is no number is none and costs no advisory."""
    score = cvss.get("baseScore") if isinstance(cvss, dict) else None
    return float(score) if isinstance(score, int | float) else 0.0
