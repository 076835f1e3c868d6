"""What a validation is asked for with, on the client's side."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vr.server._generated.vr.v1 import job_pb2

__all__ = ["Job"]


@dataclass(frozen=True)
class Job:
    """Two datasets that the server can read, and settings.

    Attributes:
      candidate: Path or URI. A relative path is one of this machine, made absolute.
      reference: The same, of real rows.
      cascade: Preset; empty: the server's default.
      seed: Of the run.
      targets: Columns that the model is to predict, ten at most; none: all columns count.
      overrides: Further settings, as on the command line, such as `detector.overall_threshold=60`.
      formats: By `candidate` and `reference`, where a name does not say it.
      types: The same: column to type.
      time_limit_s: Longest time of the work; None: the server's.
    """

    candidate: str | os.PathLike[str]
    reference: str | os.PathLike[str] | None = None
    cascade: str = ""
    seed: int = 0
    targets: Sequence[str] = ()
    overrides: Sequence[str] = ()
    formats: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    time_limit_s: float | None = None

    def to_message(self, key: str) -> Any:
        """Returns the job as a message; requests with the same `key` are one validation."""
        message = job_pb2.Job(
            candidate=self._dataset("candidate", self.candidate),
            settings=job_pb2.Settings(
                cascade=self.cascade, seed=self.seed, overrides=self.overrides, targets=self.targets
            ),
            idempotency_key=key,
        )
        if self.reference is not None:
            message.reference.CopyFrom(self._dataset("reference", self.reference))
        if self.time_limit_s is not None:
            message.time_limit.FromMilliseconds(round(self.time_limit_s * 1000))
        return message

    def _dataset(self, name: str, uri: str | os.PathLike[str]) -> Any:
        text = os.fspath(uri)
        if "://" not in text:
            text = str(Path(text).expanduser().absolute())
        return job_pb2.Dataset(uri=text, format=self.formats.get(name, ""), types=self.types.get(name, {}))
