#!/usr/bin/env python3
"""The script that an analyst would run on the per-issue service: websockets, orjson and pyarrow, as usually written.

    script.py --url URL --codes CODE,… --out DIR        until SIGTERM

It registers `tick10` and `quote10` of each code, keeps a dict for each push, and writes a Parquet file for every
`FILE_ROWS` rows of a dataset, and one at the end. It does none of what a recorder must: reconnect, register again, keep what
it cannot read, survive a crash, say what it missed. What it has in memory when it is killed is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import signal
import time
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from websockets.asyncio.client import connect

import pushes
from schema import SESSION, midnight_ms

DATASETS = {"tick10": "ticks", "quote10": "books"}

FILE_ROWS = 100_000


class Files:
    """Rows that wait, and the files that they become."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.rows: dict[str, list[dict[str, Any]]] = {of: [] for of in DATASETS.values()}
        self.frame = 0
        self.written = 0
        self.midnight = midnight_ms(dt.datetime.now(dt.timezone(dt.timedelta(hours=9))).date())

    def add(self, message: bytes) -> None:
        """Takes a message."""
        self.frame += 1
        params = orjson.loads(message).get("params")
        if params is None:
            return
        of = DATASETS[params["preset"]]
        row = pushes.PLAIN[of](params, self.midnight)
        row |= {"recv_ts": time.time_ns() // 1000, "frame": self.frame, "item": 0, "session": SESSION}
        self.rows[of].append(row)
        if len(self.rows[of]) >= FILE_ROWS:
            self.write(of)

    def write(self, of: str) -> None:
        """Writes what waits to a file of its own."""
        table = pa.Table.from_pylist(self.rows[of], pushes.SCHEMAS[of])
        pq.write_table(table, self.out / f"{of}-{self.frame:09}.parquet", compression="zstd")
        self.written += table.num_rows
        self.rows[of] = []


async def record(url: str, codes: list[str], files: Files) -> None:
    """Records until it is cancelled."""
    async with connect(url, compression=None, ping_interval=None, close_timeout=1) as connection:
        init = {"key": "peer", "membername": "peer"}
        await connection.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "init", "params": init}))
        pairs = [{"preset": preset, "isuSrtCd": code} for preset in DATASETS for code in codes]
        for number, pair in enumerate(pairs, start=2):
            await connection.send(
                json.dumps({"jsonrpc": "2.0", "id": number, "method": "subscribe", "params": pair})
            )
        while True:
            files.add(await connection.recv(decode=False))


async def run(args: argparse.Namespace) -> None:
    """Records until SIGTERM, writes what waits, and prints how many rows there are."""
    args.out.mkdir(parents=True, exist_ok=True)
    files = Files(args.out)
    recording = asyncio.ensure_future(record(args.url, args.codes.split(","), files))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, recording.cancel)
    try:
        await recording
    except asyncio.CancelledError:
        pass
    for of in files.rows:
        files.write(of)
    print(json.dumps({"rows": files.written}), flush=True)


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--codes", required=True)
    parser.add_argument("--out", type=Path, required=True)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
