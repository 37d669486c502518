"""Every private function and every version fork of Airflow that this package relies on."""
