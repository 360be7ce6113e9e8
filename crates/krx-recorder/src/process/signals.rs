//! Signals: requests from an operator, systemd or cron.

use std::time::{Duration, Instant};

use crate::process::exit::Failure;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXCPU};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;
use tokio::sync::mpsc;

/// A second stop request this soon after the first is the same request: coreutils' `timeout` sends SIGTERM to its child
/// and then to the process group, and a wrapper that forwards Ctrl-C doubles it too.
const SAME_REQUEST: Duration = Duration::from_secs(2);

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// SIGTERM or SIGINT: stop reading, export everything, exit.
    Stop,
    /// SIGUSR1: commit the current segments now.
    CommitNow,
    /// SIGHUP: reload schedule, calendar, registrations and log filter.
    Reload,
    /// SIGXCPU: the processor time is nearly used up; stop while some is left.
    OutOfTime,
}

/// What a stop request means, given the requests before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// Stop cleanly.
    Orderly,
    /// Nothing new.
    Same,
    /// Exit at once.
    AtOnce,
}

/// The stop requests a process has received.
#[derive(Debug, Default)]
struct Stops {
    first: Option<Instant>,
}

impl Stops {
    fn request(&mut self, now: Instant) -> Stop {
        match self.first {
            None => {
                self.first = Some(now);
                Stop::Orderly
            }
            Some(first) if now.duration_since(first) < SAME_REQUEST => Stop::Same,
            Some(_) => Stop::AtOnce,
        }
    }
}

/// Listens on its own thread. A second stop request, at least two seconds after the first, ends the process at once:
/// the journal is safe.
///
/// # Errors
/// [`Failure::System`], if the handlers cannot be set.
pub(crate) fn listen() -> Result<(mpsc::UnboundedReceiver<Request>, Handle), Failure> {
    let system = |source| Failure::System {
        doing: "setting the signal handlers".into(),
        source,
    };
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGUSR1, SIGHUP, SIGXCPU]).map_err(system)?;
    let handle = signals.handle();
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut stops = Stops::default();
            for signal in signals.forever() {
                let request = match signal {
                    SIGUSR1 => Request::CommitNow,
                    // Also sent when a terminal closes, which must not end a recording.
                    SIGHUP => Request::Reload,
                    // The kernel repeats it every second.
                    SIGXCPU => Request::OutOfTime,
                    _ => match stops.request(Instant::now()) {
                        Stop::Orderly => Request::Stop,
                        Stop::Same => continue,
                        Stop::AtOnce => {
                            let _ = emulate_default_handler(signal);
                            continue;
                        }
                    },
                };
                if sender.send(request).is_err() {
                    break;
                }
            }
        })
        .map_err(|source| Failure::System {
            doing: "starting the thread signals".into(),
            source,
        })?;
    Ok((receiver, handle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubled_request_counts_once_and_a_later_one_ends_the_process() {
        let start = Instant::now();
        let mut stops = Stops::default();
        for (ms, expected) in [
            (0, Stop::Orderly),
            (0, Stop::Same),
            (1500, Stop::Same),
            (1999, Stop::Same),
            // Counted from the first, so that pressing Ctrl-C repeatedly does end the process.
            (2000, Stop::AtOnce),
            (90_000, Stop::AtOnce),
        ] {
            assert_eq!(
                stops.request(start + Duration::from_millis(ms)),
                expected,
                "{ms} ms"
            );
        }
    }
}
