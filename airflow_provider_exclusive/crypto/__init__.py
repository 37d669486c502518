"""Keys, and how payloads and data keys are sealed."""
