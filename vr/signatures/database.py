"""Signatures in SQL: a SQLite file by default, PostgreSQL where several machines share one.

Every row carries the SHA-256 of its content, and every transaction that changes them raises the generation by one; so a
damaged row is noticed when it is read, and an index of another generation is known to be one. Writers take the
generation's row first: they wait for each other, and none is lost.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    SQLAlchemyError,
)
from sqlalchemy.schema import CreateTable

from vr.core.errors import ConfigError, DataError, LibraryError
from vr.signatures.signature import Signature

__all__ = ["Contents", "Database"]

FORMAT = 1
BUSY_S = 60.0  # longest wait for other writers
_MOST_CONTENT = 1 << 16  # characters of one signature
_MAKES_ONE = "`vr signatures add` or `vr history --create` makes one"

_METADATA = sa.MetaData()
HISTORY = "vr_history"  # the table of `vr.signatures.history`
_CONNECT_S = 10  # after which a database server that does not answer is given up
# One row: what the library is, how often it was written to, and which index file was made of it.
_STATE = sa.Table(
    "vr_library",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("format", sa.Integer, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("num_signatures", sa.BigInteger, nullable=False),
    sa.Column("index_generation", sa.BigInteger, nullable=False),
    sa.Column("index_sha256", sa.String(64), nullable=False),
)
_SIGNATURES = sa.Table(
    "vr_signatures",
    _METADATA,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
)

_T = TypeVar("_T")


@dataclass(frozen=True)
class Contents:
    """What a library holds at one generation.

    Attributes:
      generation: Number of the last write.
      signatures: By ascending id.
      damaged: Ids of rows whose contents are not what was written; they take no part.
      lost: How many rows were written and are not there, or are there and were not written.
      index_generation: Of the index file that was made last.
      index_sha256: Its digest.
    """

    generation: int
    signatures: tuple[Signature, ...]
    damaged: tuple[str, ...]
    lost: int
    index_generation: int
    index_sha256: str


class Database:
    """A library's database.

    Args:
      place: Path of a SQLite file, which is made where there is none, or the URL of a SQLite or PostgreSQL database.
      create: Whether to make what is not there yet.

    Raises:
      ConfigError: `place` is no database that could be opened here.
      LibraryError: It cannot be opened, or is damaged.
    """

    def __init__(self, place: str, *, create: bool = True):
        self.url = _url(place)
        self.name = self.url.render_as_string(hide_password=True)
        self.path: Path | None = None  # of a SQLite file that may be written to
        self._is_sqlite = self.url.get_backend_name() == "sqlite"
        if self._is_sqlite and not str(self.url.database).startswith("file:"):
            if self.url.database in (None, "", ":memory:"):
                raise ConfigError("is no file", where=self.name, hint="name a SQLite file or another database")
            self.path = Path(str(self.url.database))
            self.name = str(self.path)
            if not create and not self.path.is_file():
                raise ConfigError("is no library", where=self.name, hint=_MAKES_ONE)
        self._engine = _engine(self.url, self.name)
        try:
            self._run(lambda: self._open(create))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Gives the connections back."""
        self._engine.dispose()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, signatures: Sequence[Signature], *, restore: bool = False) -> int:
        """Adds signatures in one transaction and returns how many were not there whole; all are there after, or none.

        Args:
          signatures: Damaged rows of theirs are replaced.
          restore: Whether what is there afterwards counts as all that was written: rows that were lost are not told of
            any longer.

        Raises:
          DataError: One is too long.
          LibraryError: The database failed, or was busy for a minute.
        """
        rows = {}
        for each in signatures:
            content = each.content()
            if len(content) > _MOST_CONTENT:
                raise DataError("is too long", where=each.id)
            rows[each.id] = {"id": each.id, "content": content, "sha256": each.digest()}
        return self._run(lambda: self._add(rows, restore)) if rows or restore else 0

    def read(self) -> Contents:
        """Returns everything, from one moment; rows that are not what was written are told apart.

        Raises:
          LibraryError: The database failed, or its file is damaged.
        """
        return self._run(self._read)

    def generation(self) -> int:
        """Returns the number of the last write."""
        return self._run(self._generation)

    def remember_index(self, generation: int, sha256: str) -> bool:
        """Notes the digest of the index made of `generation`; False where nothing can be written here."""
        try:
            return self._run(lambda: self._remember(generation, sha256))
        except LibraryError:
            # A reader without the right to write searches an index of its own.
            return False

    def write(self, call: Callable[[sa.Connection], _T]) -> _T:
        """Returns what `call` returns of a transaction; other writers wait for it, those of signatures too.

        Args:
          call: May be called again where the database was busy; what it wrote before is gone then.

        Raises:
          LibraryError: The database failed, or was busy for a minute.
        """

        def once() -> _T:
            with self._writing() as connection:
                connection.execute(sa.select(_STATE.c.id).with_for_update())
                return call(connection)

        return self._run(once)

    def look(self, call: Callable[[sa.Connection], _T]) -> _T:
        """Returns what `call` returns of a transaction that reads, everything from one moment.

        Raises:
          LibraryError: The database failed, or its file is damaged.
        """

        def once() -> _T:
            with self._reading() as connection:
                return call(connection)

        return self._run(once)

    def _open(self, create: bool) -> None:
        with self._engine.connect() as connection:
            found = sa.inspect(connection).has_table(_STATE.name)
        if not found:
            if not create:
                raise ConfigError("is no library", where=self.name, hint=_MAKES_ONE)
            if self._is_sqlite and self._is_of_others():
                raise ConfigError("holds another program's tables", where=self.name, hint="name a file of its own")
        if self._is_sqlite:
            self._log_ahead()
        if not found:
            self._create()
        with self._engine.connect() as connection:
            state = connection.execute(sa.select(_STATE)).one_or_none()
            # Not of the whole file: the history beside them grows with every run, and its rows are checked one by one.
            for table in (_STATE, _SIGNATURES) if self._is_sqlite else ():
                told = connection.exec_driver_sql(f"PRAGMA integrity_check({table.name})").scalar()
                if told != "ok":
                    raise _damaged(self.name, str(told))
        if state is not None and not _is_state(state):
            raise _damaged(self.name, f"{_STATE.name} holds what was not written")
        if state is None or state.format != FORMAT:
            raise LibraryError(
                f"is no library of format {FORMAT}", where=self.name, hint="use the version of vr that made it"
            )

    def _is_of_others(self) -> bool:
        # Of several that make one library at the same moment another may have been faster.
        ours = ", ".join(f"'{table}'" for table in (*(each.name for each in (_STATE, _SIGNATURES)), HISTORY))
        others = f"SELECT count(*) FROM sqlite_master WHERE tbl_name NOT IN ({ours})"
        with self._engine.connect() as connection:
            return bool(connection.exec_driver_sql(others).scalar_one())

    def _log_ahead(self) -> None:
        """Has readers and a writer not wait for each other; the mode is the file's, and stays."""
        with self._engine.connect().execution_options(vr_begin="") as connection:
            # Changing the mode needs the file for oneself; asking does not.
            if connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal":
                return
            try:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            except DBAPIError as err:
                # What may only be read is read as it is.
                if _is_busy(err):
                    raise

    def _create(self) -> None:
        try:
            with self._writing() as connection:
                for table in (_STATE, _SIGNATURES):
                    connection.execute(CreateTable(table, if_not_exists=True))
                if connection.execute(sa.select(sa.func.count()).select_from(_STATE)).scalar_one() == 0:
                    row = {"id": 1, "format": FORMAT, "index_generation": -1, "index_sha256": ""}
                    connection.execute(sa.insert(_STATE).values(row | {"generation": 0, "num_signatures": 0}))
        except DBAPIError:
            # Of several that make one library at the same moment one is first; that it did is all the others need.
            with self._engine.connect() as connection:
                if not connection.execute(sa.select(sa.func.count()).select_from(_STATE)).scalar_one():
                    raise

    def _add(self, rows: dict[str, dict[str, str]], restore: bool) -> int:
        with self._writing() as connection:
            # Writers wait for each other here; SQLite's do since they began.
            before = connection.execute(sa.select(_STATE).with_for_update()).one().num_signatures
            whole: set[str] = set()
            damaged: list[str] = []
            ids = list(rows)
            for first in range(0, len(ids), 500):
                part = sa.select(_SIGNATURES).where(_SIGNATURES.c.id.in_(ids[first : first + 500]))
                for row in connection.execute(part):
                    if _whole(row.id, row.content, row.sha256) is None:
                        damaged.append(row.id)
                    else:
                        whole.add(row.id)
            for id_ in damaged:
                connection.execute(sa.delete(_SIGNATURES).where(_SIGNATURES.c.id == id_))
            new = [row for id_, row in rows.items() if id_ not in whole]
            if new:
                connection.execute(sa.insert(_SIGNATURES), new)
            number = before + len(new) - len(damaged)
            if restore:
                number = connection.execute(sa.select(sa.func.count()).select_from(_SIGNATURES)).scalar_one()
            if new or number != before:
                raised = _STATE.c.generation + 1
                connection.execute(sa.update(_STATE).values(generation=raised, num_signatures=number))
            return len(new)

    def _read(self) -> Contents:
        with self._reading() as connection:
            state = connection.execute(sa.select(_STATE)).one()
            rows = connection.execute(sa.select(_SIGNATURES).order_by(_SIGNATURES.c.id)).all()
        whole, damaged = [], []
        for row in rows:
            found = _whole(row.id, row.content, row.sha256)
            if found is None:
                damaged.append(str(row.id))
            else:
                whole.append(found)
        lost = abs(int(state.num_signatures) - len(rows))
        return Contents(
            state.generation, tuple(whole), tuple(damaged), lost, state.index_generation, str(state.index_sha256)
        )

    def _generation(self) -> int:
        with self._engine.connect() as connection:
            return int(connection.execute(sa.select(_STATE.c.generation)).scalar_one())

    def _remember(self, generation: int, sha256: str) -> bool:
        with self._writing() as connection:
            note = sa.update(_STATE).where(_STATE.c.generation == generation)
            done = connection.execute(note.values(index_generation=generation, index_sha256=sha256))
            # Written to in the meantime: the index is of the past already.
            return done.rowcount == 1

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection:
            # SQLite's deferred transaction reads one moment as well.
            options = {} if self._is_sqlite else {"isolation_level": "REPEATABLE READ"}
            yield connection.execution_options(**options)

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection:
            # SQLite would find out at its first write only that another is at it, and give up without waiting.
            immediate = connection.execution_options(vr_begin="BEGIN IMMEDIATE") if self._is_sqlite else connection
            with immediate.begin():
                if not self._is_sqlite:
                    # PostgreSQL would wait for another writer for ever.
                    immediate.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_S:.0f}s'")
                yield immediate

    def _run(self, call: Callable[[], _T]) -> _T:
        """Returns what `call` returns, tried again while others keep the database busy."""
        until, pause = time.monotonic() + BUSY_S, 0.01
        while True:
            try:
                return call()
            except SQLAlchemyError as err:
                if not _is_busy(err) or time.monotonic() > until:
                    raise self._error(err) from err
            time.sleep(pause)
            pause = min(2.0 * pause, 0.5)

    def _error(self, err: SQLAlchemyError) -> LibraryError:
        cause = getattr(err, "orig", None) or err
        text = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
        if self._is_sqlite and ("malformed" in text or "not a database" in text):
            return _damaged(self.name, text)
        return LibraryError(f"failed ({text})", where=self.name, hint="see that it is there and may be written to")


