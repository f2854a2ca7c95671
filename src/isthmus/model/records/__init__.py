"""Every fact that may travel: one class per kind, each with exactly one emitter.

A module in this folder is found by itself; nothing is listed anywhere. A new kind needs a page in
docs/decisions. A kind may gain a field at its end with a default; no field ever changes its meaning.
"""

from isthmus.model.records.base import Key, Record, decode, encode, kinds

__all__ = ["Key", "Record", "decode", "encode", "kinds"]
