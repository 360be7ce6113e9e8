//! The recorder as a service: what it tells the service manager, and what it reads again when it is asked to.
#![allow(clippy::unwrap_used)]

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use krx_tests::{RecorderConfig, Simulator};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(20);

/// What comes on `$NOTIFY_SOCKET`, line by line.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self {
            socket,
            heard: Vec::new(),
        }
    }

    /// Waits for a line that is not heard yet, and forgets those before it.
    fn wait_for(&mut self, what: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some(index) = self.heard.iter().position(|line| line.starts_with(what)) {
                return self.heard.drain(..=index).next_back().unwrap();
            }
            assert!(begun.elapsed() < LIMIT, "{what} is not heard");
            let mut buffer = [0; 4096];
            let length = self.socket.recv(&mut buffer).unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            self.heard.extend(text.lines().map(str::to_owned));
        }
    }
}

#[test]
fn the_service_manager_hears_of_start_life_reload_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(folder.path(), &["--rate", "2000"]).unwrap();
    let socket = folder.path().join("notify");
    let mut manager = Manager::listen(&socket);
    let config = RecorderConfig {
        variables: vec![("NOTIFY_SOCKET".to_owned(), socket)],
        ..RecorderConfig::new(folder.path(), &simulator.url)
    };
    let mut recorder = config.start().unwrap();
    manager.wait_for("READY=1");
    for _ in 0..3 {
        manager.wait_for("WATCHDOG=1");
    }
    let line = loop {
        let line = manager.wait_for("STATUS=");
        if line.contains("KOSPI live") {
            break line;
        }
    };
    assert!(line.contains("messages/s") && line.contains("GB free"), "{line}");
    recorder.process.signal(Signal::HUP).unwrap();
    manager.wait_for("RELOADING=1");
    manager.wait_for("MONOTONIC_USEC=");
    manager.wait_for("READY=1");
    recorder.process.signal(Signal::TERM).unwrap();
    manager.wait_for("STOPPING=1");
    manager.wait_for("EXTEND_TIMEOUT_USEC=");
    assert!(recorder.process.wait(LIMIT).unwrap().success());
}
