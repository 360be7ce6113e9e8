#!/usr/bin/env bash
# How fast a day is sealed, and what memory that takes: a made-up day of both markets. `make build` comes first.
#
#   tests/tools/measure-seal.sh [RECORDS]      35,000,000 by default
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
records=${1:-35000000}
dir=target/bench/seal
rm -rf "$dir"
mkdir -p "$dir"
target/release/krx-bench days --days 1 --records-last "$records" "$dir"
python3 - "$dir" <<'PYTHON'
import json, resource, subprocess, sys, time

begin = time.monotonic()
command = ["target/release/krx-recorder", "seal", "2026-11-20", "--json", "--data-dir", sys.argv[1]]
report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
seconds = time.monotonic() - begin
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
rows = sum(day["rows"] for day in report["days"])
size = sum(day["bytes"] for day in report["days"])
print(f"{rows:,} rows in {seconds:.1f} s: {rows / seconds / 1e6:.2f} M rows/s, {peak:.0f} MB at most, {size / rows:.2f} bytes per row")
PYTHON
