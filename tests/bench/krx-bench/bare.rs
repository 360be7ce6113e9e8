//! The program that an engineer would write without a recorder: tokio, serde and arrow-rs, as usually written. Each message is
//! appended to a file that a thread syncs as often as the recorder does, and its rows are kept until there are enough for Parquet.
//! Trades are read into a struct, pushes with their many keys into a map.
//!
//! It does not reconnect, keeps nothing that it cannot read, does not say what it missed, and loses the rows of a crash.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use clap::Args;
use futures_util::future::try_join_all;
use futures_util::{SinkExt, StreamExt};
use krx_store::Moment;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::Deserialize;
use serde_json::{Value, json};
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite;

/// What `krx-bench bare` is told.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Where to connect; a task for each.
    #[arg(long, required = true)]
    url: Vec<String>,
    /// The issues of which `tick10` and `quote10` are registered.
    #[arg(long, value_delimiter = ',')]
    codes: Vec<String>,
    /// Where the messages and the files go.
    #[arg(long)]
    out: PathBuf,
}

/// The recorder's defaults.
const SYNC_INTERVAL: Duration = Duration::from_millis(50);
const FILE_ROWS: usize = 1_000_000;

/// A record of a full-market feed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trade<'a> {
    isu_srt_cd: &'a str,
    trd_prc: &'a str,
    trd_vol: &'a str,
    trd_tm: &'a str,
}

/// A message of the per-issue service; other messages have no `params`.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    params: Option<BTreeMap<&'a str, Value>>,
}

