"""Where a new dataset goes: one file, its rows' weights where it has some, and its manifest, in a folder or a store."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vr.core.errors import ConfigError, VrError
from vr.data.source import Source
from vr.data.store.address import Address, is_remote, local_path, shown
from vr.data.store.publish import Store, digest_of, open_store, publish
from vr.pipeline.manifest import manifest_name
from vr.pipeline.remote_output import RemoteOutput
from vr.pipeline.run_folder import refuse_inside
from vr.pipeline.weights import weights_name

__all__ = ["FixedOutput", "writing"]


class FixedOutput:
    """A new file's place.

    Attributes:
      shown: The place as messages may have it.
      name: The file's name.
      manifest: The name of its manifest, beside it.
      weights: The name of its rows' weights, likewise.
      store: What both are published to.
    """

    def __init__(self, output: str):
        self.shown = shown(output)
        self._remote: RemoteOutput | None = None
        if is_remote(output):
            address = Address.parse(output)
            parent, _, self.name = address.key.rpartition("/")
            self.manifest = manifest_name(self.name)
            if not self.name:
                raise ConfigError("names a bucket, not an object", where=self.shown, hint="give the new file a name")
            folder = f"{address.scheme}://{address.bucket}/{parent}".rstrip("/")
            self._remote = RemoteOutput(folder, self.manifest, [self.name, weights_name(self.name)])
            self.store: Store = open_store(folder)
        else:
            self._path = Path(local_path(output)).expanduser()
            if self._path.is_dir():
                raise ConfigError("is a folder", where=self.shown, hint="give the new file a name")
            self.name, self.manifest = self._path.name, manifest_name(self._path.name)
            self.store = open_store(str(self._path.parent))
        self.weights = weights_name(self.name)

    def refuse_files(self, paths: Sequence[str | Path]) -> None:
        """Refuses to write over files that a fix reads beside its datasets.

        Raises:
          ConfigError: if it is one of `paths`, its manifest included.
        """
        for path in map(str, paths):
            beside = (self.manifest, self.weights) if self._remote is None else ()
            if self._is(path) or any(self._is(path, name) for name in beside):
                raise ConfigError(
                    f"would be written over {shown(path)}, which is needed as it is",
                    where=self.shown,
                    hint="give another --output",
                )

    def publish(self, new: Path, manifest: Path, weights: Path | None = None, *, replace: bool) -> None:
        """Publishes the new file and its weights, and last its manifest.

        With `replace` what is there stays until its place is taken, but for weights, which go first: nothing in them
        tells of which file they are.

        Raises:
          AlreadyPublishedError: if something else is there.
          StoreError: if the store refuses or fails for too long.
        """
        parts = {self.name: new} if weights is None else {self.name: new, self.weights: weights}
        if not replace:
            without = [self.weights] if weights is None else []
            publish(self.store, parts, (self.manifest, manifest), without=without)
            return
        if self.store.digest(self.weights) is not None:
            self.store.remove(self.weights)
        # A manifest speaks of its file by its digest, so that the old one beside the new file says nothing wrong.
        for name, path in (*parts.items(), (self.manifest, manifest)):
            self.store.create(name, path, digest_of(path), replace=True)

    def refuse_inputs(self, sources: Sequence[Source | None]) -> None:
        """Refuses to write over a dataset, or where one would be read from.

        Raises:
          ConfigError: if it is a file of one of `sources`, or one of these would take it in.
        """
        if self._remote is not None:
            self._remote.refuse_inside(sources)
        else:
            refuse_inside(self._path.parent, sources, (self.name, self.weights, self.manifest))
        for source in sources:
            if source is not None and any(self._is(path) for path, _ in source.files):
                raise ConfigError(
                    f"is the dataset {source.uri} itself, which is never written over",
                    where=self.shown,
                    hint="give another --output",
                )

    def finished(self, identity: str) -> dict[str, Any] | None:
        """Returns the manifest that is there, if it is of this identity and its file is whole; else None."""
        if self.store.digest(self.manifest) is None:
            return None
        try:
            manifest = json.loads(self.store.read(self.manifest))
            known, digest = manifest["identity"], manifest["output"]["sha256"]
        except (ValueError, KeyError, TypeError):
            return None
        weights = manifest.get("weights")
        whole = self.store.digest(self.name) == digest
        whole = whole and (weights is None or self.store.digest(self.weights) == weights["sha256"])
        return manifest if known == identity and whole else None

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Replaces the manifest."""
        with self.room() as folder:
            path = folder / self.manifest
            path.write_text(json.dumps(manifest, indent=1, allow_nan=False) + "\n")
            self.store.create(self.manifest, path, digest_of(path), replace=True)

    @contextmanager
    def room(self) -> Iterator[Path]:
        """Gives a folder where files grow: on the disk that they are for, or on this machine's for a store."""
        if self._remote is not None:
            with tempfile.TemporaryDirectory(prefix="vr-new-") as folder:
                yield Path(folder)
            return
        parent = self._path.parent
        try:
            parent.mkdir(parents=True, exist_ok=True)
            growing = tempfile.TemporaryDirectory(dir=parent, prefix=f".{self.name}.")
        except OSError as err:
            raise ConfigError(
                f"cannot be written to ({err.strerror or err})", where=str(parent), hint="give another --output"
            ) from err
        with growing as folder:
            yield Path(folder)

    def _is(self, path: str, name: str | None = None) -> bool:
        if self._remote is not None or is_remote(path):
            return path == self.shown
        return Path(local_path(path)).resolve() == self._path.with_name(name or self.name).resolve()


@contextmanager
def writing(where: str) -> Iterator[None]:
    """Turns what a disk refuses while the block writes into one error that names the place."""
    try:
        yield
    except OSError as err:
        why = err.strerror or str(err)
        raise VrError(
            f"cannot be written ({why})", where=where, hint="make room there, or give another --output"
        ) from err