def _whole(id_: str, content: str, sha256: str) -> Signature | None:
    """Returns a row's signature, None where the row is not as it was written."""
    try:
        document = json.loads(content)
        found = Signature.from_document(document | {"id": id_}, id_)
    except (DataError, ValueError, TypeError, RecursionError):
        return None
    return found if found.digest() == sha256 and found.content() == content else None


def _is_state(state: sa.Row) -> bool:
    # SQLite keeps whatever type a damaged row says it has.
    numbers = (state.format, state.generation, state.num_signatures, state.index_generation)
    return all(isinstance(each, int) for each in numbers) and isinstance(state.index_sha256, str)


def _damaged(name: str, told: str) -> LibraryError:
    return LibraryError(
        f"is damaged ({' '.join(told.split())[:200]})",
        where=name,
        hint="set the file aside and import the last export into a new one",
    )


def _is_busy(err: SQLAlchemyError) -> bool:
    # IntegrityError: two that create a table at once, in PostgreSQL's own catalogue.
    if isinstance(err, IntegrityError):
        return "pg_" in str(err.orig)
    words = ("database is locked", "database table is locked", "deadlock detected", "could not serialize")
    return isinstance(err, DBAPIError) and any(word in str(err.orig) for word in words)


def _url(place: str) -> sa.URL:
    if "://" not in place:
        # A shell expands `~` at the beginning of a word only, not in `signatures.library=~/ours.db`.
        return sa.URL.create("sqlite", database=os.path.expanduser(place))
    try:
        url = sa.make_url(place)
    except ArgumentError as err:
        raise ConfigError("is no database URL", where="signatures.library", hint="such as sqlite:///FILE") from err
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


