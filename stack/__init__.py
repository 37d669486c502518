"""A real Airflow, Redis and PostgreSQL for the demonstration, the tests and the benchmarks."""
