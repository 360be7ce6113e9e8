//! Logs to the systemd journal: each event has its level, and its fields appear both in the message, for people, and as
//! journal fields, for searching (`journalctl KRX_FEED=KOSPI`). Lines that it does not accept at once are counted;
//! logging never waits.
//!
//! ```text
//!   a datagram an event, to /run/systemd/journal/socket (systemd.io/JOURNAL_NATIVE_PROTOCOL):
//!   PRIORITY=4\nSYSLOG_IDENTIFIER=krx-recorder\nMESSAGE=not connected feed=KOSPI …\nKRX_FEED=KOSPI\n…
//!   a value with a line break in it: NAME\n<length, 8 bytes, little-endian><value>\n
//! ```

use std::fmt::{self, Write as _};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

const SOCKET: &str = "/run/systemd/journal/socket";

/// A log that goes to the journal.
#[derive(Debug)]
pub(super) struct Journald {
    socket: UnixDatagram,
    /// Lines that the journal did not accept.
    lost: AtomicU64,
}

impl Journald {
    /// Finds the journal.
    ///
    /// # Errors
    /// [`io::Error`], if there is none.
    pub(super) fn connect() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(SOCKET)?;
        Self::on(socket)
    }

    /// Non-blocking: a journal that hangs, as it does when its disk hangs, must not stop a recording.
    fn on(socket: UnixDatagram) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            lost: AtomicU64::new(0),
        })
    }

    /// Reports how many lines were lost, as soon as the journal accepts one again.
    fn tell_of_lost(&self) {
        let lost = self.lost.swap(0, Relaxed);
        if lost > 0 {
            let entry = Entry {
                message: "the systemd journal did not accept all lines".to_owned(),
                fields: vec![("lost", lost.to_string())],
            };
            if self.socket.send(&entry.datagram(Level::WARN)).is_err() {
                self.lost.fetch_add(lost, Relaxed);
            }
        }
    }
}

impl<S: Subscriber> Layer<S> for Journald {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut entry = Entry::default();
        event.record(&mut entry);
        let datagram = entry.datagram(*event.metadata().level());
        match self.socket.send(&datagram) {
            Ok(_) => self.tell_of_lost(),
            // The journal is full or restarting. Standard error leads there too, and would block.
            Err(_) => drop(self.lost.fetch_add(1, Relaxed)),
        }
    }
}

#[derive(Debug, Default)]
struct Entry {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.fields.push((name, value.to_owned())),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl Entry {
    fn fields_as_text(&self) -> String {
        self.fields.iter().fold(String::new(), |mut text, (name, value)| {
            let quoted = value.is_empty() || value.contains(char::is_whitespace);
            let _ = match quoted {
                true => write!(text, " {name}={value:?}"),
                false => write!(text, " {name}={value}"),
            };
            text
        })
    }

    fn datagram(&self, level: Level) -> Vec<u8> {
        let mut datagram = Vec::new();
        put(&mut datagram, "PRIORITY", priority(level));
        put(&mut datagram, "SYSLOG_IDENTIFIER", "krx-recorder");
        let message = format!("{}{}", self.message, self.fields_as_text());
        put(&mut datagram, "MESSAGE", &message);
        for (name, value) in &self.fields {
            put(&mut datagram, &field_name(name), value);
        }
        datagram
    }
}

/// The levels of syslog(3). An error needs a person; a warning is about something that has passed or will pass.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

/// The journal accepts capital letters, digits and underscores, and at most 64 of them.
fn field_name(name: &str) -> String {
    let plain = |byte: u8| match byte.to_ascii_uppercase() {
        letter @ (b'A'..=b'Z' | b'0'..=b'9') => char::from(letter),
        _ => '_',
    };
    let name: String = name.bytes().take(60).map(plain).collect();
    format!("KRX_{name}")
}

fn put(datagram: &mut Vec<u8>, name: &str, value: &str) {
    datagram.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        datagram.push(b'\n');
        datagram.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        datagram.push(b'=');
    }
    datagram.extend_from_slice(value.as_bytes());
    datagram.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::prelude::*;

    #[test]
    fn an_event_is_a_datagram_with_its_fields() {
        let (ours, journal) = UnixDatagram::pair().unwrap();
        let subscriber = tracing_subscriber::registry().with(Journald::on(ours).unwrap());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(
                feed = "KOSPI",
                frames = 7,
                detail = "two\nlines, 두 줄",
                "not connected"
            );
        });
        let mut buffer = [0; 4096];
        let length = journal.recv(&mut buffer).unwrap();
        let detail = "two\nlines, 두 줄";
        let mut expected = b"PRIORITY=4\nSYSLOG_IDENTIFIER=krx-recorder\n".to_vec();
        expected.extend_from_slice(
            "MESSAGE=not connected feed=KOSPI frames=7 detail=\"two\\nlines, 두 줄\"\n".as_bytes(),
        );
        expected.extend_from_slice(b"KRX_FEED=KOSPI\nKRX_FRAMES=7\nKRX_DETAIL\n");
        expected.extend_from_slice(&(detail.len() as u64).to_le_bytes());
        expected.extend_from_slice(format!("{detail}\n").as_bytes());
        assert_eq!(
            String::from_utf8_lossy(&buffer[..length]),
            String::from_utf8_lossy(&expected)
        );
    }

    #[test]
    fn logging_never_waits_for_a_hung_journal_and_reports_the_lost_lines_later() {
        let (ours, journal) = UnixDatagram::pair().unwrap();
        let subscriber = tracing_subscriber::registry().with(Journald::on(ours).unwrap());
        journal.set_nonblocking(true).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..10_000 {
                tracing::info!("a line");
            }
            let mut buffer = [0; 4096];
            let taken = std::iter::from_fn(|| journal.recv(&mut buffer).ok()).count();
            assert!(taken < 10_000, "{taken} were taken");
            tracing::info!("another line");
            journal.recv(&mut buffer).unwrap();
            let length = journal.recv(&mut buffer).unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            assert!(text.contains(&format!("KRX_LOST={}\n", 10_000 - taken)), "{text}");
        });
    }

    #[test]
    fn field_names_are_valid_for_the_journal() {
        assert_eq!(field_name("frames_per_s"), "KRX_FRAMES_PER_S");
        assert_eq!(field_name("a.b"), "KRX_A_B");
        assert_eq!(field_name(&"x".repeat(99)).len(), 64);
    }
}
