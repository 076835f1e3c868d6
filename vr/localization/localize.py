"""Scores every row of a candidate in one stream: the worst rows, the regions, and all scores handed on as they come."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from vr.data.codec import Codec
from vr.data.hashing import hash_batch
from vr.data.ordered import map_in_order
from vr.data.repeats import Repeats
from vr.detector.inputs import Columns, Side
from vr.localization.explain import explain
from vr.localization.gathered import Gathered, Sampled
from vr.localization.missing import MissingRegion
from vr.localization.proxies import Proxies
from vr.localization.reasons import reason
from vr.localization.regions import Blocks, Region, find_regions
from vr.localization.scorer import DEFECTS, Readings, RowScorer
from vr.localization.worst import Worst

__all__ = [
    "CONFIDENT",
    "ROW_SCORES",
    "SEGMENT_ROWS",
    "Finding",
    "Localized",
    "Sampled",
    "localize",
    "score_duplicates_only",
]

ROW_SCORES = pa.schema(
    [
        ("row", pa.int64()),
        ("score", pa.float32()),
        ("confidence", pa.float32()),
        ("defect", pa.dictionary(pa.int8(), pa.string())),
    ]
)


SEGMENT_ROWS = 1 << 24  # after which what was gathered is kept: no file of a few million rows pays for it
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
    begun: Gathered | None = None,
    keep: Callable[[Gathered], None] | None = None,
    segment_rows: int = SEGMENT_ROWS,
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
      begun: What was gathered of the first rows, which are not scored again; it is added to.
      keep: Told what was gathered so far after every segment of rows, all of which were handed to `write` by then.
      segment_rows: Rows of a segment, at least.
    """
    sample = np.empty(0, np.int64) if sample is None else sample
    so_far = begun or Gathered.none_yet(num_rows, scorer.evidence.stretches, len(sample))

    def prepare(batches: Iterable[pa.RecordBatch]) -> Iterable[tuple[int, pa.RecordBatch, np.ndarray, np.ndarray]]:
        start = so_far.rows
        for batch in batches:
            # Repeats depend on the rows before, so they are marked in order.
            hashes = hash_batch(batch, codec.sources)
            repeated = so_far.repeats.mark(hashes)
            so_far.num_repeated += int(repeated.sum())
            places = slice(*np.searchsorted(sample, [start, start + batch.num_rows]))
            so_far.sampled.repeated[places] = repeated[sample[places] - start]
            if batch.num_rows:
                yield start, batch, hashes, repeated
            start += batch.num_rows

    def score(
        item: tuple[int, pa.RecordBatch, np.ndarray, np.ndarray],
    ) -> tuple[np.ndarray, np.ndarray, Readings, np.ndarray, Worst]:
        start, batch, hashes, repeated = item
        coded, rows = codec.encode(batch), np.arange(start, start + batch.num_rows)
        readings = scorer.read(coded, rows, repeated)
        confidence = scorer.confidence(readings)
        return rows, hashes, readings, confidence, Worst.of(coded, rows, readings, confidence, max_rows)

    for segment in _segments(_after(batches, so_far.rows), None if keep is None else segment_rows):
        for rows, hashes, readings, confidence, part in map_in_order(score, prepare(segment), threads):
            so_far.blocks.add(int(rows[0]), readings)
            so_far.stretches.add(rows, readings)
            places = slice(*np.searchsorted(sample, [rows[0], rows[-1] + 1]))
            goes = (confidence >= CONFIDENT) & ~readings.repeat
            suspicious = so_far.followers.follow(hashes, goes, readings.repeat)
            so_far.sampled.suspicious[places] = suspicious[sample[places] - rows[0]]
            so_far.num_suspicious += int(suspicious.sum())
            if write is not None:
                write(_scores(rows, readings, confidence, readings.defect))
            so_far.worst = part if so_far.worst is None else so_far.worst.merge(part, max_rows)
            so_far.rows = int(rows[-1]) + 1
            if on_batch is not None:
                on_batch(so_far.rows)
        # Nothing is on its way between one segment and the next: what was gathered is of the rows that were written.
        if keep is not None:
            keep(so_far)
    findings = [] if so_far.worst is None else _findings(so_far.worst, scorer, reference, Columns.of(codec), proxies)
    regions = find_regions(so_far.blocks, so_far.stretches.regions(scorer.columns.names))
    return Localized(
        findings,
        regions,
        so_far.blocks,
        so_far.num_repeated,
        so_far.num_suspicious,
        so_far.repeats.complete,
        so_far.sampled,
    )


def _after(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Yields batches from row `rows` on."""
    for batch in batches:
        if rows < batch.num_rows:
            yield batch.slice(rows)
        rows = max(0, rows - batch.num_rows)


def _segments(batches: Iterator[pa.RecordBatch], rows: int | None) -> Iterator[Iterator[pa.RecordBatch]]:
    """Yields the batches in stretches of at least `rows` rows, all in one for None; each is to be taken to its end."""

    def stretch(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        seen = 0
        while True:
            yield batch
            seen += batch.num_rows
            following = None if rows is not None and seen >= rows else next(batches, None)
            if following is None:
                return
            batch = following

    for first in batches:
        yield stretch(first)


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


def _findings(
    worst: Worst, scorer: RowScorer, reference: Side, columns: Columns, proxies: Proxies | None = None
) -> list[Finding]:
    side, score = Side.of(worst.coded, scorer.embedding, worst.rows), worst.readings.score
    asked = None if proxies is None else proxies.ask(worst.coded.codes)
    result = []
    for i, (blamed, told) in enumerate(
        explain(scorer, side, worst.readings, reference, () if asked is None else asked.cells)
    ):
        defects, text = reason(
            worst.readings.evidence[i],
            blamed,
            worst.coded.codes[i],
            worst.coded.values[i],
            columns,
            num_held_out=scorer.num_held_out,
            told=told,
        )
        result.append(
            Finding(
                int(worst.rows[i]),
                float(score[i]),
                float(worst.confidence[i]),
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
