"""A run whose output is in an object store: made in a folder of this machine, published from there when it is whole.

What a run needs to resume stays in that folder, one for each address, in the user's cache; the store sees finished
files only, report.json last.
"""

import fnmatch
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import platformdirs

from vr.core.errors import AlreadyPublishedError, ConfigError
from vr.data.source import Source
from vr.data.store.address import Address, is_remote
from vr.data.store.publish import digest_of, open_store, publish
from vr.pipeline.report import write_atomically

__all__ = ["RemoteOutput", "local_folder"]


def local_folder(uri: str) -> Path:
    """Returns where a run with this output writes, and from where it resumes."""
    name = hashlib.sha256(str(Address.parse(uri)).encode()).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("vr")) / "outputs" / name


class RemoteOutput:
    """The output of a run under `uri`: files named `parts`, each where the run made it, and last the `manifest`.

    Args:
      uri: The address.
      manifest: The last file.
      parts: The others.
      folder: Where the run writes; None: a folder of its own in the user's cache.

    Attributes:
      place: The address, as it may be shown.
      folder: Where the run writes, and from where it resumes.
    """

    def __init__(self, uri: str, manifest: str, parts: Sequence[str] = (), folder: Path | None = None):
        self.place = str(Address.parse(uri))
        self.folder = folder or local_folder(uri)
        self._manifest, self._parts = manifest, tuple(parts)
        self._store = open_store(uri)
        # The digest of a verdict that this machine published here, in whose place the whole may come.
        self._verdict = self.folder.with_name(f"{self.folder.name}.verdict")

    def refuse_inside(self, sources: Iterable[Source | None]) -> None:
        """Refuses a place whose files the next run would read as part of its dataset.

        Raises:
          ConfigError: if a dataset is a prefix of it, or a glob that its files match.
        """
        for source in sources:
            if source is not None and source.files and self._is_read_by(source.uri):
                raise ConfigError(
                    f"lies inside the dataset {source.uri}, which would read the results as data",
                    where=self.place,
                    hint="give an --output outside it",
                )

    def refuse_taken(self) -> None:
        """Refuses a place that holds another run, before anything is computed; a verdict of this machine's is none.

        Raises:
          AlreadyPublishedError: if the manifest there is not the one of the run in `folder`.
          StoreError: if the store cannot be asked.
        """
        there = self._store.digest(self._manifest)
        ours = self.folder / self._manifest
        if there not in (None, self._published_verdict) and not (ours.exists() and digest_of(ours) == there):
            raise AlreadyPublishedError(
                "holds another run already",
                where=self.place,
                hint="give another --output, or --force to replace it",
            )

    def publish(self, *, replace: bool, is_verdict: bool = False) -> None:
        """Publishes those parts that are in the folder, the manifest last; the other parts must not be there.

        Args:
          replace: Whatever is there.
          is_verdict: Whether it is a verdict alone, which the next publication from this machine may replace.
        """
        files = {name: self.folder / name for name in self._parts if (self.folder / name).exists()}
        manifest = (self._manifest, self.folder / self._manifest)
        ours, before = digest_of(manifest[1]), self._published_verdict
        # Known from before the first object is written until the last one is: also to who was killed in between.
        if is_verdict:
            write_atomically(self._verdict, ours.encode())
        # Without a manifest what is left there is of a verdict that was being replaced, or never got so far.
        supersedes = before not in (None, ours) and self._store.digest(self._manifest) in (None, before)
        publish(
            self._store,
            files,
            manifest,
            without=[name for name in self._parts if name not in files],
            replace=replace or supersedes,
        )
        if not is_verdict:
            self._verdict.unlink(missing_ok=True)

    @property
    def _published_verdict(self) -> str | None:
        try:
            return self._verdict.read_text()
        except OSError:
            return None

    def _is_read_by(self, uri: str) -> bool:
        if not is_remote(uri):
            return False
        # Written as addresses are: gcs://bucket/a/ is gs://bucket/a.
        dataset = str(Address.parse(uri))
        if any(sign in dataset for sign in "*?["):
            names = (self._manifest, *self._parts)
            return any(fnmatch.fnmatchcase(f"{self.place}/{name}", dataset) for name in names)
        rest = f"{self.place}/".removeprefix(f"{dataset}/")
        # Of a prefix, hidden names and those with a leading underscore are not read.
        return rest != f"{self.place}/" and not any(part.startswith((".", "_")) for part in rest.split("/"))
