"""Does anything grow in a server and a worker that are under load for a long time while processes are killed?

    make soak          (python -m benchmarks.service_soak --minutes 20)
    python -m benchmarks.service_soak --minutes 5 --plant descriptors     # has to end with exit code 1

A server and a worker as processes of their own; clients that validate, attach, give up, send garbage and ask for what
is not there; jobs from the reference orchestrator; children killed at moments drawn with a seed, now and then the
worker or the server too, which are started again on the same folders. Every two seconds memory, descriptors, threads
and temporary files of each process are noted. Ends with exit code 1 where one of them grows (benchmarks/growth.py has
the tolerances), where a validation or a job is lost, or where there were too few samples to say. Writes
results/service_soak.json.
"""

import argparse
import math
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from benchmarks.growth import Sampler, judged, plant
from benchmarks.measure import save
from vr.client import Client, Job, ServiceError
from vr.client.load.datasets import write_pair
from vr.worker.testing import ReferenceOrchestrator

ROOT = Path(__file__).resolve().parent.parent
# A few tiny proxies, so that training, its checkpoints and its resumption are under load too.
_TRAINING = (
    "cascade.network=mlp",
    "cascade.tiers=[{name:one,seeds:2,width:8,depth:1,steps:200}]",
    "cascade.threads=1",
    "cascade.checkpoint_seconds=0",
)
# Mean seconds between two kills of each kind: some four dozen in 20 minutes.
_KILLS = {"server's child": 75.0, "worker's child": 75.0, "worker": 200.0, "server": 300.0}
_SETTLE_SHARE, _MOST_SETTLE_S = 0.2, 120.0
_PATIENCE_S = 600.0


