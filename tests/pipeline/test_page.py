import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
import sample_report

from vr.detector.calibration import load_calibration
from vr.pipeline.page import render, render_summary
from vr.pipeline.page.derived import loss_curves, scaling_fit
from vr.pipeline.page.explanations import DIMENSIONS, NO_WEIGHT, SECTIONS
from vr.pipeline.page.nulls import WIDTH, mark, position
from vr.pipeline.page.plots import MAX_BINS, MAX_LABELS, MAX_STRETCHES, view
from vr.pipeline.page.series import MAX_POINTS, MAX_SERIES
from vr.pipeline.page.summary import gauge, worst_columns
from vr.pipeline.page.table import flatten, records
from vr.pipeline.page.text import clip, label, number, scalar
from vr.pipeline.report import (
    CascadeSection,
    ColumnSummary,
    CombinedEffect,
    DiversitySection,
    Interval,
    Metric,
    OwnMetric,
    Plot,
    Status,
)


class _Reader(HTMLParser):
    """Collects tags, identifiers and the visible text; complains about tags that do not match."""

    VOID = frozenset({"meta", "link", "br", "img", "rect", "path", "circle"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)


def _read(html: str) -> tuple[_Reader, str]:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader, " ".join(" ".join(reader.text).split())


@pytest.fixture(scope="module")
def rejected():
    report = sample_report.reject()
    return report, render(report)


def test_page_says_verdict_probability_scores_and_first_action(rejected):
    report, html = rejected
    _, text = _read(html)
    assert "Verdict: Reject" in text
    assert "93 %" in text
    assert "90 % interval: 81 to 98 %" in text
    assert "Calibration 2026.1: on 700 clear cases" in text
    for item in report.dimensions.values():
        assert f"score {item.score:.0f} of 100, threshold 65" in text
    assert "Add 4,000 real rows" in text


def test_page_says_what_actions_cost_and_how_many_real_rows_are_enough(rejected):
    report, html = rejected
    _, text = _read(html)
    assert "400 USD, on the front" in text
    assert "1.21 USD, beaten by another action" in text
    assert "How many real rows are enough" in text
    assert "48% (31% to 62% at 90%)" in text
    assert "36% (20% or more at 90%)" in text
    assert "3,693" in text
    assert "What each action buys and costs" in text
    assert "2 (from 1 to more than 3, by the kind of generator)" in text
    assert "more than 3 (from 3 to more than 3, by the kind of generator)" in text
    _, without = _read(render(report.model_copy(update={"remedies": None})))
    assert "How many real rows are enough" not in without


def test_page_says_what_actions_do_at_once(rejected):
    report = rejected[0]
    assert report.remedies is not None
    together = CombinedEffect(
        priorities=[1, 2, 3],
        expected_risk_score=Interval(value=27.0, lower=0.0, upper=80.0, level=0.9),
        expected_skill_loss=Interval(value=0.09, lower=0.05, upper=0.15, level=0.9),
    )
    told = report.model_copy(update={"remedies": report.remedies.model_copy(update={"together": [together]})})
    _, text = _read(render(told))
    assert "Several at once" in text
    assert "Actions 1, 2 and 3" in text
    assert "skill lost afterwards 9 %" in text
    none = report.model_copy(update={"remedies": report.remedies.model_copy(update={"together": []})})
    assert "Several at once" not in _read(render(none))[1]


def test_page_says_what_proxies_say_of_rows_only_where_they_were_asked(rejected):
    report, html = rejected
    _, text = _read(html)
    assert "Loss by cell, nats" in text
    assert "Influence" in text.partition("Rows to look at first")[2]
    row = report.localization.rows[0].model_copy(
        update={"influence": 3.25, "cells": {"b": 0.5, "a": 2.0, "c": 0.25, "d": 0.125}}
    )
    asked = report.model_copy(update={"localization": report.localization.model_copy(update={"rows": [row]})})
    _, text = _read(render(asked))
    assert "3.25" in text
    assert "a 2, b 0.5, c 0.25" in text
    assert "d 0.125" not in text
    row = row.model_copy(update={"influence": None, "cells": {}})
    unasked = report.model_copy(update={"localization": report.localization.model_copy(update={"rows": [row]})})
    _, text = _read(render(unasked))
    assert "Loss by cell" not in text
    assert "Influence" not in text.partition("Rows to look at first")[2].partition("Why")[0]


def test_page_names_what_the_candidate_lacks(rejected):
    _, text = _read(rejected[1])
    assert "age from 71 to 94 and region is one of north, coast" in text
    assert "3.1 %" in text
    assert "row 18: age = 78, region = north" in text


def test_every_number_stands_beside_its_null(rejected):
    report, html = rejected
    _, text = _read(html)
    for item in report.dimensions.values():
        for metric in item.metrics.values():
            assert metric.label in text
            assert f"{number(metric.null_mean)} ± {number(metric.null_std, 2)}" in text


@pytest.mark.parametrize("name", ["approve", "reject", "reference_free", "hostile"])
def test_markup_is_well_formed_with_unique_ids_and_live_anchors(name):
    reader, _ = _read(render(getattr(sample_report, name)()))
    ids = [attrs["id"] for _, attrs in reader.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    anchors = [attrs["href"][1:] for tag, attrs in reader.tags if tag == "a" and (attrs["href"] or "").startswith("#")]
    assert set(anchors) <= set(ids)


def test_headings_never_skip_a_level(rejected):
    reader, _ = _read(rejected[1])
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))


