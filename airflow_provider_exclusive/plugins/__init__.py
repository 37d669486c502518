"""Registration with Airflow's plugin manager."""
