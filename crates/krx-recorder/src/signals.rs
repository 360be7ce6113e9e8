//! Signals: what an operator, systemd or cron asks for.

use crate::exit::Failure;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;
use tokio::sync::mpsc;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// SIGTERM or SIGINT: stop reading, export to the end, exit.
    Stop,
    /// SIGUSR1: seal the current segments now.
    SealNow,
    /// SIGHUP: read schedule, calendar and log filter again.
    Reload,
}

/// Listens on a thread of its own. A second request to stop ends the process at once: the journal is safe.
///
/// # Errors
/// [`Failure::System`], when the handlers cannot be set.
pub fn listen() -> Result<(mpsc::UnboundedReceiver<Request>, Handle), Failure> {
    let system = |source| Failure::System {
        doing: "setting the signal handlers".into(),
        source,
    };
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGUSR1, SIGHUP]).map_err(system)?;
    let handle = signals.handle();
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut stopping = false;
            for signal in signals.forever() {
                let request = match signal {
                    SIGUSR1 => Request::SealNow,
                    // Also when a terminal goes away: that must not end a recording.
                    SIGHUP => Request::Reload,
                    _ => Request::Stop,
                };
                if request == Request::Stop && stopping {
                    let _ = emulate_default_handler(signal);
                }
                stopping |= request == Request::Stop;
                if sender.send(request).is_err() {
                    break;
                }
            }
        })
        .map_err(system)?;
    Ok((receiver, handle))
}
