//! The recorder that is running on a data directory, and how it is told to read its configuration again.

use std::fs;
use std::io;
use std::path::Path;

use krx_store::{DataDir, lock};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::process::exit::Failure;

/// Who holds a data directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A recorder, which may be sent SIGHUP.
    Recorder(Recorder),
    /// A process of this number that SIGHUP would end: it rebuilds, for instance.
    Other(i32),
    /// Nobody.
    Nobody,
}

/// A running recorder.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recorder(Pid);

/// Finds out who holds a data directory.
///
/// # Errors
/// [`Failure::Store`], if that cannot be found out; [`Failure::System`], if it is held by a process that cannot be found,
/// or not be sent a signal by this user.
pub(super) fn find(data: &DataDir) -> Result<Holder, Failure> {
    if !lock::is_held(data)? {
        return Ok(Holder::Nobody);
    }
    let refused = |doing: &str, source| Failure::System {
        doing: format!("nothing is changed: {doing}"),
        source,
    };
    let lock_file = data.lock_file();
    let number = fs::read_to_string(&lock_file).and_then(|text| {
        // A negative number would be a group of processes.
        let number: Option<u32> = text.trim().parse().ok();
        let number = number.and_then(|number| i32::try_from(number).ok());
        let number = number.and_then(Pid::from_raw);
        number.ok_or_else(|| io::Error::other("it names no process"))
    });
    let process = number.map_err(|source| {
        let doing = format!(
            "the data directory is in use, and {} says by whom",
            lock_file.display()
        );
        refused(&doing, source)
    })?;
    let number = process.as_raw_nonzero();
    let reads_again = catches_hangup(process).map_err(|source| {
        let doing = format!(
            "process {number} holds the data directory, and does not run here; run this where the recorder runs"
        );
        refused(&doing, source)
    })?;
    if !reads_again {
        return Ok(Holder::Other(number.get()));
    }
    test_kill_process(process).map_err(|error| {
        let doing = format!(
            "the recorder (process {number}) takes no signal from this user; run this as root or as its user"
        );
        refused(&doing, error.into())
    })?;
    Ok(Holder::Recorder(Recorder(process)))
}

/// Whether a process has a handler for SIGHUP, which would end it otherwise. A recorder sets it before it takes the lock.
fn catches_hangup(process: Pid) -> io::Result<bool> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero()))?;
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .ok_or_else(|| io::Error::other("/proc does not say which signals it handles"))?;
    // Signal n is bit n - 1.
    Ok(caught & 1 << (Signal::HUP.as_raw() - 1) != 0)
}

impl Recorder {
    /// Its process.
    pub(super) fn number(&self) -> i32 {
        self.0.as_raw_nonzero().get()
    }

    /// Has it read its configuration again, with the changed `list`. Returns its number.
    ///
    /// # Errors
    /// [`Failure::System`], if it ended meanwhile: the list is changed and takes effect at the next start.
    pub(super) fn read_configuration(&self, list: &Path) -> Result<i32, Failure> {
        kill_process(self.0, Signal::HUP).map_err(|error| Failure::System {
            doing: format!(
                "{} is changed, but the recorder (process {}) could not be told, so it takes effect at the next reload or \
                 start",
                list.display(),
                self.number()
            ),
            source: error.into(),
        })?;
        Ok(self.number())
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::time::{Duration, Instant};

    use krx_store::DataDirLock;
    use signal_hook::consts::SIGHUP;

    use super::*;

    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn without_a_lock_nobody_is_running_whatever_the_file_says() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::new(folder.path().join("data"));
        assert_eq!(find(&data).unwrap(), Holder::Nobody);
        drop(DataDirLock::take(&data).unwrap());
        assert!(data.lock_file().exists());
        assert_eq!(find(&data).unwrap(), Holder::Nobody);
    }

    #[test]
    fn only_a_process_that_handles_the_signal_is_sent_it() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::new(folder.path());
        let _held = DataDirLock::take(&data).unwrap();
        let mut other = Command::new("cat");
        let other = Ended(other.stdin(Stdio::piped()).spawn().unwrap());
        let number = other.0.id();
        fs::write(data.lock_file(), format!("{number}\n")).unwrap();
        assert_eq!(
            find(&data).unwrap(),
            Holder::Other(i32::try_from(number).unwrap())
        );

        // The lock names this process, which has a handler from now on.
        let told = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGHUP, Arc::clone(&told)).unwrap();
        fs::write(data.lock_file(), format!("{}\n", std::process::id())).unwrap();
        let Holder::Recorder(recorder) = find(&data).unwrap() else {
            panic!("no recorder");
        };
        let number = recorder.read_configuration(Path::new("list.txt")).unwrap();
        assert_eq!(u32::try_from(number).unwrap(), std::process::id());
        let begin = Instant::now();
        while !told.load(Relaxed) {
            assert!(begin.elapsed() < Duration::from_secs(60), "it was not told");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_holder_that_cannot_be_found_is_an_error_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::new(folder.path());
        let _held = DataDirLock::take(&data).unwrap();
        // The highest number that Linux gives is 2^22.
        for (text, expected) in [
            ("", "says by whom: it names no process"),
            ("-5\n", "says by whom: it names no process"),
            ("0\n", "says by whom: it names no process"),
            (
                "4194305\n",
                "process 4194305 holds the data directory, and does not run here",
            ),
        ] {
            fs::write(data.lock_file(), text).unwrap();
            let error = find(&data).unwrap_err().to_string();
            assert!(
                error.starts_with("nothing is changed: ") && error.contains(expected),
                "{text:?}: {error}"
            );
        }
    }
}
