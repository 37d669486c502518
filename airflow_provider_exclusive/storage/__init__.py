"""Where sealed payloads lie."""
