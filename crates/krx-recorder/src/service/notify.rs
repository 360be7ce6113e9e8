//! Notifies the service manager (sd_notify(3)), if there is one.
//!
//! ```text
//!   a datagram to $NOTIFY_SOCKET, a path or an abstract name after @:   READY=1\nSTATUS=…\n
//! ```
//!
//! Nothing here ever blocks: a hung service manager must not stop a recording. What it does not accept is dropped, and
//! what must not be lost is sent again.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tracing::debug;

/// Whether the service manager still has to be told that the recorder is ready.
static READY_IS_DUE: AtomicBool = AtomicBool::new(false);

/// Whether a service manager listens.
#[must_use]
pub(crate) fn is_heard() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// The recorder is recording, or waiting for its hours.
pub(crate) fn ready() {
    READY_IS_DUE.store(!tell("READY=1"), Relaxed);
}

/// The configuration is being reloaded; [`ready`] follows.
pub(crate) fn reloading() {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let micros = time.tv_sec * 1_000_000 + time.tv_nsec / 1000;
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
}

/// Nothing more is received; what was received is being committed.
pub(crate) fn stopping() {
    tell("STOPPING=1");
}

/// The recorder is alive, as far as it can tell.
pub(crate) fn alive() {
    if READY_IS_DUE.load(Relaxed) {
        ready();
    }
    tell("WATCHDOG=1");
}

/// The recorder needs this much longer to start or stop.
pub(crate) fn needs(time: Duration) {
    tell(&format!("EXTEND_TIMEOUT_USEC={}", time.as_micros()));
}

/// One line about the recorder, for people.
pub(crate) fn status(line: &str) {
    tell(&format!("STATUS={line}"));
}

/// Sends `state`; true if it was accepted or nobody listens.
fn tell(state: &str) -> bool {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else {
        return true;
    };
    let sent = address(socket.as_bytes()).and_then(|address| send(&address, state));
    if let Err(error) = &sent {
        debug!(%error, state, "the service manager could not be notified");
    }
    sent.is_ok()
}

fn address(name: &[u8]) -> io::Result<SocketAddr> {
    match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name)),
    }
}

fn send(address: &SocketAddr, state: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(state.as_bytes(), address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifying_never_waits_for_a_manager_that_does_not_listen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let address = address(path.as_os_str().as_bytes()).unwrap();
        let taken = (0..100_000)
            .take_while(|_| send(&address, "WATCHDOG=1").is_ok())
            .count();
        assert!((1..100_000).contains(&taken), "{taken} were taken");
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"WATCHDOG=1");
        assert!(send(&address, "READY=1").is_ok(), "there is room again");
    }

    #[test]
    fn an_abstract_name_is_an_address_too() {
        let name = format!("krx-recorder-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        send(&address(format!("@{name}").as_bytes()).unwrap(), "READY=1").unwrap();
        let mut buffer = [0; 64];
        assert_eq!(manager.recv(&mut buffer).unwrap(), 7);
    }
}
