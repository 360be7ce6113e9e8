//! The recorder as a child process, and its configuration.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::process::{Finished, Process, Program, command_of, text_of, wait_until};

/// The API key of all tests, unlike any other text, so that it can be searched for.
pub const KEY: &str = "qzx-api-key-of-the-tests-7391";

/// What is left to export when a recorder is asked to stop is committed well within this time.
const STOP_MAX: Duration = Duration::from_secs(60);

/// The recorder's configuration, as a test wants it.
#[derive(Clone, Debug)]
pub struct RecorderConfig {
    /// Where configuration and logs go.
    pub folder: PathBuf,
    /// Where it records.
    pub data_dir: PathBuf,
    /// The server.
    pub base_url: String,
    /// `rotate.interval`.
    pub rotate_interval: String,
    /// `rotate.rows_max`.
    pub rows_max: u64,
    /// `journal.segment_bytes`.
    pub segment_bytes: u64,
    /// `journal.keep_days`.
    pub keep_days: u32,
    /// `[status]`, when there is to be one.
    pub status_port: Option<u16>,
    /// Further keys of `[koscom]`, as lines of TOML.
    pub koscom: String,
    /// `[schedule]`, as lines of TOML.
    pub schedule: String,
    /// Further tables, as lines of TOML.
    pub more: String,
    /// The key in the environment, if any.
    pub key: Option<String>,
    /// Further variables of the environment.
    pub variables: Vec<(String, PathBuf)>,
    /// Another program than the one that [`Program::Recorder`] finds.
    pub program: Option<PathBuf>,
    /// A command that takes the recorder's as its last arguments, such as `strace`. It must become the recorder, or
    /// merely trace it: signals and the exit code are those of the process that is started.
    pub wrapper: Vec<String>,
}

impl RecorderConfig {
    /// A recorder of both markets at all times into `folder`/data, which commits every second.
    #[must_use]
    pub fn new(folder: &Path, base_url: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            data_dir: folder.join("data"),
            base_url: base_url.to_owned(),
            rotate_interval: "1s".to_owned(),
            rows_max: 1_000_000,
            segment_bytes: 64 << 20,
            keep_days: 0,
            status_port: None,
            koscom: String::new(),
            schedule: "mode = \"always\"".to_owned(),
            more: String::new(),
            key: Some(KEY.to_owned()),
            variables: Vec::new(),
            program: None,
            wrapper: Vec::new(),
        }
    }

    /// The configuration as TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let Self {
            data_dir,
            base_url,
            rotate_interval,
            rows_max,
            segment_bytes,
            keep_days,
            koscom,
            schedule,
            more,
            ..
        } = self;
        let data_dir = data_dir.display();
        let mut toml = format!(
            "data_dir = \"{data_dir}\"\n\n[koscom]\nbase_url = \"{base_url}\"\nmember_name = \"End-to-end tests\"\n{koscom}\n\
             [schedule]\n{schedule}\n\n[journal]\nsegment_bytes = {segment_bytes}\nkeep_days = {keep_days}\n\n\
             [rotate]\ninterval = \"{rotate_interval}\"\nrows_max = {rows_max}\n\n"
        );
        if let Some(port) = self.status_port {
            let _ = writeln!(toml, "[status]\nlisten = \"127.0.0.1:{port}\"\n");
        }
        toml.push_str(more);
        toml
    }

    /// Writes the configuration; returns its file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self) -> Result<PathBuf> {
        let path = self.folder.join("krx-recorder.toml");
        fs::write(&path, self.to_toml()).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// The command `krx-recorder SUBCOMMAND --config FILE ARGUMENTS…`.
    ///
    /// # Errors
    /// When the program is missing or the configuration cannot be written.
    pub fn command(&self, subcommand: &str, arguments: &[&str]) -> Result<Command> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => Program::Recorder.path()?,
        };
        let mut command = match self.wrapper.split_first() {
            Some((first, rest)) => {
                let mut command = command_of(first);
                command.args(rest).arg(program);
                command
            }
            None => command_of(program),
        };
        command
            .arg(subcommand)
            .arg("--config")
            .arg(self.write()?)
            .args(arguments);
        command.envs(self.key.iter().map(|key| ("KRX_API_KEY", key)));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// Runs the recorder to its end.
    ///
    /// # Errors
    /// When it does not end within `limit`.
    pub fn run_to_end(&self, subcommand: &str, arguments: &[&str], limit: Duration) -> Result<Finished> {
        Finished::run(
            &format!("krx-recorder-{subcommand}"),
            &mut self.command(subcommand, arguments)?,
            &self.folder,
            limit,
        )
    }

    /// Runs the recorder to its end with only these arguments.
    ///
    /// # Errors
    /// When it does not end within `limit`.
    pub fn run_bare(&self, arguments: &[&str], limit: Duration) -> Result<Finished> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => Program::Recorder.path()?,
        };
        let mut command = command_of(program);
        command.args(arguments);
        let name = format!("krx-recorder-{}", arguments.first().copied().unwrap_or("alone"));
        Finished::run(&name, &mut command, &self.folder, limit)
    }

    /// Starts `krx-recorder run`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self) -> Result<Recorder> {
        // Each run has its own log: what an earlier run logged must not be taken for this one's.
        let log = (1..)
            .map(|run| self.folder.join(format!("recorder-{run:03}.log")))
            .find(|path| !path.exists());
        let log = log.context("a name for the log")?;
        let file = File::create_new(&log).with_context(|| format!("creating {}", log.display()))?;
        let mut command = self.command("run", &[])?;
        command.stdout(file.try_clone()?).stderr(file);
        Ok(Recorder {
            process: Process::start("krx-recorder", &mut command)?,
            log,
        })
    }
}

