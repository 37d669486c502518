"""The commands ``airflow exclusive …``."""
