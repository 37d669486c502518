"""DataFrames, tables and arrays."""