/// Records until SIGTERM, and writes what waits.
pub(crate) fn bare(options: &Options) -> Result<()> {
    let (stop, stopping) = watch::channel(false);
    let mut signals = Signals::new([SIGTERM])?;
    let waiting = signals.handle();
    let signalled = thread::spawn(move || {
        signals.forever().next();
        stop.send(true)
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let feeds = options.url.iter().enumerate().map(|(number, url)| {
        let dir = options.out.join(number.to_string());
        feed(url, &options.codes, dir, stopping.clone())
    });
    let recorded = runtime.block_on(try_join_all(feeds));
    waiting.close();
    let _ = signalled.join();
    recorded.map(drop)
}

async fn feed(url: &str, codes: &[String], dir: PathBuf, mut stopping: watch::Receiver<bool>) -> Result<()> {
    std::fs::create_dir_all(&dir)?;
    let (mut socket, _) = tokio_tungstenite::connect_async(url)
        .await
        .with_context(|| format!("connecting to {url}"))?;
    let pairs = ["tick10", "quote10"].into_iter().flat_map(|preset| {
        codes
            .iter()
            .map(move |code| json!({ "preset": preset, "isuSrtCd": code }))
    });
    let init = ("init", json!({ "key": "peer", "membername": "peer" }));
    let requests = std::iter::once(init).chain(pairs.map(|pair| ("subscribe", pair)));
    for (id, (method, params)) in (1..).zip(requests) {
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        socket
            .send(tungstenite::Message::text(request.to_string()))
            .await?;
    }
    let journal = Journal::create(&dir.join("messages"))?;
    let mut tables = BTreeMap::new();
    loop {
        let message = tokio::select! {
            message = socket.next() => message.context("the exchange has closed the connection")??,
            _ = stopping.changed() => break,
        };
        if let tungstenite::Message::Text(text) = message {
            journal.append(text.as_bytes())?;
            add(&text, &mut tables, &dir)?;
        }
    }
    journal.end()?;
    tables
        .iter_mut()
        .try_for_each(|(name, table)| table.write(name, &dir))
}

/// Adds the records of a message.
fn add(text: &str, tables: &mut BTreeMap<&'static str, Table>, dir: &Path) -> Result<()> {
    let recv = Moment::now().0;
    let name = if text.starts_with('[') {
        let trades: Vec<Trade<'_>> = serde_json::from_str(text)?;
        let table = tables.entry("trades").or_default();
        for trade in trades {
            let numbers = [
                ("price", trade.trd_prc),
                ("volume", trade.trd_vol),
                ("trade_time", trade.trd_tm),
            ];
            table.push(
                trade.isu_srt_cd,
                recv,
                numbers.map(|(key, text)| (key, text.parse().ok())),
            );
        }
        "trades"
    } else {
        let message: Message<'_> = serde_json::from_str(text)?;
        let Some(push) = message.params else { return Ok(()) };
        let word = |key| push.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = if word("preset") == "quote10" {
            "books"
        } else {
            "ticks"
        };
        let numbers = push.iter().filter(|(_, value)| !value.is_string());
        let table = tables.entry(name).or_default();
        table.push(
            word("isuSrtCd"),
            recv,
            numbers.map(|(key, value)| (*key, value.as_i64())),
        );
        name
    };
    match tables.get_mut(name) {
        Some(table) if table.recv.len() >= FILE_ROWS => table.write(name, dir),
        _ => Ok(()),
    }
}

/// Rows that wait.
#[derive(Default)]
struct Table {
    code: Vec<String>,
    recv: Vec<i64>,
    numbers: BTreeMap<String, Vec<Option<i64>>>,
    files: u32,
}

impl Table {
    fn push<'a>(&mut self, code: &str, recv: i64, numbers: impl IntoIterator<Item = (&'a str, Option<i64>)>) {
        for (key, number) in numbers {
            let column = match self.numbers.get_mut(key) {
                Some(column) => column,
                None => self.numbers.entry(key.to_owned()).or_default(),
            };
            column.resize(self.recv.len(), None);
            column.push(number);
        }
        self.code.push(code.to_owned());
        self.recv.push(recv);
    }

    /// Writes what waits to a file of its own.
    fn write(&mut self, name: &str, dir: &Path) -> Result<()> {
        let rows = self.recv.len();
        self.files += 1;
        let path = dir.join(format!("{name}-{:06}.parquet", self.files));
        let code: ArrayRef = Arc::new(StringArray::from(std::mem::take(&mut self.code)));
        let recv: ArrayRef = Arc::new(Int64Array::from(std::mem::take(&mut self.recv)));
        let numbers = std::mem::take(&mut self.numbers).into_iter();
        let numbers = numbers.map(|(key, mut column)| {
            column.resize(rows, None);
            (key, Arc::new(Int64Array::from(column)) as ArrayRef)
        });
        let common = [("code".to_owned(), code), ("recv_ts".to_owned(), recv)];
        let batch = RecordBatch::try_from_iter(common.into_iter().chain(numbers))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .build();
        let mut writer = ArrowWriter::try_new(File::create(path)?, batch.schema(), Some(properties))?;
        writer.write(&batch)?;
        writer.close()?;
        Ok(())
    }
}

/// Messages as they came, and the thread that syncs them.
struct Journal {
    file: Arc<File>,
    is_dirty: Arc<AtomicBool>,
    is_open: Arc<AtomicBool>,
    syncer: thread::JoinHandle<()>,
}

impl Journal {
    fn create(path: &Path) -> Result<Self> {
        let file = Arc::new(File::create(path)?);
        let (is_dirty, is_open) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
        let syncer = {
            let (file, is_dirty, is_open) = (file.clone(), is_dirty.clone(), is_open.clone());
            thread::spawn(move || {
                while is_open.load(Ordering::Relaxed) {
                    thread::sleep(SYNC_INTERVAL);
                    if is_dirty.swap(false, Ordering::Relaxed) {
                        file.sync_data().expect("the messages can be synced");
                    }
                }
            })
        };
        Ok(Self {
            file,
            is_dirty,
            is_open,
            syncer,
        })
    }

    fn append(&self, message: &[u8]) -> Result<()> {
        let len = u32::try_from(message.len())?;
        (&*self.file).write_all(&[&len.to_le_bytes(), message].concat())?;
        self.is_dirty.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn end(self) -> Result<()> {
        self.is_open.store(false, Ordering::Relaxed);
        let _ = self.syncer.join();
        Ok(self.file.sync_data()?)
    }
}
