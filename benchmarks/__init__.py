"""Measure what the backend costs and saves: ``make bench``, and two smaller programs that run separately."""
