"""Between runs: what of a dataset is read again where a cache is given, and what is said of it."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.data.test_passes import age
from tests.data.test_profile import assert_same
from tests.doors.test_runs import broken_rows, real_rows
from vr.core.errors import ConfigError
from vr.data.passes import Known
from vr.data.source import open_source
from vr.pipeline.config import Config, EngineConfig
from vr.pipeline.engines import known_before, passes_of
from vr.pipeline.intake import Intake, take_in


@pytest.fixture
def data(tmp_path) -> Path:
    (tmp_path / "candidate").mkdir()
    for i in range(2):
        pq.write_table(broken_rows(i), tmp_path / "candidate" / f"{i}.parquet", row_group_size=200)
    pq.write_table(real_rows(9), tmp_path / "reference.parquet", row_group_size=400)
    for path in tmp_path.rglob("*.parquet"):
        age(path)
    return tmp_path


def taken(data: Path, engine: EngineConfig) -> tuple[Intake, list[str]]:
    sources = open_source(data / "candidate"), open_source(data / "reference.parquet")
    said: list[str] = []

    def known(stage: str, role: str, what: Known) -> None:
        said.append(f"{stage} {known_before(role, what, cached=True)}")

    with passes_of(engine, 1, None, sources) as passes:
        return take_in(*sources, Config(), 1, lambda *step: None, passes=passes, on_known=known), said


def test_with_a_cache_a_later_run_reads_appended_files_alone(data):
    engine = EngineConfig(cache=str(data / "cache"))
    _, said = taken(data, engine)
    assert said == []
    pq.write_table(broken_rows(7), data / "candidate" / "9.parquet", row_group_size=200)
    age(data / "candidate" / "9.parquet")
    second, said = taken(data, engine)
    assert said == [
        "read reference: all 1,200 rows are as they were when they were last profiled; none is profiled again",
        "profile reference: all 1,200 rows are as they were when they were last profiled; none is profiled again",
        "profile candidate: 2 of 3 files are as they were when they were last profiled; only 1 is read, from row 2,400 "
        f"on, in {data}/candidate/9.parquet",
    ]
    apart, _ = taken(data, EngineConfig())
    assert_same(second.candidate_profile, apart.candidate_profile)
    np.testing.assert_array_equal(second.candidate_profile.watched, apart.candidate_profile.watched)
    np.testing.assert_array_equal(second.candidate.codes, apart.candidate.codes)
    # Another reference is another codec: nothing that was coded by the old one is of use.
    pq.write_table(real_rows(10), data / "reference.parquet", row_group_size=400)
    assert taken(data, engine)[1] == []


def test_a_cache_keeps_to_its_size_and_out_of_the_data(data):
    taken(data, EngineConfig(cache=str(data / "cache"), cache_bytes=0))
    assert list((data / "cache").iterdir()) == []
    # Also where the run fails, and where another program's folder is in the way.
    taken(data, EngineConfig(cache=str(data / "cache")))
    with (
        pytest.raises(ZeroDivisionError),
        passes_of(EngineConfig(cache=str(data / "cache"), cache_bytes=0), 1, None, []),
    ):
        raise ZeroDivisionError
    assert list((data / "cache").iterdir()) == []
    (data / "cache" / "a.state").mkdir()
    with passes_of(EngineConfig(cache=str(data / "cache"), cache_bytes=0), 1, None, []):
        pass
    with pytest.raises(ConfigError, match="engine.cache: lies inside the dataset"):
        taken(data, EngineConfig(cache=str(data / "candidate" / "cache")))
