"""Decided answers as a CSAF VEX document (CSAF 2.0 profile 5, csaf_vex), for other tools to read.

Only what a person decided is told; an answer that this software found by itself is not a statement of the plant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from isthmus import __version__
from isthmus.assets.advisories import Decided
from isthmus.model.records.assets import Advice, AssetAdvised, AssetKnown
from isthmus.model.time import iso

STATUSES: Final = ("known_affected", "known_not_affected", "fixed", "under_investigation")
_JUSTIFIED: Final = "impact"
_CVE: Final = re.compile(r"CVE-[0-9]{4}-[0-9]{4,}")
"""As CSAF 2.0, 3.2.3.2 has it; what is otherwise is another's id."""


def left_out(
    assets: Sequence[AssetKnown],
    advised: Mapping[str, AssetAdvised],
    decided: Mapping[tuple[str, str], Decided],
) -> list[str]:
    """The decisions that no document tells, with the reason, a sentence each."""
    names = {asset.path.rpartition("/")[2]: asset.best("name") or asset.best("address") for asset in assets}
    out = []
    for (asset_id, advisory), decision in sorted(decided.items()):
        called = f"the decision on {advisory} for {names.get(asset_id) or asset_id} is left out"
        if not decision.stands:
            out.append(f"{called}: its model or firmware is another since; decide anew")
        elif _advice(advised.get(asset_id), advisory) is None:
            out.append(f"{called}: the advisories that were held last do not speak of it")
    return out


def _advice(answer: AssetAdvised | None, advisory: str) -> Advice | None:
    return next((one for one in answer.advices if one.advisory == advisory), None) if answer else None


def vex(  # noqa: PLR0913, PLR0917  what there is, what is known of it and what was decided
    plant: str,
    name: str,
    assets: Sequence[AssetKnown],
    advised: Mapping[str, AssetAdvised],
    decided: Mapping[tuple[str, str], Decided],
    now_ns: int,
    namespace: str = "",
) -> dict[str, Any]:
    """The document. Raises ValueError when nothing was decided: CSAF knows no empty VEX.

    Its version counts the decisions, and its history names each: the same decisions are the same version.
    """
    by_id = {asset.path.rpartition("/")[2]: asset for asset in assets}
    products: dict[str, dict[str, Any]] = {}
    found: dict[str, dict[str, Any]] = {}
    for (asset_id, advisory), decision in sorted(decided.items()):
        asset, advice = by_id.get(asset_id), _advice(advised.get(asset_id), advisory)
        if asset is None or advice is None or decision.status not in STATUSES or not decision.stands:
            continue
        products[asset_id] = _product(asset_id, asset)
        for cve in advice.cves or (advisory,):
            _state(found.setdefault(cve, _vulnerability(cve, advice.title)), asset_id, decision)
    if not products:
        msg = "no answer has been decided yet; decide some with isthmus audit advisories --decide"
        raise ValueError(msg)
    made = sorted((said_ns, *key, status) for key, one in decided.items() for said_ns, status in one.past)
    history = [
        {"date": iso(said_ns), "number": str(number), "summary": f"{advisory} on {asset_id}: {status}"}
        for number, (said_ns, asset_id, advisory, status) in enumerate(made, 1)
    ]
    return {
        "document": {
            "category": "csaf_vex",
            "csaf_version": "2.0",
            "lang": "en",
            "title": f"What {name} decided on advisories of its assets",
            "publisher": {"category": "user", "name": name, "namespace": namespace or f"urn:isthmus:{plant}"},
            "tracking": {
                "id": f"vex-{plant.replace('/', '-')}",
                "status": "final",
                "version": history[-1]["number"],
                "initial_release_date": history[0]["date"],
                "current_release_date": history[-1]["date"],
                "revision_history": history,
                "generator": {"date": iso(now_ns), "engine": {"name": "Isthmus", "version": __version__}},
            },
        },
        "product_tree": {"full_product_names": [products[key] for key in sorted(products)]},
        "vulnerabilities": [found[key] for key in sorted(found)],
    }


def _product(asset_id: str, asset: AssetKnown) -> dict[str, Any]:
    parts = (asset.best("maker"), asset.best("model"), asset.best("firmware"))
    told = {"product_id": asset_id, "name": " ".join(part for part in parts if part) or asset_id}
    helper = {"serial_numbers": [asset.best("serial")]} if asset.best("serial") else {}
    helper |= {"model_numbers": [asset.best("model")]} if asset.best("model") else {}
    return {**told, "product_identification_helper": helper} if helper else told


def _vulnerability(cve: str, title: str) -> dict[str, Any]:
    named = {"cve": cve} if _CVE.fullmatch(cve) else {"ids": [{"system_name": "advisory", "text": cve}]}
    return {**named, "notes": [{"category": "summary", "text": title or cve}], "product_status": {}}


def _state(vulnerability: dict[str, Any], product: str, decision: Decided) -> None:
    """A status, with what the VEX profile asks for: a reason when not affected, an action when affected."""
    stated = vulnerability["product_status"].setdefault(decision.status, [])
    if product not in stated:
        stated.append(product)
    if decision.status == "known_not_affected":
        vulnerability.setdefault("threats", []).append(
            {"category": _JUSTIFIED, "details": decision.reason, "product_ids": [product]}
        )
    elif decision.status == "known_affected":
        vulnerability.setdefault("remediations", []).append(
            {"category": "mitigation", "details": decision.reason, "product_ids": [product]}
        )
