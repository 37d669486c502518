"""Who wrote a value and who may read it."""
