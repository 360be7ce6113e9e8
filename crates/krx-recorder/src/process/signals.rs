//! Signals: what an operator, systemd or cron asks for.

use std::time::{Duration, Instant};

use crate::process::exit::Failure;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXCPU};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;
use tokio::sync::mpsc;

/// A request to stop that comes so soon after the first one is the same request: `timeout` of coreutils sends SIGTERM to
/// its child and then to the process group, and a wrapper that passes Ctrl-C on doubles it too.
const SAME_REQUEST: Duration = Duration::from_secs(2);

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// SIGTERM or SIGINT: stop reading, export to the end, exit.
    Stop,
    /// SIGUSR1: commit the current segments now.
    CommitNow,
    /// SIGHUP: read schedule, calendar and log filter again.
    Reload,
    /// SIGXCPU: the processor time is nearly used up; stop while there is some left.
    OutOfTime,
}

/// What a request to stop asks for, by the requests before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// Stop in good order.
    Orderly,
    /// Nothing new.
    Same,
    /// End at once.
    AtOnce,
}

/// The requests to stop of one process.
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

/// Listens on a thread of its own. A second request to stop, two seconds after the first or later, ends the process
/// at once: the journal is safe.
///
/// # Errors
/// [`Failure::System`], when the handlers cannot be set.
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
                    // Also when a terminal goes away: that must not end a recording.
                    SIGHUP => Request::Reload,
                    // Again each second.
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
    fn a_request_that_is_sent_twice_is_one_and_a_later_one_is_meant() {
        let start = Instant::now();
        let mut stops = Stops::default();
        for (ms, expected) in [
            (0, Stop::Orderly),
            (0, Stop::Same),
            (1500, Stop::Same),
            (1999, Stop::Same),
            // Counted from the first, so that pressing a key again and again does end it.
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