def test_page_loads_nothing_and_runs_only_its_own_scripts(rejected):
    html = rejected[1]
    reader, _ = _read(html)
    for tag, attrs in reader.tags:
        assert tag not in ("img", "iframe", "object", "embed")
        assert "src" not in attrs
        assert (attrs.get("href") or "#").startswith(("#", "data:"))
    assert "@import" not in html
    policy = next(a["content"] for t, a in reader.tags if t == "meta" and "http-equiv" in a) or ""
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    scripts = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy


def test_charts_have_words_and_a_table_each(rejected):
    html = rejected[1]
    reader, _ = _read(html)
    charts = [attrs for tag, attrs in reader.tags if "data-plot" in attrs]
    payload = json.loads(re.search(r'id="plots">(.*?)</script>', html, flags=re.DOTALL)[1])
    assert {attrs["data-plot"] for attrs in charts} == set(payload)
    assert {item["kind"] for item in payload.values()} >= {
        "overlay",
        "overlay-side",
        "matrix",
        "lines",
        "bars",
        "strip",
    }
    assert all(attrs["role"] == "img" and len(attrs["aria-label"]) > 40 for attrs in charts)
    assert html.count("Show as table") == len(charts)


def test_page_is_bounded_at_any_number_of_columns_and_rows():
    html = render(sample_report.wide())
    assert len(html.encode()) < 3_000_000
    assert "and 1,940 more in report.json" in html
    assert "and 980 more in report.json" in html
    larger = render(sample_report.wide(columns=4_000, listed=4_000))
    assert len(larger.encode()) < 1.02 * len(html.encode())


def test_hostile_names_stay_text():
    html = render(sample_report.hostile())
    reader, text = _read(html)
    assert "img" not in {tag for tag, _ in reader.tags}
    assert not [attrs for _, attrs in reader.tags if "onerror" in attrs]
    assert "\N{LINE SEPARATOR}" not in html
    payload = json.loads(re.search(r'id="plots">(.*?)</script>', html, flags=re.DOTALL)[1])
    assert payload["plot-0"]["data"]["bins"][0].startswith("</script><img")
    assert "</script><img src=x" in text
    fragment = render_summary(sample_report.hostile())
    assert "<img" not in fragment
    _read(fragment)


def test_unmeasured_dimension_shows_its_reason_and_no_score():
    html = render(sample_report.reference_free())
    _, text = _read(html)
    assert text.count("not measured: needs a reference") == 12
    assert "without a reference there is nothing to compare" in text
    assert "models are judged on held-out real rows" in text
    assert "Real against real" not in text


def test_page_is_the_same_twice():
    assert render(sample_report.approve()) == render(sample_report.approve())


def test_million_character_names_are_cut():
    report = sample_report.approve()
    dataset = report.dataset.model_copy(update={"uri": "x" * 10**6, "notes": ["y" * 10**6]})
    html = render(report.model_copy(update={"dataset": dataset, "verdict_reason": "z" * 10**6}))
    assert len(html.encode()) < 1_000_000


