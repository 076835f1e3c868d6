"""Reports to try the page on: good, collapsed, without a reference, with 2,000 columns, with hostile names."""

import numpy as np

from vr.pipeline.report import (
    CalibrationSection,
    CascadeSection,
    Cluster,
    ColumnDiversity,
    ColumnSummary,
    DatasetSection,
    Dimension,
    DiversityFinding,
    DiversitySection,
    ForecastSection,
    Generations,
    HistoricalOutcome,
    Interval,
    LocalizationSection,
    Metric,
    MissingRegion,
    MixSection,
    NearDuplicate,
    Plot,
    PreScreenSection,
    RarePattern,
    Recommendation,
    Region,
    RemediesSection,
    RowFinding,
    RunSection,
    SignatureMatch,
    Status,
    ValidationReport,
    Verdict,
)

NUMBERS = ("age", "education_years", "hours_per_week", "income", "commute_minutes", "capital_gain", "tenure", "rent")
CATEGORIES = {
    "region": ("north", "south", "east", "west", "islands"),
    "contract": ("permanent", "temporary", "self-employed", "none"),
}
KINDS = dict.fromkeys(NUMBERS, "numeric") | dict.fromkeys(CATEGORIES, "categorical")
TIERS = ((10, 8_000), (5, 96_000), (3, 1_150_000))

REJECTED = (
    "Models trained on it lose 15 % more on real rows than their twins, and all dimensions are below their threshold."
)
APPROVED = "Every dimension is above its threshold and models trained on it do as well as their twins."
ADD_REAL = (
    "Replace the same number of candidate rows by fresh real ones; a third of real rows is what kept earlier copies "
    "of this kind from losing skill."
)

__all__ = ["approve", "hostile", "reference_free", "reject", "wide"]


def approve() -> ValidationReport:
    """A fresh real sample: every number within what real data gives against itself."""
    return _report(harm=0.02, seed=1)


def calibration(**changes) -> CalibrationSection:
    """A card as `experiments.calibrate` writes it."""
    figures = {"fpr": [0.04, 0.02, 0.07], "fnr": [0.03, 0.01, 0.06], "auroc": [0.988, 0.98, 0.994]}
    document = {
        "version": "2026.1",
        "situation": "trained",
        "line": "on 700 clear cases of 38 real datasets: misses 3.0 % (1.0 to 6.0), false alarms 4.0 % (2.0 to 7.0)",
        "datasets": 38,
        "sources": 30,
        "cases": {"clear": 700},
        "errors": {"clear": figures},
        "review_from": 20.0,
        "reject_from": 50.0,
    }
    return CalibrationSection(**(document | changes))


def reject() -> ValidationReport:
    """An eighth-generation copy: tails, rare cases and dependence lost."""
    return _report(harm=1.0, seed=2)


def _numbers(
    values: dict[str, tuple[str, float, float, float, str]], harm: float, rng: np.random.Generator
) -> dict[str, Metric]:
    """Each entry: label, null mean, null sd, distance from the null in sd at full harm, description."""
    metrics = {}
    for name, (title, mean, std, distance, description) in values.items():
        z = distance * harm + rng.normal(0, 0.8)
        metrics[name] = Metric(
            value=mean + z * std,
            null_mean=mean,
            null_std=std,
            label=title,
            description=description,
            higher_is_worse=distance > 0,
        )
    return metrics


def _overlay(name: str, harm: float, rng: np.random.Generator) -> Plot:
    if name in CATEGORIES:
        labels = [*CATEGORIES[name], "null"]
        real = np.array([0.34, 0.27, 0.2, 0.15, 0.03, 0.01])[: len(labels)]
        fake = real ** (1 + 0.7 * harm)
        data: dict = {"column": name, "categories": labels}
    else:
        edges = np.round(np.linspace(16, 90, 25), 1)
        center = (edges[1:] + edges[:-1]) / 2
        real = np.exp(-0.5 * ((center - 38) / 11) ** 2) + 0.35 * np.exp(-0.5 * ((center - 62) / 9) ** 2) + 0.01
        fake = (
            np.exp(-0.5 * ((center - 40) / (11 - 5 * harm)) ** 2)
            + 0.35 * (1 - harm) * np.exp(-0.5 * ((center - 62) / 9) ** 2)
            + 0.01 * (1 - harm)
        )
        data = {"column": name, "edges": edges.tolist()}
        if name == "age":
            # As the codec labels its bins.
            bins = [f"{low:g} to {high:g}" for low, high in zip(edges[1:-2], edges[2:-1], strict=True)]
            data = {"column": name, "categories": ["null", f"below {edges[1]:g}", *bins, f"above {edges[-2]:g}"]}
            real, fake = np.append(0.01, real), np.append(0.004, fake)
    real, fake = real / real.sum(), fake / fake.sum()
    fake = np.maximum(0, fake + rng.normal(0, 0.003, fake.size))
    data |= {"candidate": (fake / fake.sum()).tolist(), "reference": real.tolist()}
    caption = "Share of rows in the bins of the reference."
    return Plot(id=f"overlay_{name}", kind="overlay", title=f"Distribution of {name}", caption=caption, data=data)


