from __future__ import annotations

import pytest

# Asserts in the inherited contract deserve pytest's explanations as well.
pytest.register_assert_rewrite("airflow_provider_exclusive.storage.testing")