class Program:
    """A server or a worker that runs, and runs again after it was killed.

    Args:
      name: `serve` or `worker`.
      folder: Of its log and its temporary files.
      words: Its settings.
      environment: More of it.
    """

    def __init__(self, name: str, folder: Path, words: list[str], environment: dict[str, str]):
        self.name, self._folder, self._words, self._environment = name, folder, words, environment
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        self._log: IO[bytes] = (folder / "log").open("ab")
        self._process: subprocess.Popen[str] | None = None
        self.starts = 0
        self._ready_at = math.inf

    @property
    def pid(self) -> int | None:
        """Its process number while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> str:
        """Starts it; returns its first line, which says that it is ready."""
        environment = os.environ | self._environment | {"TMPDIR": str(self.temporary)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vr", self.name, *self._words],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        self.starts += 1
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"vr {self.name} did not start; {self._folder / 'log'} says why")
        self._ready_at = time.monotonic()
        return line

    def was_down(self, since: float) -> bool:
        """Returns whether it was killed, or not ready yet, at any time after a moment of `time.monotonic`."""
        return self._ready_at > since

    def children(self) -> list[int]:
        """Returns the process numbers of what computes for it."""
        try:
            return [int(word) for word in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        except OSError:
            return []

    def kill(self) -> None:
        """Ends it as the system does when it is out of memory."""
        self._ready_at = math.inf
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int | None:
        """Asks it to stop; returns its exit code, None where it had to be killed."""
        if self._process is None or self._process.stdout is None:
            return None
        self._process.send_signal(signal.SIGTERM)
        try:
            code: int | None = self._process.wait(120)
        except subprocess.TimeoutExpired:
            self.kill()
            code = None
        self._process.stdout.close()
        self._log.close()
        return code


class Traffic:
    """Clients in threads: each does one thing after another, drawn by its own seed.

    Args:
      address: Of the server.
      data: Folder with candidate.parquet, reference.parquet and junk.parquet.
      stop: Set when it is over.
      was_down: Whether the server was not there at some time since a moment of `time.monotonic`.
    """

    def __init__(self, address: str, data: Path, stop: threading.Event, was_down: Callable[[float], bool]):
        self._address, self._data, self._stop, self._was_down = address, data, stop, was_down
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.wrong: list[str] = []

    def client(self, seed: int) -> None:
        """Asks until it is told to stop."""
        rng = random.Random(seed)
        acts: list[tuple[int, Callable[[Client, random.Random], str]]] = [
            (6, self._validate),
            (2, self._train),
            (2, self._give_up),
            (1, self._junk),
            (2, self._unknown),
        ]
        while not self._stop.is_set():
            [(_, act)] = rng.choices(acts, weights=[weight for weight, _ in acts])
            with Client(self._address, timeout=_PATIENCE_S, attempts=12) as client:
                try:
                    self.done[act(client, rng)] += 1
                except ServiceError as err:
                    self.failed[f"{act.__name__.strip('_')}: {err.reason or err.code}"] += 1
            self._stop.wait(rng.expovariate(2.0))

    def _job(self, cascade: str = "none", **more: Any) -> Job:
        return Job(self._data / "candidate.parquet", self._data / "reference.parquet", cascade=cascade, **more)

    def _validate(self, client: Client, rng: random.Random) -> str:
        answer = client.detect_collapse(self._job(seed=rng.randrange(1000)))
        # Whoever asks again gets the same, from the store.
        again = client.detect_collapse(answer.validation_id)
        if (again.verdict, again.risk_score) != (answer.verdict, answer.risk_score):
            self.wrong.append(f"{answer.validation_id} was answered twice, differently")
        return "validated"

    def _train(self, client: Client, rng: random.Random) -> str:
        report = client.validate(self._job("smoke", seed=rng.randrange(1000), overrides=_TRAINING))
        if not report.cascade.models:
            self.wrong.append("a report of a training has no models")
        return "trained"

    def _give_up(self, client: Client, rng: random.Random) -> str:
        begun = time.monotonic()
        try:
            client.detect_collapse(self._job("smoke", overrides=_TRAINING), timeout=rng.uniform(0.05, 3.0))
        except ServiceError as err:
            # Whose patience ends before a killed server is back is told that nobody is there.
            is_alone = err.code == "UNAVAILABLE" and not err.reason and self._was_down(begun)
            if err.code != "DEADLINE_EXCEEDED" and not is_alone:
                raise
            return "given up"
        return "validated"

    def _junk(self, client: Client, rng: random.Random) -> str:
        try:
            client.detect_collapse(Job(self._data / "junk.parquet", cascade="none"))
        except ServiceError as err:
            if err.reason != "BAD_DATA":
                raise
            return "refused"
        self.wrong.append("a file that is no dataset was validated")
        return "validated"

    def _unknown(self, client: Client, rng: random.Random) -> str:
        try:
            client.cancel_validation(f"v{rng.randbytes(16).hex()}")
        except ServiceError as err:
            if err.reason != "VALIDATION_NOT_FOUND":
                raise
        return "not found"


def main() -> int:
    """Soaks, judges and writes what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--plant", choices=("memory", "descriptors", "threads", "files"), help="in the server")
    parser.add_argument("--plant-every", type=float, default=5.0, help="seconds between two leaks")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vr-soak-") as name:
        result = soaked(Path(name), arguments)
    words = f" --plant {arguments.plant}" if arguments.plant else ""
    command = f"python -m benchmarks.service_soak --minutes {arguments.minutes:g}{words}"
    save("service_soak" + (f"_{arguments.plant}" if arguments.plant else ""), result, command)
    for role, kinds in result["growth"].items():
        for kind, found in kinds.items():
            told = "too few samples" if found["leaks"] is None else "{low:+.1f} to {high:+.1f} an hour".format(**found)
            print(f"{'GROWS' if found['leaks'] else 'ok':<6} {role:<15} {kind:<12} {told}")
    print(f"{'failed' if result['failures'] else 'passed'}: {'; '.join(result['failures']) or 'nothing grows'}")
    return 1 if result["failures"] else 0


