//! The program that an engineer would write without a recorder: tokio, serde_json and arrow-rs, as usually written. Each message is
//! appended to a file that a thread syncs as often as the recorder does, and its rows are kept until there are enough for Parquet.
//!
//! It does not reconnect, keeps nothing that it cannot read, does not say what it missed, and survives no crash.

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
use futures_util::{SinkExt, StreamExt};
use krx_store::Moment;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;

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

/// As the recorder by default.
const SYNC_INTERVAL: Duration = Duration::from_millis(50);
const FILE_ROWS: usize = 1_000_000;

/// Records until SIGTERM, and writes what waits.
pub(crate) fn bare(options: &Options) -> Result<()> {
    let (stop, stopping) = watch::channel(false);
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM])?;
    thread::spawn(move || {
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
    runtime.block_on(futures_util::future::try_join_all(feeds))?;
    Ok(())
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
        socket.send(Message::text(request.to_string())).await?;
    }
    let journal = Journal::create(&dir.join("messages"))?;
    let mut tables = BTreeMap::new();
    loop {
        let message = tokio::select! {
            message = socket.next() => message.context("the exchange has closed the connection")??,
            _ = stopping.changed() => break,
        };
        if let Message::Text(text) = message {
            journal.append(text.as_bytes())?;
            add(&text, &mut tables, &dir)?;
        }
    }
    journal.end();
    tables
        .iter_mut()
        .try_for_each(|(name, table)| table.write(name, &dir))
}

/// Adds the records of a message.
fn add(text: &str, tables: &mut BTreeMap<String, Table>, dir: &Path) -> Result<()> {
    let (name, records) = match serde_json::from_str(text)? {
        Value::Array(records) => ("trades", records),
        Value::Object(mut message) => match message.remove("params") {
            Some(push) if push["preset"] == "quote10" => ("books", vec![push]),
            Some(push) => ("ticks", vec![push]),
            None => return Ok(()),
        },
        _ => return Ok(()),
    };
    let table = tables.entry(name.to_owned()).or_default();
    let recv = Moment::now().0;
    records.iter().for_each(|record| table.push(record, recv));
    if table.recv.len() >= FILE_ROWS {
        table.write(name, dir)?;
    }
    Ok(())
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
    fn push(&mut self, record: &Value, recv: i64) {
        let row = self.recv.len();
        for (key, value) in record.as_object().into_iter().flatten() {
            let number = match value {
                Value::Number(number) => number.as_i64(),
                Value::String(text) => text.parse().ok(),
                _ => None,
            };
            match (key.as_str(), value) {
                ("isuSrtCd", Value::String(code)) => self.code.push(code.clone()),
                ("preset", _) => {}
                _ => {
                    let column = match self.numbers.get_mut(key) {
                        Some(column) => column,
                        None => self.numbers.entry(key.clone()).or_default(),
                    };
                    column.resize(row, None);
                    column.push(number);
                }
            }
        }
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

    fn end(self) {
        self.is_open.store(false, Ordering::Relaxed);
        let _ = self.syncer.join();
    }
}
