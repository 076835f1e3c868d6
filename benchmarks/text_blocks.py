"""What does cutting a text file into blocks of whole rows cost, and how much of reading it is left to one thread?

    OMP_NUM_THREADS=1 python -m benchmarks.text_blocks

Processor seconds, so that a crowded machine says nearly what one at rest does, the least of `--repeats`: of finding
where blocks end, of opening the file (which finds that too, settles types and counts rows), of one pass, and of both
what the calling thread alone takes: the others run beside it. Files of 200,000 rows: numbers alone, texts with quotes,
separators and line ends in them, and JSON lines. Writes benchmarks/results/text_blocks.json.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from benchmarks.measure import save
from vr.data.formats.delimited import DelimitedReader
from vr.data.formats.jsonlines import JsonReader
from vr.data.source import open_source

__all__ = ["cost", "write"]

ROWS = 200_000


def write(folder: Path) -> list[Path]:
    """Returns the files to read, written to `folder`."""
    rng = np.random.default_rng(0)
    numbers = {f"n{j}": rng.normal(size=ROWS) for j in range(10)} | {"k": rng.integers(0, 10**6, ROWS)}
    words = np.array(["alpha", "beta, gamma", 'delta "x"', "epsilon\nline", "zeta"])
    texts = {f"t{j}": words[rng.integers(0, len(words), ROWS)] for j in range(10)}
    paths = [folder / "numbers.csv", folder / "texts.csv", folder / "numbers.jsonl"]
    pacsv.write_csv(pa.table(numbers), paths[0])
    pacsv.write_csv(pa.table(numbers | texts), paths[1])
    names, columns = list(numbers), [column.tolist() for column in numbers.values()]
    lines = (json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in zip(*columns, strict=True))
    with open(paths[2], "w") as file:
        file.writelines(lines)
    return paths


def cost(path: Path, repeats: int) -> dict[str, float | str]:
    """Returns processor seconds of cutting, of opening and of one pass, and the calling thread's shares of both."""
    (reader,) = open_source(path).readers
    assert isinstance(reader, DelimitedReader | JsonReader)

    def least(do: Callable[[], object]) -> tuple[float, float]:
        found = []
        for _ in range(repeats):
            begun = time.process_time(), time.thread_time()
            do()
            found.append((time.process_time() - begun[0], time.thread_time() - begun[1]))
        return min(found)

    cut, _ = least(lambda: sum(len(block.content) for block in reader.block_file().cut()))
    opened, opened_alone = least(lambda: type(reader)(reader.file))
    passed, passed_alone = least(lambda: sum(batch.num_rows for batch in reader.read(reader.schema, 65_536)))
    return {
        "file": path.name,
        "megabytes": round(path.stat().st_size / 1e6, 1),
        "cut_s": round(cut, 3),
        "open_s": round(opened, 3),
        "pass_s": round(passed, 3),
        "cut_share": round(cut / (opened + 2 * passed), 3),
        "open_calling_thread": round(opened_alone / opened, 2),
        "pass_calling_thread": round(passed_alone / passed, 2),
    }


def main() -> None:
    """Measures every file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = [cost(path, options.repeats) for path in write(Path(folder))]
    for one in found:
        print(one, flush=True)
    save("text_blocks", {"rows": ROWS, "files": found}, f"python -m benchmarks.text_blocks --repeats {options.repeats}")


if __name__ == "__main__":
    main()
