"""What the backend costs and saves, measured: ``make bench``, and two smaller programs that run on their own."""
