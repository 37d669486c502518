"""What the process of a running task knows."""
