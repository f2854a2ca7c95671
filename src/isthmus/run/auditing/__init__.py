"""Joins the asset audit with captures, listening, plant file, site and pages."""
