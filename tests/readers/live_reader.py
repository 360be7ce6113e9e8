"""A reader in its own process, which reads the whole tree again and again while it is written.

    live_reader.py READER DATA_DIR STOP_FILE DATASET[,DATASET…] [again]

It ends with one more reading when STOP_FILE exists, and prints one JSON line: the number of readings, the rows that each
found in each dataset, and the first error, after which it does not go on. With `again` it reads anew when a file that it has listed is
gone, as a day that is sealed has it, and counts how often. STOP_FILE-READER has the number of readings so far.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path

from readers import SUMMARIES

SECONDS_MAX = 150.0
PAUSE_S = 0.05
"""Between two readings, so that four readers leave the machine to the recorder now and then."""


GONE = "No such file or directory"
"""In the words of all four readers."""


def progress(stop: Path, reader: str) -> Path:
    """The file with the number of readings."""
    return stop.with_name(f"{stop.name}-{reader}")


def watch(reader: str, data_dir: Path, stop: Path, datasets: list[str], again: bool) -> dict[str, object]:
    """Reads until told to stop."""
    gone, readings = 0, 0
    rows: dict[str, list[int]] = {dataset: [] for dataset in datasets}
    deadline = time.monotonic() + SECONDS_MAX
    error = ""
    last = False
    while not last:
        last = stop.exists()
        try:
            found = {dataset: SUMMARIES[reader](data_dir, dataset)[0] for dataset in datasets}
            for dataset, count in found.items():
                rows[dataset].append(count)
            readings += 1
            progress(stop, reader).write_text(str(readings))
        except Exception as problem:
            if again and GONE in str(problem):
                gone += 1
                last = False
                continue
            error = traceback.format_exc()
            break
        if time.monotonic() > deadline:
            error = f"not told to stop in {SECONDS_MAX} s"
            break
        time.sleep(PAUSE_S)
    return {"reader": reader, "readings": readings, "rows": rows, "gone": gone, "error": error}


if __name__ == "__main__":
    listed = sys.argv[4].split(",")
    print(json.dumps(watch(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), listed, "again" in sys.argv[5:])))