def _matrix(names: list[str], harm: float, rng: np.random.Generator) -> Plot:
    n = len(names)
    raw = rng.normal(0, 0.02 + 0.13 * harm, (n, n)) * rng.choice([0.2, 1, 1.8], (n, n))
    values = np.clip((raw + raw.T) / 2, -0.9, 0.9)
    np.fill_diagonal(values, 0)
    return Plot(
        id="dependence",
        kind="matrix",
        title="Change in dependence between columns",
        caption="Candidate minus reference, for each pair.",
        data={"labels": names, "values": values.tolist(), "null": 0.06},
    )


def _spectrum(harm: float) -> Plot:
    k = np.arange(1, 11)
    real = np.exp(-0.28 * k)
    fake = np.exp(-(0.28 + 0.22 * harm) * k)
    real, fake = real / real.sum(), fake / fake.sum()
    series = [
        {
            "name": "reference, range of splits",
            "arm": "reference",
            "x": k.tolist(),
            "y": real.tolist(),
            "lower": (0.93 * real).tolist(),
            "upper": (1.07 * real).tolist(),
        },
        {"name": "candidate", "arm": "candidate", "x": k.tolist(), "y": fake.tolist()},
    ]
    return Plot(
        id="spectrum",
        kind="lines",
        title="Eigenvalues of the rank correlation",
        caption="Each as its share of the total variance.",
        data={
            "x_label": "component",
            "y_label": "share of variance",
            "x_scale": "linear",
            "y_scale": "log",
            "series": series,
        },
    )


def _bars(harm: float, rng: np.random.Generator) -> Plot:
    names = list(KINDS)
    null = rng.uniform(0.01, 0.03, len(names))
    values = null + harm * rng.uniform(0.0, 0.25, len(names)) + rng.normal(0, 0.003, len(names))
    data = {
        "labels": names,
        "values": values.tolist(),
        "null_mean": null.tolist(),
        "null_std": (null / 5).tolist(),
        "unit": "nats",
    }
    return Plot(id="entropy_bars", kind="bars", title="Entropy lost, by column", caption="", data=data)


def _plateau(harm: float) -> Plot:
    rows = [500, 1_000, 2_000, 4_000, 8_000]
    series = []
    for arm, floor in (("reference", 1.30), ("candidate", 1.30 + 0.19 * harm)):
        loss = [floor + 12 / row**0.6 for row in rows]
        series.append(
            {
                "name": arm,
                "arm": arm,
                "x": rows,
                "y": loss,
                "lower": [v - 0.015 for v in loss],
                "upper": [v + 0.015 for v in loss],
            }
        )
    return Plot(
        id="plateau",
        kind="points",
        title="Loss on real rows over the number of training rows",
        caption="A collapsed dataset stops helping early.",
        data={
            "x_label": "training rows",
            "y_label": "loss per cell (nats)",
            "x_scale": "log",
            "y_scale": "linear",
            "series": series,
        },
    )


def _noise(harm: float, rng: np.random.Generator) -> Plot:
    steps = list(range(0, 400, 10))
    real = 0.62 + 0.05 * np.cos(np.arange(40) / 6) + rng.normal(0, 0.01, 40)
    series = [
        {"name": "reference", "arm": "reference", "x": steps, "y": real.tolist()},
        {
            "name": "candidate",
            "arm": "candidate",
            "x": steps,
            "y": (real * (1 - 0.45 * harm) + rng.normal(0, 0.01, 40)).tolist(),
        },
    ]
    return Plot(
        id="alignment",
        kind="lines",
        title="Cosine with the gradient of real rows",
        caption="",
        data={
            "x_label": "training step",
            "y_label": "cosine",
            "x_scale": "linear",
            "y_scale": "linear",
            "series": series,
        },
    )


