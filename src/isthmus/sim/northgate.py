"""Northgate Works: the plant of the demonstration. Eight machines on two lines, six products.

Line A cuts metal on three OPC UA machining centres and an MTConnect mill; line B presses, paints and
packs covers behind two Modbus controllers, a PackML paint line and a Modbus packing cell.
"""

from __future__ import annotations

from typing import Final

import msgspec

from isthmus.sim.world import MachineSpec, Work

NAME: Final = "Northgate Works"
PATH: Final = "acme/northgate"
ZONE: Final = "Europe/London"


class Article(msgspec.Struct, frozen=True, kw_only=True):
    """A product, the machines that make it and its ideal cycle, seconds a piece."""

    code: str
    name: str
    machines: tuple[str, ...]
    cycle_s: float
    material: str
    material_kg: float


MACHINES: Final = (
    MachineSpec(
        name="cnc-01",
        path="machining/line-a/cnc-01",
        protocol="opcua",
        scrap=0.02,
        breakdown=0.002,
        alarms=("F0457 spindle drive", "F0120 coolant low"),
    ),
    MachineSpec(
        name="cnc-02",
        path="machining/line-a/cnc-02",
        protocol="opcua",
        scrap=0.03,
        micro_stop=0.08,
        breakdown=0.006,
        breakdown_s=240.0,
        alarms=("F0811 tool broken", "F1031 door interlock"),
        slower=1.12,
    ),
    MachineSpec(
        name="cnc-03",
        path="machining/line-a/cnc-03",
        protocol="opcua",
        scrap=0.03,
        breakdown=0.008,
        breakdown_s=300.0,
        alarms=("F0457 spindle drive",),
        slower=1.15,
    ),
    MachineSpec(
        name="mill-04", path="machining/line-a/mill-04", protocol="mtconnect", setup_s=14.0, alarms=("E221 axis",)
    ),
    MachineSpec(
        name="press-1", path="forming/line-b/press-1", protocol="modbus", micro_stop=0.04, alarms=("LIGHT CURTAIN",)
    ),
    MachineSpec(
        name="press-2",
        path="forming/line-b/press-2",
        protocol="modbus",
        micro_stop=0.06,
        breakdown=0.004,
        breakdown_s=180.0,
        alarms=("HYDRAULICS", "LIGHT CURTAIN"),
        slower=1.10,
    ),
    MachineSpec(
        name="paint",
        path="finishing/line-b/paint",
        protocol="opcua",
        scrap=0.01,
        micro_stop=0.01,
        alarms=("OVEN TEMP",),
    ),
    MachineSpec(
        name="pack", path="finishing/line-b/pack", protocol="modbus", scrap=0.0, micro_stop=0.12, alarms=("FILM END",)
    ),
)

ARTICLES: Final = (
    Article(
        code="SHAFT-20",
        name="Shaft 20 mm",
        machines=("cnc-01", "cnc-02"),
        cycle_s=6.0,
        material="STEEL-BAR",
        material_kg=0.8,
    ),
    Article(
        code="FLANGE-40",
        name="Flange 40",
        machines=("cnc-02", "cnc-01"),
        cycle_s=6.5,
        material="STEEL-BAR",
        material_kg=1.1,
    ),
    Article(
        code="HOUSING-7", name="Housing 7", machines=("cnc-03",), cycle_s=7.5, material="ALU-BLOCK", material_kg=1.6
    ),
    Article(
        code="BRACKET-3", name="Bracket 3", machines=("mill-04",), cycle_s=7.0, material="ALU-BLOCK", material_kg=0.5
    ),
    Article(
        code="COVER-R",
        name="Cover right",
        machines=("press-1", "press-2"),
        cycle_s=3.0,
        material="SHEET",
        material_kg=0.4,
    ),
    Article(
        code="COVER-L",
        name="Cover left",
        machines=("press-2", "press-1"),
        cycle_s=3.0,
        material="SHEET",
        material_kg=0.4,
    ),
    Article(
        code="COVER-SET", name="Painted cover set", machines=("paint",), cycle_s=5.0, material="PAINT", material_kg=0.05
    ),
    Article(code="KIT-1", name="Packed kit", machines=("pack",), cycle_s=4.0, material="FILM", material_kg=0.02),
)

REASONS: Final = (
    ("TOOL", "Tool change or tool broken", ("F0811 tool broken",), False),
    ("DRIVE", "Spindle drive", ("F0457 spindle drive",), False),
    ("COOLANT", "Coolant", ("F0120 coolant low",), False),
    ("DOOR", "Door or light curtain", ("F1031 door interlock", "LIGHT CURTAIN"), False),
    ("HYDRAULICS", "Hydraulics", ("HYDRAULICS",), False),
    ("MATERIAL", "Waiting for material", ("FILM END",), False),
    ("QUALITY", "Quality check", (), False),
    ("MEETING", "Shift meeting", (), True),
    ("CLEANING", "Planned cleaning", (), True),
)
"""code, name on the button, the machines' own stop codes that mean it, planned"""


def work(order: str, article: Article, quantity: int) -> Work:
    """An order for a machine's operator, with the lot that it makes and the lot of material that was brought."""
    return Work(
        order=order,
        product=article.code,
        quantity=quantity,
        cycle_s=article.cycle_s,
        lot=f"L{order}",
        material_lot=f"{article.material[:3]}-{int(order) % 7 + 101}",
    )


_CYCLES = {"cnc": 36.0, "mill": 42.0, "press": 18.0, "paint": 30.0, "pack": 24.0}


def past_cycle_s(machine: MachineSpec) -> float:
    """Ideal seconds a piece of what a machine made in the past, slower than the story so that a week stays small."""
    return _CYCLES[machine.name.partition("-")[0]]
