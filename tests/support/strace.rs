//! System calls of a recorder, watched and tampered with by `strace`.
//!
//! `strace` counts the calls for `when=N` separately in each thread. The recorder's threads have their own names and
//! roles, so the Nth call of the first thread to make that many is hit; other workloads put other threads first.
//! `--seccomp-bpf` would be faster, but with it strace 6.1 omits the signals that it should inject.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use krx_harness::process::Process;

/// The calls with which the recorder changes the disk, by the names that they have on any architecture.
pub const DISK_CALLS: &str = "?open,openat,creat,?mkdir,mkdirat,?rename,renameat,renameat2,?unlink,unlinkat,write,\
                              pwrite64,fsync,fdatasync,fallocate,ftruncate";

/// What to inject into which calls, after `inject=` of strace.
#[derive(Clone, Debug, Default)]
pub struct Strace {
    /// Such as `fsync:signal=KILL:when=3`; if empty, calls are only watched.
    pub inject: Vec<String>,
    /// Only calls that concern these paths.
    pub paths: Vec<PathBuf>,
    /// The file in which the calls are logged.
    pub log: PathBuf,
}

impl Strace {
    /// Watches, and writes to `log`.
    #[must_use]
    pub fn to(log: &Path) -> Self {
        Self {
            inject: Vec::new(),
            paths: Vec::new(),
            log: log.to_owned(),
        }
    }

    /// Injects into calls.
    #[must_use]
    pub fn inject(mut self, what: impl Into<String>) -> Self {
        self.inject.push(what.into());
        self
    }

    /// Why strace cannot be used here, if so.
    #[must_use]
    pub fn missing() -> Option<String> {
        let mut command = Command::new("strace");
        command.args(["-D", "-f", "-o", "/dev/null", "-e", "trace=fsync", "true"]);
        match command.stdout(Stdio::null()).stderr(Stdio::null()).status() {
            Ok(status) if status.success() => None,
            Ok(_) => Some("strace may not trace here (ptrace is not allowed)".to_owned()),
            Err(_) => Some("strace is not installed (tests/tools/fault-tools.sh)".to_owned()),
        }
    }

    /// The command that takes a program as its last arguments. The program becomes the process that is started: strace
    /// runs in a process of its own.
    #[must_use]
    pub fn wrapper(&self) -> Vec<String> {
        let mut wrapper = vec!["strace".to_owned(), "-D".to_owned()];
        wrapper.extend(self.options());
        wrapper
    }

    /// Attaches to a process that is already running. End it with SIGINT; the process then continues.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn attach(&self, process: u32) -> Result<Process> {
        let mut command = Command::new("strace");
        command.args(self.options()).args(["-p", &process.to_string()]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Process::start("strace", &mut command)
    }

    fn options(&self) -> Vec<String> {
        let mut options: Vec<String> = ["-f", "--decode-pids=comm", "-y", "-s", "0", "-a", "0", "-o"]
            .map(str::to_owned)
            .into();
        options.push(self.log.display().to_string());
        options.push(format!("--trace={DISK_CALLS}"));
        options.extend(
            self.paths
                .iter()
                .map(|path| format!("--trace-path={}", path.display())),
        );
        options.extend(self.inject.iter().map(|inject| format!("--inject={inject}")));
        options
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this value.
    Done(i64),
    /// With this error, such as `EIO`.
    Failed(String),
    /// The process was killed in it.
    Never,
}

/// One call of one thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The thread's number.
    pub thread: u32,
    /// The thread's name.
    pub name: String,
    /// The call.
    pub call: String,
    /// Its arguments as strace writes them.
    pub arguments: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether strace tampered with it.
    pub injected: bool,
}

impl Call {
    /// The quoted strings among the arguments: they are paths, since no other data is shown.
    #[must_use]
    pub fn strings(&self) -> Vec<&str> {
        self.arguments.split('"').skip(1).step_by(2).collect()
    }

    /// The path of the file on which the first argument's descriptor is open.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        let first = self.arguments.split([',', ')']).next()?;
        first.split_once('<')?.1.strip_suffix('>')
    }

    /// The first argument as a descriptor.
    #[must_use]
    pub fn descriptor(&self) -> Option<i64> {
        self.arguments
            .split(|c: char| !c.is_ascii_digit())
            .next()?
            .parse()
            .ok()
    }

    /// Thread, call and kind of file, for counting where faults have hit.
    #[must_use]
    pub fn place(&self) -> String {
        let strings = self.strings();
        let named = strings.last().copied().filter(|name| !name.is_empty());
        let path = named.or_else(|| self.file()).unwrap_or("");
        let name = path.rsplit('/').next().unwrap_or("");
        let kind = match name {
            _ if path.ends_with(".journal") => "segment",
            _ if name.starts_with("spare-") => "spare",
            _ if path.ends_with(".partial") => "staging",
            _ if path.ends_with(".parquet") => "committed",
            _ if path.contains("/.krx/journal") => "journal directory",
            _ if ["/trades", "/quarantine", "/coverage"]
                .iter()
                .any(|dataset| path.contains(dataset)) =>
            {
                "dataset directory"
            }
            _ if name == "lock" => "lock",
            _ if path.contains("/.krx") => "other of .krx",
            _ => "other",
        };
        let thread = self.name.split('-').next().unwrap_or("");
        format!("{thread:<8} {:<10} {kind}", self.call)
    }
}