def _strip(rows: int, harm: float, rng: np.random.Generator) -> Plot:
    edges = np.linspace(0, rows, 201).astype(int)
    score = 0.22 + rng.beta(2, 12, 200) * 0.2 + harm * 0.25
    score[120:138] += 0.25 * harm
    data = {
        "row_start": edges[:-1].tolist(),
        "row_end": edges[1:].tolist(),
        "score": np.minimum(1, score).tolist(),
        "null": 0.25,
    }
    return Plot(
        id="strip",
        kind="strip",
        title="Row scores along the file",
        caption="Mean score of 200 stretches, in the order of the file.",
        data=data,
    )


def _dimensions(harm: float, rng: np.random.Generator) -> dict[str, Dimension]:
    names = list(KINDS)
    table: dict[str, tuple[float, dict, list[Plot]]] = {
        "distribution_fidelity": (
            62,
            {
                "ks_max": (
                    "Largest KS distance",
                    0.031,
                    0.006,
                    22.0,
                    "Largest Kolmogorov-Smirnov distance over the columns.",
                ),
                "js_mean": ("Mean Jensen-Shannon divergence", 0.0021, 0.0004, 9.0, "Over the columns, in nats."),
                "tail_mass": (
                    "Mass kept in the reference's 1 % tails",
                    0.0199,
                    0.002,
                    -7.0,
                    "2 % is expected; less means lost tails.",
                ),
                "sliced_wasserstein": (
                    "Sliced Wasserstein",
                    0.044,
                    0.007,
                    3.1,
                    "Over 64 random projections of all columns.",
                ),
            },
            [_overlay(name, harm, rng) for name in ("income", "region", "age", "contract")],
        ),
        "correlation_preservation": (
            88,
            {
                "max_change": ("Largest change in dependence", 0.058, 0.011, 34.0, "Over all pairs of columns."),
                "rms_change": ("RMS change in dependence", 0.021, 0.002, 21.0, "Root mean square over all pairs."),
                "predictability": (
                    "Predictability gap",
                    0.004,
                    0.006,
                    4.4,
                    "How much worse columns follow from the others.",
                ),
            },
            [_matrix(names, harm, rng)],
        ),
        "entropy_stability": (
            79,
            {
                "uncovered": (
                    "Uncovered reference mass",
                    0.036,
                    0.005,
                    12.0,
                    "Held-out real rows whose pattern never occurs here.",
                ),
                "vendi": ("Vendi score, order 2", 118.0, 6.0, -5.5, "Effective number of distinct rows."),
                "generations": ("Effective generations", 0.0, 0.4, 16.0, "How often the rare patterns look resampled."),
                "duplicates": ("Duplicate rows", 0.0004, 0.0002, 1.2, "Share of rows that occur more than once."),
            },
            [_bars(harm, rng)],
        ),
        "gradient_health": (
            71,
            {
                "cosine": (
                    "Cosine with the real gradient",
                    0.91,
                    0.03,
                    -8.0,
                    "1: the same direction; debiased by half-batches.",
                ),
                "noise_scale": (
                    "Gradient noise scale",
                    410.0,
                    35.0,
                    -2.6,
                    "In rows; too low means rows that repeat one another.",
                ),
            },
            [_noise(harm, rng)],
        ),
        "loss_landscape": (
            38,
            {
                "top_eigenvalue": (
                    "Top Hessian eigenvalue, log-ratio",
                    0.02,
                    0.09,
                    1.4,
                    "Candidate arm over reference arm.",
                ),
                "plateau": ("Loss saved by doubling the rows", 0.031, 0.004, -5.2, "In nats."),
            },
            [_plateau(harm)],
        ),
        "spectral_coherence": (
            55,
            {
                "spectrum_kl": ("Divergence of eigenvalue spectra", 0.0011, 0.0003, 17.0, "Kullback-Leibler, in nats."),
                "angle": ("Principal angle", 6.2, 1.1, 3.0, "Between the leading three directions."),
            },
            [_spectrum(harm)],
        ),
        "generalization_gap": (
            91,
            {
                "log_ratio": (
                    "Paired log-ratio of losses",
                    0.001,
                    0.004,
                    41.0,
                    "0: as good as real rows; 0.1: about 10 % worse.",
                ),
                "memorisation": ("Memorisation", 0.0, 0.02, 1.0, "Loss on own rows below that on held-out rows."),
            },
            [],
        ),
        "statistical_consistency": (
            66,
            {
                "c2st": ("Two-sample classifier, AUROC", 0.503, 0.012, 19.0, "0.5: cannot tell the two apart."),
                "mmd": ("MMD", 0.0009, 0.0005, 11.0, "Kernel distance between whole rows."),
                "violations": (
                    "Rule violations",
                    0.0002,
                    0.0001,
                    2.4,
                    "Share of rows that break a rule of the reference.",
                ),
            },
            [],
        ),
    }
    dimensions = {}
    for name, (loss, numbers, evidence) in table.items():
        score = round(min(100, max(0, 97 - loss * harm + rng.normal(0, 1.5))), 1)
        dimensions[name] = Dimension(
            score=score,
            threshold=65,
            passed=score >= 65,
            status=Status.measured,
            metrics=_numbers(numbers, harm, rng),
            evidence=evidence,
        )
    return dimensions


