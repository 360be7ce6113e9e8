//! The limits on the process (`ulimit`, systemd's `Limit…=`): one too low to record with is reported at the start, and
//! one that is reached later is an ordinary error, never a signal.
//!
//! | limit | what happens |
//! |---|---|
//! | files (-n), memory (-v, -d), file size (-f), processor time (-t) | refused at the start if too low: `too_small` |
//! | file size (-f) | the signal is caught, so a write fails with an error: [`prepare`] |
//! | processor time (-t) | a recorder stops cleanly a while before; any other command says why it ends: [`prepare`] |
//! | stack (-s) | everything runs on threads with a stack size of their own: [`on_a_stack`] |
//! | processes and threads (-u) | failing to start a thread is a failure that says so: [`probe_threads`], `hint` |

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGXCPU, SIGXFSZ};

use crate::process::exit::{Exit, Failure};
use crate::process::out;

/// The main thread's size on most machines, whatever the limit is on this one.
const STACK_BYTES: usize = 8 << 20;

/// A recorder is asked to stop this long before its processor time is used up, so that it can stop cleanly.
const STOP_SECONDS: u64 = 10;

/// Open files that a recorder needs for itself and its status clients, and for each feed.
const FILES: u64 = 64;
const FILES_OF_FEED: u64 = 32;

/// The most memory a recorder takes, and the most for each feed: its queue, what is not synced yet, and a file being
/// written.
const MEMORY: u64 = 256 << 20;
const MEMORY_OF_FEED: u64 = 192 << 20;

/// The memory that reading committed files takes.
const MEMORY_TO_READ: u64 = 256 << 20;

/// Address space reserved in addition: glibc takes 64 MiB for each of a dozen threads.
const RESERVED: u64 = 768 << 20;
const RESERVED_TO_READ: u64 = 256 << 20;

/// Processor time, in seconds: enough to at least stop cleanly, and enough for reading.
const SECONDS: u64 = 4;
const SECONDS_TO_READ: u64 = 2;

/// The limits that are checked; `None` means unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Limits {
    files: Option<u64>,
    file_bytes: Option<u64>,
    memory: Option<u64>,
    data: Option<u64>,
    seconds: Option<u64>,
}

/// How much of each is needed.
#[derive(Clone, Copy, Debug)]
struct Needs {
    files: u64,
    file_bytes: u64,
    memory: u64,
    /// Address space in addition to the memory.
    reserved: u64,
    seconds: u64,
}

impl Limits {
    fn now() -> Self {
        let of = |resource| getrlimit(resource).current;
        Self {
            files: of(Resource::Nofile),
            file_bytes: of(Resource::Fsize),
            memory: of(Resource::As),
            data: of(Resource::Data),
            // Not the soft limit, which [`prepare`] lowers.
            seconds: getrlimit(Resource::Cpu).maximum,
        }
    }
}

/// Describes each limit that is lower than needed.
fn too_small(limits: Limits, needs: Needs) -> Vec<String> {
    let mib = |bytes: u64| match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    };
    let count = |number: u64| number.to_string();
    let seconds = |number: u64| format!("{number} s");
    let checks: [(_, _, _, &dyn Fn(u64) -> String); 5] = [
        (
            limits.files,
            needs.files,
            "open files (ulimit -n, LimitNOFILE=)",
            &count,
        ),
        (
            limits.file_bytes,
            needs.file_bytes,
            "file size (ulimit -f, LimitFSIZE=)",
            &mib,
        ),
        (
            limits.memory,
            needs.memory.saturating_add(needs.reserved),
            "memory (ulimit -v, LimitAS=)",
            &mib,
        ),
        (
            limits.data,
            needs.memory,
            "data memory (ulimit -d, LimitDATA=)",
            &mib,
        ),
        (
            limits.seconds,
            needs.seconds,
            "processor time (ulimit -t, LimitCPU=)",
            &seconds,
        ),
    ];
    checks
        .into_iter()
        .filter_map(|(limit, need, what, unit)| {
            let limit = limit.filter(|limit| *limit < need)?;
            Some(format!(
                "the limit on {what} is {}, but {} are needed",
                unit(limit),
                unit(need)
            ))
        })
        .collect()
}

