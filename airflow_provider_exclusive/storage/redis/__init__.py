"""The driver for Redis and Valkey."""
