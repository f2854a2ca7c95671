"""One file per page: its address, its live parts and the acts that are done on it."""
