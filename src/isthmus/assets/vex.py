"""Decided answers as a CSAF VEX document (CSAF 2.0 profile 5, csaf_vex), for other tools to read.

Only what a person decided is told; an answer that this software found by itself is not a statement of the plant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from isthmus.assets.advisories import Decided
from isthmus.model.records.assets import AssetAdvised, AssetKnown
from isthmus.model.time import iso

STATUSES: Final = ("known_affected", "known_not_affected", "fixed", "under_investigation")
_JUSTIFIED: Final = "impact"
_CVE: Final = re.compile(r"CVE-[0-9]{4}-[0-9]{4,}")
"""As CSAF 2.0, 3.2.3.2 has it; what is otherwise is another's id."""


def vex(  # noqa: PLR0913, PLR0917  what there is, what is known of it and what was decided
    plant: str,
    name: str,
    assets: Sequence[AssetKnown],
    advised: Mapping[str, AssetAdvised],
    decided: Mapping[tuple[str, str], Decided],
    now_ns: int,
) -> dict[str, Any]:
    """The document. Raises ValueError when nothing was decided: CSAF knows no empty VEX."""
    by_id = {asset.path.rpartition("/")[2]: asset for asset in assets}
    products: dict[str, dict[str, Any]] = {}
    found: dict[str, dict[str, Any]] = {}
    for (asset_id, advisory), decision in sorted(decided.items()):
        asset, answer = by_id.get(asset_id), advised.get(asset_id)
        if asset is None or answer is None or decision.status not in STATUSES:
            continue
        advice = next((one for one in answer.advices if one.advisory == advisory), None)
        if advice is None:
            continue
        products[asset_id] = _product(asset_id, asset)
        for cve in advice.cves or (advisory,):
            _state(found.setdefault(cve, _vulnerability(cve, advice.title)), asset_id, decision)
    if not products:
        msg = "no answer has been decided yet; decide some with isthmus audit advisories --decide"
        raise ValueError(msg)
    when = iso(now_ns)
    return {
        "document": {
            "category": "csaf_vex",
            "csaf_version": "2.0",
            "lang": "en",
            "title": f"What {name} decided on advisories of its assets",
            "publisher": {"category": "user", "name": name, "namespace": "https://example.invalid/"},
            "tracking": {
                "id": f"vex-{plant.replace('/', '-')}",
                "status": "final",
                "version": "1",
                "initial_release_date": when,
                "current_release_date": when,
                "revision_history": [{"date": when, "number": "1", "summary": "As decided"}],
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
