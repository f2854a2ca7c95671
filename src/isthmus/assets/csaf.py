"""A folder of CSAF 2.0 advisories as rows: which product, which versions, what is known of them.

Documents lie as .json files, or packed as .tar, .tar.gz or .tar.xz. What cannot be read is told, never
skipped silently. Source: OASIS Common Security Advisory Framework 2.0, sections 3.2.2 and 3.2.3.
"""

from __future__ import annotations

import lzma
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_LARGEST: Final = 64 << 20
_PATCHES: Final = frozenset({"vendor_fix"})


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


class Library(NamedTuple):
    """All rows, and how far they reach."""

    rows: Sequence[Row]
    documents: int
    newest: str
    """Date of the newest advisory, "" without any."""
    told: tuple[str, ...]
    """Documents that could not be read, a sentence each."""


def load(folder: Path, progress: Callable[[int], None] = lambda _: None) -> Library:
    """Read every document of a folder or archive. Raises UsageError when there is nothing to read."""
    rows: list[Row] = []
    told: list[str] = []
    newest, count = "", 0
    for name, body in _documents(folder, told):
        try:
            found, released = _rows(msgspec.json.decode(body))
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            told.append(f"{name} is no CSAF advisory: {error}")
            continue
        rows += found
        newest, count = max(newest, released), count + 1
        progress(count)
    if not count:
        msg = f"{folder} holds no CSAF advisory; give the folder of .json files, or a .tar.xz of them" + "".join(
            f"\n    {line}" for line in told[:3]
        )
        raise UsageError(msg)
    return Library(rows, count, newest, tuple(told))


def _documents(folder: Path, told: list[str]) -> Iterator[tuple[str, bytes]]:
    if folder.is_dir():
        for path in sorted(folder.rglob("*")):
            if path.suffix == ".json":
                yield path.name, path.read_bytes()
            elif path.suffixes[-2:] in ([".tar", ".xz"], [".tar", ".gz"]) or path.suffix == ".tar":
                yield from _packed(path, told)
    elif folder.suffix == ".json":
        yield folder.name, folder.read_bytes()
    elif folder.exists():
        yield from _packed(folder, told)


def _packed(path: Path, told: list[str]) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if not (member.isfile() and member.name.endswith(".json")):
                    continue
                if member.size > _LARGEST:
                    told.append(f"{member.name} is larger than any advisory ({member.size / 1e6:.0f} MB)")
                    continue
                stream = archive.extractfile(member)
                if stream is not None:
                    yield member.name, stream.read()
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
        told.append(f"{path.name} cannot be read to its end: {error}")


def _rows(document: Any) -> tuple[list[Row], str]:  # noqa: ANN401  JSON of others
    head = document["document"]
    tracking = head["tracking"]
    released = str(tracking.get("current_release_date", tracking.get("initial_release_date", "")))[:10]
    facts = _Facts(document.get("vulnerabilities") or [])
    tree = document.get("product_tree") or {}
    products = [*_products(tree.get("branches") or [], "", ""), *_named(tree.get("full_product_names") or [])]
    rows = [
        Row(
            advisory=str(tracking["id"]),
            title=str(head.get("title", "")),
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
        )
        for product in products
        if (status := facts.status.get(product.id))
    ]
    return rows, released


class _Product(NamedTuple):
    id: str
    vendor: str
    name: str
    version: str
    order_numbers: tuple[str, ...]


def _products(branches: Sequence[Any], vendor: str, name: str, version: str = "") -> Iterator[_Product]:
    for branch in branches:
        kind, text = branch.get("category", ""), str(branch.get("name", ""))
        below = (vendor, name, version)
        if kind == "vendor":
            below = (text, name, version)
        elif kind in ("product_version", "product_version_range"):
            below = (vendor, name, text)
        elif kind != "product_family" or not name:
            below = (vendor, f"{name} {text}".strip() if kind != "product_name" else text, version)
        if product := branch.get("product"):
            yield _Product(product["product_id"], below[0], below[1], below[2], _order_numbers(product))
        yield from _products(branch.get("branches") or [], *below)


def _named(products: Sequence[Any]) -> Iterator[_Product]:
    for product in products:
        yield _Product(product["product_id"], "", str(product.get("name", "")), "", _order_numbers(product))


def _order_numbers(product: Any) -> tuple[str, ...]:  # noqa: ANN401  JSON of others
    helper = product.get("product_identification_helper") or {}
    return tuple(str(one) for one in (*(helper.get("model_numbers") or ()), *(helper.get("skus") or ())))


class _Facts:
    """By product, what all vulnerabilities of a document say."""

    def __init__(self, vulnerabilities: Sequence[Any]) -> None:
        self.status: dict[str, Status] = {}
        self.cves: dict[str, list[str]] = {}
        self.scores: dict[str, float] = {}
        self.fixes: dict[str, tuple[str, bool]] = {}
        for one in vulnerabilities:
            self._statuses(one)
            for score in one.get("scores") or []:
                worst = float((score.get("cvss_v3") or score.get("cvss_v2") or {}).get("baseScore", 0.0))
                for product in score.get("products") or []:
                    self.scores[product] = max(worst, self.scores.get(product, 0.0))
            self._remedies(one)

    def _statuses(self, one: Any) -> None:  # noqa: ANN401  JSON of others
        for said, products in (one.get("product_status") or {}).items():
            status = _LIKE.get(said, said)
            if status not in _STATUSES:
                continue
            for product in products:
                known = self.status.get(product, status)
                self.status[product] = min(known, status, key=_STATUSES.index)
                if one.get("cve") and status in ("known_affected", "under_investigation"):
                    self.cves.setdefault(product, []).append(one["cve"])

    def _remedies(self, one: Any) -> None:  # noqa: ANN401  JSON of others
        for remedy in one.get("remediations") or []:
            patch, text = remedy.get("category") in _PATCHES, str(remedy.get("details", ""))
            for product in remedy.get("product_ids") or []:
                if product not in self.fixes or (patch and not self.fixes[product][1]):
                    self.fixes[product] = (text, patch)
