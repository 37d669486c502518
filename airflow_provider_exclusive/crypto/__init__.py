"""Keys, and the sealing of values and data keys."""
