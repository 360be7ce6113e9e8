//! The stages that begin at a socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use krx_bench::Frames;
use krx_recorder::config::{ApiKey, Config, KeySources, Overrides};
use krx_recorder::feed::{Connector, Feed, FeedStatus, ProxyVariables, queue};
use krx_recorder::pipeline::Journaling;
use krx_recorder::process::{Filter, Request};
use krx_recorder::service::{self, run};
use krx_store::{DataDir, Progress};
use tokio::sync::{mpsc, watch};

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(5);

fn config(url: &str, dir: &Path) -> Result<Config> {
    let overrides = Overrides {
        data_dir: Some(dir.to_owned()),
        base_url: Some(url.to_owned()),
        member_name: Some("benchmark".into()),
        always: true,
    };
    let mut config = Config::load(None, &overrides)?;
    config.feeds.truncate(1);
    Ok(config)
}

fn key() -> Result<ApiKey> {
    Ok(ApiKey::read(&KeySources {
        environment: Some("benchmark".into()),
        ..KeySources::default()
    })?)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// Until all frames are in the journal and synced.
pub(crate) fn journal(url: &str, frames: &Frames, dir: &Path) -> Result<u64> {
    let config = config(url, dir)?;
    let feed = config.feeds[0].clone();
    let progress = Arc::new(Progress::default());
    std::fs::create_dir_all(dir)?;
    let writer = krx_store::open_writer(
        &DataDir::new(dir),
        &feed.name,
        config.journal,
        Arc::clone(&progress.journal),
    )?;
    let (queue, entries) = queue();
    let (stop, stopping) = watch::channel(false);
    let journaling = Journaling {
        feed: feed.name.clone(),
        writer,
        entries,
        stopping: stopping.clone(),
        activity: Arc::default(),
    };
    let thread = std::thread::spawn(move || journaling.run());
    let connector = Connector::new(&feed, &config.connection, &ProxyVariables::default())?;
    let init = key()?.init_request(&feed.member_name);
    let feed = Feed {
        schedule: watch::channel(feed.schedule.clone()).1,
        config: feed,
        connector: Arc::new(connector),
        connection: config.connection,
        until_close: false,
        init,
        queue,
        status: Arc::new(FeedStatus::default()),
        wanted: None,
        traded: Arc::default(),
        accepted: Arc::default(),
    };
    let wanted = frames.len() as u64;
    runtime()?.block_on(async {
        let journaled = async {
            while progress.journal.frames.load(Relaxed) < wanted {
                tokio::time::sleep(LOOK).await;
            }
            stop.send_replace(true);
        };
        tokio::join!(feed.run(stopping), journaled)
    });
    match thread.join() {
        Ok(closed) => closed?,
        Err(_) => bail!("the journal's thread panicked"),
    }
    Ok(progress.journal.bytes.load(Relaxed))
}

/// Until all frames are in committed files, and the recorder has ended.
pub(crate) fn record(url: &str, frames: &Frames, dir: &Path) -> Result<u64> {
    let mut config = config(url, dir)?;
    let status = free_address()?;
    config.status_listen = Some(status);
    let (requests, received) = mpsc::unbounded_channel();
    let wanted = frames.len() as u64;
    let watcher = std::thread::spawn(move || {
        while frames_journaled(status).unwrap_or(0) < wanted {
            std::thread::sleep(LOOK);
        }
        requests.send(Request::Stop)
    });
    let again = config.clone();
    let source = service::Source {
        load: Box::new(move || Ok(again.clone())),
        filter: Filter::default(),
        until_close: false,
    };
    runtime()?.block_on(run(config, &[key()?], false, source, received))?;
    let _ = watcher.join();
    sealed_bytes(&dir.join("trades"))
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn frames_journaled(status: SocketAddr) -> Result<u64> {
    let mut stream = TcpStream::connect(status)?;
    stream.write_all(b"GET /status.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let body = text
        .split("\r\n\r\n")
        .nth(1)
        .context("a response without a body")?;
    let json: serde_json::Value = serde_json::from_str(body)?;
    json["feeds"][0]["frames_journaled"]
        .as_u64()
        .context("a status without frames")
}

fn sealed_bytes(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            sealed_bytes(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(bytes)
}
