"""One run, as every door makes it: configuration checked, sources opened, tracker attached, the pipeline called."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vr.cascade.hosts import Hosts, is_first, join
from vr.core.errors import ConfigError
from vr.pipeline.config import Config, TrackingConfig
from vr.pipeline.progress import Event, ProgressCallback

if TYPE_CHECKING:
    from vr.data.source import Source
    from vr.pipeline.report import ValidationReport

__all__ = ["configure", "open_sources", "run"]


def configure(config: Config | Mapping[str, Any] | None = None, overrides: Sequence[str] = ()) -> Config:
    """Returns the configuration of a run; Hydra is loaded only where there is something to compose."""
    if isinstance(config, Config) and not overrides:
        return config
    if not config and not overrides:
        return Config()
    from vr.config import compose

    return compose(overrides, base=config)


def open_sources(candidate: Any, reference: Any, config: Config) -> "tuple[Source, Source | None]":
    """Returns both datasets opened; what is not given directly is taken from `data.uri` and `reference.uri`.

    Column types are given once for both: a reference without any takes the candidate's.

    Raises:
      ConfigError: There is no candidate.
      DataError: A dataset cannot be opened.
    """
    from vr.data.source import open_source

    candidate = config.data.uri if candidate is None else candidate
    reference = config.reference.uri if reference is None else reference
    if candidate is None:
        raise ConfigError("no dataset to validate", where="data.uri", hint="name a file, a folder, a glob or a URI")
    types = config.data.types
    first = open_source(candidate, format=config.data.format, types=types)
    if reference is None:
        return first, None
    return first, open_source(reference, format=config.reference.format, types=config.reference.types or types)


def run(
    candidate: Any,
    reference: Any,
    config: Config,
    *,
    output: Path | None = None,
    force: bool = False,
    html: bool = True,
    progress: ProgressCallback | None = None,
) -> "ValidationReport":
    """Returns the pipeline's report, its events shown to `progress` and to the configured tracker.

    Where VR_COORDINATOR, VR_PROCESSES and VR_PROCESS are set, this is one of several processes that make the same call
    and train the cascade together; process 0 alone writes to `output` and has a tracker.

    Args:
      candidate: A path, URI or Arrow stream; None: `config.data.uri`.
      reference: The same; None: `config.reference.uri`, which may be None too.
      config: The whole configuration.
      output: Folder that receives the files, and from which an interrupted run resumes; None: nothing is written.
      force: Run again over a finished run.
      html: Write report.html too.
      progress: Called with every event.

    Raises:
      ConfigError: `output` cannot be used, or lies where a dataset is read.
      DataError: A dataset cannot be read or compared.
      PeerLostError: Another of several processes is gone.
      PreemptedError: One of several processes was asked to stop.
    """
    join(Hosts.of(os.environ))
    from vr.pipeline.run_folder import refuse_inside
    from vr.pipeline.validate import validate
    from vr.telemetry.background import tracking

    first, second = open_sources(candidate, reference, config)
    refuse_inside(output, [first, second])
    tracked = config if is_first() else replace(config, tracking=TrackingConfig())
    with tracking(tracked, output or Path.cwd()) as tracker:

        def tell(event: Event) -> None:
            if progress is not None:
                progress(event)
            tracker.log(event)

        report = validate(first, second, config, progress=tell, output=output, force=force, html=html)
        tracker.finish(report, output)
    return report
