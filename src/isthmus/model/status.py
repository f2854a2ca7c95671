"""What a sample is worth: the OPC UA StatusCode (OPC UA Part 4, 7.39; codes of Part 6, annex A).

A status is an unsigned 32-bit number. Its two top bits are the severity:
00 Good, 01 Uncertain, 10 Bad. Every protocol's own errors are mapped to it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

GOOD: Final = 0x00000000
UNCERTAIN: Final = 0x40000000
UNCERTAIN_LAST_USABLE_VALUE: Final = 0x40900000
UNCERTAIN_SENSOR_NOT_ACCURATE: Final = 0x40930000
UNCERTAIN_ENGINEERING_UNITS_EXCEEDED: Final = 0x40940000
BAD: Final = 0x80000000
BAD_UNEXPECTED: Final = 0x80010000
BAD_COMMUNICATION_ERROR: Final = 0x80050000
BAD_TIMEOUT: Final = 0x800A0000
BAD_NO_COMMUNICATION: Final = 0x80310000
BAD_WAITING_FOR_INITIAL_DATA: Final = 0x80320000
BAD_NODE_ID_INVALID: Final = 0x80330000
BAD_NODE_ID_UNKNOWN: Final = 0x80340000
BAD_NOT_READABLE: Final = 0x803A0000
BAD_OUT_OF_RANGE: Final = 0x803C0000
BAD_NOT_FOUND: Final = 0x803E0000
BAD_TYPE_MISMATCH: Final = 0x80740000
BAD_CONFIGURATION_ERROR: Final = 0x80890000
BAD_NOT_CONNECTED: Final = 0x808A0000
BAD_DEVICE_FAILURE: Final = 0x808B0000
BAD_SENSOR_FAILURE: Final = 0x808C0000
BAD_OUT_OF_SERVICE: Final = 0x808D0000
BAD_NO_DATA: Final = 0x809B0000
BAD_DATA_LOST: Final = 0x809D0000

_SEVERITY: Final = 0xC0000000

_WORDS: Final = {
    GOOD: "Good",
    UNCERTAIN: "Uncertain",
    UNCERTAIN_LAST_USABLE_VALUE: "Uncertain · last usable value",
    UNCERTAIN_SENSOR_NOT_ACCURATE: "Uncertain · sensor not accurate",
    UNCERTAIN_ENGINEERING_UNITS_EXCEEDED: "Uncertain · outside its range",
    BAD: "Bad",
    BAD_UNEXPECTED: "Bad · unexpected error",
    BAD_COMMUNICATION_ERROR: "Bad · communication error",
    BAD_TIMEOUT: "Bad · no answer in time",
    BAD_NO_COMMUNICATION: "Bad · no communication",
    BAD_WAITING_FOR_INITIAL_DATA: "Bad · waiting for the first value",
    BAD_NODE_ID_INVALID: "Bad · address is not valid",
    BAD_NODE_ID_UNKNOWN: "Bad · the device has no such address",
    BAD_NOT_READABLE: "Bad · not readable",
    BAD_OUT_OF_RANGE: "Bad · out of range",
    BAD_NOT_FOUND: "Bad · not found",
    BAD_TYPE_MISMATCH: "Bad · another type than declared",
    BAD_CONFIGURATION_ERROR: "Bad · configuration error",
    BAD_NOT_CONNECTED: "Bad · not connected",
    BAD_DEVICE_FAILURE: "Bad · device failure",
    BAD_SENSOR_FAILURE: "Bad · sensor failure",
    BAD_OUT_OF_SERVICE: "Bad · out of service",
    BAD_NO_DATA: "Bad · no data",
    BAD_DATA_LOST: "Bad · data lost",
}


def is_good(status: int) -> bool:
    """True for severity Good, whatever the information bits say."""
    return status & _SEVERITY == GOOD


def is_bad(status: int) -> bool:
    """True for severity Bad: there is no usable value."""
    return bool(status & BAD)


def good_mask(status: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which of `status`, shape (samples,), are Good."""
    return (status & np.uint32(_SEVERITY)) == 0


def bad_mask(status: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which of `status`, shape (samples,), are Bad."""
    return (status & np.uint32(BAD)) != 0


def words(status: int) -> str:
    """The status as a person reads it, for example "Bad · sensor failure".

    >>> words(0x808C0000)
    'Bad · sensor failure'
    >>> words(0x80FF0000)
    'Bad · code 0x80FF0000'
    """
    code = status & 0xFFFF0000
    if code in _WORDS:
        return _WORDS[code]
    severity = "Bad" if is_bad(status) else "Good" if is_good(status) else "Uncertain"
    return f"{severity} · code 0x{status:08X}"
