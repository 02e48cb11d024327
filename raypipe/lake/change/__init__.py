"""From rows that change to one commit: merge, delete, update, and rows put in the place of others."""
