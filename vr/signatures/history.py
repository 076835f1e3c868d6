"""History beside the signatures of a library: what was recommended, what was applied, and what came of it.

A record's id is the digest of its contents, so that the same thing told twice is there once. What a fix bought is no
record of its own: it is the validation of its output, found by fingerprint, whoever asked for it and whenever.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.schema import CreateTable

from vr.signatures.database import Database
from vr.signatures.records import Fix, Record, Validation

__all__ = ["History", "keep", "read"]

_TABLE = sa.Table(
    "vr_history",
    sa.MetaData(),
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("recorded", sa.String(32), nullable=False),  # when, UTC: the one thing that no digest is of
    sa.Column("content", sa.Text, nullable=False),
)
_AT_ONCE = 500  # rows read
_KINDS: dict[str, type[Validation] | type[Fix]] = {"validation": Validation, "fix": Fix}


@dataclass(frozen=True)
class History:
    """What a library's history holds.

    Attributes:
      fixes: Each with when it was kept, UTC in ISO 8601; oldest first.
      outcomes: Validations of what came of the fixes, by fingerprint, oldest first.
      num_validations: All there are.
      num_datasets: Distinct datasets among them.
      recommended: How often each kind of action was.
      measured: How often its effect was measured.
      damaged: How many rows are not what was written; they take no part.
    """

    fixes: tuple[tuple[str, Fix], ...] = ()
    outcomes: Mapping[str, Sequence[Validation]] = field(default_factory=dict)
    num_validations: int = 0
    num_datasets: int = 0
    recommended: Counter[str] = field(default_factory=Counter)
    measured: Counter[str] = field(default_factory=Counter)
    damaged: int = 0

    def outcome(self, fix: Fix) -> tuple[Validation | None, str | None]:
        """Returns the validation of what came of a fix, or None and why there is none that compares.

        Of several that of the fix's own seed counts, then the first.
        """
        found = self.outcomes.get(fix.output, ())
        if not found:
            return None, "not validated since"
        found = [each for each in found if each.judged.reference == fix.before.reference]
        if not found:
            return None, "validated against another reference"
        found = [each for each in found if each.judged.question == fix.before.question]
        if not found:
            return None, "validated with other settings"
        found.sort(key=lambda each: each.judged.seed != fix.before.seed)
        return found[0], None


def keep(database: Database, records: Sequence[Record]) -> int:
    """Keeps records, all or none, and returns how many are new; a library that has no history yet gets one.

    Raises:
      LibraryError: The database failed, or was busy for a minute.
    """
    rows = {}
    for record in records:
        kind = next(name for name, each in _KINDS.items() if isinstance(record, each))
        content = json.dumps(record.model_dump(mode="json"), sort_keys=True, allow_nan=False)
        id_ = _digest(kind, content)
        rows[id_] = {"id": id_, "kind": kind, "content": content}
    return database.write(lambda connection: _write(connection, rows))


def _write(connection: sa.Connection, rows: Mapping[str, dict[str, str]]) -> int:
    # Asked before: who may not create tables may not say `IF NOT EXISTS` either.
    if not sa.inspect(connection).has_table(_TABLE.name):
        connection.execute(CreateTable(_TABLE))
    there = set(connection.execute(sa.select(_TABLE.c.id).where(_TABLE.c.id.in_(list(rows)))).scalars())
    now = datetime.now(UTC).isoformat(timespec="seconds")
    new = [row | {"recorded": now} for id_, row in rows.items() if id_ not in there]
    if new:
        connection.execute(sa.insert(_TABLE), new)
    return len(new)


def read(database: Database) -> History:
    """Returns the history, from one moment; memory grows with the fixes, hardly with the validations.

    Raises:
      LibraryError: The database failed, or its file is damaged.
    """
    return database.look(_read)


def _read(connection: sa.Connection) -> History:
    if not sa.inspect(connection).has_table(_TABLE.name):
        return History()
    damaged = connection.execute(
        sa.select(sa.func.count()).select_from(_TABLE).where(_TABLE.c.kind.not_in(list(_KINDS)))
    ).scalar_one()
    fixes: list[tuple[str, Fix]] = []
    for recorded, record in _rows(connection, "fix"):
        if isinstance(record, Fix):
            fixes.append((recorded, record))
        else:
            damaged += 1
    outputs = {fix.output for _, fix in fixes}
    outcomes: dict[str, list[Validation]] = {}
    datasets: set[str] = set()
    recommended, measured, number = Counter(), Counter(), 0
    for _, record in _rows(connection, "validation"):
        if not isinstance(record, Validation):
            damaged += 1
            continue
        number += 1
        datasets.add(record.judged.fingerprint)
        recommended.update(each.kind for each in record.recommended)
        measured.update(each.kind for each in record.recommended if each.risk is not None)
        if record.judged.fingerprint in outputs:
            outcomes.setdefault(record.judged.fingerprint, []).append(record)
    return History(tuple(fixes), outcomes, number, len(datasets), recommended, measured, damaged)


def _rows(connection: sa.Connection, kind: str) -> Iterator[tuple[str, Record | None]]:
    """Yields the records of a kind with when they were kept, oldest first; None for a damaged one."""
    query = sa.select(_TABLE).where(_TABLE.c.kind == kind).order_by(_TABLE.c.recorded, _TABLE.c.id)
    for row in connection.execute(query.execution_options(yield_per=_AT_ONCE)):
        yield str(row.recorded), _whole(row)


def _whole(row: sa.Row) -> Record | None:
    """Returns a row's record, None where the row is not as it was written."""
    kind, content = str(row.kind), str(row.content)
    if kind not in _KINDS or _digest(kind, content) != row.id:
        return None
    try:
        return _KINDS[kind].model_validate_json(content)
    except ValidationError:
        return None


def _digest(kind: str, content: str) -> str:
    return hashlib.sha256(f"{kind}\n{content}".encode()).hexdigest()
