"""A past from elsewhere: the dialects and the import."""
