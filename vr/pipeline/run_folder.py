"""The output folder of a run: what is finished, what can be resumed, and files that appear whole or not at all.

`<output>/.vr` holds what is vr's own: `begun` and `finished` (digests of the run that is under way and of the one whose
files are there), finished stages, `states` of the partitions that were read, and `tmp`, where files grow until they are
moved to their place.
"""

import fnmatch
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vr.core.errors import CheckpointError, ConfigError, VrError
from vr.core.files import write_synced
from vr.data.source import Source
from vr.data.store.address import local_path
from vr.pipeline.extent import Extent
from vr.pipeline.report import ValidationReport

__all__ = [
    "PUBLISHED",
    "REPORT",
    "RunFolder",
    "SavedStages",
    "open_folder",
    "reads",
    "refuse_inside",
    "scratch_of",
    "states_of",
    "tidy",
    "write_whole",
]

_STATE = ".vr"
REPORT, _PAGE, _SCORES = "report.json", "report.html", "row_scores.parquet"
PUBLISHED = (_SCORES, _PAGE)  # what an object store receives before the report
_FILES = (REPORT, *PUBLISHED)
_ELSEWHERE = "give another --output"


def scratch_of(folder: Path) -> Path:
    """Returns where the files of an output folder grow."""
    return folder / _STATE / "tmp"


def states_of(folder: Path) -> Path:
    """Returns where the states of a run's partitions are, until it is done."""
    return folder / _STATE / "states"


def open_folder(folder: Path) -> None:
    """Makes an output folder, with room for temporary files and none in it.

    Raises:
      ConfigError: if it is a file, or cannot be made or written to.
    """
    with _refused(folder):
        if folder.exists() and not folder.is_dir():
            raise ConfigError("is a file, not a folder", where=str(folder), hint=_ELSEWHERE)
        shutil.rmtree(scratch_of(folder), ignore_errors=True)
        scratch_of(folder).mkdir(parents=True, exist_ok=True)


def tidy(folder: Path) -> None:
    """Removes what a run that is done needs no more, and the folder of vr's own where nothing else is in it."""
    for each in (scratch_of(folder), states_of(folder)):
        shutil.rmtree(each, ignore_errors=True)
    with suppress(OSError):
        (folder / _STATE).rmdir()


def write_whole(path: Path, content: bytes, scratch: Path) -> None:
    """Writes a file that appears at `path` whole or not at all, whatever happens to this process.

    Raises:
      VrError: if the disk is full, or the file cannot be written for another reason.
    """
    # The process's number, since nothing stops two of them from being given one folder.
    temporary = scratch / f"{path.name}.{os.getpid()}"
    with _written(path), _grown(temporary, content):
        os.replace(temporary, path)


def refuse_inside(output: Path | None, sources: Iterable[Source | None], names: Sequence[str] = _FILES) -> None:
    """Refuses an output folder whose files, called `names`, the next run would read as part of its dataset.

    Raises:
      ConfigError: if a dataset is a folder that is or holds `output`, or a glob that its files match.
    """
    for source in sources:
        if output is not None and source is not None and source.files and reads(source.uri, output, names):
            raise ConfigError(
                f"lies inside the dataset {source.uri}, which would read the results as data",
                where=str(output),
                hint="give an --output outside it",
            )


def reads(uri: str, output: Path, files: Sequence[str]) -> bool:
    """Returns whether a dataset is a folder that is or holds `output`, or a glob that matches `files` in it."""
    local = local_path(uri)
    if "://" in local:
        return False
    dataset, folder = Path(os.path.expanduser(local)).resolve(), output.resolve()
    if dataset.is_dir():
        # Of a folder, hidden names and those with a leading underscore are not read.
        return folder.is_relative_to(dataset) and not any(
            part.startswith((".", "_")) for part in folder.relative_to(dataset).parts
        )
    if dataset.exists():
        return False
    names = [folder / name for name in files]
    if "**" in dataset.parts:
        # Any number of folders, none among them; fnmatch's star crosses slashes.
        return any(fnmatch.fnmatchcase(str(name), str(dataset).replace("**/", "*")) for name in names)
    return any(PurePath(name).match(str(dataset)) for name in names)


