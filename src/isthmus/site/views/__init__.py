"""The log folded into SQLite tables: one file per set of tables, found by itself; see site/view.py."""
