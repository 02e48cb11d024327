"""Names of what a trial reports to a scheduler."""

ROUNDS = "rounds"
"""Rounds done."""

FIGURE = "figure"
"""The best figure so far."""
