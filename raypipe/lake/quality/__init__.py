"""What rows must be, and what happens to those that are not."""
