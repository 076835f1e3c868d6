"""Stratified samples that the service writes: where the operator says, and nowhere that a request says."""

import pyarrow.parquet as pq
import pytest

from tests.server.service_process import running
from vr.client import Client, Job
from vr.core.errors import ConfigError
from vr.server import answers
from vr.server._generated.vr.v1 import job_pb2
from vr.server.config import ServerConfig


def test_a_sample_of_every_candidate_is_written_below_the_operators_place(data, tmp_path):
    samples = tmp_path / "samples"
    words = (f"server.roots=[{data}]", "server.children=1", "server.drain_s=0", "server.sample_rows=120")
    with (
        running(tmp_path / "server", *words, f"server.samples={samples}") as server,
        Client(server.address, timeout=120) as client,
    ):
        answer = client.analyze_diversity(Job(data / "broken.parquet", data / "reference.parquet", cascade="none"))
    sample = answer.sample.model_dump()
    assert sample["status"] == "measured"
    path = samples / "local" / answer.validation_id / "sample.parquet"
    assert sample["uri"] == str(path)
    table = pq.read_table(path)
    assert int(sample["section"]["rows"]) == table.num_rows <= 120
    assert table["sample_weight"].to_numpy().sum() == pytest.approx(400)
    assert 0 <= sample["section"]["check"]["confidence"] <= 1


def test_without_a_place_the_answer_says_why_there_is_none(direct):
    answer = answers.diversity("v" + "0" * 32, direct.to_dict())
    assert answer.sample.uri == ""
    assert "server.samples" in answer.sample.reason
    assert not answer.sample.HasField("section")


def test_no_request_names_a_place():
    fields = {field.name for kind in (job_pb2.Job, job_pb2.Settings) for field in kind.DESCRIPTOR.fields}
    assert not {name for name in fields if "output" in name or "uri" in name}


def test_too_few_rows_are_no_setting():
    with pytest.raises(ConfigError, match="sample_rows"):
        ServerConfig(sample_rows=99)
