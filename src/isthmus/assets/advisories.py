"""Holds advisories against the record: affected, not affected, unknown, or no data. Never "safe".

The order number decides first; where none matches, the product family does, with less certainty: it may
say "affected" or "unknown", never "not affected". What a device has not said of itself by a protocol,
a list or a person (its network card's maker, a filler) is not matched at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from isthmus.assets import proposed
from isthmus.assets.addresses import Places
from isthmus.assets.csaf import Library, Row
from isthmus.assets.keys import maker_key, meaningful, squeezed
from isthmus.assets.versions import affected, names_single_versions
from isthmus.model.inventory import digest
from isthmus.model.records.assets import Advice, Answer, AssetAdvised, AssetDecided, AssetKnown

_SHORTEST_ORDER: Final = 6
_SURE_ENOUGH: Final = 0.6
_WORST: Final[tuple[Answer, ...]] = ("affected", "unknown", "not affected", "no data")
_FAMILIES: Final = (
    (r"^6ES721", "S7-1200"),
    (r"^6ES722", "S7-200"),
    (r"^6ES731", "S7-300"),
    (r"^6ES7(40|41)", "S7-400"),
    (r"^6ES751", "S7-1500"),
    (r"^6ES7151", "ET 200S"),
    (r"^6ED1", "LOGO"),
    (r"^6AV2", "SIMATIC HMI"),
)
"""What the first signs of an order number stand for, where the family's name is not in it."""
_ANY_LETTER: Final = "[A-Z0-9]{1,4}"
_LONGEST_FIX: Final = 400
_SIEMENS: Final = re.compile(r"\b6[A-Z]{2}\d ?\d{3}-?\w{5}-?\w{4}\b")
"""A whole order number: a row that names another one does not speak of this device's family."""


def advise(
    asset: AssetKnown, library: Library | None, matcher: Matcher | None = None, places: Places | None = None
) -> AssetAdvised:
    """The answer for one asset, with zones as `places` has them. Its `time_ns` is 0 until it is logged."""
    subject = subject_of(asset)
    if library is None or not library.documents:
        return AssetAdvised(path=asset.path, time_ns=0, answer="no data", newest="", of=subject.digest)
    found, certain = (matcher or Matcher(library)).rows(subject)
    version = subject.firmware
    advices = tuple(sorted(_advices(found, version, certain=certain), key=_order))
    answer: Answer = min((one.answer for one in advices), key=_WORST.index, default="no data")
    return AssetAdvised(
        path=asset.path,
        time_ns=0,
        answer=answer,
        newest=library.newest,
        advices=advices,
        conduit=_conduit(asset, advices, places or Places()),
        of=subject.digest,
    )


class Subject(NamedTuple):
    """What of an asset an advisory is held against."""

    maker: str
    models: tuple[str, ...]
    families: tuple[str, ...]
    firmware: str

    @property
    def digest(self) -> str:
        """Its name: an answer for one subject is none for another."""
        return digest(self.maker, *self.models, "families", *self.families, "firmware", self.firmware)


def subject_of(asset: AssetKnown) -> Subject:
    """What the asset says of itself surely enough. Its firmware counts however it is known."""
    sure = [field for field in asset.fields if field.confidence >= _SURE_ENOUGH and meaningful(field.value)]
    models = tuple(dict.fromkeys(field.value for field in sure if field.name in ("model", "order_number")))
    families = tuple(dict.fromkeys(field.value for field in sure if field.name == "family"))
    maker = maker_key(next((field.value for field in sure if field.name == "maker"), ""))
    return Subject(maker, models, families, asset.best("firmware"))


