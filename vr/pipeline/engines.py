"""From settings to how passes are made, and what is said where a part of one needs no reading."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from vr.core.errors import ConfigError
from vr.data.engine import LocalEngine
from vr.data.kept import trim
from vr.data.passes import Known, Passes
from vr.data.source import Source
from vr.pipeline.config import EngineConfig, EngineKind
from vr.pipeline.progress import Event, ProgressCallback
from vr.pipeline.run_folder import reads

__all__ = ["known_before", "passes_of", "tell_known"]


@contextmanager
def passes_of(
    config: EngineConfig, threads: int, folder: Path | None, sources: Sequence[Source | None]
) -> Iterator[Passes]:
    """Gives the passes of one run while the block lasts.

    Args:
      config: Where they run, and what is kept for later runs.
      threads: Of this process.
      folder: Where states are kept until the run is done, where they are kept for no longer.
      sources: What will be read.

    Raises:
      ConfigError: if the engine is not installed, or the cache lies where a dataset is read.
    """
    cache = None if config.cache is None else Path(config.cache).expanduser()
    for source in sources:
        if cache is not None and source is not None and source.files and reads(source.uri, cache, ["a.state"]):
            raise ConfigError(f"lies inside the dataset {source.uri}", where="engine.cache", hint="give another folder")
    try:
        if config.kind is EngineKind.local:
            yield Passes(LocalEngine(threads), config.partition_rows, cache or folder, keeps_whole=cache is not None)
            return
        from vr.data.ray_engine import RayEngine

        engine = RayEngine(
            config.address,
            workers=config.workers,
            retries=config.retries,
            object_store_bytes=config.object_store_bytes,
        )
        try:
            yield Passes(engine, config.partition_rows, cache or folder, keeps_whole=cache is not None)
        finally:
            engine.close()
    finally:
        # Also after a run that failed: it may have kept as much as any. What cannot be removed is no error of this run.
        if cache is not None:
            with suppress(OSError):
                trim(cache, config.cache_bytes)


def tell_known(tell: ProgressCallback, config: EngineConfig) -> Callable[[str, str, Known], None]:
    """Returns what passes call, with their stage and role, where a part of a dataset needs no reading."""
    cached = config.cache is not None
    return lambda stage, role, what: tell(
        Event(stage, what.rows, what.num_rows, known_before(role, what, cached=cached), is_notice=True)
    )


def known_before(role: str, known: Known, *, cached: bool) -> str:
    """Returns what to say of a dataset of which a part was done before, by an earlier run or by this one."""
    if known.next_row is None:
        done = "as they were when they were last profiled" if cached else "done before the run was interrupted"
        return f"{role}: all {known.num_rows:,} rows are {done}; none is profiled again"
    place = f"from row {known.next_row:,} on, in {known.next_file}"
    if cached:
        left = known.num_files - known.files
        return (
            f"{role}: {known.files:,} of {known.num_files:,} files are as they were when they were last profiled; "
            f"only {left:,} {'is' if left == 1 else 'are'} read, {place}"
        )
    return f"{role}: resumed with {known.rows:,} of {known.num_rows:,} rows done before, {place}"
