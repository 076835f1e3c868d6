"""Scores every row of a candidate in one stream: the worst rows, the regions, and all scores handed on as they come."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from vr.data.codec import Codec, Coded
from vr.data.hashing import hash_batch
from vr.data.ordered import map_in_order
from vr.data.repeats import Followers, Repeats
from vr.detector.inputs import Columns, Side
from vr.localization.explain import explain
from vr.localization.missing import MissingRegion
from vr.localization.proxies import Proxies
from vr.localization.reasons import reason
from vr.localization.regions import Blocks, Region, Stretches, find_regions
from vr.localization.scorer import DEFECTS, Readings, RowScorer

__all__ = ["CONFIDENT", "Finding", "Localized", "ROW_SCORES", "Sampled", "localize", "score_duplicates_only"]

ROW_SCORES = pa.schema(
    [
        ("row", pa.int64()),
        ("score", pa.float32()),
        ("confidence", pa.float32()),
        ("defect", pa.dictionary(pa.int8(), pa.string())),
    ]
)


CONFIDENT = 0.8  # confidence from which a row counts as suspicious


@dataclass(frozen=True)
class Finding:
    """One row of the worst, with its reason; `influence` and `cells` as the proxies gave them, see `Asked`."""

    row: int
    score: float
    confidence: float
    defects: list[str]
    columns: list[str]
    reason: str
    influence: float | None = None
    cells: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Sampled:
    """What was found of some of the rows.

    Attributes:
      suspicious: bool `[n]`, rows that count in `Localized.num_suspicious`.
      repeated: bool `[n]`, rows that repeat an earlier row of the file.
    """

    suspicious: np.ndarray
    repeated: np.ndarray

    @classmethod
    def none_yet(cls, num_rows: int) -> "Sampled":
        """Returns room for what is found of `num_rows` rows."""
        return cls(np.zeros(num_rows, bool), np.zeros(num_rows, bool))


@dataclass(frozen=True)
class Localized:
    """What was found in the whole file.

    Attributes:
      findings: Worst rows, best evidence first.
      regions: Contiguous stretches, worst first.
      blocks: Evidence along the file.
      num_repeated: Rows that repeat an earlier row.
      num_suspicious: Rows with a confidence of `CONFIDENT` or more for what they are, and the exact repeats of these.
      complete: False where the file was too long for every repeat to be remembered.
      sampled: Of the rows that were asked for; None where none were scored.
      missing: Regions of the reference that the candidate does not cover, the largest first.
    """

    findings: list[Finding]
    regions: list[Region]
    blocks: Blocks
    num_repeated: int
    num_suspicious: int
    complete: bool
    sampled: Sampled | None = None
    missing: list[MissingRegion] = field(default_factory=list)


def localize(
    batches: Iterable[pa.RecordBatch],
    scorer: RowScorer,
    codec: Codec,
    reference: Side,
    *,
    num_rows: int,
    max_rows: int,
    sample: np.ndarray | None = None,
    threads: int = 1,
    write: Callable[[pa.RecordBatch], None] | None = None,
    on_batch: Callable[[int], None] | None = None,
    proxies: Proxies | None = None,
) -> Localized:
    """Scores all rows of `batches`, in row order.

    Args:
      batches: The whole candidate.
      scorer: Fitted on the samples.
      codec: As the scorer was fitted with.
      reference: Rows that reasons are explained against.
      num_rows: Rows in all.
      max_rows: Rows to list.
      sample: int64 ascending, rows whose scores are kept apart.
      threads: Batches scored at a time.
      write: Takes the scores of each batch, with the schema `ROW_SCORES`.
      on_batch: Told the number of rows done.
      proxies: Asked about the worst rows.
    """
    repeats, followers, blocks = Repeats(), Followers(), Blocks(num_rows)
    stretches = Stretches(scorer.evidence.stretches)
    sample = np.empty(0, np.int64) if sample is None else sample
    sampled = Sampled.none_yet(len(sample))
    worst: _Worst | None = None
    num_repeated = num_suspicious = 0

    def prepare() -> Iterable[tuple[int, pa.RecordBatch, np.ndarray, np.ndarray]]:
        nonlocal num_repeated
        start = 0
        for batch in batches:
            # Repeats depend on the rows before, so they are marked in order.
            hashes = hash_batch(batch, codec.sources)
            repeated = repeats.mark(hashes)
            num_repeated += int(repeated.sum())
            places = slice(*np.searchsorted(sample, [start, start + batch.num_rows]))
            sampled.repeated[places] = repeated[sample[places] - start]
            if batch.num_rows:
                yield start, batch, hashes, repeated
            start += batch.num_rows

    def score(
        item: tuple[int, pa.RecordBatch, np.ndarray, np.ndarray],
    ) -> tuple[np.ndarray, np.ndarray, Readings, np.ndarray, _Worst]:
        start, batch, hashes, repeated = item
        coded, rows = codec.encode(batch), np.arange(start, start + batch.num_rows)
        readings = scorer.read(coded, rows, repeated)
        confidence = scorer.confidence(readings)
        return rows, hashes, readings, confidence, _Worst.of(coded, rows, readings, confidence, max_rows)

    for rows, hashes, readings, confidence, part in map_in_order(score, prepare(), threads):
        blocks.add(int(rows[0]), readings)
        stretches.add(rows, readings)
        places = slice(*np.searchsorted(sample, [rows[0], rows[-1] + 1]))
        suspicious = followers.follow(hashes, (confidence >= CONFIDENT) & ~readings.repeat, readings.repeat)
        sampled.suspicious[places] = suspicious[sample[places] - rows[0]]
        num_suspicious += int(suspicious.sum())
        if write is not None:
            write(_scores(rows, readings, confidence, readings.defect))
        worst = part if worst is None else worst.merge(part, max_rows)
        if on_batch is not None:
            on_batch(int(rows[-1]) + 1)
    findings = [] if worst is None else worst.findings(scorer, reference, Columns.of(codec), proxies)
    regions = find_regions(blocks, stretches.regions(scorer.columns.names))
    return Localized(findings, regions, blocks, num_repeated, num_suspicious, repeats.complete, sampled)


def score_duplicates_only(
    batches: Iterable[pa.RecordBatch],
    codec: Codec,
    *,
    num_rows: int,
    max_rows: int,
    reason: str,
    write: Callable[[pa.RecordBatch], None] | None = None,
) -> Localized:
    """Scores the rows of a candidate that has nothing to be compared with: only exact repeats are seen.

    A repeat scores 1 - 1e-4, any other row 0; confidence is 0, since how many repeats real data has is not known.
    """
    repeats, blocks = Repeats(), Blocks(num_rows)
    findings: list[Finding] = []
    start = num_repeated = 0
    for batch in batches:
        repeated = repeats.mark(hash_batch(batch, codec.sources))
        evidence = np.zeros((len(repeated), len(DEFECTS) - 1))
        evidence[:, DEFECTS.index("exact_duplicate") - 1] = np.where(repeated, 4.0, 0.0)
        readings = Readings(evidence, np.zeros(len(repeated)), np.zeros(len(repeated)))
        rows = np.arange(start, start + batch.num_rows)
        blocks.add(start, readings)
        if write is not None:
            write(_scores(rows, readings, np.zeros(len(rows)), readings.defect))
        for row in rows[repeated][: max_rows - len(findings)]:
            text = f"it repeats an earlier row exactly; nothing else could be measured: {reason}"
            findings.append(Finding(int(row), 1.0 - 1e-4, 0.0, ["exact_duplicate"], [], text))
        num_repeated += int(repeated.sum())
        start += batch.num_rows
    return Localized(findings, find_regions(blocks), blocks, num_repeated, 0, repeats.complete)


def _scores(rows: np.ndarray, readings: Readings, confidence: np.ndarray, defect: np.ndarray) -> pa.RecordBatch:
    names = pa.DictionaryArray.from_arrays(pa.array(defect.astype(np.int8)), pa.array(DEFECTS))
    return pa.RecordBatch.from_arrays(
        [
            pa.array(rows),
            pa.array(readings.score.astype(np.float32)),
            pa.array(confidence.astype(np.float32)),
            names,
        ],
        schema=ROW_SCORES,
    )


@dataclass(frozen=True)
class _Worst:
    """The rows of most evidence so far; ties go to the earlier row, so that batches do not matter."""

    coded: Coded
    rows: np.ndarray
    readings: Readings
    confidence: np.ndarray

    @classmethod
    def of(cls, coded: Coded, rows: np.ndarray, readings: Readings, confidence: np.ndarray, most: int) -> "_Worst":
        # A row without a defect is not listed, however few others there are.
        able = np.flatnonzero(readings.defect > 0)
        evidence = readings.total[able]
        if 0 < most < len(able):
            kept = evidence >= np.partition(evidence, -most)[-most]
            able, evidence = able[kept], evidence[kept]
        order = able[np.lexsort((rows[able], -evidence))[:most]]
        return cls(coded.take(order), rows[order], readings.take(order), confidence[order])

    def merge(self, other: "_Worst", most: int) -> "_Worst":
        def both(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return np.concatenate([a, b])

        return _Worst.of(
            Coded(both(self.coded.codes, other.coded.codes), both(self.coded.values, other.coded.values)),
            both(self.rows, other.rows),
            self.readings.join(other.readings),
            both(self.confidence, other.confidence),
            most,
        )

    def findings(
        self, scorer: RowScorer, reference: Side, columns: Columns, proxies: Proxies | None = None
    ) -> list[Finding]:
        side, score = Side.of(self.coded, scorer.embedding, self.rows), self.readings.score
        asked = None if proxies is None else proxies.ask(self.coded.codes)
        result = []
        for i, (blamed, told) in enumerate(
            explain(scorer, side, self.readings, reference, () if asked is None else asked.cells)
        ):
            defects, text = reason(
                self.readings.evidence[i],
                blamed,
                self.coded.codes[i],
                self.coded.values[i],
                columns,
                num_held_out=scorer.num_held_out,
                told=told,
            )
            result.append(
                Finding(
                    int(self.rows[i]),
                    float(score[i]),
                    float(self.confidence[i]),
                    defects,
                    [columns.names[j] for j in blamed],
                    text,
                    None if asked is None else _finite(asked.influence[i]),
                    {} if asked is None else _by_column(asked.cells[i], columns),
                )
            )
        return result


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _by_column(cells: np.ndarray | None, columns: Columns) -> dict[str, float]:
    """Returns a row's shares by the names of the file's columns; a date's parts count with it."""
    return {} if cells is None else {columns.names[j]: float(cells[k].sum()) for j, k in columns.parts.items()}
