"""A table at one version."""