def _cascade(harm: float, rng: np.random.Generator) -> tuple[CascadeSection, dict]:
    tiers, models = [], []
    for tier, (seeds, parameters) in enumerate(TIERS, 1):
        rows = [int(r) for r in np.geomspace(256, 64_000, 24)]
        finals: dict[str, list[float]] = {"candidate": [], "reference": []}
        for seed in range(seeds):
            for arm in finals:
                floor = 1.22 + 2.4 * parameters**-0.21 + (harm * (0.05 + 0.05 * tier) if arm == "candidate" else 0)
                curve = [floor + 9 / r**0.55 + rng.normal(0, 0.006) for r in rows]
                finals[arm].append(curve[-1])
                models.append(
                    {
                        "tier": tier,
                        "seed": seed,
                        "arm": arm,
                        "parameters": parameters,
                        "loss": curve[-1],
                        "gradient_noise": rng.uniform(300, 500),
                        "diverged": False,
                        "loss_curve": {"rows": rows, "loss": curve},
                    }
                )
        candidate, reference = np.mean(finals["candidate"]), np.mean(finals["reference"])
        tiers.append(
            {
                "tier": tier,
                "parameters": parameters,
                "seeds": seeds,
                "loss_candidate": float(candidate),
                "loss_reference": float(reference),
                "log_ratio": float(np.log(candidate / reference)),
                "null_sd": 0.004,
            }
        )
    scaling = {
        "a": 2.4 - 0.2 * harm,
        "b": 0.21 + 0.09 * harm,
        "c": 1.24 + 0.305 * harm,
        "r_squared": 0.991,
        "target_parameters": 11_500_000,
        "asymptote_identified": harm < 0.5,
        "predicted_loss": {
            "value": 1.319 + 0.243 * harm,
            "lower": 1.28 + 0.21 * harm,
            "upper": 1.36 + 0.28 * harm,
            "level": 0.95,
        },
        "predicted_excess_loss": {"value": 0.2 * harm, "lower": 0.11 * harm, "upper": 0.29 * harm, "level": 0.95},
    }
    return CascadeSection(status=Status.measured, preset="laptop", tiers=tiers, models=models), scaling


def _rows(rows: int, listed: int, harm: float, rng: np.random.Generator) -> LocalizationSection:
    defects = ("implausible_combination", "near_duplicate", "far_from_reference", "out_of_range")
    names = list(KINDS)
    found = []
    for k in range(listed):
        kind = defects[k % 4]
        found.append(
            RowFinding(
                row=int(rng.integers(rows)),
                score=float(0.99 - 0.3 * k / max(listed, 1)),
                confidence=float(0.95 - 0.2 * k / max(listed, 1)),
                defects=[kind],
                columns=[names[k % 10], names[(k * 3 + 1) % 10]],
                reason=f"{names[k % 10]} and {names[(k * 3 + 1) % 10]} are together 40 times too often",
                influence=1.5 - 0.1 * k if k % 2 else None,
                cells={names[k % 10]: 4.25, names[(k + 1) % 10]: -0.5} if k < 2 else {},
            )
        )
    regions = (
        [Region(row_start=12_000, row_end=13_800, defect="near_duplicate", score=0.81, columns=["income", "rent"])]
        if harm > 0.5
        else []
    )
    missing = [
        MissingRegion(
            conditions=["age from 71 to 94", "region is one of north, coast"],
            columns=["age", "region"],
            reference_share=0.031,
            candidate_share=0.002,
            reference_rows=[18, 402],
            examples=[{"age": "78", "region": "north"}, {"age": "83", "region": "coast"}],
        )
    ]
    return LocalizationSection(
        rows=found,
        regions=regions,
        missing_regions=missing if harm > 0.5 else [],
        evidence=[_strip(rows, harm, rng)],
    )