fn enough(needs: Needs) -> Result<(), Failure> {
    let found = too_small(Limits::now(), needs);
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::Limit(format!(
        "{}; raise it, and start again",
        found.join("; ")
    )))
}

/// Checks that the limits allow recording this many feeds with segments of this size.
///
/// # Errors
/// [`Failure::Limit`], naming each limit that does not.
pub(crate) fn enough_to_record(feeds: usize, segment_bytes: u64) -> Result<(), Failure> {
    let feeds = u64::try_from(feeds).unwrap_or(u64::MAX);
    enough(Needs {
        files: FILES.saturating_add(FILES_OF_FEED.saturating_mul(feeds)),
        file_bytes: segment_bytes,
        memory: MEMORY.saturating_add(MEMORY_OF_FEED.saturating_mul(feeds)),
        reserved: RESERVED,
        seconds: SECONDS,
    })
}

/// Checks that the limits allow reading committed files.
///
/// # Errors
/// [`Failure::Limit`], naming each limit that does not.
pub(crate) fn enough_to_read() -> Result<(), Failure> {
    enough(Needs {
        files: 32,
        file_bytes: 0,
        memory: MEMORY_TO_READ,
        reserved: RESERVED_TO_READ,
        seconds: SECONDS_TO_READ,
    })
}

/// Prepares a command: raises the limit on open files as far as allowed, turns the signal for too large a file into an
/// error, and explains the signal that ends the command when its processor time is used up. A recorder handles that
/// signal itself.
pub(crate) fn prepare(records: bool) {
    let files = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: files.maximum,
        maximum: files.maximum,
    };
    // If that is not allowed, make do with the present limit; whether it is enough is checked later.
    let _ = setrlimit(Resource::Nofile, most);
    // An empty handler: a write beyond the limit then fails and says why.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    leave_processor_time();
    if !records {
        // Without this thread the signal would end the command silently.
        drop(std::thread::Builder::new().name("limits".into()).spawn(|| {
            let signals = signal_hook::iterator::Signals::new([SIGXCPU]);
            if let Ok(mut signals) = signals
                && signals.forever().next().is_some()
            {
                out::tell(format_args!("krx-recorder: {}", processor_time()));
                std::process::exit(i32::from(Exit::Io as u8));
            }
        }));
    }
}

/// Lowers the soft limit, so that SIGXCPU, which can be caught, comes before SIGKILL, which cannot.
fn leave_processor_time() {
    let limit = getrlimit(Resource::Cpu);
    let Some(maximum) = limit.maximum else {
        return;
    };
    let soft = maximum.saturating_sub(STOP_SECONDS).max(maximum.div_ceil(2));
    if limit.current.is_none_or(|current| current > soft) {
        let sooner = Rlimit {
            current: Some(soft),
            maximum: limit.maximum,
        };
        let _ = setrlimit(Resource::Cpu, sooner);
    }
}

/// The failure of a process that has used up its processor time limit.
#[must_use]
pub(crate) fn processor_time() -> Failure {
    Failure::Limit(
        "the limit on processor time (ulimit -t, LimitCPU=) is used up; raise it, and start again".to_owned(),
    )
}

/// Runs `work` on a thread with its own stack size: the process's stack may be too small for anything.
pub fn on_a_stack(work: impl FnOnce() -> Exit + Send + 'static) -> Exit {
    let thread = std::thread::Builder::new()
        .name("main".into())
        .stack_size(STACK_BYTES)
        .spawn(work);
    match thread {
        Ok(thread) => thread.join().unwrap_or(Exit::Bug),
        Err(source) => {
            let failure = Failure::System {
                doing: "starting the first thread".into(),
                source,
            };
            fail(&failure)
        }
    }
}

