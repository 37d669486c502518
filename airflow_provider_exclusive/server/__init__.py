"""What this package does inside Airflow's API server, so that no task gets past a scope by calling the API itself."""
