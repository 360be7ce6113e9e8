"""The peers of the recorder and of its journal: the scripts that an analyst would run on the live feed.

Both use the asyncio client of websockets, which measured faster than its threaded one, without compression, and
take text messages as bytes, which spares the UTF-8 decoding. Both count records by counting `{` in the messages:
the objects of a data message hold no others, and it costs a hundredth of parsing. A message that does not begin
with `[` is a reply or a heartbeat, and is passed over.

Neither does what a recorder must: reconnect, keep the bad records, survive a crash, say what it missed.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import struct
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from websockets.asyncio.client import ClientConnection, connect

from decode import ENCODINGS, GROUP_FRAMES, orjson_batch, plain_batch
from schema import SCHEMA, midnight_ms

FILE_ROWS = 1_000_000
"""Rows of one Parquet file: the recorder's default for `rotate.rows_max`."""

SYNC_INTERVAL_S = 0.05
"""The recorder's default for `journal.sync_interval`."""

MESSAGE_BYTES_MAX = 64 * 1024 * 1024

_RECORD_HEADER = struct.Struct("<IQ")
"""Before each journaled message: its length in bytes, its receive time in microseconds from the Unix epoch."""


@dataclass
class Received:
    """What one run over a socket did."""

    records: int = 0
    seconds: float = 0.0
    """From the first data message to the closed (or synced) file."""
    bytes: int = 0
    """Written to disk."""


@asynccontextmanager
async def feed(url: str, key: str) -> AsyncIterator[ClientConnection]:
    """A connection on which `init` has been sent."""
    async with connect(
        url, compression=None, max_size=MESSAGE_BYTES_MAX, ping_interval=None, close_timeout=1
    ) as connection:
        params = {"key": key, "membername": "peer"}
        await connection.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "init", "params": params}))
        yield connection


async def next_data(connection: ClientConnection) -> bytes:
    """The next data message."""
    while True:
        message = await connection.recv(decode=False)
        if message.startswith(b"["):
            return message


class ParquetWriter:
    """Collects messages, decodes them in groups, and writes a Parquet file at every `FILE_ROWS` rows."""

    def __init__(self, out: Path, level: int, plain: bool) -> None:
        self.out = out
        self.level = level
        self.decoder = plain_batch if plain else orjson_batch
        self.encodings = {} if plain else ENCODINGS
        self.frames: list[bytes] = []
        self.recv_us: list[int] = []
        self.first = 1
        self.batches: list[pa.RecordBatch] = []
        self.rows = 0
        self.files = 0
        self.bytes = 0
        self.midnight = midnight_ms(dt.datetime.now(dt.timezone(dt.timedelta(hours=9))).date())

    def add(self, message: bytes) -> None:
        """Takes one message."""
        self.frames.append(message)
        self.recv_us.append(time.time_ns() // 1000)
        if len(self.frames) >= GROUP_FRAMES:
            self.decode()
            if self.rows >= FILE_ROWS:
                self.write()

    def decode(self) -> None:
        """Decodes the messages at hand."""
        if not self.frames:
            return
        recv_us = np.array(self.recv_us, np.int64)
        batch = self.decoder(self.frames, self.first, recv_us, self.midnight)
        self.batches.append(batch)
        self.rows += batch.num_rows
        self.first += len(self.frames)
        self.frames, self.recv_us = [], []

    def write(self) -> None:
        """Writes the decoded rows to a file of their own."""
        if not self.batches:
            return
        self.files += 1
        path = self.out / f"trades-{self.files:06}.parquet"
        table = pa.Table.from_batches(self.batches, SCHEMA)
        pq.write_table(table, path, compression="zstd", compression_level=self.level, **self.encodings)
        self.bytes += path.stat().st_size
        self.batches, self.rows = [], 0


async def record(url: str, key: str, records: int, out: Path, level: int, plain: bool) -> Received:
    """Receives `records` records and writes them to Parquet files in the directory `out`."""
    out.mkdir(parents=True, exist_ok=True)
    received = Received()
    writer = ParquetWriter(out, level, plain)
    async with feed(url, key) as connection:
        message = await next_data(connection)
        started = time.perf_counter()
        while True:
            received.records += message.count(b"{")
            writer.add(message)
            if received.records >= records:
                break
            message = await next_data(connection)
        writer.decode()
        writer.write()
        received.seconds = time.perf_counter() - started
    received.bytes = writer.bytes
    return received


class Syncer:
    """A thread that puts on disk, every `SYNC_INTERVAL_S`, what was written to a file since the last time."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while not self.stopped.wait(SYNC_INTERVAL_S):
            size = os.fstat(self.descriptor).st_size
            if size != self.size:
                os.fdatasync(self.descriptor)
                self.size = size

    def stop(self) -> None:
        """Ends the thread."""
        self.stopped.set()
        self.thread.join()


async def journal(url: str, key: str, records: int, out: Path) -> Received:
    """Receives `records` records and appends their messages, unparsed, to the file `out`."""
    received = Received()
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    syncer = Syncer(descriptor)
    try:
        async with feed(url, key) as connection:
            message = await next_data(connection)
            started = time.perf_counter()
            while True:
                header = _RECORD_HEADER.pack(len(message), time.time_ns() // 1000)
                received.bytes += os.write(descriptor, header + message)
                received.records += message.count(b"{")
                if received.records >= records:
                    break
                message = await next_data(connection)
            os.fdatasync(descriptor)
            received.seconds = time.perf_counter() - started
    finally:
        syncer.stop()
        os.close(descriptor)
    return received
