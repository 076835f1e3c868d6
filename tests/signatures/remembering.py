"""A process of its own that keeps history in a library, two records a transaction: LIBRARY SEED NUMBER.

Prints a line for every transaction that was committed.
"""

import sys

from tests.signatures.examples import fix, validation
from vr.signatures.database import Database
from vr.signatures.history import keep


def main() -> None:
    place, seed, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for i in range(number):
        # As runs do it, each with a connection of its own.
        with Database(place, create=False) as database:
            records = [validation(f"{seed}-{i}"), fix(f"{seed}-{i}", f"{seed}-{i}-fixed")]
            assert keep(database, records) == 2
        sys.stdout.write(f"{seed}-{i}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