/// Checks that a thread can be started at all: libraries panic when they cannot start theirs.
///
/// # Errors
/// [`Failure::System`], if none can.
pub(crate) fn probe_threads() -> Result<(), Failure> {
    let thread = std::thread::Builder::new().spawn(|| ());
    let started = thread.map_err(|source| Failure::System {
        doing: "starting a thread".into(),
        source,
    })?;
    let _ = started.join();
    Ok(())
}

/// Prints why the process ends, and returns its exit code.
pub(crate) fn fail(failure: &Failure) -> Exit {
    match hint(failure) {
        Some(hint) => out::tell(format_args!("krx-recorder: {failure}; {hint}")),
        None => out::tell(format_args!("krx-recorder: {failure}")),
    }
    failure.exit()
}

/// A hint at the limit that was reached, if a system error in the failure means that.
fn hint(failure: &Failure) -> Option<&'static str> {
    let mut cause: Option<&dyn Error> = Some(failure);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return hint_of(error);
        }
        cause = error.source();
    }
    None
}

fn hint_of(error: &io::Error) -> Option<&'static str> {
    use rustix::io::Errno;
    match Errno::from_io_error(error)? {
        Errno::MFILE => Some("raise the limit on open files (ulimit -n, LimitNOFILE=)"),
        Errno::NFILE => Some("the machine has too many open files: see fs.file-max"),
        Errno::FBIG => Some("raise the limit on file size (ulimit -f, LimitFSIZE=)"),
        Errno::AGAIN => Some(
            "raise the limit on processes and threads (ulimit -u, LimitNPROC=, TasksMax=), or the one \
             on memory (ulimit -v, LimitAS=)",
        ),
        Errno::NOMEM => Some("raise the limit on memory (ulimit -v, LimitAS=), or free some"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Needs = Needs {
        files: 128,
        file_bytes: 64 << 20,
        memory: 640 << 20,
        reserved: 360 << 20,
        seconds: 4,
    };

    #[test]
    fn each_limit_that_is_too_low_is_reported_with_what_is_needed() {
        assert_eq!(too_small(Limits::default(), NEEDS), [""; 0]);
        let enough = Limits {
            files: Some(128),
            file_bytes: Some(64 << 20),
            memory: Some(1000 << 20),
            data: Some(640 << 20),
            seconds: Some(4),
        };
        assert_eq!(too_small(enough, NEEDS), [""; 0]);
        let small = Limits {
            files: Some(16),
            file_bytes: Some(1 << 20),
            memory: Some(100 << 20),
            data: Some(1000 << 10),
            seconds: Some(1),
        };
        assert_eq!(
            too_small(small, NEEDS),
            [
                "the limit on open files (ulimit -n, LimitNOFILE=) is 16, but 128 are needed",
                "the limit on file size (ulimit -f, LimitFSIZE=) is 1 MiB, but 64 MiB are needed",
                "the limit on memory (ulimit -v, LimitAS=) is 100 MiB, but 1000 MiB are needed",
                "the limit on data memory (ulimit -d, LimitDATA=) is 1000 KiB, but 640 MiB are needed",
                "the limit on processor time (ulimit -t, LimitCPU=) is 1 s, but 4 s are needed",
            ]
        );
    }

    #[test]
    fn a_system_error_is_reported_with_the_limit_behind_it() {
        let failure = |errno| Failure::System {
            doing: "starting a thread".into(),
            source: io::Error::from_raw_os_error(errno),
        };
        assert!(hint(&failure(24)).unwrap().contains("ulimit -n"));
        assert!(hint(&failure(27)).unwrap().contains("ulimit -f"));
        assert!(hint(&failure(11)).unwrap().contains("ulimit -u"));
        assert_eq!(hint(&failure(2)), None);
        let deep = Failure::from(krx_store::StoreError::Io {
            doing: "creating",
            path: "/x".into(),
            source: io::Error::from_raw_os_error(12),
        });
        assert!(hint(&deep).unwrap().contains("ulimit -v"));
        assert_eq!(hint(&processor_time()), None);
    }
}
