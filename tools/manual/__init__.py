"""The pages that are made from the code, each by one file here; see tools/docs.py."""
