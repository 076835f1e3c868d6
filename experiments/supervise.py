"""Runs a command in several processes that train together, and starts them again where one dies.

    python -m experiments.supervise --processes 2 -- vr validate a.parquet -r b.parquet -o run cascade=h100

On several hosts, one of these on each, with the same command and an output folder that process 0 finds again:

    ... --coordinator host-a:55527 --all-processes 2 --processes 1 --first-process 0 -- vr validate ...
    ... --coordinator host-a:55527 --all-processes 2 --processes 1 --first-process 1 -- vr validate ...
"""

import argparse
import sys
from collections.abc import Sequence

from vr.cascade.supervisor import Supervision, supervise
from vr.core.errors import VrError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Supervises, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=1, help="on this host")
    parser.add_argument("--coordinator", help="ADDRESS:PORT of process 0, as all hosts reach it")
    parser.add_argument("--first-process", type=int, default=0, help="number of this host's first process")
    parser.add_argument("--all-processes", type=int, help="on all hosts together")
    parser.add_argument("--heartbeat-seconds", type=int, default=30, help="after which a silent process is dead")
    parser.add_argument("--max-restarts", type=int, default=3)
    parser.add_argument("command", nargs="+", help="after --")
    try:
        return supervise(Supervision(**vars(parser.parse_args(arguments))))
    except VrError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
