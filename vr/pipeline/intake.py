"""From two sources to what the detector reads: common columns, codec, profiles, samples, splits."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vr.core.errors import DataError
from vr.data.codec import Codec, fit_codec
from vr.data.copies import find_copies
from vr.data.engine import LocalEngine
from vr.data.hashing import hash_batch
from vr.data.kept import marks_of
from vr.data.passes import Known, Passes
from vr.data.profile import Profile, Profiler
from vr.data.sample import TOP, RowSample, bound_for
from vr.data.schema import Column, ColumnKind, common_columns, infer_columns, some
from vr.data.source import Source
from vr.data.work import ProfileWork, SampleWork, State, Work
from vr.detector.config import NullConfig
from vr.detector.embedding import Embedding
from vr.detector.inputs import Columns, Side, Split, informative_columns
from vr.pipeline.config import Config

__all__ = ["Base", "Intake", "Remembered", "take_in"]

MIN_CANDIDATE_ROWS, MIN_REFERENCE_ROWS = 20, 40
FEW_ROWS = 100  # below it a dataset is noted as small
NULLS_APART = 0.05  # two shares of nulls further apart, and further than chance, are noted

Tell = Callable[[str, int, int | None, str], None]  # stage, rows done, rows in all, message
OnKnown = Callable[[str, str, Known], None]  # stage, which dataset, what of it needs no reading


@dataclass(frozen=True)
class Base:
    """The dataset that codes are fitted to: the reference, or the candidate where there is none.

    Attributes:
      inferred: Its columns' kinds.
      codec: Fitted to its sample.
      profile: Of all its rows.
      hashes: uint64 `[n]`, of its sample's rows.
      embedding: Fitted to its sample.
      side: Its sample as the detector reads it.
    """

    inferred: list[Column]
    codec: Codec
    profile: Profile
    hashes: np.ndarray
    embedding: Embedding
    side: Side


# Gives the base of a key, made by the second argument where it was not made before; see `vr.pipeline.references`.
Remembered = Callable[[str, Callable[[], Base]], Base]


@dataclass(frozen=True)
class Intake:
    """Both datasets as the detector reads them; what hangs on a reference is None without one.

    Attributes:
      codec: Fitted on the reference, or on the candidate where there is none.
      embedding: Likewise.
      columns: The encoded columns.
      pair_columns: Positions of those that pair statistics and proxies look at.
      targets: Positions of those that the user wants predicted.
      candidate: Its sample.
      candidate_profile: Of all its rows.
      reference: Its sample.
      reference_profile: Of all its rows.
      splits: Equal-sized parts for the nulls.
      splits_reason: Why there are none.
      ignored: Columns of `candidate` and of `reference` that the user set to `ignore`.
      notes: What was decided about columns, and what stands out in them.
    """

    codec: Codec
    embedding: Embedding
    columns: Columns
    pair_columns: np.ndarray
    targets: tuple[int, ...]
    candidate: Side
    candidate_profile: Profile
    reference: Side | None
    reference_profile: Profile | None
    splits: tuple[Split, ...]
    splits_reason: str | None
    ignored: dict[str, list[str]]
    notes: list[str]

    @property
    def identifiers(self) -> list[str]:
        """Names of the columns that were left out as identifiers."""
        return [column.name for column in self.codec.columns if column.kind is ColumnKind.identifier]

    @property
    def texts(self) -> list[str]:
        """Names of the text columns."""
        return [column.name for column in self.codec.columns if column.kind is ColumnKind.text]


def take_in(
    candidate: Source,
    reference: Source | None,
    config: Config,
    threads: int,
    tell: Tell,
    *,
    passes: Passes | None = None,
    on_known: OnKnown = lambda stage, role, known: None,
    remembered: Remembered | None = None,
) -> Intake:
    """Reads both datasets: the base (reference, or candidate alone) twice, the other once.

    Args:
      candidate: To be judged.
      reference: To judge by.
      config: Codec, sample, nulls, columns' types and seed are used.
      threads: Of this process.
      tell: Told of progress.
      passes: Where and how passes are made; None: here, nothing kept.
      on_known: Told before a pass of which a part was done before.
      remembered: Gives what was read of a reference before whose files have not changed since; None where nothing is
        remembered.

    Raises:
      DataError: where the datasets cannot be compared or coded.
    """
    base = reference if reference is not None else candidate
    types = {**config.reference.types, **config.data.types}
    if reference is not None:
        where = f"{reference.uri} and {candidate.uri}"
        names, notes = common_columns(reference.schema, candidate.schema, types, where)
    else:
        names, notes = [name for name in candidate.schema.names if types.get(name) != "ignore"], []
    sources = [candidate] if reference is None else [candidate, reference]
    known = {name for source in sources for name in (*source.schema.names, *source.ignored)}
    for name in sorted(name for name, kind in types.items() if kind == "ignore" and name not in known):
        raise DataError("no such column on either side", where=f"data.types.{name}")
    _refuse_targets(config.targets, names, types, sources)
    passes = passes or Passes(LocalEngine(threads))
    size = config.sample.rows_of(len(names))
    if size < config.sample.rows:
        notes.append(f"of {len(names):,} columns a sample of {size:,} rows is looked at (sample.cells)")

    def pass_over(source: Source, work: Work[State], stage: str) -> State:
        role = "reference" if source is reference else "candidate"
        return passes.run(
            source,
            work,
            (config.reference if source is reference else config.data).batch_rows,
            lambda done: tell(stage, done, source.num_rows, role),
            lambda known: on_known(stage, role, known),
        )

    def bound_of(source: Source) -> np.uint64:
        return TOP if source.num_rows is None else bound_for(size, source.num_rows)

    # What is on one side only is noted; what is on neither is a slip, which `infer_columns` refuses.
    asked = {name: kind for name, kind in types.items() if name in names or name not in known}

    def profile(source: Source, codec: Codec, watch: np.ndarray) -> Profile:
        return pass_over(source, ProfileWork(Profiler(codec, size, config.seed, watch, bound_of(source))), "profile")

    def read_base() -> Base:
        sample: RowSample = pass_over(base, SampleWork(names, size, config.seed, bound_of(base)), "read")
        inferred = infer_columns(sample.table, asked, config.codec)
        codec = fit_codec(inferred, sample.table, config.codec, config.seed)
        # Before another pass: a slip in a target's name is told at once.
        _targets(config.targets, codec)
        whole = profile(base, codec, np.empty(0, np.uint64))
        coded = codec.encode(whole.sample.table, own=True)
        embedding = Embedding.fit(codec, coded)
        return Base(
            inferred=inferred,
            codec=codec,
            profile=whole,
            hashes=hash_batch(sample.table, codec.sources),
            embedding=embedding,
            side=Side.of(coded, embedding, whole.sample.rows),
        )

    marks = None if reference is None or remembered is None else marks_of(reference)
    if reference is None or marks is None or remembered is None:
        read = read_base()
    else:
        told = [reference.uri, marks, reference.format, reference.types_of(names), names, sorted(asked.items())]
        read = remembered(repr([told, size, config.seed, config.codec]), read_base)
    codec, embedding, base_hashes = read.codec, read.embedding, read.hashes
    targets = _targets(config.targets, codec)
    # Nulls are noted of both sides together.
    notes += [column.note for column in read.inferred if column.note and column.kind is not ColumnKind.empty]
    candidate_profile, candidate_side = read.profile, read.side
    reference_profile = reference_side = None
    splits: tuple[Split, ...] = ()
    reason: str | None = "needs a reference: give one with --reference"
    if reference is not None:
        reference_profile, reference_side = read.profile, read.side
        watch = np.unique(base_hashes)
        candidate_profile = profile(candidate, codec, watch)
        coded = codec.encode(candidate_profile.sample.table)
        candidate_side = Side.of(coded, embedding, candidate_profile.sample.rows)
        copied = np.isin(base_hashes, watch[candidate_profile.watched])
        own = np.isin(hash_batch(candidate_profile.sample.table, codec.sources), watch).mean()
        # Of a long reference only a sample's rows are known; the others are as likely to be in the candidate.
        own_share = min(1.0, float(own) * reference_profile.rows / len(copied))
        copies = find_copies(base_hashes, copied, candidate_profile.rows, own_share)
        if copies.set_aside:
            reference_side = reference_side.take(np.flatnonzero(~copies.copied))
            notes.append(
                f"{copies.share:.0%} of the reference's rows occur in the candidate, where chance explains "
                f"{copies.expected:.0%}; they were left out of every comparison, since a row that was trained on "
                "cannot judge"
            )
        splits, reason = _split(candidate_side, reference_side, config.detector.null, config.seed)
        if copies.set_aside and not splits:
            reason = (
                f"all but {len(reference_side)} of the reference's rows occur in the candidate, and nothing is left to "
                "judge the other rows by: give real rows that the candidate was not made from"
            )
    columns = Columns.of(codec)
    pair_columns = informative_columns(reference_side or candidate_side, columns, keep=targets)
    if len(pair_columns) < len(columns.names):
        notes.append(
            f"pair statistics and proxies read the {len(pair_columns)} most varied of {len(columns.names)} columns"
        )
    return Intake(
        codec=codec,
        embedding=embedding,
        columns=columns,
        pair_columns=pair_columns,
        targets=targets,
        candidate=candidate_side,
        candidate_profile=candidate_profile,
        reference=reference_side,
        reference_profile=reference_profile,
        splits=splits,
        splits_reason=reason,
        ignored={
            "candidate": _ignored(types, candidate),
            "reference": [] if reference is None else _ignored(types, reference),
        },
        notes=_dataset_notes(candidate_profile, reference_profile)
        + notes
        + _column_notes(codec, candidate_profile, reference_profile),
    )


def _refuse_targets(targets: Sequence[str], names: Sequence[str], types: dict[str, str], sources: list[Source]) -> None:
    """Raises DataError where one of `targets` is none of the columns `names` that are compared."""
    for name in targets:
        if name in names:
            continue
        sides = sum(name in (*source.schema.names, *source.ignored) for source in sources)
        if types.get(name) == "ignore":
            what, hint = f"column '{name}' is set to ignore", f"take back data.types.{name}=ignore"
        elif sides == 0:
            close = difflib.get_close_matches(name, names, n=1)
            what, hint = f"no column '{name}'", f"did you mean '{close[0]}'?" if close else f"there are {some(names)}"
        elif sides < len(sources):
            what, hint = f"column '{name}' is on one side only", "what is to be predicted must be on both"
        else:
            what, hint = f"column '{name}' has another type on either side", f"give it with data.types.{name}"
        raise DataError(what, where="targets", hint=hint)


def _targets(names: Sequence[str], codec: Codec) -> tuple[int, ...]:
    """Returns the positions of the columns that are to be predicted; of a date that of the date itself.

    Raises:
      DataError: One is not coded.
    """
    sources = [encoder.source for encoder in codec.encoders]
    for name in names:
        if name not in sources:
            kind = next((column.kind.value for column in codec.columns if column.name == name), "empty")
            hint = f"if it is to be predicted, say what it is: data.types.{name}=numeric or categorical"
            what = f"column '{name}' is taken for {kind}, and nothing predicts that"
            raise DataError(what, where="targets", hint=hint)
    return tuple(sources.index(name) for name in names)


def _ignored(types: dict[str, str], source: Source) -> list[str]:
    """Returns the columns that `source` has and `types` sets to `ignore`, whether opened with them or without."""
    return source.ignored + [name for name in source.schema.names if types.get(name) == "ignore"]


def _split(candidate: Side, reference: Side, config: NullConfig, seed: int) -> tuple[tuple[Split, ...], str | None]:
    """Returns `config.num_splits` splits of equal n, or none and the reason."""
    if len(candidate) < MIN_CANDIDATE_ROWS or len(reference) < MIN_REFERENCE_ROWS:
        return (), (
            f"too few rows: {len(candidate)} in the candidate and {len(reference)} in the reference; "
            f"comparing needs {MIN_CANDIDATE_ROWS} and {MIN_REFERENCE_ROWS}"
        )
    size = min(config.max_rows, len(reference) // 2, len(candidate))
    splits = []
    for index in range(config.num_splits):
        rng = np.random.default_rng([seed, 1, index])
        order = rng.permutation(len(reference))
        splits.append(
            Split(
                candidate=candidate.take(rng.permutation(len(candidate))[:size]),
                fresh=reference.take(order[:size]),
                base=reference.take(order[size : 2 * size]),
            )
        )
    return tuple(splits), None


def _dataset_notes(candidate: Profile, reference: Profile | None) -> list[str]:
    """Returns what to know about the datasets as a whole before reading any number."""
    notes = []
    if reference is not None and candidate.rows == reference.rows and candidate.fingerprint == reference.fingerprint:
        notes.append("candidate and reference are the same data: their columns and rows are equal")
    for role, profile in _sides(candidate, reference):
        if profile.rows < FEW_ROWS:
            notes.append(f"the {role} has only {profile.rows} rows: what is measured on so few is uncertain")
    return notes


def _column_notes(codec: Codec, candidate: Profile, reference: Profile | None) -> list[str]:
    """Returns what stands out in single columns: infinite values, nulls, constants."""
    notes = []
    for name in codec.sources:
        for role, profile in _sides(candidate, reference):
            if name in profile.moments and (infinite := profile.moments[name].infinite):
                share = _percent(infinite / profile.rows)
                values = "value" if infinite == 1 else "values"
                notes.append(f"column '{name}' has {infinite:,} infinite {values} ({share}) in the {role}")
        notes += _contrasts(name, candidate, reference)
    return notes


def _contrasts(name: str, candidate: Profile, reference: Profile | None) -> list[str]:
    """Returns what is odd about a column's nulls and about its being constant."""
    here = candidate.nulls[name] / candidate.rows
    if reference is None:
        odd = "all null" if here == 1.0 else "constant" if _is_constant(name, candidate) else None
        return [f"column '{name}' is {odd}"] if odd else []
    there = reference.nulls[name] / reference.rows
    if here == there == 1.0:
        return [f"column '{name}' is all null in both"]
    if there == 1.0:
        return [f"column '{name}' is all null in the reference, {_percent(here)} null in the candidate"]
    if here == 1.0:
        return [f"column '{name}' is all null in the candidate, {_percent(there)} null in the reference"]
    notes = []
    pooled = (candidate.nulls[name] + reference.nulls[name]) / (candidate.rows + reference.rows)
    error = float(np.sqrt(pooled * (1.0 - pooled) * (1.0 / candidate.rows + 1.0 / reference.rows)))
    if abs(here - there) > max(NULLS_APART, 4.0 * error):
        notes.append(f"column '{name}' is {_percent(here)} null in the candidate, {_percent(there)} in the reference")
    constant = [role for role, profile in _sides(candidate, reference) if _is_constant(name, profile)]
    if len(constant) == 2:
        notes.append(f"column '{name}' is constant in both")
    elif constant:
        other = "reference" if constant == ["candidate"] else "candidate"
        notes.append(f"column '{name}' is constant in the {constant[0]}, but not in the {other}")
    return notes


def _is_constant(name: str, profile: Profile) -> bool:
    return profile.rows > 1 and not profile.nulls[name] and profile.distinct[name].distinct() == 1


def _sides(candidate: Profile, reference: Profile | None) -> list[tuple[str, Profile]]:
    return [("candidate", candidate), *([] if reference is None else [("reference", reference)])]


def _percent(share: float) -> str:
    """Returns a share in percent, never rounded to none or all where it is neither."""
    if 0.0 < share < 0.001 or 0.999 < share < 1.0:
        return "under 0.1 %" if share < 0.5 else "over 99.9 %"
    return f"{100.0 * share:.1f} %"
