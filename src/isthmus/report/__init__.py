"""Paper from the same queries as the pages."""
