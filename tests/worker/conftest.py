from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.worker_process import write_data
from vr.worker.testing import ReferenceOrchestrator


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.fixture
def orchestrator(tmp_path) -> Iterator[ReferenceOrchestrator]:
    with ReferenceOrchestrator(tmp_path / "jobs.db", lease_s=3.0) as it:
        yield it
