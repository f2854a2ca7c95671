"""Joins the sections of plant.toml, checks every part, and reports every mistake with its line."""
