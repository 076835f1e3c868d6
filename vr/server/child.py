"""The process that computes: one validation at a time, everything imported beforehand.

It answers `vr.server.children`, one JSON object a line on its standard input and on its standard output, and ends when
its input does, so that it outlives no server. What it logs goes to standard error.
"""

import contextlib
import errno
import gc
import hashlib
import json
import operator
import os
import queue
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from vr.core.errors import ConfigError, DataError, VrError
from vr.core.memory import give_back_freed_memory
from vr.pipeline.extent import Extent
from vr.server.addresses import Grant

if TYPE_CHECKING:
    from vr.data.isolation.reader import ReadingProcesses
    from vr.pipeline.config import Config
    from vr.pipeline.progress import Event
    from vr.pipeline.report import ValidationReport

__all__ = ["main"]

_TELL_EVERY_S = 0.5
_NICE = 10  # added to what the process came with
# A row of the report takes some 500 bytes, and a message 32 MiB at most.
_MOST = {
    "localization.max_rows": 20_000,
    "localization.reference_rows": 20_000,
    "sample.rows": 1_000_000,
    "sample.cells": 100_000_000,
    "detector.null.num_splits": 64,
    "detector.null.max_rows": 20_000,
}
Say = Callable[[dict[str, Any]], None]


class _Unavailable(Exception):
    """A dataset is not there, or not the tenant's to read."""


class _Stopped(BaseException):
    """Nobody wants the validation any more; no error of it, which somebody on the way might take for his own."""


