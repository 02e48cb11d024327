"""Keeping a table in shape: fewer and larger files, and none that nobody needs."""
