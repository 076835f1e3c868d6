"""The output folder of a run: what is finished, what can be resumed, and files that appear whole or not at all."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vr.core.errors import CheckpointError, ConfigError
from vr.pipeline.report import ValidationReport, write_atomically

__all__ = ["RunFolder", "SavedStages"]

_STATE = ".vr"


class SavedStages(MutableMapping[str, dict[str, Any]]):
    """Finished stages as JSON files, each with the digest of its content; a damaged one is as good as absent."""

    def __init__(self, folder: Path | None):
        self._folder = folder
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
            write_atomically(self._path(name), document.encode())

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


class RunFolder:
    """One run's output folder; `path` None keeps everything in memory.

    Args:
      path: Where report.json, report.html and row_scores.parquet go.
      identity: What the run depends on: configuration and inputs. A folder belongs to one identity.
      force: Start over whatever is there.

    Raises:
      ConfigError: if the folder holds a run of another identity, or is no folder.
    """

    def __init__(self, path: Path | None, identity: dict[str, Any], *, force: bool = False):
        self.path = path
        self._digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        if path is None:
            return
        if path.exists() and not path.is_dir():
            raise ConfigError("is a file, not a folder", where=str(path), hint="give another --output")
        marker = path / _STATE / "identity"
        try:
            found = marker.read_text().strip() if marker.exists() else None
            if found is not None and found != self._digest and not force:
                raise ConfigError(
                    "holds a run of other inputs or another configuration",
                    where=str(path),
                    hint="give another --output, or --force to replace it",
                )
            if force:
                self._clear()
            path.mkdir(parents=True, exist_ok=True)
            write_atomically(marker, self._digest.encode())
        except OSError as err:
            raise ConfigError(
                f"cannot be written to ({err.strerror})", where=str(path), hint="give another --output"
            ) from err

    def finished(self) -> ValidationReport | None:
        """Returns the report of a run that is already finished here, None where there is none."""
        if self.path is None or not (self.path / _STATE / "finished").exists():
            return None
        try:
            return ValidationReport.model_validate_json((self.path / "report.json").read_bytes())
        except (OSError, ValueError) as err:
            raise CheckpointError(
                "is marked finished, but its report.json cannot be read",
                where=str(self.path),
                hint="--force computes it again",
            ) from err

    def stages(self, name: str, key: str) -> SavedStages:
        """Returns the finished parts of stage `name`, kept under a digest of what it depends on beside the identity."""
        if self.path is None:
            return SavedStages(None)
        folder = self.path / _STATE / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        folder.mkdir(parents=True, exist_ok=True)
        return SavedStages(folder)

    @contextmanager
    def table(self, name: str, schema: pa.Schema) -> Iterator[pq.ParquetWriter | None]:
        """Opens a parquet file for streaming; it appears under its name when the block ends well, else not at all."""
        if self.path is None:
            yield None
            return
        handle, temporary = tempfile.mkstemp(dir=self.path, prefix=f".{name}.")
        os.close(handle)
        try:
            with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
                yield writer
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
            os.replace(temporary, self.path / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def publish(self, report: ValidationReport, *, html: bool) -> None:
        """Writes the report and marks the run finished; nothing is marked before everything is there."""
        if self.path is None:
            return
        if html:
            report.save(self.path / "report.html")
        report.save(self.path / "report.json")
        write_atomically(self.path / _STATE / "finished", self._digest.encode())

    def _clear(self) -> None:
        assert self.path is not None
        import shutil

        shutil.rmtree(self.path / _STATE, ignore_errors=True)
        for name in ("report.json", "report.html", "row_scores.parquet"):
            (self.path / name).unlink(missing_ok=True)
