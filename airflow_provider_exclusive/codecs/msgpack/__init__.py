"""The default codec."""
