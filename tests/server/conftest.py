from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.server.service_process import TINY, Running, running, table
from vr.pipeline.report import ValidationReport


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """Two datasets in a root; a file outside of it, and links that lead there."""
    folder = tmp_path_factory.mktemp("data")
    root = folder / "root"
    (root / "parts").mkdir(parents=True)
    pq.write_table(table(400, 0), root / "reference.parquet")
    pq.write_table(table(400, 1, broken=True), root / "broken.parquet")
    (root / "junk.parquet").write_bytes(b"this is no parquet")
    pq.write_table(table(50, 2), folder / "secret.parquet")
    (root / "link.parquet").symlink_to(folder / "secret.parquet")
    (root / "parts" / "part.parquet").symlink_to(folder / "secret.parquet")
    return root


@pytest.fixture(scope="session")
def server(tmp_path_factory, data) -> Iterator[Running]:
    """A server on loopback whose only data is `data`, with no time to drain."""
    words = (f"server.roots=[{data}]", "server.children=1", "server.metrics_port=0", "server.drain_s=0")
    with running(tmp_path_factory.mktemp("server"), *words, "server.tenant_jobs=3") as it:
        yield it


@pytest.fixture(scope="session")
def direct(data) -> ValidationReport:
    """The report that `vr.validate` gives of the broken dataset, with a tiny cascade."""
    import vr

    return vr.validate(str(data / "broken.parquet"), str(data / "reference.parquet"), overrides=[*TINY, "seed=3"])
