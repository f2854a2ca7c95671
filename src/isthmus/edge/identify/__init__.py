"""Safe active identification: one file per protocol, read-only requests from a compiled-in list."""
