"""From values to bytes and back, giving back exactly the type that went in."""
