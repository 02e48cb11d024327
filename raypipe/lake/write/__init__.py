"""From data to committed files."""