def test_missing_numbers_are_dashes_and_never_none():
    report = sample_report.approve()
    unknown = Interval(value=None, lower=None, upper=None, level=0.9, reason="too few rows")
    item = report.dimensions["gradient_health"].model_copy(
        update={"metrics": {"cosine": Metric(value=None, reason="the gradient vanished"), "norm": Metric(value=2.0)}}
    )
    report = report.model_copy(
        update={"collapse_probability": unknown, "dimensions": report.dimensions | {"gradient_health": item}}
    )
    _, text = _read(render(report))
    assert "not known" in text
    assert "too few rows" in text
    assert "Not measured: the gradient vanished" in text
    assert "None" not in text


def test_the_probability_says_how_often_such_a_verdict_was_wrong():
    _, text = _read(render(sample_report.approve()))
    assert "Calibration 2026.1: on 700 clear cases" in text
    assert "Outside of anything" not in text


def test_what_lies_outside_the_calibrated_range_is_named():
    used = sample_report.calibration(beyond=["entropy_stability.coverage_deficit"], situation="untrained")
    _, text = _read(render(sample_report.approve().model_copy(update={"calibration": used})))
    assert "no proxy was trained" in text
    assert "less sure than it looks: entropy_stability.coverage_deficit." in text


def test_the_scale_is_cut_where_this_verdict_turned():
    used = sample_report.calibration(review_from=31.0, reject_from=64.0)
    found = gauge(sample_report.approve().model_copy(update={"calibration": used}))
    assert (found.review, found.reject) == (31.0, 64.0)


def test_summary_is_small_and_has_no_script():
    html = render_summary(sample_report.reject())
    _, text = _read(html)
    assert len(html) < 12_000
    assert "<script" not in html
    assert "Reject" in text
    assert "Distribution fidelity" in text


def test_jinja_is_imported_only_when_a_page_is_rendered():
    code = "import sys, vr.pipeline.page; print('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_worst_columns_are_those_furthest_beyond_their_null():
    report = sample_report.reject()
    found = worst_columns(report, {})
    excess = {c.name: c.drift - c.drift_null for c in report.dataset.columns}
    assert [c.name for c in found] == sorted(excess, key=lambda name: -excess[name])[:3]


# ---- Nulls ----------------------------------------------------------------------------------------------------------


def test_mark_counts_standard_deviations_with_worse_to_the_right():
    worse = mark(Metric(value=0.5, null_mean=0.2, null_std=0.1))
    assert worse is not None
    assert worse.z == pytest.approx(3)
    assert worse.level == "near"
    assert worse.x > WIDTH / 2
    lower = mark(Metric(value=0.5, null_mean=0.2, null_std=0.1, higher_is_worse=False))
    assert lower is not None
    assert lower.z == pytest.approx(-3)
    assert lower.text == "3.0 sd better"
    assert lower.x == pytest.approx(WIDTH - worse.x, abs=0.1)


@pytest.mark.parametrize(
    ("value", "mean", "std"), [(None, 0.0, 1.0), (1.0, None, 1.0), (1.0, 0.0, None), (1.0, 0.0, 0.0)]
)
def test_no_mark_without_a_null_that_has_a_spread(value, mean, std):
    assert mark(Metric(value=value, null_mean=mean, null_std=std)) is None


def test_floor_widens_the_unit_and_two_sided_numbers_are_never_better():
    metric = SimpleNamespace(value=0.5, null_mean=1.0, null_std=0.3, higher_is_worse=True, floor=0.4, two_sided=True)
    found = mark(metric)  # type: ignore[arg-type]
    assert found is not None
    assert found.z == pytest.approx(1.0)
    assert found.text == "1.0 sd worse"


def test_positions_rise_and_stay_on_the_scale():
    places = [position(z) for z in np.linspace(-50, 50, 101)]
    assert all(a <= b for a, b in zip(places, places[1:], strict=False))
    assert position(0) == WIDTH / 2
    assert min(places) > 0
    assert max(places) < WIDTH
    far = mark(Metric(value=1e9, null_mean=0.0, null_std=1.0))
    assert far is not None
    assert far.beyond
    assert far.text == "over 1,000 sd worse"


