import json

import pytest
from google.protobuf import struct_pb2

from tests.server.service_process import without_nulls
from vr.pipeline.report import ValidationReport
from vr.server._generated.vr.v1 import job_pb2, report_pb2
from vr.server.wire import to_document, to_message


def test_a_report_comes_back_as_it_was(direct):
    message = to_message(direct.to_dict(), report_pb2.ValidationReport, strict=True)
    received = report_pb2.ValidationReport.FromString(message.SerializeToString())
    again = ValidationReport.model_validate(to_document(received))
    assert without_nulls(again.to_dict()) == without_nulls(direct.to_dict())


def test_every_key_of_the_report_has_a_field():
    assert set(ValidationReport.model_fields) == set(report_pb2.ValidationReport.DESCRIPTOR.fields_by_name)
    for section, message in (
        ("dimensions", "Dimension"),
        ("diversity", "DiversitySection"),
        ("cascade", "CascadeSection"),
        ("localization", "LocalizationSection"),
        ("recommendations", "Recommendation"),
        ("dataset", "DatasetSection"),
        ("run", "RunSection"),
        ("calibration", "CalibrationSection"),
    ):
        model = json.loads(json.dumps(ValidationReport.model_json_schema()))["$defs"][message]
        fields = getattr(report_pb2, message).DESCRIPTOR.fields_by_name
        assert set(model["properties"]) == set(fields), section


def test_a_number_that_was_not_measured_is_absent_with_its_reason():
    message = to_message({"value": None, "reason": "nobody looked"}, report_pb2.Metric)
    assert not message.HasField("value")
    assert message.reason == "nobody looked"
    assert to_document(message)["value"] is None


def test_zero_is_not_absent():
    message = report_pb2.Metric.FromString(to_message({"value": 0.0}, report_pb2.Metric).SerializeToString())
    assert message.HasField("value")


def test_strict_refuses_what_has_no_field():
    with pytest.raises(ValueError, match="no field colour"):
        to_message({"colour": 1}, report_pb2.Metric, strict=True)


def test_an_enumeration_takes_the_documents_words_alone():
    assert to_document(to_message({"verdict": "reject"}, report_pb2.ValidationReport))["verdict"] == "reject"
    with pytest.raises(ValueError, match="no value for 'maybe'"):
        to_message({"verdict": "maybe"}, report_pb2.ValidationReport)


def test_a_newer_servers_enumeration_is_unknown_rather_than_wrong():
    assert to_document(job_pb2.Progress(state=99))["state"] is None


def test_open_documents_keep_whole_numbers():
    struct = to_message({"action": {"rows": 3, "share": 0.5, "ranges": [[1, 2]]}}, report_pb2.Recommendation).action
    assert isinstance(struct, struct_pb2.Struct)
    assert to_document(struct) == {"rows": 3, "share": 0.5, "ranges": [[1, 2]]}
    assert isinstance(to_document(struct)["rows"], int)
