"""The short verdict at the end of a run."""

from pathlib import Path

import pytest

from tests.pipeline.sample_report import approve, calibration, reference_free, reject, wide
from vr.pipeline.report import ColumnSummary
from vr.telemetry.summary import print_summary, summary_lines, worst_columns

PAGE = Path("outputs/run/report.html")


def text_of(report, **options) -> list[str]:
    return ["".join(text for text, _ in line) for line in summary_lines(report, report_path=PAGE, **options)]


@pytest.mark.parametrize(
    "report", [approve(), reject(), reference_free(), wide()], ids=["good", "bad", "alone", "wide"]
)
def test_a_summary_fits_a_screen(report):
    lines = text_of(report, width=100)
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith(report.verdict.value.upper())
    assert lines[-1].split() == ["report", str(PAGE)]


def test_a_narrow_terminal_wraps_prose_and_keeps_the_path_whole():
    lines = text_of(reject(), width=50)
    reason = reject().verdict_reason.split()
    assert " ".join(lines).split().count(reason[0]) >= 1
    assert str(PAGE) in lines[-1]


def test_the_verdict_line_gives_probability_interval_and_risk():
    report = reject()
    probability = report.collapse_probability
    first = text_of(report)[0]
    assert (
        f"{probability.value:.2f} ({probability.lower:.2f} to {probability.upper:.2f} at {probability.level:.0%})"
        in first
    )
    assert f"risk {report.risk_score:.0f} of 100, high" in first
    assert any(line.startswith("calibration 2026.1: on 700 clear cases") for line in text_of(report))


def test_what_lies_outside_the_calibrated_range_is_said():
    report = reject().model_copy(update={"calibration": calibration(beyond=["entropy_stability.coverage_deficit"])})
    assert "outside of anything the calibration has seen: entropy_stability.coverage_deficit" in text_of(report)


def test_a_probability_that_is_unknown_says_why():
    report = reject()
    unknown = report.collapse_probability.model_copy(update={"value": None, "reason": "too few rows"})
    assert "unknown (too few rows)" in text_of(report.model_copy(update={"collapse_probability": unknown}))[0]


def test_every_dimension_has_a_line_with_its_threshold():
    report = reject()
    lines = text_of(report)
    for name, dimension in report.dimensions.items():
        (line,) = [line for line in lines if line.startswith(name)]
        assert line.split()[1:] == [
            f"{dimension.score:.0f}",
            f"{dimension.threshold:.0f}",
            "ok" if dimension.passed else "below",
        ]


def test_what_was_not_measured_says_why_and_has_no_score():
    report = reference_free()
    (line,) = [line for line in text_of(report) if line.startswith("generalization_gap")]
    assert line.split()[1] == "-"
    assert report.dimensions["generalization_gap"].reason in line


def test_worst_columns_are_those_beyond_their_null():
    columns = [
        ColumnSummary(name="noisy", kind="numeric", nulls=0, drift=0.30, drift_null=0.29),
        ColumnSummary(name="moved", kind="numeric", nulls=0, drift=0.20, drift_null=0.01),
        ColumnSummary(name="same", kind="numeric", nulls=0, drift=0.02, drift_null=0.02),
        ColumnSummary(name="unknown", kind="text", nulls=0),
        ColumnSummary(name="lone", kind="numeric", nulls=0, drift=0.10),
        ColumnSummary(name="slight", kind="numeric", nulls=0, drift=0.05, drift_null=0.02),
    ]
    report = reject()
    report = report.model_copy(update={"dataset": report.dataset.model_copy(update={"columns": columns})})
    assert [column.name for column in worst_columns(report)] == ["moved", "lone", "slight"]


def test_the_first_recommendation_is_that_of_least_priority_number():
    report = reject()
    first, *others = sorted(report.recommendations, key=lambda item: item.priority)
    shuffled = report.model_copy(update={"recommendations": [*others, first]})
    assert [line for line in text_of(shuffled) if line.startswith("do first")] == [f"{'do first':<15}{first.title}"]


def test_the_share_of_real_rows_that_is_enough_is_told_where_it_was_sought():
    report = reject()
    (line,) = [line for line in text_of(report) if line.startswith("real rows")]
    assert "48% of the mix is enough (31% to 62% at 90%): 3,693 beside all of these" in line
    mix = report.remedies.mix
    share = mix.share.model_copy(update={"value": None, "lower": None, "upper": None})
    never = mix.model_copy(update={"share": share, "reason": "at 90% the risk is still 70", "real_rows": None})
    told = report.model_copy(update={"remedies": report.remedies.model_copy(update={"mix": never})})
    assert any("no share that was measured is enough: at 90%" in line for line in text_of(told))
    assert not any(line.startswith("real rows") for line in text_of(approve()))
    older = report.model_copy(update={"remedies": None})
    assert not any(line.startswith("real rows") for line in text_of(older))


def test_the_first_notes_are_printed_and_the_rest_counted():
    report = reject()

    def noted(*notes):
        dataset = report.dataset.model_copy(update={"notes": list(notes)})
        reference = report.reference.model_copy(update={"notes": ["its note"]})
        return text_of(report.model_copy(update={"dataset": dataset, "reference": reference}))

    lines = noted("column 'x' is constant")
    assert f"{'note':<15}column 'x' is constant" in lines
    assert f"{'note':<15}reference: its note" in lines
    assert not [line for line in lines if "more in the report" in line]
    long = noted(*(f"column {i} " + "is long " * 200 for i in range(9)))
    assert sum(line.startswith("note") for line in long) == 3
    assert f"{'':<15}and 7 more in the report" in long
    assert len(long) <= 30


def test_printing_into_a_pipe_is_plain(capsys):
    print_summary(reject(), report_path=PAGE)
    printed = capsys.readouterr().out
    assert printed.splitlines() == [line.rstrip() for line in text_of(reject())]
    assert "\x1b" not in printed
    assert "\u2588" not in printed


def test_bars_show_the_score():
    lines = text_of(reject(), bars=True)
    for name, dimension in reject().dimensions.items():
        (line,) = [line for line in lines if line.startswith(name)]
        assert line.count("\u2588") == round(dimension.score / 10)
        assert line.count("\u2588") + line.count("\u2591") == 10