def _columns(harm: float, rng: np.random.Generator) -> list[ColumnSummary]:
    columns = []
    for k, (name, kind) in enumerate(KINDS.items()):
        drift = (
            0.02
            + harm * (0.31, 0.02, 0.05, 0.28, 0.01, 0.09, 0.03, 0.02, 0.17, 0.08)[k] * (1 if harm > 0.5 else 0.1)
            + abs(rng.normal(0, 0.002))
        )
        note = "read as a number; 3 cells that are none became null" if name == "rent" else None
        columns.append(
            ColumnSummary(
                name=name,
                kind=kind,
                nulls=int(rng.integers(0, 90)),
                distinct=int(rng.integers(4, 900)),
                drift=drift,
                drift_null=0.021,
                note=note,
            )
        )
    return columns


def _recommendations(harm: float) -> list[Recommendation]:
    if harm < 0.5:
        return []
    return [
        Recommendation(
            priority=1,
            category="add_real",
            title="Add 4,000 real rows",
            description=ADD_REAL,
            affected_rows=4_000,
            expected_risk_score=Interval(value=34, lower=21, upper=52, level=0.9),
            cost={"real_rows": 4_000, "minutes": 2.0},
            action={"kind": "mix", "share": 0.33},
            price=400.0,
            on_front=True,
        ),
        Recommendation(
            priority=2,
            category="drop",
            title="Drop the 1,214 rows that score highest",
            description="They combine columns in ways that the reference never does.",
            affected_rows=1_214,
            expected_risk_score=Interval(value=68, lower=49, upper=84, level=0.9),
            cost={"rows_lost": 1_214},
            action={"kind": "drop"},
            price=1.21,
            on_front=False,
        ),
        Recommendation(
            priority=3,
            category="deduplicate",
            title="Keep one of each group of near copies",
            description="Rows 12,000 to 13,799 hold 611 near copies of 47 rows.",
            affected_rows=564,
            expected_risk_score=None,
            cost={"rows_lost": 564},
            action={"kind": "deduplicate"},
        ),
    ]


def _remedies(harm: float) -> RemediesSection:
    if harm <= 0.5:
        unasked = {"status": Status.not_measured, "reason": "not asked for"}
        return RemediesSection(currency="USD", mix=MixSection(**unasked), forecast=ForecastSection(**unasked))
    shares = [i / 10 for i in range(10)]
    axes = {"x_scale": "linear", "y_scale": "linear"}
    curve = {"name": "mix", "x": shares, "y": [95.0 * (1.0 - s) ** 2 for s in shares], "arm": "candidate"}
    lost = {"name": "replace", "x": [0, 1, 2, 3], "y": [0.05, 0.12, 0.21, 0.4]}
    front = {"name": "on the front", "mark": "interval", "x": [400.0], "y": [34.0], "lower": [21.0], "upper": [52.0]}
    return RemediesSection(
        currency="USD",
        mix=MixSection(
            status=Status.measured,
            share=Interval(value=0.48, lower=0.31, upper=0.62, level=0.9),
            share_by_harm=Interval(value=0.36, lower=0.2, upper=None, level=0.9),
            real_rows=3_693,
            approve_below=18.7,
            evidence=[
                Plot(
                    id="mix-plan",
                    kind="lines",
                    title="Risk over the share of real rows",
                    data={"x_label": "share of real rows", "y_label": "risk", "series": [curve], **axes},
                )
            ],
        ),
        forecast=ForecastSection(
            status=Status.measured,
            generations=3,
            replace=Generations(median=2, first=1, last=None),
            accumulate=Generations(median=None, first=3, last=None),
            evidence=[
                Plot(
                    id="forecast",
                    kind="lines",
                    title="Skill lost over generations",
                    data={"x_label": "generation", "y_label": "share of skill lost", "series": [lost], **axes},
                )
            ],
        ),
        evidence=[
            Plot(
                id="risk-and-price",
                kind="points",
                title="What each action buys and costs",
                data={
                    "x_label": "price, USD",
                    "y_label": "risk afterwards",
                    "series": [{"name": "as it is", "x": [0.0], "y": [88.0], "arm": "reference"}, front],
                    **axes,
                },
            )
        ],
    )