class Matcher:
    """Finds the rows of a model; each model is looked for once."""

    def __init__(self, library: Library) -> None:
        self._rows = [(row, _haystack(row), maker_key(row.vendor)) for row in library.rows]
        self._wild = [(row, pattern, maker) for row, _, maker in self._rows for pattern in _wildcards(row)]
        self._known: dict[tuple[str, tuple[str, ...], tuple[str, ...]], tuple[list[Row], bool]] = {}

    def rows(self, subject: Subject) -> tuple[list[Row], bool]:
        """The rows that speak of it, and whether by its order number."""
        key = subject[:3]
        if key not in self._known:
            self._known[key] = self._find(*key)
        return self._known[key]

    def _find(self, maker: str, models: Sequence[str], families: Sequence[str]) -> tuple[list[Row], bool]:
        exact = {id(row): row for model in models for row in self._by_order(maker, model)}
        if exact:
            return list(exact.values()), True
        names = [name for model in models for name in _families(model)] + list(families)
        if not maker:
            return [], False
        return [
            row
            for row, text, vendor in self._rows
            if maker == vendor and any(_stands_in(name, text) for name in names) and not _SIEMENS.search(text)
        ], False

    def _by_order(self, maker: str, model: str) -> list[Row]:
        """By the whole order number; where no row has it, by that without its series."""
        for order in _orders(model):
            found = [row for row, text, vendor in self._rows if _may_be(maker, vendor) and _stands_in(order, text)]
            bare = squeezed(order)
            found += [row for row, pattern, vendor in self._wild if _may_be(maker, vendor) and pattern.fullmatch(bare)]
            if found:
                return found
        return []


def _haystack(row: Row) -> str:
    return " ".join([row.product, *row.order_numbers]).upper()


def _may_be(maker: str, vendor: str) -> bool:
    return not maker or not vendor or maker == vendor


def _orders(model: str) -> Iterator[str]:
    """What of a model's text may be an order number, with and without its series letter."""
    text = model.upper().split(",", maxsplit=1)[0].strip()
    siemens = _SIEMENS.search(text)
    candidates = [siemens[0]] if siemens else [text]
    if " " in text and not siemens:
        candidates.append(text.split(" ")[0])
    for one in candidates:
        for order in (one, one.split("/")[0]):
            if len(squeezed(order)) >= _SHORTEST_ORDER and re.search(r"\d", order) and re.search(r"[A-Z-]", order):
                yield order


def _families(model: str) -> Iterator[str]:
    text = model.upper()
    for pattern, family in _FAMILIES:
        if re.match(pattern, squeezed(text)):
            yield family.upper()
    head = re.split(r"[\s/]", text)[0]
    first = head.split("-")[0]
    for name in (head, first):
        if re.search(r"\d", name) and re.search(r"[A-Z]", name) and len(name) >= 4:  # noqa: PLR2004  a name of three letters is too little
            yield name
    if text.startswith(("SCALANCE ", "MODICON ", "SIMATIC ", "SINAMICS ")) and len(text.split()) > 1:
        yield " ".join(text.split()[:2])
    if re.match(r"140 ?CPU", text):
        yield "QUANTUM"


def _stands_in(name: str, text: str) -> bool:
    """Whether a name stands in a text as a whole: X212-2 is not X212-2LD. Blanks and dashes do not count."""
    pieces = [re.escape(piece) for piece in re.findall(r"[A-Z0-9]+|[^A-Z0-9\s-]", name)]
    return bool(pieces) and re.search(rf"(?<![A-Z0-9]){'[ -]*'.join(pieces)}(?![A-Z0-9]|-\w)", text) is not None


def _wildcards(row: Row) -> Iterator[re.Pattern[str]]:
    """Order numbers of an advisory with x, y, z or * for any letter, as patterns over squeezed ones."""
    for text in (*row.order_numbers, *re.findall(r"[\w*]+(?:[-/ ][\w*]+)*", row.product)):
        if (
            len(squeezed(text)) >= _SHORTEST_ORDER
            and re.search(r"[A-Z0-9-][xyz*]+", text)
            and re.match(r"[A-Z0-9]{3}", text)
        ):
            head = re.match(r"[A-Z0-9xyz*/ -]+", text)
            if head and head[0] == text and re.search(r"\d", text):
                bare = re.sub(r"[\s/-]", "", text)
                yield re.compile(re.sub(r"[xyz*]+", lambda found: _wild(found[0]), bare))


def _wild(signs: str) -> str:
    return _ANY_LETTER if len(signs) == 1 else f"[A-Z0-9]{{{len(signs)}}}"


