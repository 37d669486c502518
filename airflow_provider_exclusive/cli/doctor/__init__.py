"""``airflow exclusive doctor``: checks over facts, one module for each area."""
