//! Child processes: found, started, signalled, measured, and never left behind.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// How often a condition is checked.
const POLL: Duration = Duration::from_millis(5);

/// The kernel's unit of processor time in /proc: the same on every architecture that this runs on.
const TICKS_PER_SECOND: u64 = 100;

/// The programs under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `krx-recorder`, or what `$KRX_RECORDER` names.
    Recorder,
    /// `krx-simulator`, or what `$KRX_SIMULATOR` names.
    Simulator,
}

impl Program {
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Recorder => ("krx-recorder", "KRX_RECORDER"),
            Self::Simulator => ("krx-simulator", "KRX_SIMULATOR"),
        }
    }

    /// Where the program is: named by the environment, or beside the one that runs.
    ///
    /// # Errors
    /// When it is in neither place.
    pub fn path(self) -> Result<PathBuf> {
        let (name, variable) = self.names();
        if let Some(path) = std::env::var_os(variable) {
            let path = PathBuf::from(path);
            ensure!(
                path.is_file(),
                "{variable} names {}, which is no file",
                path.display()
            );
            return Ok(path);
        }
        let here = std::env::current_exe().context("asking for the path of this program")?;
        // Programs are built into target/release, tests into target/release/deps.
        let found = here
            .ancestors()
            .skip(1)
            .take(2)
            .map(|dir| dir.join(name))
            .find(|path| path.is_file());
        found.with_context(|| {
            format!(
                "{name} is not beside {}: run `make build` first, or let {variable} name it",
                here.display()
            )
        })
    }

    /// A command of the program, without any of this process's `KRX_` variables.
    ///
    /// # Errors
    /// When the program is not found.
    pub fn command(self) -> Result<Command> {
        Ok(command_of(self.path()?))
    }
}

/// A command of any program, without any of this process's `KRX_` variables.
pub fn command_of(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"KRX_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// A child process; dropped, it is killed and reaped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts a command; `name` is for messages.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("starting {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
        })
    }

    /// Its standard output, if it was piped and not taken before.
    pub fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// The process number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal; nothing happens if the process has ended.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self
            .child
            .try_wait()
            .with_context(|| format!("looking at {}", self.name))?
            .is_none()
        {
            let pid = Pid::from_child(&self.child);
            kill_process(pid, signal).with_context(|| format!("sending {signal:?} to {}", self.name))?;
        }
        Ok(())
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system refuses to tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("looking at {}", self.name))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("{} ends", self.name);
        let mut status = None;
        wait_until(limit, &what, || {
            status = self.ended()?;
            Ok(status.is_some())
        })?;
        status.context("it has ended")
    }

    /// The most memory that it has ever used, bytes (`VmHWM`).
    ///
    /// # Errors
    /// When it has ended.
    pub fn memory_peak_bytes(&self) -> Result<u64> {
        self.memory("VmHWM:")
    }

    /// The memory that it uses now, bytes (`VmRSS`).
    ///
    /// # Errors
    /// When it has ended.
    pub fn memory_bytes(&self) -> Result<u64> {
        self.memory("VmRSS:")
    }

    fn memory(&self, key: &str) -> Result<u64> {
        let path = format!("/proc/{}/status", self.id());
        let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kilobytes.with_context(|| format!("{path} has no {key}"))? * 1024)
    }

    /// The processor time that it has used, user and system together.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu_time(&self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.id());
        let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        // The second field is the name in parentheses, and may hold blanks; utime and stime are fields 14 and 15.
        let after_name = text.rsplit_once(')').context("a name in parentheses")?.1;
        let ticks: u64 = after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended long ago; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that ran to its end.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it ran.
    pub elapsed: Duration,
}

impl Finished {
    /// Runs a command to its end. Its output goes through files in `folder`, so that it never waits for a reader.
    ///
    /// # Errors
    /// When it cannot be started, or still runs after `limit`.
    pub fn run(name: &str, command: &mut Command, folder: &Path, limit: Duration) -> Result<Self> {
        let [out, err] = ["stdout", "stderr"].map(|stream| folder.join(format!("{name}.{stream}")));
        let create = |path: &Path| File::create(path).with_context(|| format!("creating {}", path.display()));
        command.stdout(create(&out)?).stderr(create(&err)?);
        let started = Instant::now();
        let status = Process::start(name, command)?.wait(limit)?;
        Ok(Self {
            code: status.code(),
            stdout: text_of(&out)?,
            stderr: text_of(&err)?,
            elapsed: started.elapsed(),
        })
    }
}

/// A file's text, whatever bytes it holds.
///
/// # Errors
/// When it cannot be read.
pub fn text_of(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Polls until `condition` holds.
///
/// # Errors
/// When it does not within `limit`, or fails.
pub fn wait_until(limit: Duration, what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !condition()? {
        if Instant::now() > deadline {
            bail!("after {limit:?} still waiting until {what}");
        }
        sleep(POLL);
    }
    Ok(())
}

/// Ports that the kernel gives to nobody who asks for any port: it has others for that, from 32768 on. A port from among
/// those could go to another test's server before the program for which it was looked up gets to use it.
const PORTS: std::ops::Range<u32> = 20_000..32_000;

/// A loopback port on which nothing is listening at the moment, and which this process gets only once.
///
/// # Errors
/// When all are taken.
pub fn free_port() -> Result<u16> {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    for _ in PORTS {
        // Processes that run at the same time begin at different places.
        let place = std::process::id()
            .wrapping_mul(97)
            .wrapping_add(TAKEN.fetch_add(1, Relaxed));
        let port = u16::try_from(PORTS.start + place % (PORTS.end - PORTS.start))?;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port of {PORTS:?} is free")
}

/// Bytes that were sent to the connections of a loopback port and that nobody has read yet.
///
/// # Errors
/// When the kernel's table cannot be read.
pub fn bytes_under_way(port: u16) -> Result<u64> {
    let table = fs::read_to_string("/proc/net/tcp").context("reading /proc/net/tcp")?;
    let port_of = |address: &str| {
        address
            .split_once(':')
            .and_then(|(_, port)| u16::from_str_radix(port, 16).ok())
    };
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap_or(0);
    let bytes = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (ends, queues) = (fields.get(1..3)?, fields.get(4)?.split_once(':')?);
        let ours = ends.iter().any(|address| port_of(address) == Some(port));
        // A listening socket's queue counts connections.
        (ours && fields.get(3) != Some(&"0A")).then(|| hex(queues.0) + hex(queues.1))
    });
    Ok(bytes.sum())
}
