"""One file per protocol, found by itself; the contract is `Decoder` in `decode/said.py`."""
