"""A real Airflow, Redis and PostgreSQL for the demonstration and the integration tests; no part of the package."""