# ---- Text and tables ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (None, "—"),
        (0.12345, "0.123"),
        (12.0, "12"),
        (1234.5, "1,234"),
        (-0.5, "−0.5"),
        (3.2e-7, "3.20e−7"),
        (2.5e9, "2.50e9"),
    ],
)
def test_numbers_are_written_short(value, text):
    assert number(value) == text


def test_loose_values_are_written_short():
    assert scalar({"value": 0.5, "lower": 0.25, "upper": 0.75, "level": 0.9}) == "0.5 (0.25 to 0.75)"
    assert scalar(list(range(20))).endswith("and 8 more")
    assert scalar(True) == "yes"
    assert label("peak_memory_mb") == "Peak memory, MB"
    assert clip("a" * 500, 10) == "a" * 9 + "…"


def test_records_leave_curves_out_and_count_what_is_missing():
    table = records([{"tier": 1, "curve": [1, 2], "name": "a"}, {"tier": 2, "loss": 0.5}], "t", limit=1)
    assert table.headers == ["Tier", "Name"]
    assert table.more == 1
    assert table.numeric == {0}
    settings = flatten({"a": {"b": 1, "c": {"d": None}}, "e": []}, "t", limit=2)
    assert settings.rows == [["a.b", "1"], ["a.c.d", "—"]]
    assert settings.more == 1


# ---- Plots ----------------------------------------------------------------------------------------------------------


def _plot(kind: str, **data) -> Plot:
    return Plot(id="p", kind=kind, title="Title", data=data)  # type: ignore[arg-type]


def test_many_bins_are_joined_and_keep_their_mass():
    shares = np.random.default_rng(0).dirichlet(np.ones(1_000))
    edges = np.arange(1_001.0)
    plot = view(_plot("overlay", edges=edges.tolist(), candidate=shares.tolist(), reference=shares[::-1].tolist()), "x")
    assert plot is not None
    assert len(plot.data["candidate"]) <= MAX_BINS
    assert len(plot.data["edges"]) == len(plot.data["candidate"]) + 1
    assert sum(plot.data["candidate"]) == pytest.approx(1, abs=1e-3)
    assert plot.data["edges"][-1] == "1,000"


def test_many_categories_keep_the_largest_and_add_up_the_rest():
    shares = [0.5] + [0.5 / 199] * 199
    plot = view(
        _plot("overlay", categories=[f"c{i}" for i in range(200)], candidate=shares, reference=shares[::-1]), "x"
    )
    assert plot is not None
    assert plot.data["bins"][0] == "c0"
    assert plot.data["bins"][-1] == f"{200 - MAX_BINS + 1} others"
    assert sum(plot.data["candidate"]) == pytest.approx(1, abs=1e-3)


def test_large_matrix_keeps_the_columns_that_moved_most():
    n = 100
    values = np.full((n, n), 0.01)
    values[70, 90] = values[90, 70] = -0.8
    np.fill_diagonal(values, 5.0)
    plot = view(_plot("matrix", labels=[f"c{i}" for i in range(n)], values=values.tolist(), null=0.1), "x")
    assert plot is not None
    assert len(plot.data["labels"]) == MAX_LABELS
    assert {"c70", "c90"} <= set(plot.data["labels"])
    assert "1 of" in plot.summary
    assert plot.table.rows[0] == ["c90", "c70", "−0.8"]


def test_long_series_are_thinned_but_keep_both_ends():
    x = list(range(1, 10_001))
    series = [{"name": f"s{k}", "x": x, "y": [v / 7 for v in x]} for k in range(30)]
    plot = view(_plot("lines", x_label="x", y_label="y", x_scale="log", y_scale="log", series=series), "x")
    assert plot is not None
    assert len(plot.data["series"]) == MAX_SERIES
    first = plot.data["series"][0]
    assert len(first["x"]) <= MAX_POINTS
    assert (first["x"][0], first["x"][-1]) == (1, 10_000)
    assert plot.data["x_scale"] == "log"


