"""Folds the wings over history and records, and folds again what came late."""
