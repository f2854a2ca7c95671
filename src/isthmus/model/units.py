"""Units are resolved once, at configuration time, to a factor and an offset.

History keeps what the device said, in the device's unit. A reader that wants another unit asks here
for a `Conversion` and multiplies whole columns by it; nothing is converted sample by sample.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PLAIN: Final = {"", "1", "pcs", "pieces", "count"}
_SPELLINGS: Final = {
    "%": "percent",
    "°C": "degC",
    "°F": "degF",
    "rpm": "1 / minute",
    "1/min": "1 / minute",
    "m3": "m ** 3",
    "m³": "m ** 3",
    "m3/h": "m ** 3 / hour",
    "m³/h": "m ** 3 / hour",
    "Nm": "newton * meter",
    "mm/s2": "mm / s ** 2",
    "mm/s²": "mm / s ** 2",
    "m/s2": "m / s ** 2",
    "m/s²": "m / s ** 2",
    "var": "volt_ampere",
    "kvar": "kilovolt_ampere",
}


class Conversion(msgspec.Struct, frozen=True):
    """`wanted = given * factor + offset`."""

    factor: float
    offset: float = 0.0

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert a column, shape (samples,)."""
        return values * self.factor + self.offset


class UnitMistake(ValueError):
    """A unit is unknown, or two units measure different things."""


@cache
def _registry() -> Any:  # noqa: ANN401  pint's registry type is made at run time
    try:
        import pint  # noqa: PLC0415  0.6 s to start, and not installed on a bare edge
    except ModuleNotFoundError as error:
        msg = "units are converted on the site; install isthmus[site] to check them here"
        raise UnitMistake(msg) from error
    return pint.UnitRegistry(autoconvert_offset_to_baseunit=True)


@cache
def resolve(given: str, wanted: str) -> Conversion:
    """How to turn `given` into `wanted`.

    >>> resolve("kWh", "J")
    Conversion(factor=3600000.0, offset=0.0)

    Raises UnitMistake, in a plant engineer's words, when either is unknown or they do not agree.
    """
    if given == wanted or (given in _PLAIN and wanted in _PLAIN):
        return Conversion(1.0)
    registry = _registry()
    source, target = (_known(registry, unit) for unit in (given, wanted))
    if source.dimensionality != target.dimensionality:
        msg = f"{given!r} cannot become {wanted!r}: they measure different things"
        raise UnitMistake(msg)
    zero, one = (registry.Quantity(value, source).to(target).magnitude for value in (0.0, 1.0))
    return Conversion(float(one - zero), float(zero))


def check_unit(unit: str) -> None:
    """Raise UnitMistake when nobody knows the unit."""
    if unit not in _PLAIN:
        _known(_registry(), unit)


def _known(registry: Any, unit: str) -> Any:  # noqa: ANN401  see _registry
    spelled = _SPELLINGS.get(unit, unit) if unit not in _PLAIN else "dimensionless"
    try:
        return registry.Unit(spelled)
    except Exception as error:
        msg = f"no unit is called {unit!r}; write it as kW, kWh, °C, bar, mm/s, rpm, % or pcs"
        raise UnitMistake(msg) from error
