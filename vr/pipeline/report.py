"""The validation report: one typed document behind report.json, the HTML page and the Python call.

A number that could not be computed is None with a reason beside it; NaN and infinity are refused at construction.
"""

import json
import os
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticSerializationError, to_json

from vr.pipeline.extent import Extent

__all__ = [
    "SCHEMA_VERSION",
    "CascadeSection",
    "Cluster",
    "ColumnDiversity",
    "DatasetSection",
    "DiversityFinding",
    "DiversitySection",
    "Dimension",
    "ForecastSection",
    "Generations",
    "Interval",
    "LocalizationSection",
    "Metric",
    "MissingRegion",
    "MixSection",
    "NearDuplicate",
    "OwnMetric",
    "Plot",
    "PreScreenSection",
    "RarePattern",
    "Recommendation",
    "Region",
    "RemediesSection",
    "RowFinding",
    "RunSection",
    "SampleCheck",
    "SignatureMatch",
    "Status",
    "StratifiedSampleSection",
    "ValidationReport",
    "Verdict",
    "write_atomically",
]

SCHEMA_VERSION = "1.9.0"

Finite = Annotated[float, Field(allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Verdict(StrEnum):
    """The three-way answer."""

    approve = "approve"
    review = "review"
    reject = "reject"


class Status(StrEnum):
    """Whether a thing was measured; never a neutral score for one that was not."""

    measured = "measured"
    not_measured = "not_measured"


class Interval(_Model):
    """A value with its interval; `level` is the nominal coverage, 0 to 1."""

    value: Finite | None
    lower: Finite | None
    upper: Finite | None
    level: Probability
    reason: str | None = None


class Metric(_Model):
    """One number of a dimension, beside what the reference gives against itself.

    `value` is the mean over the candidate's splits; `null_mean` and `null_std` are over reference splits of equal size.
    `floor` is the difference that does not matter in practice; `judged` metrics make the dimension's score.
    """

    value: Finite | None
    null_mean: Finite | None = None
    null_std: Finite | None = None
    unit: str = ""
    label: str = ""
    description: str = ""
    higher_is_worse: bool = True
    floor: Finite = 0.0
    two_sided: bool = False
    judged: bool = False
    reason: str | None = None


PlotKind = Literal["overlay", "matrix", "lines", "points", "bars", "strip"]


class Plot(_Model):
    """A chart as data, drawn by the page; aggregated values only, never rows of a dataset.

    `data` by kind:
      overlay: {"column", "categories" or "edges", "candidate": [shares], "reference": [shares]}
      matrix:  {"labels": [names], "values": [[...]], "null": max |value| expected of a real split}
      lines:   {"x_label", "y_label", "x_scale", "y_scale", "series": [{"name", "x", "y", "lower"?, "upper"?, "arm"?}]}
      points:  the same as lines, drawn unjoined
      bars:    {"labels", "values", "null_mean"?, "null_std"?, "unit"}
      strip:   {"row_start": [...], "row_end": [...], "score": [...], "null": expected score}
    """

    id: str
    kind: PlotKind
    title: str
    caption: str = ""
    data: dict[str, Any]


class Dimension(_Model):
    """One of the eight dimensions; `score` is 0 (worst) to 100 (as good as real)."""

    score: Percent | None
    threshold: Percent
    passed: bool | None
    status: Status
    reason: str | None = None
    metrics: dict[str, Metric] = {}
    evidence: list[Plot] = []


class OwnMetric(Metric):
    """A number that each dataset has by itself; `reference` is the reference's own, which need not be a null.

    Where `null_mean` is there too, both are at the candidate's number of rows; without it, each is of its whole file.
    """

    reference: Finite | None


class DiversityFinding(_Model):
    """Something to know about the candidate's variety, and what to do about it.

    `rows` are the candidate's, `reference_rows` the reference's: examples, by number.
    """

    kind: str
    text: str
    advice: str
    rows: list[int] = []
    reference_rows: list[int] = []


class ColumnDiversity(_Model):
    """How varied one column is: `entropy` in nats, `gini` of its codes' counts, its commonest value's share.

    Entropy and gini are of samples of equal size, beside what the reference gives against itself.
    """

    name: str
    entropy: Finite | None
    entropy_null: Finite | None = None
    entropy_null_std: Finite | None = None
    gini: Finite | None
    gini_null: Finite | None = None
    gini_null_std: Finite | None = None
    top: str
    top_share: Probability
    reference_top_share: Probability | None = None
    reason: str | None = None


class Cluster(_Model):
    """One cluster of the reference's rows (of the candidate's, without a reference) and who has how much of it.

    Shares are of all rows of the samples that took no part in finding it. `deviation` is the standard error of their
    difference where both sides are alike. Densities, of equally many rows, are one over the median distance to the
    fifth neighbour. `conditions` say what sets its rows apart from others; `rows` and `reference_rows` lie near its
    centre.
    """

    conditions: list[str]
    columns: list[str]
    share: Probability
    reference_share: Probability | None = None
    deviation: Finite | None = None
    density: Finite | None = None
    reference_density: Finite | None = None
    rows: list[int] = []
    reference_rows: list[int] = []
    reason: str | None = None


class RarePattern(_Model):
    """A combination of values that is `lost`, `new`, or `odd`: hardly any row has it.

    `lost`: `expected` rows at the reference's share, none there; `rows` are the reference's. `new`: no reference row
    has it. `odd`: `expected` rows, were the columns independent. Counts are of the samples.
    """

    kind: Literal["lost", "new", "odd"]
    conditions: list[str]
    columns: list[str]
    count: int
    expected: Finite | None = None
    reference_count: int | None = None
    rows: list[int] = []
    reason: str | None = None


class NearDuplicate(_Model):
    """Two candidate rows that are coded alike in all columns but `columns`."""

    row: int
    other_row: int
    columns: list[str]


class DiversitySection(_Model):
    """Diversity of the candidate: what it has by itself, and what it lacks of the reference's.

    `reason` says why nothing of it was measured; None where it was.
    """

    reason: str | None = None
    # What has `reference` is the first, what has not the second.
    metrics: dict[str, OwnMetric | Metric] = {}
    # By metric: the value's own interval, where it has one.
    intervals: dict[str, Interval] = {}
    findings: list[DiversityFinding] = []
    columns: list[ColumnDiversity] = []
    clusters: list[Cluster] = []
    rare_patterns: list[RarePattern] = []
    near_duplicates: list[NearDuplicate] = []
    outlier_rows: list[int] = []


class CascadeSection(_Model):
    """Tiers and one entry for each trained model."""

    status: Status
    reason: str | None = None
    preset: str
    tiers: list[dict[str, Any]] = []
    models: list[dict[str, Any]] = []


class RowFinding(_Model):
    """One suspicious candidate row; `row` counts from 0 in the candidate's own order.

    `influence` (with localization.influence=true): what training on it does to the smallest proxies' loss on real rows,
    in standard deviations from the mean of the candidate's rows; above 0 where it does more harm than they do. `cells`
    (with localization.gradients=true, of the worst rows): its loss by proxies that were trained on real rows, in nats,
    shared out over its cells by integrated gradients; empty where these are not complete.
    """

    row: int
    score: Probability
    confidence: Probability
    defects: list[str]
    columns: list[str]
    reason: str
    influence: Finite | None = None
    cells: dict[str, Finite] = {}


class Region(_Model):
    """A contiguous stretch of suspicious rows, `row_start` inclusive, `row_end` exclusive."""

    row_start: int
    row_end: int
    defect: str
    score: Probability
    columns: list[str]


class MissingRegion(_Model):
    """A part of the reference that the candidate does not cover; `conditions` hold together, one a column."""

    conditions: list[str]
    columns: list[str]
    reference_share: Probability
    candidate_share: Probability
    reference_rows: list[int] = []  # examples, by their number in the reference
    examples: list[dict[str, str]] = []


class LocalizationSection(_Model):
    """Which rows are to blame, and which parts of the reference no row stands for.

    `proxies_reason` says why rows have no `influence` or `cells`.
    """

    status: Status = Status.measured
    reason: str | None = None
    rows: list[RowFinding] = []
    regions: list[Region] = []
    missing_regions: list[MissingRegion] = []
    evidence: list[Plot] = []
    proxies_reason: str | None = None


class Recommendation(_Model):
    """One thing to do; `action` is what `vr fix` executes, `basis` how the expected risk was measured.

    `price` is in the currency of the remedies' section; `on_front` says whether no other action, nor doing nothing, has
    a risk and a price as low, None where its risk was not measured. `expected_skill_loss` is the share of the skill
    that training would lose afterwards. `history_shift` are the points by which the errors of earlier predictions moved
    the expected risk, what was measured being the value less these; 0 where nothing moved it.
    """

    priority: int
    category: str
    title: str
    description: str
    affected_rows: int
    expected_risk_score: Interval | None
    basis: str = ""
    cost: dict[str, Any]
    action: dict[str, Any]
    price: Finite | None = None
    on_front: bool | None = None
    expected_skill_loss: Interval | None = None
    history_shift: Finite = 0.0


class MixSection(_Model):
    """The smallest share of real rows at which the verdict becomes `approve`, as statistics alone see it.

    `share_by_harm` is the smallest at which training on the mix is expected to lose under a tenth of the skill; where
    targets are named and real rows teach them, the smallest at which boosted trees that were trained on it did.
    `real_rows` are those to put beside all of the candidate's; `approve_below` is the risk below which a mix is
    approved. The intervals are of the share that training would find, by how far off plans were where models were
    trained on every mix; they have no upper end where that may be all real rows.
    """

    status: Status
    reason: str | None = None
    share: Interval | None = None
    share_by_harm: Interval | None = None
    real_rows: int | None = None
    approve_below: Percent | None = None
    evidence: list[Plot] = []


class Generations(_Model):
    """Generations until collapse: the median over families of generators, the first and the last of them to collapse.

    None where that lies beyond the generations that were walked.
    """

    median: Finite | None
    first: Finite | None
    last: Finite | None


class ForecastSection(_Model):
    """Generations until collapse if a generator is refitted to this candidate; ours stand for the user's."""

    status: Status
    reason: str | None = None
    generations: int | None = None
    replace: Generations | None = None
    accumulate: Generations | None = None
    evidence: list[Plot] = []


class CombinedEffect(_Model):
    """What several recommendations do at once, by their priorities, as `vr fix --top` does the first of them."""

    priorities: list[int]
    expected_risk_score: Interval
    expected_skill_loss: Interval
    basis: str = ""


class RemediesSection(_Model):
    """What all remedies show: the share of real rows that is enough, and what they buy, each and together, and cost.

    `together` has the first two, the first three and so on of the recommendations that were measured, and those of
    these that need no real rows.
    """

    currency: str
    # By training on the candidate as it is; None where it could not be measured.
    expected_skill_loss: Interval | None = None
    together: list[CombinedEffect] = []
    mix: MixSection
    forecast: ForecastSection
    evidence: list[Plot] = []


class ColumnSummary(_Model):
    """One column as the codec sees it; `reason` says why a number of it is None, `note` what was decided about it."""

    name: str
    kind: str
    nulls: int | None
    distinct: int | None = None
    drift: Finite | None = None
    drift_null: Finite | None = None
    note: str | None = None
    reason: str | None = None


class SampleCheck(_Model):
    """How a sample stands for all rows of its file, by what was counted of every row in each of `columns` codings.

    `confidence` is the share of them whose Kolmogorov-Smirnov distance from the file lies within `band`, to which a
    random sample of `effective_rows` keeps with a probability of `level` or more (Dvoretzky, Kiefer and Wolfowitz).
    `entropy_difference` is the largest difference of a column's entropy, in nats. Pairs are not counted in the whole
    file: `correlation_difference` is the root mean square of how rank correlations differ from those of the uniform
    sample, which for two samples of independent columns would be `correlation_noise`.
    """

    rows: int
    effective_rows: Finite | None
    confidence: Probability | None
    level: Probability
    band: Finite | None
    columns: int
    worst_column: str | None
    worst_distance: Finite | None
    entropy_column: str | None
    entropy_difference: Finite | None
    correlation_difference: Finite | None = None
    correlation_noise: Finite | None = None
    reason: str | None = None


class StratifiedSampleSection(_Model):
    """A sample drawn by strata and written to `uri`, each row with the number of rows that it stands for.

    `clusters` are of ordinary rows, drawn in proportion. `wanted_rows` are those of the file that are wanted more, of
    which the sample holds `wanted_drawn`: with one of `rare_codes` or `rare_pairs`, each of which the sample is
    expected to have `floor` rows of (or all), or farther from all clusters than all but `outlier_share` of the rows.
    """

    status: Status
    reason: str | None = None
    uri: str | None = None
    rows: int | None = None
    row_column: str | None = None
    weight_column: str | None = None
    clusters: int | None = None
    wanted_rows: int | None = None
    wanted_drawn: int | None = None
    rare_codes: int | None = None
    rare_pairs: int | None = None
    floor: Finite | None = None
    outlier_share: Probability | None = None
    check: SampleCheck | None = None


class DatasetSection(_Model):
    """What was read; `fingerprint` is a digest of the content, independent of how it was batched.

    `sample` is of the uniform sample that statistics read, None in reports before 1.6.0.
    """

    uri: str
    format: str
    rows: int
    columns: list[ColumnSummary]
    fingerprint: str
    notes: list[str] = []
    sample: SampleCheck | None = None


class RunSection(_Model):
    """All that may differ between two runs of the same inputs."""

    seed: int
    configuration: dict[str, Any]
    versions: dict[str, str]
    devices: list[str]
    stages: list[dict[str, Any]]
    cascade_seconds: dict[str, Finite] = {}  # by tier, all its models together
    started: str
    seconds: Finite


class CalibrationSection(_Model):
    """What the probability was fitted to, and how often such a verdict was wrong where that could be measured.

    `errors` are of cases whose dataset and source (generator, damage or harmless change) the judging head had not seen:
    by kind of case (`all`, `clear`, `abstaining`, and `one_target` where the verdict speaks of one), each figure with
    its 95 % interval over datasets. `review_from` and `reject_from` are the risks at which this verdict turned.
    `targets` are the columns to be predicted that the verdict speaks of; it speaks of all columns where there are none.
    `beyond` names what of this dataset lies outside of anything the head was calibrated on.
    """

    version: str
    situation: Literal["trained", "untrained", "trained_for_targets", "untrained_for_targets", "without_reference"]
    line: str
    datasets: int
    sources: int
    cases: dict[str, int]
    errors: dict[str, dict[str, list[Finite]]]
    review_from: Percent
    reject_from: Percent
    targets: list[str] = []
    beyond: list[str] = []


class HistoricalOutcome(_Model):
    """What became of a model trained on the dataset of a signature, and where that dataset came from.

    `reason` says why a loss is None.
    """

    label: Literal["healthy", "grey", "collapsed"]
    skill_lost: Finite | None
    tail_skill_lost: Finite | None
    dataset: str
    kind: str
    source: str
    workflow: str
    generation: int
    real_share: Finite
    strength: Finite
    reason: str | None = None


class SignatureMatch(_Model):
    """A known dataset that looks like the candidate; `similarity` is 1 for equal fingerprints."""

    signature_id: str
    collapse_type: str | None
    similarity: Probability
    historical_outcome: HistoricalOutcome


class PreScreenSection(_Model):
    """What was known before any training.

    `answer` is `stop` from `stop_from` on, else `proceed`, which is no approval. `stopped` says that the run obeyed and
    trained nothing. `outside_library` says that no signature is as near as two real samples usually are to each other.
    `fingerprint` has the components by name, in deviations of their nulls, those that are defined on these columns.
    """

    status: Status
    reason: str | None = None
    answer: Literal["proceed", "stop"] | None = None
    stopped: bool = False
    collapse_probability: Interval | None = None
    stop_from: Probability | None = None
    outside_library: bool | None = None
    outside_below: Probability | None = None
    fingerprint_version: int | None = None
    fingerprint: dict[str, Finite] = {}
    library: dict[str, Any] = {}
    beyond: list[str] = []
    version: str | None = None
    line: str = ""


class ValidationReport(_Model):
    """The whole answer."""

    schema_version: str = SCHEMA_VERSION
    # None in reports before 1.9.0, all of them whole.
    extent: Extent | None = None
    verdict: Verdict
    verdict_reason: str
    calibration: CalibrationSection
    # None where nothing that the verdict reads could be measured; verdict_reason says why.
    risk_score: Percent | None
    risk_level: Literal["low", "medium", "high"] | None
    collapse_probability: Interval
    collapse_detected: bool
    collapse_type: Literal["distribution", "correlation", "rare_pattern", "temporal", "semantic"] | None
    severity: Literal["none", "low", "medium", "high"]
    not_measured: list[str] = []
    drivers: list[dict[str, Any]] = []
    dimensions: dict[str, Dimension]
    diversity: DiversitySection
    # None in reports before 1.4.0.
    prescreen: PreScreenSection | None = None
    signatures: list[SignatureMatch] = []
    cascade: CascadeSection
    scaling: dict[str, Any]
    localization: LocalizationSection
    recommendations: list[Recommendation]
    # None in reports before 1.5.0.
    remedies: RemediesSection | None = None
    dataset: DatasetSection
    reference: DatasetSection | None
    # None in reports before 1.6.0.
    stratified_sample: StratifiedSampleSection | None = None
    run: RunSection

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as JSON-able values."""
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        """Returns the report as JSON text, in ASCII; NaN and infinity, which no section's own numbers are, as null."""
        document = self.to_dict()
        # Six times as fast as the standard library, whose indented form is written by Python.
        try:
            return to_json(document, indent=1, ensure_ascii=True).decode()
        except PydanticSerializationError:
            # Half a surrogate pair, as in a file's name that is no UTF-8.
            return json.dumps(document, indent=1, allow_nan=False)

    def to_html(self) -> str:
        """Returns the report as one self-contained page."""
        from vr.pipeline.page import render

        return render(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the report, whole or not at all; `.html` gives the page, anything else JSON."""
        path = Path(path)
        text = self.to_html() if path.suffix.lower() in (".html", ".htm") else self.to_json()
        write_atomically(path, text.encode())
        return path

    def _repr_html_(self) -> str:
        from vr.pipeline.page import render_summary

        return render_summary(self)


def write_atomically(path: Path, content: bytes) -> None:
    """Writes through a temporary file in the same folder and a rename, so that `path` is never half-written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file private; a report is as readable as the user's umask says.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