def _run(seconds: float) -> RunSection:
    configuration = {
        "seed": 0,
        "detector": {"overall_threshold": 50.0, "review_threshold": 20.0, "null": {"num_splits": 8, "max_rows": 2000}},
        "cascade": {"preset": "laptop", "seeds": [10, 5, 3]},
        "sample": {"max_rows": 20000},
    }
    stages = [
        {"name": n, "seconds": s, "peak_memory_mb": m, "resumed": False}
        for n, s, m in (
            ("profile", 0.9, 210),
            ("statistics", 3.1, 260),
            ("cascade", 31.4, 610),
            ("localization", 4.2, 400),
        )
    ]
    return RunSection(
        seed=0,
        configuration=configuration,
        versions={"vr": "0.1.0", "jax": "0.10.2", "numpy": "2.4.0"},
        devices=["cpu, 2 cores"],
        stages=stages,
        cascade_seconds={"tier_1": 9.5, "tier_2": 8.0},
        started="2026-01-05T09:30:00Z",
        seconds=seconds,
    )


def _diversity(metrics: dict[str, Metric], bad: bool) -> DiversitySection:
    findings = [
        DiversityFinding(
            kind="cluster_thinned",
            text="2.1 % of the rows lie in a cluster that holds 9.4 % of real rows: region is North and Age from 60",
            advice="add about 1,611 rows like the reference's examples",
            rows=[17, 1204],
            reference_rows=[88, 3021, 9],
        )
    ]
    return DiversitySection(
        metrics=metrics,
        intervals={"coverage": Interval(value=0.86, lower=0.842, upper=0.877, level=0.95)},
        findings=findings if bad else [],
        columns=[
            ColumnDiversity(
                name="region",
                entropy=1.2 if bad else 1.6,
                entropy_null=1.61,
                entropy_null_std=0.004,
                gini=0.4,
                gini_null=0.31,
                gini_null_std=0.01,
                top="South",
                top_share=0.44 if bad else 0.3,
                reference_top_share=0.3,
            )
        ],
        clusters=[
            Cluster(
                conditions=["region is North", "Age from 60"],
                columns=["region", "Age"],
                share=0.021 if bad else 0.095,
                reference_share=0.094,
                deviation=0.003,
                density=1.9,
                reference_density=1.0,
                rows=[17, 1204],
                reference_rows=[88, 3021, 9],
            )
        ],
        rare_patterns=[
            RarePattern(
                kind="lost",
                conditions=["region is North", "job is miner"],
                columns=["region", "job"],
                count=0,
                expected=61.3,
                reference_count=38,
                rows=[12, 99],
            )
        ]
        if bad
        else [],
        near_duplicates=[NearDuplicate(row=4, other_row=5012, columns=["rent"])] if bad else [],
        outlier_rows=[611, 4003] if bad else [],
    )


def _report(harm: float, seed: int) -> ValidationReport:
    rng = np.random.default_rng(seed)
    bad = harm > 0.5
    cascade, scaling = _cascade(harm, rng)
    columns = _columns(harm, rng)
    probability = 0.93 if bad else 0.04
    notes = (
        [
            "region: 12 values that the reference does not have count as unseen",
            "3 cells of rent are no numbers and were read as null",
        ]
        if bad
        else []
    )
    diversity = _numbers(
        {
            "entropy": ("Entropy of columns", 2.31, 0.012, -9.0, "Mean over the columns, in nats."),
            "effective_rank": ("Effective rank", 7.4, 0.1, -6.0, "Of the rank correlation."),
            "coverage": (
                "Coverage",
                0.953,
                0.008,
                -11.0,
                "Share of reference neighbourhoods that hold a candidate row.",
            ),
            "clusters": ("Clusters", 9.0, 0.7, -2.2, ""),
        },
        harm,
        rng,
    )
    return ValidationReport(
        verdict=Verdict.reject if bad else Verdict.approve,
        verdict_reason=REJECTED if bad else APPROVED,
        calibration=calibration(),
        risk_score=100 * probability,
        risk_level="high" if bad else "low",
        collapse_probability=Interval(
            value=probability, lower=0.81 if bad else 0.01, upper=0.98 if bad else 0.12, level=0.9
        ),
        collapse_detected=bad,
        collapse_type="correlation" if bad else None,
        severity="high" if bad else "none",
        drivers=[
            {"feature": "generalization_gap.log_ratio", "excess": 3.7, "contribution": 2.7},
            {"feature": "correlation_preservation.max_change", "excess": 3.5, "contribution": 1.9},
            {"feature": "entropy_stability.duplicates", "excess": 0.0, "contribution": 0.0},
        ]
        if bad
        else [],
        dimensions=_dimensions(harm, rng),
        diversity=_diversity(diversity, bad),
        prescreen=_prescreen(probability, bad),
        signatures=_signatures(bad),
        cascade=cascade,
        scaling=scaling,
        localization=_rows(20_000, 60 if bad else 6, harm, rng),
        recommendations=_recommendations(harm),
        remedies=_remedies(harm),
        dataset=DatasetSection(
            uri="data/census_gen8.parquet" if bad else "data/census_fresh.parquet",
            format="parquet",
            rows=20_000,
            columns=columns,
            fingerprint="b3:5f0c9a1e77d04c6f",
            notes=notes,
        ),
        reference=DatasetSection(
            uri="data/census_real.parquet",
            format="parquet",
            rows=12_400,
            columns=[c.model_copy(update={"drift": None, "drift_null": None, "note": None}) for c in columns],
            fingerprint="b3:91aa03c6be2f4410",
        ),
        run=_run(41.3),
    )


