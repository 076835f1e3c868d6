"""A file made to do harm, as a user meets it: one line on stderr and exit code 3, whatever it did to its process."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vr
from vr.cli import main
from vr.core.errors import ConfigError, DataError


@pytest.fixture
def bomb(tmp_path):
    """A terabyte in some hundred bytes: 100,000 rows of one string of 10 MB."""
    words = pa.DictionaryArray.from_arrays(np.zeros(100_000, np.int32), pa.array(["x" * 10_000_000]))
    pq.write_table(pa.table({"a": words}), tmp_path / "bomb.parquet", compression="zstd", store_schema=False)
    return tmp_path / "bomb.parquet"


def test_a_bomb_costs_one_line(bomb, capsys):
    assert main(["profile", str(bomb), "--quiet", "reading.memory_bytes=536870912"]) == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"error: {bomb}")
    assert "reading.memory_bytes" in said


def test_the_same_from_python(bomb):
    with pytest.raises(DataError, match=r"bomb\.parquet"):
        vr.validate(bomb, config={"cascade": "none", "reading": {"memory_bytes": 512 << 20}})


def test_limits_are_configuration():
    with pytest.raises(ConfigError, match="reading.columns: must be 1 or more"):
        vr.validate("x.csv", overrides=["reading.columns=0"])
    with pytest.raises(ConfigError, match="isolation"):
        vr.validate("x.csv", overrides=["reading.isolation=sometimes"])
