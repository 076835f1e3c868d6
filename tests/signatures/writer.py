"""A process of its own that writes to a library, one signature a transaction: LIBRARY SEED NUMBER.

Prints a line for every signature whose transaction was committed.
"""

import sys

from tests.signatures.examples import signatures
from vr.signatures.database import Database


def main() -> None:
    place, seed, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with Database(place) as database:
        for each in signatures(number, seed):
            assert database.add([each]) == 1
            sys.stdout.write(each.id + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
