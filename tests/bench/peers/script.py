#!/usr/bin/env python3
"""The scripts that an analyst would run beside a recorder: websockets, orjson and pyarrow, as usually written.

    script.py --url URL --codes CODE,… --out DIR        until SIGTERM: the per-issue service
    script.py --url URL --url URL --out DIR             until SIGTERM: full-market feeds

The first registers `tick10` and `quote10` of each code, keeps a dict for each push, and writes a Parquet file for every
`FILE_ROWS` rows of a dataset, and one at the end. What it has in memory when it is killed is lost.

The second appends each message to a file, which a thread syncs as often as the recorder does, and writes the trades of many
messages to Parquet at a time.

Neither does what a recorder must: reconnect, register again, keep what it cannot read, say what it missed.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from websockets.asyncio.client import connect

import pushes
import sockets
from schema import SESSION, midnight_ms

DATASETS = {"tick10": "ticks", "quote10": "books"}

FILE_ROWS = 100_000


class Files:
    """Rows that wait, and the files that they become."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.rows: dict[str, list[dict[str, Any]]] = {of: [] for of in DATASETS.values()}
        self.frame = 0
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


async def record_market(url: str, out: Path) -> None:
    """Records a full-market feed until it is cancelled."""
    out.mkdir(parents=True)
    writer = sockets.ParquetWriter(out, level=1, plain=False)
    descriptor = os.open(out / "messages", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    syncer = sockets.Syncer(descriptor)
    try:
        async with sockets.feed(url, "peer") as connection:
            while True:
                message = await sockets.next_data(connection)
                os.write(descriptor, len(message).to_bytes(4, "little") + message)
                writer.add(message)
    finally:
        syncer.stop()
        os.close(descriptor)
        writer.decode()
        writer.write()


async def run(args: argparse.Namespace) -> None:
    """Records until SIGTERM, and writes what waits."""
    args.out.mkdir(parents=True, exist_ok=True)
    files = Files(args.out)
    if args.codes is None:
        recordings = [record_market(url, args.out / str(number)) for number, url in enumerate(args.url)]
    else:
        recordings = [record(args.url[0], args.codes.split(","), files)]
    recording = asyncio.ensure_future(asyncio.gather(*recordings))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, recording.cancel)
    try:
        await recording
    except asyncio.CancelledError:
        pass
    for of in files.rows if args.codes is not None else ():
        files.write(of)


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, action="append")
    parser.add_argument("--codes")
    parser.add_argument("--out", type=Path, required=True)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