def soaked(folder: Path, arguments: Any) -> dict[str, Any]:
    """Returns what was done, killed and lost, and what grew."""
    data, stop, seconds = folder / "data", threading.Event(), 60 * arguments.minutes
    data.mkdir()
    write_pair(data, rows=600, columns=6)
    (data / "junk.parquet").write_bytes(b"this is no parquet")
    leak = plant(folder / "leak", arguments.plant, ["serve"], arguments.plant_every) if arguments.plant else {}
    # The same port after each start, so that clients find it again.
    places = [f"server.store={folder / 'store'}", f"server.port={_free_port()}", "server.children=1"]
    server = Program("serve", folder / "server", places, leak)
    traffic = Traffic(server.start().split()[-1], data, stop, server.was_down)
    with ReferenceOrchestrator(folder / "jobs.db", lease_s=10.0) as orchestrator:
        places = [f"worker.orchestrator={orchestrator.target}", f"worker.folder={folder / 'jobs'}", "worker.threads=1"]
        worker = Program("worker", folder / "worker", [*places, "worker.restarts=1000"], {})
        worker.start()
        jobs: list[str] = []
        beside = [threading.Thread(target=traffic.client, args=(arguments.seed + i,)) for i in range(arguments.clients)]
        beside.append(threading.Thread(target=_submit, args=(orchestrator, data, jobs, stop)))

        def roles() -> dict[str, list[int]]:
            programs = {"server": server, "worker": worker}
            found = {role: [each.pid] for role, each in programs.items() if each.pid is not None}
            return {**found, **{f"{role}'s child": each.children() for role, each in programs.items()}}

        folders = {"server": server.temporary, "worker": worker.temporary}
        with Sampler(roles, folders) as sampler:
            for thread in beside:
                thread.start()
            kills = _kill(server, worker, seconds, arguments.seed)
            stop.set()
            for thread in beside:
                thread.join()
            states = Counter(_ended(orchestrator, job_id) for job_id in jobs)
        doubles = sum(len(orchestrator.ledger.calls(job_id, "Complete", effective=True)) > 1 for job_id in jobs)
        codes = {"server": server.stop(), "worker": worker.stop()}
    growth = judged(sampler, min(_MOST_SETTLE_S, _SETTLE_SHARE * seconds))
    result = {
        "minutes": arguments.minutes,
        "planted": arguments.plant,
        "seed": arguments.seed,
        "kills": dict(kills),
        "starts": {"server": server.starts, "worker": worker.starts},
        "requests": dict(traffic.done),
        "requests_failed": dict(traffic.failed),
        "wrong": traffic.wrong,
        "jobs": dict(states),
        "double_completions": doubles,
        "exit_codes": codes,
        "growth": growth,
    }
    return {**result, "failures": _failures(result)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _submit(orchestrator: ReferenceOrchestrator, data: Path, jobs: list[str], stop: threading.Event) -> None:
    """Adds jobs, three of which may wait."""
    while not stop.wait(1.0):
        if sum(orchestrator.ledger.state(job_id) not in ("done", "failed", "cancelled") for job_id in jobs[-4:]) < 3:
            job_id = f"job-{len(jobs)}"
            trains = len(jobs) % 3 == 0
            orchestrator.submit(
                job_id,
                str(data / "candidate.parquet"),
                str(data / "reference.parquet"),
                cascade="smoke" if trains else "none",
                overrides=_TRAINING if trains else (),
            )
            jobs.append(job_id)


def _kill(server: Program, worker: Program, seconds: float, seed: int) -> Counter[str]:
    """Kills at moments drawn with a seed until the time is over; what was killed whole is started again."""
    rng, killed, until = random.Random(seed), Counter[str](), time.monotonic() + seconds
    due = {kind: time.monotonic() + rng.expovariate(1 / mean) for kind, mean in _KILLS.items()}
    while (now := time.monotonic()) < until:
        kind = min(due, key=lambda each: due[each])
        if due[kind] > now:
            time.sleep(min(due[kind], until) - now)
            continue
        due[kind] = now + rng.expovariate(1 / _KILLS[kind])
        program = server if kind.startswith("server") else worker
        if kind.endswith("child"):
            for pid in program.children()[:1]:
                try:
                    os.kill(pid, signal.SIGKILL)
                    killed[kind] += 1
                except ProcessLookupError:
                    continue
        else:
            program.kill()
            killed[kind] += 1
            program.start()
    return killed


def _ended(orchestrator: ReferenceOrchestrator, job_id: str) -> str:
    try:
        return orchestrator.wait(job_id, seconds=_PATIENCE_S)
    except TimeoutError:
        return "lost"


def _failures(result: dict[str, Any]) -> list[str]:
    found = [*result["wrong"]]
    for role, kinds in result["growth"].items():
        found += [f"{role}: {kind} grow" for kind, each in kinds.items() if each["leaks"]]
    # Children live until they are killed, and may each be too short-lived to say anything of.
    for role in ("server", "worker"):
        kinds = result["growth"].get(role, {})
        if not kinds or any(each["leaks"] is None for each in kinds.values()):
            found.append(f"{role}: too few samples to say whether it grows")
    found += [f"jobs that ended as {state}: {count}" for state, count in result["jobs"].items() if state != "done"]
    found += ["a job was completed twice"] if result["double_completions"] else []
    # A child that dies more often than `server.restarts` under one validation is that validation's end, and is told.
    strange = {key: n for key, n in result["requests_failed"].items() if not key.endswith(("COMPUTE_DIED", "DRAINING"))}
    found += [f"failed requests: {strange}"] if strange else []
    found += [f"{role} ended with code {code}" for role, code in result["exit_codes"].items() if code != 0]
    return found


if __name__ == "__main__":
    sys.exit(main())
