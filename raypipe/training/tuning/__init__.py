"""Searching for settings: trials on shared data, proposed, stopped early, and written down."""
