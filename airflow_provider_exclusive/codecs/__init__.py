"""Encode values to bytes and decode them to exactly the same type."""