/// What a line of the log is, in chronological order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A call begins; the index is that of its [`Call`].
    Enter(usize),
    /// It ends.
    Leave(usize),
}

/// A log: the calls, and the order in which they began and ended.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// In the order in which they began.
    pub calls: Vec<Call>,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

impl Log {
    /// Reads a log that strace has finished, or nearly.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Self::parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Parses a log; lines that are not calls are skipped.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut log = Self::default();
        let mut open: Vec<usize> = Vec::new();
        for line in text.lines() {
            let Some((head, rest)) = line.split_once("> ") else {
                continue;
            };
            let Some((thread, name)) = head.split_once('<') else {
                continue;
            };
            let Ok(thread) = thread.trim().parse() else {
                continue;
            };
            if rest.starts_with("+++") {
                // The call that it was in never ends.
                open.retain(|&index| log.calls[index].thread != thread);
            } else if let Some(resumed) = rest.strip_prefix("<... ") {
                let Some(position) = open.iter().position(|&index| log.calls[index].thread == thread) else {
                    continue;
                };
                let index = open.swap_remove(position);
                let tail = resumed.split_once(" resumed>").map_or("", |(_, tail)| tail);
                log.calls[index].arguments.push_str(arguments_of(tail));
                log.end(index, tail);
            } else if let Some((call, rest)) = rest.split_once('(') {
                let index = log.calls.len();
                let unfinished = rest.strip_suffix(" <unfinished ...>");
                log.calls.push(Call {
                    thread,
                    name: name.to_owned(),
                    call: call.to_owned(),
                    arguments: arguments_of(unfinished.unwrap_or(rest)).to_owned(),
                    outcome: Outcome::Never,
                    injected: false,
                });
                log.steps.push(Step::Enter(index));
                match unfinished {
                    Some(_) => open.push(index),
                    None => log.end(index, rest),
                }
            }
        }
        log
    }

    fn end(&mut self, index: usize, text: &str) {
        let call = &mut self.calls[index];
        call.injected = text.contains("(INJECTED)") || text.contains("(DELAYED)");
        let result = text.rsplit_once(" = ").map_or("?", |(_, result)| result);
        let mut words = result.split([' ', '<']);
        call.outcome = match words.next().unwrap_or("?") {
            "?" => Outcome::Never,
            "-1" => Outcome::Failed(words.next().unwrap_or("").to_owned()),
            value => value.parse().map_or(Outcome::Never, Outcome::Done),
        };
        self.steps.push(Step::Leave(index));
    }

    /// The call in which the process was killed: the first `call` that never ended, or the last one.
    #[must_use]
    pub fn killed_in(&self, call: &str) -> Option<&Call> {
        let mut of_name = self.calls.iter().filter(|made| made.call == call);
        of_name
            .clone()
            .find(|made| made.outcome == Outcome::Never)
            .or_else(|| of_name.next_back())
    }
}

fn arguments_of(text: &str) -> &str {
    text.rsplit_once(") = ").map_or(text, |(arguments, _)| arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_with_their_order_and_outcome() {
        let log = Log::parse(concat!(
            "7<journal-KOSPI> pwrite64(13</d/.krx/journal/KOSPI/spare-1>, \"\"..., 64, 0) = 64\n",
            "8<sync-KOSPI> fdatasync(13</d/a.journal> <unfinished ...>\n",
            "7<journal-KOSPI> rename(\"/d/a\", \"/d/b.journal\") = -1 EIO (Input/output error) (INJECTED)\n",
            "8<sync-KOSPI> <... fdatasync resumed>) = 0\n",
            "9<export-KOSPI> openat(AT_FDCWD</d>, \"/d/x.partial\", O_RDWR) = 16</d/x.partial>\n",
            "9<export-KOSPI> fsync(16</d/x.partial>) = ?\n",
            "9<export-KOSPI> +++ killed by SIGKILL +++\n",
        ));
        let outcomes: Vec<_> = log.calls.iter().map(|call| call.outcome.clone()).collect();
        assert_eq!(
            outcomes,
            [
                Outcome::Done(64),
                Outcome::Done(0),
                Outcome::Failed("EIO".to_owned()),
                Outcome::Done(16),
                Outcome::Never
            ]
        );
        assert_eq!(
            log.steps[2..6],
            [Step::Enter(1), Step::Enter(2), Step::Leave(2), Step::Leave(1)]
        );
        assert_eq!(log.calls[2].strings(), ["/d/a", "/d/b.journal"]);
        assert!(log.calls[2].injected && !log.calls[1].injected);
        assert_eq!(
            (log.calls[1].file(), log.calls[1].descriptor()),
            (Some("/d/a.journal"), Some(13))
        );
        assert_eq!(
            log.killed_in("fsync").map(Call::place),
            Some("export   fsync      staging".to_owned())
        );
    }
}