/// A running recorder.
#[derive(Debug)]
pub struct Recorder {
    /// The child itself.
    pub process: Process,
    log: PathBuf,
}

impl Recorder {
    /// Everything that it has logged so far.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn log(&self) -> Result<String> {
        text_of(&self.log)
    }

    /// Waits until its log contains `needle` this many times.
    ///
    /// # Errors
    /// When it ends before that, or does not log it within `limit`; with the end of the log.
    pub fn wait_for_log(&mut self, needle: &str, count: usize, limit: Duration) -> Result<()> {
        let waited = wait_until(
            limit,
            &format!("the recorder says {needle:?} {count} times"),
            || {
                let running = self.process.ended()?.is_none();
                if self.log()?.matches(needle).count() >= count {
                    return Ok(true);
                }
                ensure!(
                    running,
                    "the recorder ended before it said {needle:?} {count} times"
                );
                Ok(false)
            },
        );
        waited.with_context(|| self.log_end())
    }

    /// Asks it to stop, and waits for a clean exit.
    ///
    /// # Errors
    /// When it does not end with exit code 0; with the end of its log.
    pub fn stop(&mut self) -> Result<()> {
        self.process.signal(Signal::TERM)?;
        let status = self.process.wait(STOP_MAX).with_context(|| self.log_end())?;
        ensure!(
            status.success(),
            "the recorder ended with {status}:\n{}",
            self.log_end()
        );
        Ok(())
    }

    /// Kills it: SIGKILL.
    ///
    /// # Errors
    /// When it does not end.
    pub fn kill(&mut self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.wait(STOP_MAX).map(drop)
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_end(&self) -> String {
        let log = self.log().unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// What a recorder's status port says, as JSON.
///
/// # Errors
/// When it does not answer within a second.
pub fn status(port: u16) -> Result<serde_json::Value> {
    let answer = get(port, "/status.json")?;
    let body = answer.split_once("\r\n\r\n").context("an HTTP answer")?.1;
    serde_json::from_str(body).context("reading the status")
}

/// Its answer to a GET, including the head.
///
/// # Errors
/// When it does not answer within a second.
pub fn get(port: u16, path: &str) -> Result<String> {
    const WAIT: Duration = Duration::from_secs(1);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, WAIT).context("connecting to the status port")?;
    stream.set_read_timeout(Some(WAIT))?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
