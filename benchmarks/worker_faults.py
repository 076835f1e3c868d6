"""What becomes of a worker's jobs when processes are killed, calls go wrong and the orchestrator is away?

    python -m benchmarks.worker_faults [--rows 1,2,3,10,11,18] [--kills 50] [--minutes 15]

Real `vr worker` processes against the reference orchestrator on loopback, at moments drawn with a seed. The figures are
those of docs/reliability.md's fault matrix. An hour or more on two quiet cores, at once or in parts: each trial is kept
in `--kept` once it is over, and the same command goes on after the last one. Each row's figures are written to
results/worker_faults_ROW.json, with how much was not run, when the command ends or is ended by SIGINT or SIGTERM. Exit
code 1 where something went wrong that must not, 3 where nothing did and something was not run; the logs of a trial that
failed are beside what is kept.
"""

import argparse
import math
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import RESULTS, save
from benchmarks.trials import Kept, Trials, carry_on
from benchmarks.worker_trials import PACE_S, PHASES, Bench, Found

_JOBS_AT_ONCE = 10  # of row 11
_ROWS = ("1", "2", "3", "10", "11", "18")


def main(words: Sequence[str] | None = None) -> int:
    """Does what is left of the rows that were asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", default=",".join(_ROWS))
    parser.add_argument("--kills", type=int, default=50, help="of rows 1 and 2")
    parser.add_argument("--signals", type=int, default=10, help="of each phase of row 3, of each kind of row 18")
    parser.add_argument("--jobs", type=int, default=50, help="of row 11")
    parser.add_argument("--outages", type=numbers, default="0.1,1,10,60,300", help="seconds, of row 10")
    parser.add_argument("--minutes", type=float, default=math.inf, help="no trial begins after that")
    parser.add_argument("--kept", type=Path, default=Path("outputs/worker_faults"), help="folder of finished trials")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the figures")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(words)
    names = arguments.rows.split(",")
    if unknown := [name for name in names if name not in _ROWS]:
        parser.error(f"--rows: no row {', '.join(unknown)}; there are {', '.join(_ROWS)}")
    try:
        kept = {name: Kept(arguments.kept / f"row_{name}.json", settings_of(name, arguments)) for name in names}
    except ValueError as err:
        parser.error(str(err))
    until = time.monotonic() + 60 * arguments.minutes
    with tempfile.TemporaryDirectory() as folder:
        rows = planned(Bench(Path(folder), arguments.seed, arguments.kept), arguments)
        try:
            for name in names:
                carry_on(rows[name], kept[name], until)
        except KeyboardInterrupt:
            print("interrupted: the trial under way counts for nothing", flush=True)
    for name in names:
        write(name, rows[name], kept[name], arguments)
    return told(rows, kept)


def numbers(words: str) -> list[float]:
    """Returns numbers that stand between commas."""
    return [float(word) for word in words.split(",")]


def settings_of(name: str, arguments: Any) -> dict[str, Any]:
    """Returns what decides what a row's trials do."""
    return {"seed": arguments.seed} | ({"outages": arguments.outages} if name == "10" else {})


def planned(bench: Bench, arguments: Any) -> dict[str, Trials]:
    """Returns the trials of every row."""
    signals, outages = arguments.signals, arguments.outages

    def confused(number: int, left: int) -> Found:
        return bench.confused(min(_JOBS_AT_ONCE, left), number)

    def outage(number: int, left: int) -> Found:
        return bench.outage(outages[number], number)

    return {
        "1": Trials("row 1", "kills of children", arguments.kills, bench.killed_children),
        "2": Trials("row 2", "kills of workers", arguments.kills, bench.killed_workers),
        "3": Trials("row 3", "signals", len(PHASES) * signals, bench.terminated),
        "10": Trials("row 10", "outages", len(outages), outage, lambda number: PACE_S + outages[number]),
        "11": Trials("row 11", "jobs", arguments.jobs, confused),
        "18": Trials("row 18", "stopped jobs", 2 * signals, bench.stopped),
    }


