//! What the service manager is told (sd_notify(3)). Without one, nothing is.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

/// Whether anybody listens.
#[must_use]
pub fn is_heard() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// The recorder records, or waits for the hours in which it will.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read again; [`ready`] follows.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(since) => tell(&[NotifyState::Reloading, since]),
        Err(error) => debug!(%error, "the monotonic clock is not known"),
    }
}

/// No more is received; what was is being sealed.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// It is alive, as far as it can tell.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// It needs this much longer to start or to stop.
pub fn needs(time: Duration) {
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::ExtendTimeoutUsec(micros)]);
}

/// One line for a person.
pub fn status(line: &str) {
    tell(&[NotifyState::Status(line)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if is_heard()
        && let Err(error) = sd_notify::notify(states)
    {
        debug!(%error, "the service manager could not be told");
    }
}