class SavedStages(MutableMapping[str, dict[str, Any]]):
    """Finished stages as JSON files, each with the digest of its content; a damaged one is as good as absent.

    Args:
      folder: Where the files are; None keeps everything in memory.
      scratch: Where they grow, on the same disk.
    """

    def __init__(self, folder: Path | None, scratch: Path | None = None):
        self._folder = folder
        self._scratch = scratch or Path()
        self._held: dict[str, dict[str, Any]] = {}

    def __getitem__(self, name: str) -> dict[str, Any]:
        if name not in self._held:
            self._held[name] = self._read(name)
        return self._held[name]

    def __setitem__(self, name: str, value: dict[str, Any]) -> None:
        self._held[name] = value
        if self._folder is not None:
            body = json.dumps(value, allow_nan=False)
            document = json.dumps({"sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body})
            write_whole(self._path(name), document.encode(), self._scratch)

    def __delitem__(self, name: str) -> None:
        self._held.pop(name, None)
        if self._folder is not None:
            self._path(name).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[str]:
        stored = [path.stem for path in sorted(self._folder.glob("*.json"))] if self._folder is not None else []
        return iter(dict.fromkeys([*self._held, *stored]))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _path(self, name: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{name}.json"

    def _read(self, name: str) -> dict[str, Any]:
        if self._folder is None:
            raise KeyError(name)
        try:
            document = json.loads(self._path(name).read_bytes())
            body = document["body"]
            if hashlib.sha256(body.encode()).hexdigest() != document["sha256"]:
                raise KeyError(name)
            return json.loads(body)
        except (OSError, ValueError, TypeError, AttributeError) as err:
            raise KeyError(name) from err


class _Rows:
    """A parquet file that grows; whatever keeps it from growing is an error that names the file."""

    def __init__(self, writer: pq.ParquetWriter, path: Path):
        self._writer = writer
        self._path = path

    def write_batch(self, batch: pa.RecordBatch) -> None:
        with _written(self._path):
            self._writer.write_batch(batch)

    def close(self) -> None:
        with _written(self._path):
            self._writer.close()


class RunFolder:
    """One run's output folder; `path` None keeps everything in memory.

    What was there before, whether a finished run's files or somebody else's, stays until `publish` replaces it.

    Args:
      path: Where report.json, report.html and row_scores.parquet go.
      identity: What the run depends on: configuration and inputs. A folder belongs to one identity.
      force: Run whatever is there; only what an interrupted run of this identity saved is used.
      extent: What is asked of it. A finished whole answers who asks for the verdict; over a finished verdict the whole
        is computed, and either goes on from what the other saved before it was interrupted.

    Raises:
      ConfigError: if the folder holds a run of another identity or files that no run wrote, or is no folder.
    """

    def __init__(
        self, path: Path | None, identity: dict[str, Any], *, force: bool = False, extent: Extent = Extent.whole
    ):
        self.path = path
        self._digest = _digest(identity, extent)
        self._same = {_digest(identity, each) for each in Extent}
        enough = self._same if extent is Extent.verdict else {self._digest}
        self._staged: dict[str, Path] = {}
        self._is_finished = False
        if path is None:
            return
        with _refused(path):
            finished, begun = (_read(path / _STATE / name) for name in ("finished", "begun"))
        self._is_finished = finished in enough and not force
        if self._is_finished:
            # Also what a forced run of the same left that did not get to its end; but not the whole, under way over a
            # finished verdict.
            if begun not in self._same or begun == self._digest:
                self._forget()
                tidy(path)
            return
        # A verdict stays until the whole is there, with which nothing of it is lost.
        if not force and finished not in self._same:
            with _refused(path):
                self._refuse_others(finished, begun)
        open_folder(path)
        if begun not in self._same:
            self._forget()
        if begun != self._digest:
            write_whole(path / _STATE / "begun", self._digest.encode(), scratch_of(path))

    @property
    def scratch(self) -> Path | None:
        """Where the folder's files grow; None without a folder."""
        return None if self.path is None else scratch_of(self.path)

    def finished(self) -> ValidationReport | None:
        """Returns the report of a run that is already finished here, None where there is none."""
        if self.path is None or not self._is_finished:
            return None
        try:
            return ValidationReport.model_validate_json((self.path / REPORT).read_bytes())
        except (OSError, ValueError) as err:
            raise CheckpointError(
                "is marked finished, but its report.json cannot be read",
                where=str(self.path),
                hint="--force computes it again",
            ) from err

    def room(self, name: str, key: str) -> Path | None:
        """Returns a folder for what stage `name` keeps on its way, see `stages`; None where nothing is kept."""
        if self.path is None:
            return None
        return self.path / _STATE / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"

    def stages(self, name: str, key: str) -> SavedStages:
        """Returns the finished parts of stage `name`, kept under a digest of what it depends on beside the identity."""
        folder = self.room(name, key)
        if self.path is None or folder is None:
            return SavedStages(None)
        with _written(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return SavedStages(folder, scratch_of(self.path))

    @contextmanager
    def table(self, name: str, schema: pa.Schema) -> Iterator[_Rows | None]:
        """Opens a parquet file for streaming; where the block ends well, `publish` puts it in its place."""
        if self.path is None:
            yield None
            return
        path, temporary = self.path / name, scratch_of(self.path) / f"{name}.{os.getpid()}"
        with _written(path):
            temporary.parent.mkdir(parents=True, exist_ok=True)
            rows = _Rows(pq.ParquetWriter(temporary, schema, compression="zstd"), path)
        try:
            yield rows
            rows.close()
        except BaseException:
            with suppress(VrError):
                rows.close()
            temporary.unlink(missing_ok=True)
            raise
        self._staged[name] = temporary

    def publish(self, report: ValidationReport, *, html: bool) -> None:
        """Puts the files in their place and marks the run finished; nothing is marked before everything is there."""
        if self.path is None:
            return
        state, scratch = self.path / _STATE, scratch_of(self.path)
        for name, text in ((_PAGE, report.to_html() if html else None), (REPORT, report.to_json())):
            if text is not None:
                self._staged[name] = scratch / f"{name}.{os.getpid()}"
                with _written(self.path / name), _grown(self._staged[name], text.encode()):
                    pass
        # From here on files of two runs may lie side by side, which is no finished run.
        with _written(self.path):
            (state / "finished").unlink(missing_ok=True)
        for name in _FILES:
            with _written(self.path / name):
                if name in self._staged:
                    os.replace(self._staged[name], self.path / name)
                else:
                    (self.path / name).unlink(missing_ok=True)
        write_whole(state / "finished", self._digest.encode(), scratch)
        self._forget()
        tidy(self.path)

    def add_page(self, report: ValidationReport) -> None:
        """Writes the page of a finished run that was made without one."""
        if self.path is not None and not (self.path / _PAGE).exists():
            write_whole(self.path / _PAGE, report.to_html().encode(), scratch_of(self.path))
            tidy(self.path)

    def _refuse_others(self, finished: str | None, begun: str | None) -> None:
        assert self.path is not None
        present = [name for name in _FILES if (self.path / name).exists()]
        # An interrupted run of something else that saved nothing is no loss: somebody mended the input and goes on.
        kept = (self.path / _STATE).glob
        saved = any(True for pattern in ("*-*/*.json", "*-*/*.state") for _ in kept(pattern))
        if finished is not None or (begun not in (None, *self._same) and (saved or present)):
            raise ConfigError(
                "holds a run of other inputs or another configuration",
                where=str(self.path),
                hint=f"{_ELSEWHERE}, or --force to replace it",
            )
        if begun is None and present:
            raise ConfigError(
                "is there already and belongs to no run of vr",
                where=str(self.path / present[0]),
                hint=f"{_ELSEWHERE}, or --force to replace it",
            )

    def _forget(self) -> None:
        """Removes what unfinished runs left, whichever they were."""
        assert self.path is not None
        with suppress(OSError):
            (self.path / _STATE / "begun").unlink()
        for folder in (self.path / _STATE).glob("*-*"):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _grown(path: Path, content: bytes) -> Iterator[None]:
    """Makes a temporary file, all of it on the disk; removes it where the block fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_synced(path, content)
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _digest(identity: dict[str, Any], extent: Extent) -> str:
    # Of a whole run it is what it was before there were extents.
    told = identity if extent is Extent.whole else {**identity, "extent": extent.value}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _read(marker: Path) -> str | None:
    return marker.read_text().strip() if marker.exists() else None


@contextmanager
def _refused(folder: Path) -> Iterator[None]:
    """Says of a folder that cannot be used that it was badly chosen."""
    try:
        yield
    except OSError as err:
        raise ConfigError(f"cannot be written to ({_why(err)})", where=str(folder), hint=_ELSEWHERE) from err


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Says of a file that cannot be written which one it is; the run fails, whoever chose the folder."""
    try:
        yield
    except OSError as err:
        raise VrError(
            f"cannot be written ({_why(err)})", where=str(path), hint="make room there, or give another --output"
        ) from err


def _why(err: OSError) -> str:
    # Arrow's own errors have a number, if any, in their text only.
    return err.strerror or str(err)
