"""The contract: code as generated, linted, breaking nobody, and old bytes still understood."""

import importlib.util
import shutil

from tests.server.service_process import ROOT

spec = importlib.util.spec_from_file_location("generate_proto", ROOT / "scripts" / "generate_proto.py")
generate_proto = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generate_proto)


def test_generated_code_is_that_of_the_protos(tmp_path):
    generate_proto.generate(tmp_path)
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.py*")}
    kept = {
        path.relative_to(generate_proto.GENERATED): path.read_text()
        for path in generate_proto.GENERATED.rglob("*.py*")
        if "__pycache__" not in path.parts
    }
    assert made == kept, "run scripts/generate_proto.py"


def test_contract_is_linted_and_laid_out():
    assert generate_proto.buf("lint").stdout == ""
    assert generate_proto.buf("format", "-d", "--exit-code", "--path", "vr").stdout == ""


def test_contract_breaks_no_client():
    done = generate_proto.buf("breaking", "--against", "baseline.binpb")
    assert (done.returncode, done.stdout) == (0, "")


def test_a_changed_type_is_found_to_break(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    file = tmp_path / "proto" / "vr" / "v1" / "report.proto"
    file.write_text(file.read_text().replace("bool collapse_detected = 8;", "string collapse_detected = 8;"))
    monkeypatch.setattr(generate_proto, "PROTO", tmp_path / "proto")
    done = generate_proto.buf("breaking", "--against", "baseline.binpb")
    assert done.returncode == 100
    assert "collapse_detected" in done.stdout


def test_an_old_clients_bytes_are_understood():
    """Bytes as the first release's clients send them; a change here breaks every one of them."""
    from vr.server._generated.vr.v1 import validation_engine_pb2 as engine

    golden = (ROOT / "tests" / "server" / "validate_request.hex").read_text()
    request = engine.ValidateRequest.FromString(bytes.fromhex(golden))
    assert request.job.candidate.uri == "/d/c.parquet"
    assert request.job.reference.format == "csv"
    assert request.job.settings.cascade == "none"
    assert request.job.settings.seed == 7
    assert list(request.job.settings.overrides) == ["detector.overall_threshold=60"]
    assert request.job.idempotency_key == "once"
    assert request.job.time_limit.seconds == 90
    assert request.after_sequence == 5
