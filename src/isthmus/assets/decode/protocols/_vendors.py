"""Makers by the numbers that their organisations gave them; those met in plants, no more.

Sources: ODVA vendor ids; ASHRAE's BACnet vendor ids; PROFIBUS & PROFINET International's manufacturer
ids; FieldComm Group's manufacturer codes. A number that does not stand here is said as a number.
"""

from __future__ import annotations

from typing import Final

CIP: Final = {
    1: "Rockwell Automation", 3: "Honeywell", 4: "Parker Hannifin", 5: "Rockwell Automation", 7: "SMC", 8: "Molex",
    12: "Banner Engineering", 13: "Belden", 26: "Festo", 37: "Yaskawa", 40: "WAGO", 43: "Balluff", 44: "Yaskawa",
    46: "ABB", 47: "Omron", 48: "Turck", 57: "Pepperl+Fuchs", 58: "Spectrum Controls", 68: "Eaton",
    71: "Toshiba", 75: "ABB", 77: "Rockwell Software", 82: "Mitsubishi Electric", 90: "HMS Industrial Networks",
    97: "Danfoss", 100: "Bosch Rexroth", 108: "Beckhoff", 121: "KUKA", 145: "Siemens", 161: "Mitsubishi Electric",
    176: "Red Lion Controls", 243: "Schneider Electric", 246: "Brooks Instrument", 255: "Bosch Rexroth", 256: "Turck",
    283: "Hilscher", 287: "Bosch Rexroth", 309: "ProSoft Technology", 315: "SEW-Eurodrive", 322: "ifm", 326: "GE Fanuc",
    345: "Endress+Hauser", 356: "Fanuc", 367: "Keyence", 445: "Lenze", 511: "SICK", 562: "Phoenix Contact",
    591: "Fanuc", 593: "ABB", 620: "Parker Hannifin", 634: "Hirschmann", 640: "Murrelektronik", 678: "Cognex",
    680: "Weidmüller", 722: "ABB", 808: "SICK", 862: "Siemens", 939: "Cisco", 991: "Moxa", 1015: "Weidmüller",
}  # fmt: skip

BACNET: Final = {
    2: "Trane", 3: "Daikin Applied", 5: "Johnson Controls", 6: "ABB", 7: "Siemens", 8: "Delta Controls", 9: "Siemens",
    10: "Schneider Electric", 11: "TAC", 14: "Cimetrics", 16: "Carrier", 17: "Honeywell", 18: "Alerton", 19: "TAC",
    22: "Siemens", 23: "York", 24: "Automated Logic", 26: "Phoenix Controls", 28: "KMC Controls",
    35: "Reliable Controls", 36: "Tridium", 39: "Kieback & Peter", 50: "MBS", 53: "Daikin", 56: "Liebert", 77: "Carel",
    80: "Sauter", 85: "Yamatake", 89: "Saia-Burgess", 105: "Priva", 109: "Neuberger", 113: "Vertiv", 127: "ABB",
    133: "Veris Industries", 141: "Yaskawa", 160: "Rockwell Automation", 178: "Loytec", 190: "Danfoss", 191: "Eaton",
    197: "Bosch", 222: "WAGO", 226: "Phoenix Contact", 227: "Grundfos", 245: "Contemporary Control Systems",
    246: "HMS Industrial Networks", 251: "Wilo", 284: "Belimo", 313: "Siemens", 332: "Distech Controls",
    335: "Schneider Electric", 364: "Distech Controls", 389: "Chipkin", 415: "Beckhoff",
}  # fmt: skip

PROFINET: Final = {0x002A: "Siemens", 0x00B0: "Phoenix Contact", 0x011D: "WAGO", 0x0120: "Beckhoff"}

HART: Final = {
    0x11: "Endress+Hauser", 0x17: "Honeywell", 0x1F: "Micro Motion", 0x26: "Rosemount", 0x2A: "Siemens",
    0x37: "Yokogawa", 0x3E: "VEGA", 0x5D: "Pepperl+Fuchs",
}  # fmt: skip