def _prescreen(probability: float, bad: bool) -> PreScreenSection:
    return PreScreenSection(
        status=Status.measured,
        answer="stop" if bad else "proceed",
        collapse_probability=Interval(value=probability, lower=0.0, upper=1.0, level=0.9),
        stop_from=0.9,
        outside_library=False,
        outside_below=0.5,
        version="sample",
        line="on 600 clear cases of 30 real datasets: AUROC 0.970",
    )


def _signatures(bad: bool) -> list[SignatureMatch]:
    return [
        SignatureMatch(
            signature_id=f"sig-{i:024d}",
            collapse_type="correlation" if bad else None,
            similarity=0.8 - 0.1 * i,
            historical_outcome=HistoricalOutcome(
                label="collapsed" if bad else "healthy",
                skill_lost=0.4 if bad else 0.01,
                tail_skill_lost=None if i else 0.5,
                dataset="census",
                kind="lineage",
                source="gaussian_copula",
                workflow="replace",
                generation=8,
                real_share=0.0,
                strength=0.0,
            ),
        )
        for i in range(3)
    ]


def _without_null(metrics: dict[str, Metric]) -> dict[str, Metric]:
    return {key: metric.model_copy(update={"null_mean": None, "null_std": None}) for key, metric in metrics.items()}


def reference_free() -> ValidationReport:
    """Without a reference most dimensions cannot be measured."""
    full = _report(harm=0.02, seed=3)
    kept = ("entropy_stability", "spectral_coherence")
    missing = Dimension(score=None, threshold=65, passed=None, status=Status.not_measured, reason="needs a reference")
    dimensions = {
        name: item.model_copy(update={"metrics": _without_null(item.metrics), "evidence": []})
        if name in kept
        else missing
        for name, item in full.dimensions.items()
    }
    not_measured = [f"{name}: needs a reference" for name in dimensions if name not in kept]
    columns = [c.model_copy(update={"drift": None, "drift_null": None}) for c in full.dataset.columns]
    return full.model_copy(
        update={
            "verdict": Verdict.review,
            "verdict_reason": "Only variety and spectra could be measured; nothing alarming there.",
            "risk_score": 38.0,
            "risk_level": "medium",
            "collapse_probability": Interval(value=0.38, lower=0.08, upper=0.74, level=0.9),
            "not_measured": [*not_measured, "row scores: need a reference"],
            "dimensions": dimensions,
            "diversity": DiversitySection(metrics=_without_null(full.diversity.metrics)),
            "cascade": CascadeSection(
                status=Status.not_measured, reason="models are judged on held-out real rows", preset="none"
            ),
            "scaling": {},
            "localization": LocalizationSection(status=Status.not_measured, reason="needs a reference"),
            "dataset": full.dataset.model_copy(update={"columns": columns}),
            "reference": None,
        }
    )