def _engine(url: sa.URL, name: str) -> sa.Engine:
    is_file = url.get_backend_name() == "sqlite"
    options = {"connect_args": {"timeout": BUSY_S}} if is_file else {"pool_pre_ping": True}
    if url.get_backend_name() == "postgresql":
        options |= {"connect_args": {"connect_timeout": _CONNECT_S}}
    try:
        engine = sa.create_engine(url, **options)
    except (NoSuchModuleError, ModuleNotFoundError) as err:
        raise ConfigError(
            f"needs a driver that is not installed ({err})",
            where=name,
            hint="for PostgreSQL: pip install 'vr[postgres]'",
        ) from err
    except (ArgumentError, TypeError, ValueError) as err:
        raise ConfigError(f"is no database that can be opened ({err})", where=name) from err
    if is_file:
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection, _record) -> None:  # noqa: ANN001 - a driver's own connection
    # The driver must begin no transaction of its own accord: `_begin_sqlite` does.
    connection.isolation_level = None
    # A damaged row has to be read to be told apart.
    connection.text_factory = lambda content: content.decode(errors="replace")
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(1000 * BUSY_S)}")
    # A commit is on the disk when it returns.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    if begin := connection.get_execution_options().get("vr_begin", "BEGIN"):
        connection.exec_driver_sql(begin)