def test_log_scale_gives_way_to_values_it_cannot_show():
    series = [{"name": "s", "x": [0, 1], "y": [1.0, None]}]
    plot = view(_plot("lines", x_label="x", y_label="y", x_scale="log", y_scale="log", series=series), "x")
    assert plot is not None
    assert (plot.data["x_scale"], plot.data["y_scale"]) == ("linear", "log")


def test_strip_is_joined_by_rows_not_by_stretches():
    starts = [0, *range(100, 1_099)]
    ends = [100, *range(101, 1_100)]
    score = [1.0] + [0.0] * 999
    plot = view(_plot("strip", row_start=starts, row_end=ends, score=score, null=0.1), "x")
    assert plot is not None
    assert len(plot.data["score"]) <= MAX_STRETCHES
    mean = sum(s * (b - a) for s, a, b in zip(plot.data["score"], plot.data["start"], plot.data["end"], strict=True))
    assert mean == pytest.approx(100, rel=1e-3)
    assert plot.data["end"][-1] == 1_099


def test_arms_have_fixed_colours_and_dashes_tell_them_apart():
    series = [{"name": n, "arm": "candidate", "x": [1], "y": [1]} for n in "ab"] + [{"name": "c", "x": [1], "y": [1]}]
    plot = view(_plot("lines", x_label="x", y_label="y", series=series), "x")
    assert plot is not None
    assert [s.color for s in plot.legend] == ["candidate", "candidate", "s1"]
    assert plot.legend[0].dash != plot.legend[1].dash


@pytest.mark.parametrize(
    "plot",
    [
        _plot("overlay", categories=[], candidate=[], reference=[]),
        _plot("matrix", labels=["a"], values=[[0.0]]),
        _plot("lines", series=[]),
        _plot("points", series=[{"name": "a", "x": [], "y": []}]),
        _plot("bars", labels=["a"], values=[None]),
        _plot("strip", row_start=[], row_end=[], score=[]),
    ],
)
def test_empty_plots_are_not_placed(plot):
    assert view(plot, "x") is None


# ---- Charts made out of the cascade ---------------------------------------------------------------------------------


def test_loss_curves_are_means_with_ranges_over_seeds():
    curves = {0: [2.0, 1.0], 1: [4.0, 2.0], 2: [3.0]}
    models = [
        {"tier": 1, "arm": "candidate", "parameters": 10, "loss_curve": {"rows": [8, 16], "loss": c}}
        for c in curves.values()
    ] + [{"tier": 1, "arm": "null", "loss_curve": {"rows": [8], "loss": [9.0]}}, {"tier": 2, "arm": "candidate"}]
    (plot,) = loss_curves(CascadeSection(status=Status.measured, preset="smoke", models=models))
    (series,) = plot.data["series"]
    assert series["y"] == [3.0, 1.5]
    assert series["lower"] == [2.0, 1.0]
    assert series["upper"] == [4.0, 2.0]


def test_scaling_curve_is_the_power_law():
    models = [{"arm": "candidate", "parameters": p, "loss": 1.0} for p in (100, 10_000)]
    cascade = CascadeSection(status=Status.measured, preset="smoke", models=models)
    scaling = {"a": 2.0, "b": 0.5, "c": 1.0, "target_parameters": 1_000_000}
    plot = scaling_fit(cascade, scaling)
    assert plot is not None
    fit = next(s for s in plot.data["series"] if s["name"] == "fit")
    assert fit["y"][0] == pytest.approx(2.0 / np.sqrt(100) + 1)
    assert fit["x"][-1] == pytest.approx(1_000_000)
    assert fit["y"][-1] == pytest.approx(1.002)
    assert scaling_fit(CascadeSection(status=Status.measured, preset="none"), scaling) is None


def test_drivers_are_named_in_words(rejected):
    _, text = _read(rejected[1])
    assert "What moved the verdict most: Paired log-ratio of losses (Generalization gap); Largest change" in text
    assert "Duplicate" not in text.split("What moved the verdict most:")[1].split(".")[0]


def test_scaling_that_was_not_fitted_says_why():
    empty = {"value": None, "lower": None, "upper": None, "level": None}
    scaling = {"a": None, "b": None, "c": None, "predicted_loss": empty, "reason": "needs two tiers or more"}
    _, text = _read(render(sample_report.approve().model_copy(update={"scaling": scaling})))
    assert "Not fitted: needs two tiers or more" in text
    assert "Predicted loss" not in text


