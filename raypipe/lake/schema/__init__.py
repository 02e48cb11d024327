"""The types of a table's columns, and what a write must fit."""
