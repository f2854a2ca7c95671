"""The processes: the only places that know every room."""