def test_only_dimensions_that_the_verdict_reads_claim_weight():
    heads = [fitted.head for fitted in load_calibration().heads.values()]
    read = {name for head in heads for name, weight in zip(head.names, head.weights, strict=True) if weight > 0}
    for name, explanation in DIMENSIONS.items():
        weighed = any(feature.startswith(f"{name}.") for feature in read)
        assert (NO_WEIGHT in explanation.how) != weighed, name


def test_the_page_names_what_the_verdict_reads_and_nothing_else():
    report = sample_report.reject()
    drivers = [
        {"feature": "generalization_gap.log_ratio", "excess": 3.7, "contribution": 2.7},
        {"feature": "entropy_stability.duplicates", "excess": 0.0, "contribution": 0.0},
    ]
    _, text = _read(render(report.model_copy(update={"drivers": drivers})))
    assert (
        "The verdict reads: Paired log-ratio of losses (Generalization gap); Duplicate rows (Entropy stability)."
        in text
    )
    assert "all measured numbers" not in text
    _, text = _read(render(report.model_copy(update={"drivers": []})))
    assert "The verdict reads" not in text


def test_drift_is_explained_in_its_own_unit():
    from vr.stats.divergences import jensen_shannon_divergence

    apart = jensen_shannon_divergence([np.array([9, 0])], [np.array([0, 9])])[0]
    assert f"ln 2, which is {apart:.2f} (nothing in common)" in SECTIONS["dataset"]


def test_the_reference_s_own_number_is_not_called_a_null():
    own = OwnMetric(value=0.25, reference=0.125, label="Share of copies", reason="no null: whole files")
    bare = OwnMetric(value=0.5, reference=None, label="Bare", reason="no null: nothing to compare with")
    report = sample_report.approve()
    metrics = report.diversity.metrics | {"copies": own, "bare": bare}
    _, text = _read(render(report.model_copy(update={"diversity": DiversitySection(metrics=metrics)})))
    assert "Share of copies 0.25 0.125 in the reference's file" in text
    assert "Bare 0.5 no null: nothing to compare with" in text
    assert "no spread in the null" not in text
    _, text = _read(
        render(
            report.model_copy(
                update={"diversity": DiversitySection(metrics={"x": Metric(value=1.0, null_mean=1.0, label="Flat")})}
            )
        )
    )
    assert "Flat 1 1 no spread in the null" in text


def test_diversity_says_what_stands_out_and_what_to_do(rejected):
    _, text = _read(rejected[1])
    for words in (
        "2.1 % of the rows lie in a cluster that holds 9.4 % of real rows: region is North and Age from 60.",
        "Add about 1,611 rows like the reference's examples.",
        "For example rows 17, 1,204; rows of the reference 88, 3,021, 9.",
        # Share, of the reference, (0.021 - 0.094) / 0.003, 1.9 / 1.0.
        "region is North and Age from 60 2.1 % 9.4 % \N{MINUS SIGN}24 1.9 17, 1,204",
        "region is North and job is miner lost 0 61 38 12, 99 of the reference",
        "4 5,012 rent",
        "region 3.32 5 0.4 0.31 South 44.0 % 30.0 %",
        "(0.842 to 0.877)",
        "Farthest from all others: rows 611, 4,003.",
    ):
        assert words in text, words
    _, text = _read(render(sample_report.approve()))
    assert "Nothing stands out." in text


def test_what_was_not_counted_is_a_dash_with_its_reason():
    report = sample_report.approve()
    columns = [*report.dataset.columns, ColumnSummary(name="gone", kind="ignored", nulls=None, reason="set to ignore")]
    dataset = report.dataset.model_copy(update={"columns": columns})
    _, text = _read(render(report.model_copy(update={"dataset": dataset})))
    assert "gone ignored — — — — set to ignore" in text


def test_unidentified_asymptote_is_said(rejected):
    assert "Asymptote not identified" in rejected[1]
    assert "Asymptote not identified" not in render(sample_report.approve())
