"""Fixtures of the tests of reading; the table itself is in `mixed_data`."""

import pyarrow as pa
import pytest
from mixed_data import mixed_table


@pytest.fixture
def table() -> pa.Table:
    return mixed_table()