def write(name: str, row: Trials, kept: Kept, arguments: Any) -> None:
    """Writes the figures of one row's trials, if there are any."""
    if not kept.trials:
        return
    words = f"--rows {name} --kills {arguments.kills} --signals {arguments.signals} --jobs {arguments.jobs}"
    words += f" --outages {','.join(f'{seconds:g}' for seconds in arguments.outages)}"
    result = {
        "seed": arguments.seed,
        "counted": row.unit,
        "planned": row.planned,
        "done": kept.done,
        "not_run": max(0, row.planned - kept.done),
        "trials": len(kept.trials),
        "revisions": sorted({trial["revision"] or "unknown" for trial in kept.trials}),
        "wrong": kept.wrong,
        **_FIGURES[name]([trial for trial in kept.trials if not trial["failed"]]),
    }
    save(f"worker_faults_{name}", result, f"python -m benchmarks.worker_faults {words}", arguments.results)


def told(rows: Mapping[str, Trials], kept: Mapping[str, Kept]) -> int:
    """Says of every row how much of it was run and what went wrong; returns the exit code."""
    is_whole = True
    for name, each in kept.items():
        row, left = rows[name], rows[name].planned - each.done
        is_whole &= left <= 0
        print(f"{row.name}: {each.done} of {row.planned} {row.unit}" + (f", {left} NOT RUN" if left > 0 else ""))
        for wrong in each.wrong:
            print(f"{row.name}: WRONG: {wrong}")
    if not is_whole:
        print("the same command goes on with what was not run")
    if any(each.wrong for each in kept.values()):
        return 1
    return 0 if is_whole else 3


def spread(values: Sequence[float]) -> dict[str, float | int]:
    """Returns count, median and greatest; of none the count alone."""
    if not values:
        return {"count": 0}
    return {"count": len(values), "median": round(statistics.median(values), 3), "max": round(max(values), 3)}


def _of_killed_children(trials: list[Found]) -> Found:
    recoveries = [seconds for trial in trials for seconds in trial["next_child_started_s"]]
    return {"jobs": len(trials), "next_child_started_s": spread(recoveries)}


def _of_killed_workers(trials: list[Found]) -> Found:
    # Those that were killed before they were connected are none of these.
    connected = [seconds for trial in trials for seconds in trial["connected_s"]]
    return {"jobs": len(trials), "connected_s": spread(connected)}


def _of_terminated(trials: list[Found]) -> Found:
    found = {}
    for phase in PHASES:
        of_it = [trial for trial in trials if trial["phase"] == phase]
        found[phase] = {
            "signals": len(of_it),
            "given_back": sum(trial["given_back"] for trial in of_it),
            "exit_s": spread([trial["exit_s"] for trial in of_it]),
            "stages": dict(Counter(trial["stage"] for trial in of_it)),
        }
    return {"phases": found}


def _of_outages(trials: list[Found]) -> Found:
    names = ("away_s", "reconnect_s", "trained_of_expected", "told_off_for_pings")
    return {"outages": [{name: trial[name] for name in names} for trial in trials]}


def _of_confused(trials: list[Found]) -> Found:
    faults = sum((Counter(trial["faults"]) for trial in trials), Counter())
    names = ("calls", "jobs_of_several_attempts", "ends_refused")
    return {**{name: sum(trial[name] for trial in trials) for name in names}, "faults": dict(faults)}


def _of_stopped(trials: list[Found]) -> Found:
    return {
        by: {
            name: spread([trial[name] for trial in trials if trial["by"] == by]) for name in ("child_gone_s", "told_s")
        }
        for by in ("cancellation", "time limit")
    }


_FIGURES: dict[str, Callable[[list[Found]], Found]] = {
    "1": _of_killed_children,
    "2": _of_killed_workers,
    "3": _of_terminated,
    "10": _of_outages,
    "11": _of_confused,
    "18": _of_stopped,
}


if __name__ == "__main__":
    # As ctrl-C: processes that were started are ended, and the figures of what is kept are written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
