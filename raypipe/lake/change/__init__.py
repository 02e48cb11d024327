"""Rows that change, in one commit: merge, delete, update, and rows in the place of others."""