def _advices(rows: Iterable[Row], version: str, *, certain: bool) -> Iterator[Advice]:
    for row in rows:
        answer, why = _answer(row, version, certain=certain)
        yield Advice(
            advisory=row.advisory,
            title=row.title,
            answer=answer,
            why=why,
            product=row.product,
            product_id=row.product_id,
            version=row.version,
            certain=certain,
            cves=row.cves,
            score=row.score,
            fix=row.fix[:_LONGEST_FIX],
            patch=row.patch,
            released=row.released,
        )


def _answer(row: Row, version: str, *, certain: bool) -> tuple[Answer, str]:  # noqa: PLR0911  one return per answer
    """What one row says of one version, with the reason."""
    by = "" if certain else "; only the product family matches"
    covered = affected(row.version, version) if row.version else None
    if row.status in ("fixed", "known_not_affected"):
        if covered and certain:
            return "not affected", f"the advisory says so of {row.version}"
        return "unknown", f"the advisory speaks of {row.version or 'a version not named'} as mended{by}"
    if row.status == "under_investigation":
        return "unknown", f"the maker is still looking into it{by}"
    if covered:
        return "affected", f"{row.version} covers {version or 'every version'}{by}"
    if covered is None:
        told = f"firmware {version}" if version else "the firmware is not known"
        return "unknown", f"“{row.version}” cannot be held against {told}{by}"
    if not certain:
        return "unknown", f"{version} lies outside {row.version}{by}"
    if row.end or names_single_versions(row.version):
        return "unknown", f"the advisory speaks of {row.version} alone, and not of {version}"
    return "not affected", f"{version} lies outside {row.version}"


def _order(one: Advice) -> tuple[int, float, str, str]:
    return (_WORST.index(one.answer), -one.score, one.advisory, one.product_id)


def _conduit(asset: AssetKnown, advices: Sequence[Advice], places: Places) -> str:
    """The rule that is proposed while there is no patch: one way in, for what the asset is known to serve."""
    open_ends = [one for one in advices if one.answer == "affected" and not one.patch]
    if not open_ends:
        return ""
    named = asset.best("name") or asset.best("model") or asset.path.rpartition("/")[2]
    responder = asset.zone or "control"
    return proposed.conduit(
        places,
        name=named if asset.best("name") else f"{named} {asset.best('address')}",
        initiator=proposed.supervisory(places, responder),
        responder=responder,
        protocols=(part.split(" ")[-1] for part in asset.best("ports").split(", ") if " " in part),
        purpose=f"compensates {open_ends[0].advisory}, for which there is no patch; nothing else reaches {named}",
    )


class Decided(NamedTuple):
    """What a person decided on one product of one advisory."""

    advisory: str
    product_id: str
    status: str
    reason: str
    by: str
    said_ns: int
    stands: bool
    """False where the asset's maker, model or firmware is another since: then it must be decided anew."""
    past: tuple[tuple[int, str], ...]
    """When it was decided and how, this time and each time before."""


def decisions(decided: Iterable[AssetDecided], assets: Iterable[AssetKnown]) -> Mapping[tuple[str, str], Decided]:
    """By (asset id, advisory), the newest decision, under whichever of its ids the asset was known then."""
    by_alias: dict[str, list[AssetKnown]] = {}
    for asset in assets:
        for alias in {asset.path.rpartition("/")[2], *asset.aliases}:
            by_alias.setdefault(alias, []).append(asset)
    out: dict[tuple[str, str], Decided] = {}
    for one in sorted(decided, key=lambda each: (each.said_ns, each.ordinal)):
        name, told = one.path.rpartition("/")[2], one.fields
        meant = by_alias.get(name, []) if one.decision == "advisory" and not one.gone else []
        exact = [asset for asset in meant if asset.path == one.path]
        for asset in exact or (meant if len(meant) == 1 else []):
            of, status = told.get("of", ""), told.get("status", "")
            key = (asset.path.rpartition("/")[2], told.get("advisory", ""))
            out[key] = Decided(
                told.get("advisory", ""),
                told.get("product_id", ""),
                status,
                one.reason,
                one.by,
                one.said_ns,
                not of or of == subject_of(asset).digest,
                (*(out[key].past if key in out else ()), (one.said_ns, status)),
            )
    return out
