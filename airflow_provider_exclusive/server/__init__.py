"""The part that runs inside Airflow's API server, so that no task bypasses a scope by calling the API directly."""
