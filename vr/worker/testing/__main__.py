"""Runs the reference orchestrator with one job, for a look at a worker.

python -m vr.worker.testing CANDIDATE [REFERENCE]
"""

import argparse
import sys
import tempfile
from pathlib import Path

from vr.worker.testing.orchestrator import ReferenceOrchestrator


def main() -> int:
    """Waits for the end of the job and prints it."""
    parser = argparse.ArgumentParser(prog="python -m vr.worker.testing", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("candidate")
    parser.add_argument("reference", nargs="?")
    parser.add_argument("--cascade", default="none")
    parser.add_argument("--port", type=int, default=50052)
    arguments = parser.parse_args()
    datasets = [str(Path(each).resolve()) for each in (arguments.candidate, arguments.reference) if each is not None]
    with (
        tempfile.TemporaryDirectory() as folder,
        ReferenceOrchestrator(Path(folder) / "jobs.db", port=arguments.port) as orchestrator,
    ):
        orchestrator.submit("job-1", *datasets, cascade=arguments.cascade)
        sys.stdout.write(f"vr worker worker.orchestrator={orchestrator.target}\n")
        sys.stdout.flush()
        state = orchestrator.wait("job-1", seconds=86_400)
        end = orchestrator.ledger.end("job-1")
        sys.stdout.write(f"{state}: {getattr(end, 'verdict', '') or getattr(end, 'message', '')}\n")
        return 0 if state == "done" else 1


if __name__ == "__main__":
    sys.exit(main())
