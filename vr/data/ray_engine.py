"""Passes on the workers of a Ray cluster: partitions as tasks, which are done again where a worker is lost.

Work and partitions travel as bytes that `vr` packs itself, and states come back so; Ray sees no object of ours.
"""

import json
import os
import platform
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from vr.core.errors import ConfigError, VrError
from vr.data.isolation.frames import error_of, told
from vr.data.partition import Partition
from vr.data.shared import open_share, share
from vr.data.source import Source
from vr.data.work import ProfileWork, SampleWork, State, StratifiedWork, Work, work_of

__all__ = ["RayEngine", "profile_partition"]

_STATE, _ERROR = b"S", b"E"
_WAIT_S = 0.5  # at most, until a signal is looked at
_CONNECT_S = 10.0  # in which a cluster's head has to answer
_ROOT = Path(__file__).resolve().parents[2]  # the folder that holds vr


def profile_partition(work: bytes, partition: bytes) -> bytes:
    """Returns what a worker makes of one partition: `S` and its state, or `E` and an error of ours as JSON."""
    request = json.loads(partition)
    where = request["share"]["files"][0]["path"]
    try:
        todo = _work(work)
        if todo.digest != request["digest"]:
            raise ConfigError(
                f"the worker {platform.node()} has another version of vr, NumPy, pyarrow or scikit-learn",
                where="engine.kind=ray",
                hint="install the same ones on all machines of the cluster",
            )
        source, part = open_share(request["share"])
        batches = source.batches(todo.columns, request["batch_rows"], part)
        return _STATE + todo.pack(todo.run(batches, part.row_start, 1))  # type: ignore[arg-type]
    except VrError as error:
        return _ERROR + json.dumps({"where": where, **told(error)}).encode()


@lru_cache(maxsize=4)
def _work(content: bytes) -> SampleWork | ProfileWork | StratifiedWork:
    # A codec's tables of look-ups are made once.
    return work_of(content)


class RayEngine:
    """A Ray cluster: one that is there, or one of this machine alone that ends with `close`.

    Args:
      address: As `ray.init` takes it; None starts a cluster.
      workers: Partitions at a time; 0 for as many as the cluster has processors. Of a cluster that is started: its
        processors.
      retries: Of a partition whose worker was lost.
      object_store_bytes: Of a cluster that is started.

    Raises:
      ConfigError: if Ray is not installed.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        workers: int = 0,
        retries: int = 3,
        object_store_bytes: int = 256 << 20,
    ):
        try:
            import ray
        except ImportError as err:
            raise ConfigError("needs Ray", where="engine.kind=ray", hint="pip install 'vr[ray]'") from err
        self._ray = ray
        self._address = address
        self._workers = workers
        self._retries = retries
        self._object_store_bytes = object_store_bytes
        self._has_started = False
        self._is_ours = False

    def close(self) -> None:
        """Leaves the cluster; one that was started ends."""
        if self._is_ours:
            self._ray.shutdown()
            self._is_ours = False

    def run(
        self,
        source: Source,
        work: Work[State],
        partitions: Sequence[Partition],
        batch_rows: int,
        on_rows: Callable[[int], None],
    ) -> Iterator[tuple[Partition, State]]:
        """See `vr.data.engine.Engine`."""
        if not partitions:
            return
        if not source.inputs:
            raise ConfigError(
                f"{source.uri} is in memory, where no worker can read it",
                where="engine.kind=ray",
                hint="write it to a file, or use engine=local",
            )
        self._connect()
        ray = self._ray
        task = ray.remote(profile_partition).options(
            num_cpus=1, max_retries=self._retries, scheduling_strategy="SPREAD", name="vr.profile_partition"
        )
        packed = ray.put(work.packed())
        digest, waiting = work.digest, list(partitions)
        under_way: dict[Any, Partition] = {}
        try:
            while waiting or under_way:
                # The results that wait in the object store are never more than these.
                while waiting and len(under_way) < self._window():
                    partition = waiting.pop(0)
                    request = {"share": share(source, partition), "batch_rows": batch_rows, "digest": digest}
                    under_way[task.remote(packed, json.dumps(request).encode())] = partition
                for done in ray.wait(list(under_way), num_returns=1, timeout=_WAIT_S)[0]:
                    partition = under_way.pop(done)
                    state = work.unpack(self._fetched(done, source, partition))
                    on_rows(partition.rows)
                    yield partition, state
        finally:
            for left in under_way:
                ray.cancel(left, force=True)

    def _fetched(self, done: Any, source: Source, partition: Partition) -> bytes:
        where = source.files[partition.parts[0].file][0]
        try:
            content: Any = self._ray.get(done)
        except self._ray.exceptions.RayError as err:
            lines = [line.strip() for line in str(err).splitlines() if line.strip()]
            raise VrError(
                f"{partition.rows:,} rows from row {partition.row_start:,} on could not be done on Ray's workers "
                f"({type(err).__name__}: {lines[-1][:200] if lines else ''})",
                where=where,
                hint=f"each was tried {self._retries + 1} times; lower engine.partition_rows if workers lack memory",
            ) from err
        if content[:1] == _ERROR:
            raise error_of(json.loads(content[1:]), where)
        return content[1:]

    def _window(self) -> int:
        """Returns how many partitions may be under way."""
        # Others' processors would do what is more than was asked for.
        if self._workers and not self._has_started:
            return self._workers
        # A second one for each worker waits beside it, so that between two no worker is idle. A cluster may grow while
        # the pass runs.
        return 2 * (self._workers or max(1, int(self._ray.cluster_resources().get("CPU", 1))))

    def _connect(self) -> None:
        ray = self._ray
        if ray.is_initialized():
            return
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
        if self._address is None:
            options |= {"num_cpus": self._workers or os.cpu_count(), "object_store_memory": self._object_store_bytes}
        else:
            _refuse_unreachable(self._address)
            options = {"address": self._address, "log_to_driver": False, "logging_level": "ERROR"}
        with _settings(self._retries), _own_signals():
            try:
                ray.init(**options)
            except Exception as err:
                where = "engine.address" if self._address else "engine.kind=ray"
                raise VrError(f"no Ray cluster ({type(err).__name__}: {err})"[:400], where=where) from err
        self._is_ours = True
        self._has_started = self._address is None


def _refuse_unreachable(address: str) -> None:
    """Raises VrError where nothing answers at HOST:PORT: Ray itself goes on asking there for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return  # `auto` and the like, which Ray resolves
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S):
            pass
    except (OSError, OverflowError) as err:
        hint = "is the cluster up, and can it be reached from here?"
        raise VrError(f"no Ray cluster ({err})", where="engine.address", hint=hint) from err


@contextmanager
def _settings(retries: int) -> Iterator[None]:
    """Sets what a cluster inherits that is started in the block: this vr, no report of use, bounded tries."""
    wanted = {
        "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_task_oom_retries": str(retries),
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keeps Ray from deciding what SIGTERM means to this process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