def wide(columns: int = 2_000, listed: int = 1_000) -> ValidationReport:
    """A collapsed candidate with thousands of columns, long names and as much evidence as a pipeline could give."""
    full = reject()
    rng = np.random.default_rng(4)
    names = [f"a_rather_long_name_of_a_column_as_exports_have_them_{k:04d}" for k in range(columns)]
    summaries = [
        ColumnSummary(
            name=n,
            kind="numeric",
            nulls=0,
            distinct=512,
            drift=float(d),
            drift_null=0.02,
            note="all values are whole numbers",
        )
        for n, d in zip(names, rng.uniform(0, 0.5, columns), strict=True)
    ]
    overlays = [
        _overlay("income", 1.0, rng).model_copy(update={"id": f"o{k}", "title": f"Distribution of {n}"})
        for k, n in enumerate(names)
    ]
    long_series = [
        {
            "name": f"model {k}",
            "x": list(range(1, 5_001)),
            "y": rng.random(5_000).tolist(),
            "lower": [0.0] * 5_000,
            "upper": [1.0] * 5_000,
        }
        for k in range(40)
    ]
    curves = Plot(
        id="many",
        kind="lines",
        title="Many long series",
        data={"x_label": "step", "y_label": "loss", "x_scale": "linear", "y_scale": "linear", "series": long_series},
    )
    bars = Plot(
        id="bars",
        kind="bars",
        title="Entropy lost, by column",
        data={"labels": names, "values": rng.random(columns).tolist(), "unit": "nats"},
    )
    metrics = {f"metric_{k}": Metric(value=float(k), null_mean=0.0, null_std=1.0) for k in range(400)}
    evidence = [_matrix(names[:400], 1.0, rng), *overlays, curves, bars]
    dimensions = {
        name: item.model_copy(update={"evidence": evidence, "metrics": metrics})
        for name, item in full.dimensions.items()
    }
    found = [f.model_copy(update={"columns": names[:200]}) for f in _rows(10**9, listed, 1.0, rng).rows]
    run = full.run.model_copy(
        update={"configuration": full.run.configuration | {"data": {"schema": dict.fromkeys(names, "numeric")}}}
    )
    return full.model_copy(
        update={
            "dimensions": dimensions,
            "localization": full.localization.model_copy(
                update={
                    "rows": found,
                    "regions": full.localization.regions * 400,
                    "missing_regions": full.localization.missing_regions * 400,
                }
            ),
            "dataset": full.dataset.model_copy(
                update={"rows": 10**9, "columns": summaries, "notes": [f"{n}: a note" for n in names]}
            ),
            "reference": full.dataset.model_copy(update={"columns": summaries}),
            "not_measured": names,
            "run": run,
        }
    )


HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">\u2028'&<b>"


def hostile() -> ValidationReport:
    """A report whose every text from outside tries to break out of the page."""
    full = reject()
    first, *others = full.dataset.columns
    bad = Plot(
        id=HOSTILE,
        kind="overlay",
        title=HOSTILE,
        caption=HOSTILE,
        data={"column": HOSTILE, "categories": [HOSTILE, "b"], "candidate": [0.5, 0.5], "reference": [0.9, 0.1]},
    )
    item = full.dimensions["distribution_fidelity"]
    metric = Metric(value=1.0, label=HOSTILE, description=HOSTILE, unit=HOSTILE)
    dimensions = full.dimensions | {
        "distribution_fidelity": item.model_copy(update={"evidence": [bad], "metrics": {HOSTILE: metric}})
    }
    return full.model_copy(
        update={
            "dimensions": dimensions,
            "verdict_reason": HOSTILE,
            "drivers": [{"feature": HOSTILE}],
            "dataset": full.dataset.model_copy(
                update={
                    "uri": HOSTILE,
                    "columns": [first.model_copy(update={"name": HOSTILE, "note": HOSTILE, "drift": 0.9}), *others],
                    "notes": [HOSTILE],
                }
            ),
            "recommendations": [
                full.recommendations[0].model_copy(
                    update={"title": HOSTILE, "description": HOSTILE, "cost": {HOSTILE: HOSTILE}}
                )
            ],
            "run": full.run.model_copy(
                update={"configuration": {HOSTILE: {HOSTILE: HOSTILE}}, "versions": {HOSTILE: HOSTILE}}
            ),
            "cascade": full.cascade.model_copy(update={"tiers": [{HOSTILE: HOSTILE}]}),
            "prescreen": PreScreenSection(status=Status.not_measured, reason=HOSTILE, line=HOSTILE),
            "signatures": [
                each.model_copy(
                    update={
                        "signature_id": HOSTILE,
                        "historical_outcome": each.historical_outcome.model_copy(update={"dataset": HOSTILE}),
                    }
                )
                for each in full.signatures
            ],
        }
    )
