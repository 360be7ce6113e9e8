//! The simulated exchange as a child process.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde::Deserialize;

use crate::process::{Process, Program, bytes_under_way, command_of, wait_until};
use crate::recorder::{Recorder, RecorderConfig};

/// A simulator that builds its day takes a second or two.
const LISTENING_MAX: Duration = Duration::from_secs(60);

/// It finishes its ledger when it stops.
const STOP_MAX: Duration = Duration::from_secs(60);

/// The simulator's reports, as far as tests need them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SimulatorEvent {
    /// `listening`, `session_started`, `session_ended` or `day_complete`.
    pub event: String,
    /// Where it listens.
    pub url: String,
    /// The port.
    pub port: u16,
    /// The market concerned.
    pub market: String,
    /// The session concerned.
    pub session: u32,
    /// Data messages sent.
    pub messages: u64,
    /// Records in them.
    pub records: u64,
    /// Records that fell due while nobody was listening.
    pub missed: u64,
    /// Why a session ended.
    pub reason: String,
}

/// A simulated exchange on a free loopback port.
#[derive(Debug)]
pub struct Simulator {
    process: Process,
    events: Receiver<SimulatorEvent>,
    reader: Option<JoinHandle<()>>,
    /// The base URL to connect to.
    pub url: String,
    /// The port.
    pub port: u16,
    /// The file to which it writes everything that it sends.
    pub ledger: PathBuf,
}

impl Simulator {
    /// Starts it with a ledger in `folder`, and waits until it listens.
    ///
    /// # Errors
    /// When it does not.
    pub fn start(folder: &Path, arguments: &[&str]) -> Result<Self> {
        Self::start_within(&[], folder, arguments)
    }

    /// Starts it by a command that takes its own as the last arguments, such as `ip netns exec NAME`.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn start_within(wrapper: &[&str], folder: &Path, arguments: &[&str]) -> Result<Self> {
        let ledger = folder.join("ledger.jsonl");
        let mut command = match wrapper.split_first() {
            Some((first, rest)) => {
                let mut command = command_of(first);
                command.args(rest).arg(Program::Simulator.path()?);
                command
            }
            None => Program::Simulator.command()?,
        };
        command
            .args(["--listen", "127.0.0.1:0", "--json", "--ledger"])
            .arg(&ledger)
            .args(arguments);
        Self::of("krx-simulator", &mut command, ledger)
    }

    /// Starts a replay of what `config` recorded on a date, on a free port; its standard error goes to
    /// `folder`/replay.err. It keeps no ledger.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn replay(folder: &Path, config: &RecorderConfig, date: &str, arguments: &[&str]) -> Result<Self> {
        let stderr = File::create(folder.join("replay.err")).context("creating replay.err")?;
        let mut command = config.command("replay", &[date, "--listen", "127.0.0.1:0", "--json"])?;
        command.args(arguments).stderr(stderr);
        Self::of("krx-recorder-replay", &mut command, PathBuf::new())
    }

    fn of(name: &str, command: &mut Command, ledger: PathBuf) -> Result<Self> {
        command.stdout(Stdio::piped());
        let mut process = Process::start(name, command)?;
        let stdout = process.stdout().context("its standard output is piped")?;
        let (sender, events) = channel();
        // It ends with the process whose output it reads, or with the receiver.
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(event) = serde_json::from_str(&line) else {
                    continue;
                };
                if sender.send(event).is_err() {
                    break;
                }
            }
        });
        let mut simulator = Self {
            process,
            events,
            reader: Some(reader),
            url: String::new(),
            port: 0,
            ledger,
        };
        let listening = simulator.wait_for("listening", LISTENING_MAX)?;
        (simulator.url, simulator.port) = (listening.url, listening.port);
        Ok(simulator)
    }

    /// The next event of a kind; others are skipped.
    ///
    /// # Errors
    /// When it does not come within `limit`.
    pub fn wait_for(&mut self, event: &str, limit: Duration) -> Result<SimulatorEvent> {
        let deadline = Instant::now() + limit;
        loop {
            match self
                .events
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(found) if found.event == event => return Ok(found),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    bail!("the simulator did not say {event:?} within {limit:?}")
                }
                Err(RecvTimeoutError::Disconnected) => bail!("the simulator ended before it said {event:?}"),
            }
        }
    }

    /// The next event of a kind, if it has already been reported.
    pub fn poll_for(&mut self, event: &str) -> Option<SimulatorEvent> {
        self.events.try_iter().find(|found| found.event == event)
    }

    /// Waits until the day of each of `markets` markets has been sent and read to the last byte, then ends the exchange
    /// and waits until the recorder notices. The ledger and the recorder's journal then hold the same.
    ///
    /// # Errors
    /// When that takes longer than `limit`.
    pub fn finish_day(&mut self, recorder: &mut Recorder, markets: usize, limit: Duration) -> Result<()> {
        for _ in 0..markets {
            self.wait_for("day_complete", limit)?;
        }
        self.finish(recorder, markets)
    }

    /// Ends the exchange once everything that it sent has been read, and waits until the recorder notices.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn finish(&mut self, recorder: &mut Recorder, markets: usize) -> Result<()> {
        wait_until(STOP_MAX, "everything sent has been read", || {
            Ok(bytes_under_way(self.port)? == 0)
        })?;
        let before = recorder.log()?.matches(" disconnected ").count();
        self.stop()?;
        recorder.wait_for_log(" disconnected ", before + markets, STOP_MAX)
    }

    /// Ends it; its ledger is then complete.
    ///
    /// # Errors
    /// When it does not end, or not cleanly.
    pub fn stop(&mut self) -> Result<()> {
        self.process.signal(Signal::TERM)?;
        let status = self.process.wait(STOP_MAX)?;
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        ensure!(status.success(), "the simulator ended with {status}");
        Ok(())
    }
}
