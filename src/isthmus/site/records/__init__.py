"""The log of records, and the tables that are folded from it."""
