"""One file per business system, found by itself. To add one, copy `tryton.py`; edit nothing else."""