def main() -> None:
    """Works until there is no more to do."""
    # Whoever asks how things are, or is refused, waits for no computation.
    os.nice(_NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What a library prints must not get between the lines.
    os.dup2(2, 1)
    lock = threading.Lock()

    def say(told: dict[str, Any]) -> None:
        # Training tells of its progress from threads of its own.
        with lock:
            out.write(json.dumps(told, allow_nan=False) + "\n")
            out.flush()

    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    stopped: set[int] = set()
    threading.Thread(target=_listen, args=(requests, stopped), daemon=True).start()
    begun = requests.get()
    worker = _Worker(begun["base"], begun["threads"])
    # Modules are searched for garbage no more, in a process that ends with all that they hold.
    gc.freeze()
    say({"ready": True})
    while True:
        request = requests.get()
        number = request["number"]
        worker.work(
            request,
            lambda told, number=number: say({**told, "number": number}),
            lambda number=number: number in stopped,
        )
        stopped.discard(number)


def _listen(requests: "queue.SimpleQueue[dict[str, Any]]", stopped: set[int]) -> None:
    for line in sys.stdin.buffer:
        told = json.loads(line)
        if "stop" in told:
            stopped.add(told["stop"])
        else:
            requests.put(told)
    # The server is gone, whatever the main thread is at.
    os._exit(0)


class _Worker:
    """What stays warm between validations: modules, the base configuration, a process that parses, known references."""

    def __init__(self, base: Mapping[str, Any], threads: int):
        # All that a validation imports late, so that the first one waits for nothing.
        import vr.detector.trained_mixes  # noqa: F401
        import vr.localization.localize  # noqa: F401
        import vr.pipeline.advice  # noqa: F401
        import vr.pipeline.row_scores  # noqa: F401
        import vr.pipeline.validate  # noqa: F401
        from vr.config import compose
        from vr.data.without_pandas import do_without_pandas
        from vr.pipeline.references import References
        from vr.stats.loops import warm_up

        do_without_pandas()
        warm_up()
        self._base = compose([f"engine.threads={threads}"], base=base)
        self._configurations = _Configurations(self._base)
        # jax and what trains with it take as long as all the rest: only where validations train unless told otherwise.
        if self._base.cascade.tiers:
            _load_training()
        self._reading = self._new_reading()
        self._read_for: str | None = None
        self._references = References()

    def work(self, request: Mapping[str, Any], say: Say, is_stopped: Callable[[], bool] = lambda: False) -> None:
        """Does one validation; whatever becomes of it is one line, `finished`, `failed` or `stopped`.

        Args:
          request: What to do.
          say: Told of progress and of the end.
          is_stopped: Whether it is to be left, asked at every step, of a training at every segment.
        """
        from vr.session import run

        fields = {name: request["job"][name]["uri"] for name in ("candidate", "reference") if request["job"].get(name)}
        try:
            config = self._configurations.of(request["job"])
            if "threads" in request:
                config = replace(config, engine=replace(config.engine, threads=request["threads"]))
            grant = Grant(**{name: tuple(values) for name, values in request["grant"].items()})
            for name, uri in fields.items():
                _refuse_others(name, uri, grant)
            if config.cascade.tiers and "reference" in fields:
                _load_training()
            folder = Path(request["output"])
            scope = json.dumps([request.get("tenant"), request["grant"]], sort_keys=True)
            sample = request.get("sample") or {}
            teller = _Teller(say, is_stopped)
            report = run(
                None,
                None,
                config,
                output=request.get("publish") or folder,
                folder=folder,
                html=bool(request.get("html")),
                progress=teller,
                on_segment=teller.heed,
                processes=self._reading_for(scope),
                # What one tenant's data gave is not used for another's, not even where both have the same.
                references=self._references.scoped(scope),
                sample_to=sample.get("uri"),
                sample_rows=sample.get("rows", 0),
                extent=Extent(request.get("extent", Extent.whole)),
            )
            told = {
                "finished": {
                    "verdict": report.verdict.value,
                    "rows": report.dataset.rows,
                    "mark": _mark_of(report),
                }
            }
        except _Stopped:
            told = {"stopped": True}
        except BaseException as error:  # noqa: BLE001 - nothing may end this process but what ends processes
            told = {"failed": _told(error, fields, request["output"])}
            self._read_for = None
        if "stopped" in told:
            # What the validation held is let go of before anybody hears of it: passes that were broken off, which take
            # their processes with them.
            gc.collect()
            try:
                if self._reading is not None:
                    self._reading.prepare()
            except VrError:
                self._read_for = None
        say(told)
        if (programs := sys.modules.get("vr.cascade.programs")) is not None:
            programs.clear_traces()
            give_back_freed_memory()
        if self._read_for is None:
            self._reading = self._new_reading()

    def _new_reading(self) -> "ReadingProcesses | None":
        from vr.data.config import is_isolated
        from vr.data.isolation.reader import ReadingProcesses

        reading = self._base.reading
        return ReadingProcesses(reading, started=1) if is_isolated(reading.isolation) else None

    def _reading_for(self, scope: str) -> "ReadingProcesses | None":
        # No file of one tenant is read where another's was; the start of a process takes as long as much of the rest.
        if self._read_for not in (None, scope):
            self._reading = self._new_reading()
        self._read_for = scope
        return self._reading


class _Configurations:
    """What a validation runs with, from what a request asks for and the operator's own settings, `base`."""

    def __init__(self, base: "Config"):
        from vr.config import compose

        self._base = base
        # Composing takes a tenth of a second, and requests mostly ask for what others did.
        self._composed = lru_cache(maxsize=64)(lambda words: _bounded(compose(words, base=base), base))

    def of(self, job: Mapping[str, Any]) -> "Config":
        """Returns that of a job, as `children` was given it.

        Raises:
          ConfigError: for a word that is none of a request's, or asks for too much.
        """
        settings, config = job["settings"], self._base
        words = [f"cascade={settings['cascade']}"] if settings["cascade"] else []
        if words or settings["overrides"]:
            config = self._composed((*words, *settings["overrides"]))
        if config.recommendation.history != self._base.recommendation.history:
            # It would tell of other tenants' datasets.
            raise ConfigError("is the operator's to set", where="recommendation.history")
        sections = {
            section: replace(getattr(config, section), **job[name])
            for section, name in (("data", "candidate"), ("reference", "reference"))
            if job.get(name)
        }
        # What becomes of a tenant's datasets is not kept beside that of others'.
        signatures = replace(config.signatures, history=False)
        # The run store may hold jobs of before there were any.
        targets = settings.get("targets") or config.targets
        return replace(config, seed=settings["seed"], targets=targets, signatures=signatures, **sections)


def _bounded(config: "Config", base: "Config") -> "Config":
    """Returns what a request asks for, where neither memory nor the report grows out of bounds.

    Raises:
      ConfigError: where it does; the operator's own settings may lie beyond.
    """
    for where, most in _MOST.items():
        value, own = (int(operator.attrgetter(where)(each)) for each in (config, base))
        most = max(most, own)
        if value > most:
            raise ConfigError(f"must be {most} or less in a request, not {value}", where=where)
    return config


class _Teller:
    """Passes progress on, not every event of it, and leaves a validation that is stopped."""

    def __init__(self, say: Say, is_stopped: Callable[[], bool]):
        self._say = say
        self._is_stopped = is_stopped
        self._last = ("", 0.0)

    def __call__(self, event: "Event") -> None:
        """Takes one event."""
        # Who has a report to publish, or has published it, is as good as finished.
        if event.stage != "report":
            self.heed()
        stage, at = self._last
        now = time.monotonic()
        if event.training is None and event.stage == stage and event.done != event.total and now - at < _TELL_EVERY_S:
            return
        self._last = (event.stage, now)
        told = {"stage": event.stage, "done": event.done, "total": event.total, "message": event.message}
        self._say({"progress": told | {"training": _training(event)}})

    def heed(self) -> None:
        """Leaves the validation if it is stopped."""
        if self._is_stopped():
            raise _Stopped


def _load_training() -> None:
    """Imports what trains, whose objects are searched for garbage no more: that would take longer than a stop may."""
    if "vr.cascade.train" not in sys.modules:
        import vr.cascade.checkpoint
        import vr.cascade.train  # noqa: F401

        # What earlier validations left is not to be kept with it.
        gc.collect()
        gc.freeze()


def _mark_of(report: "ValidationReport") -> str:
    """Returns what tells a verdict from one of other data, or of other settings or another version where it shows."""
    sides = [side and side.fingerprint for side in (report.dataset, report.reference)]
    what = json.dumps([*sides, report.verdict.value, report.risk_score])
    return hashlib.sha256(what.encode()).hexdigest()[:16]


def _training(event: "Event") -> dict[str, Any] | None:
    if event.training is None:
        return None
    names = ("tier", "member", "step", "steps", "loss", "rows_per_second", "eta_seconds", "busy")
    told = {name: getattr(event.training, name) for name in names}
    memory = event.training.memory
    return told | {"memory": None if memory is None else memory._asdict()}


def _refuse_others(name: str, uri: str, grant: Grant) -> None:
    """Raises where a dataset is not there, or where one of its files lies, links followed, outside of the grant."""
    from vr.data.formats.locate import locate
    from vr.data.store.address import is_remote, local_path

    with _unavailable(name):
        files = locate(uri, any_name=True)[0]
    if is_remote(uri):
        return
    for file in files:
        if not grant.holds(local_path(file.path)):
            raise _Unavailable(name)


@contextlib.contextmanager
def _unavailable(name: str) -> Any:
    try:
        yield
    except DataError as err:
        raise _Unavailable(name) from err


def _told(error: BaseException, fields: Mapping[str, str], output: str) -> dict[str, Any]:
    """Returns an error as the server is told of it; anything that nobody foresaw with its traceback, for the log.

    Args:
      error: It.
      fields: Addresses of the datasets, by the name of their field.
      output: Where the validation is kept.
    """
    if isinstance(error, _Unavailable):
        return {"kind": "Unavailable", "field": f"job.{error.args[0]}.uri"}
    if isinstance(error, VrError):
        kind, message, where = type(error).__name__, error.message, error.where or ""
        field = "job.settings" if kind == "ConfigError" else "job" if isinstance(error, DataError) else None
        for name, uri in fields.items():
            if where.startswith(uri):
                where, field = where.removeprefix(uri).strip("/ ,"), f"job.{name}"
                break
        message = f"{where}: {message}" if where else message
        return {
            "kind": kind,
            "message": _without_places(message, fields, output),
            "hint": error.hint and _without_places(error.hint, fields, output),
            "field": field,
        }
    told = {"kind": "Internal", "message": "", "field": None}
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        told = {"kind": "DiskFull", "message": "no space left", "field": None}
    elif isinstance(error, MemoryError):
        told = {"kind": "MemoryError", "message": "not enough memory", "field": None}
    return told | {"traceback": "".join(traceback.format_exception(error))}


def _without_places(text: str, fields: Mapping[str, str], output: str) -> str:
    """Returns a text without a request's addresses and the store's, whatever characters they hold."""
    names = {}
    for name, uri in fields.items():
        path = unquote(uri.removeprefix("file://")).rstrip("/")
        names |= dict.fromkeys((uri, path, os.path.realpath(path), os.path.basename(path)), f"the {name}")
    # The store is the folder of the tenants' folders; its own name may be a word that a message needs.
    store = Path(output).parent.parent.parent
    names |= dict.fromkeys((output, str(store)), "<path>")
    if not store.name.isalpha():
        names[store.name] = "<path>"
    for place in sorted((each for each in names if len(each) > 2), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(place)}(?!\w)", names[place], text)
    return text
