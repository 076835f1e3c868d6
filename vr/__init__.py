"""vr tells before training whether a model will collapse on a partly or wholly synthetic dataset.

    import vr

    report = vr.validate("generated.parquet", reference="real.parquet")
    report.verdict, report.risk_score

Importing vr loads neither jax nor pyarrow; the first call does.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vr.pipeline.config import Config
    from vr.pipeline.progress import ProgressCallback
    from vr.pipeline.references import References
    from vr.pipeline.report import ValidationReport

__all__ = ["References", "ValidationReport", "__version__", "validate"]

__version__ = "0.1.0"


def validate(
    candidate: Any,
    reference: Any = None,
    config: "Config | Mapping[str, Any] | None" = None,
    overrides: Sequence[str] = (),
    progress: "ProgressCallback | None" = None,
    references: "References | None" = None,
    verdict_only: bool = False,
) -> "ValidationReport":
    """Returns the report on whether a model trained on `candidate` would collapse.

    Args:
      candidate: A path, glob or URI, or anything that speaks the Arrow PyCapsule stream (pandas, polars, pyarrow,
        duckdb, datasets).
      reference: Real rows to compare with, as `candidate`; without them less can be measured, and the report says what.
      config: A `vr.pipeline.config.Config`, nested mappings of the settings to change
        (`{"cascade": "smoke", "detector": {"overall_threshold": 60}}`), or None for the defaults.
      overrides: Hydra overrides laid over `config`, as on the command line (`["cascade=none", "seed=3"]`).
      progress: Called with a `vr.pipeline.progress.Event` at every step forward.
      references: One `vr.References()` for many candidates of the same reference, which is then measured once.
      verdict_only: Stop at the verdict, which takes about half the time where nothing is trained: no diversity, no rows
        to blame, nothing recommended.

    Raises:
      vr.core.errors.ConfigError: For a misspelt, ill-typed or out-of-range setting, before anything runs.
      vr.core.errors.DataError: For data that cannot be read or compared; the message names file and column.
    """
    from vr.pipeline.extent import Extent
    from vr.session import configure, run

    extent = Extent.verdict if verdict_only else Extent.whole
    settled = configure(config, overrides)
    return run(candidate, reference, settled, progress=progress, references=references, extent=extent)


def __getattr__(name: str) -> Any:
    if name == "ValidationReport":
        from vr.pipeline.report import ValidationReport

        return ValidationReport
    if name == "References":
        from vr.pipeline.references import References

        return References
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
