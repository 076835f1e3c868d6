"""Partitions opened from plain values, one after the other, as a worker that serves a whole pass does."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vr.data import shared
from vr.data.config import Isolation, ReadingConfig
from vr.data.formats import delimited, jsonlines
from vr.data.isolation.reader import ReadingProcesses
from vr.data.partition import Partition, plan
from vr.data.shared import open_share, share
from vr.data.source import Source, open_source

GROUPS, COLUMNS = 60, 100

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is told by Linux's /proc")


@pytest.fixture
def opened(tmp_path) -> Iterator[tuple[Source, list[Partition]]]:
    """A file of little but its footer, a row group a partition."""
    table = pa.table({f"a_column_of_number_{i}": np.arange(2.0 * GROUPS) for i in range(COLUMNS)})
    pq.write_table(table, tmp_path / "wide.parquet", row_group_size=2)
    source = open_source(tmp_path / "wide.parquet", reading=ReadingConfig(isolation=Isolation.always))
    assert source.group_rows is not None
    yield source, plan(source.group_rows, 2)
    shared._readers.cache_clear()
    shared._processes.cache_clear()


@pytest.mark.parametrize("isolation", [Isolation.never, Isolation.always])
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_partition_of_text_is_told_of_its_own_blocks_alone(tmp_path, monkeypatch, ending, isolation):
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 100)
    monkeypatch.setattr(jsonlines, "_BLOCK_BYTES", 100)
    path = tmp_path / f"x.{ending}"
    rows = range(20_000)
    path.write_text(
        "a\n" + "".join(f"{i}\n" for i in rows) if ending == "csv" else "".join(f'{{"a": {i}}}\n' for i in rows)
    )
    source = open_source(path, reading=ReadingConfig(isolation=Isolation.never))
    source = replace(source, _limits=ReadingConfig(isolation=isolation))
    partitions = plan(source.group_rows or [], 500)
    assert len(partitions) > 30
    found = []
    for partition in [*partitions, partitions[0]]:
        told = json.dumps(share(source, partition))
        assert len(told) < 4_000
        there, part = open_share(json.loads(told))
        found += pa.Table.from_batches(there.batches(None, 1_000, part))["a"].to_pylist()
    assert found == [*rows, *rows[: partitions[0].rows]]
    shared._readers.cache_clear()
    shared._processes.cache_clear()


def processes(source: Source) -> ReadingProcesses:
    limits = share(source, plan([[2]], 2)[0])["limits"]
    return shared._processes(tuple(sorted(limits.items())))


def memory_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def test_a_worker_lets_go_of_the_files_that_it_has_read(opened):
    source, partitions = opened
    assert len(partitions) == GROUPS
    held = []
    for partition in partitions[:24]:
        shared._readers.cache_clear()  # as if each were of another file
        there, part = open_share(share(source, partition))
        assert pa.Table.from_batches(there.batches(None, 10, part))["a_column_of_number_7"].to_pylist() == [
            part.row_start,
            part.row_start + 1.0,
        ]
        del there
        (process,) = processes(source)._free
        assert len(process.opened) <= 2
        held.append(memory_mib(process.pid))
    # A footer takes 5 MiB here.
    assert held[-1] - held[4] < 40


def test_partitions_of_one_file_open_it_once_until_it_changes(opened):
    source, partitions = opened
    path = Path(source.files[0][0])
    for partition in partitions[:4]:
        open_share(share(source, partition))
    assert shared._readers.cache_info().misses == 1
    path.write_bytes(path.read_bytes())
    open_share(share(source, partitions[4]))
    assert shared._readers.cache_info().misses == 2
