#!/usr/bin/env python3
"""Turns the JSON lines of the benchmarks, ours and the peers', into Markdown tables.

    cat *.jsonl | report.py

The last word of `peer` names the benchmark. The recorder's own lines are called "krx decode", "krx seal", "krx
journal" and "krx record"; when there are several lines of one name, the fastest counts. `ratio` is how many times
faster the recorder is than that peer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

TITLES = {
    "decode": "Frames to columns in memory",
    "seal": "Frames to one closed Parquet file",
    "journal": "Socket to synced file, unparsed",
    "record": "Socket to Parquet files",
    "decode-ticks": "Per-issue trades (`tick10`) to columns in memory",
    "seal-ticks": "Per-issue trades (`tick10`) to one closed Parquet file",
    "decode-books": "Ten-level books (`quote10`) to columns in memory",
    "seal-books": "Ten-level books (`quote10`) to one closed Parquet file",
}
OURS = "krx"

Result = dict[str, Any]


def parse(lines: Iterable[str]) -> dict[str, dict[str, Result]]:
    """benchmark -> peer -> fastest result. Lines that are not results are passed over."""
    found: dict[str, dict[str, Result]] = {}
    for line in lines:
        if not line.lstrip().startswith("{"):
            continue
        result = json.loads(line)
        if "records_per_second" not in result:
            continue
        peer, _, benchmark = result["peer"].rpartition(" ")
        kept = found.setdefault(benchmark, {}).setdefault(peer, result)
        if result["records_per_second"] > kept["records_per_second"]:
            found[benchmark][peer] = result
    return found


def rate(result: Result) -> str:
    """Records per second, to three digits."""
    rounded = float(format(result["records_per_second"], ".3g"))
    return f"{rounded:,.0f}"


def cpu(result: Result) -> str:
    """CPU microseconds for a thousand records."""
    seconds = result.get("cpu_seconds")
    return "–" if seconds is None else f"{seconds / result['records'] * 1e9:,.0f}"


def size(result: Result) -> str:
    """Bytes for a record."""
    return "–" if not result.get("bytes") else f"{result['bytes'] / result['records']:.1f}"


def table(benchmark: str, results: dict[str, Result]) -> str:
    """One benchmark as a Markdown table, fastest first."""
    ours = results.get(OURS)
    rows = [
        f"### {TITLES.get(benchmark, benchmark)}",
        "",
        "| program | records/s | ratio | CPU µs per 1,000 | bytes per record | versions |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for peer, result in sorted(results.items(), key=lambda entry: -entry[1]["records_per_second"]):
        ratio = "–" if ours is None else f"{ours['records_per_second'] / result['records_per_second']:.1f}"
        name = f"**{peer}**" if peer == OURS else peer
        software = ", ".join(f"{key} {value}" for key, value in result.get("versions", {}).items())
        rows.append(f"| {name} | {rate(result)} | {ratio} | {cpu(result)} | {size(result)} | {software} |")
    return "\n".join(rows)


def main() -> int:
    """Reads stdin, prints the tables."""
    results = parse(sys.stdin)
    order = [*TITLES, *sorted(set(results) - set(TITLES))]
    print("\n\n".join(table(name, results[name]) for name in order if name in results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
