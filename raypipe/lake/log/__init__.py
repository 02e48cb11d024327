"""The Delta log of a table: how it is read, and the one door through which it changes."""
