//! A server that a test scripts byte by byte: it performs the WebSocket handshake by hand, or wrongly, and sends
//! anything.
//!
//! ```text
//!   connection 0: something hostile  ──▶ krx-recorder ──▶ trades/, quarantine/, the gap on record
//!   connection 1: a good server      ──▶
//! ```

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use krx_harness::process::{Finished, Program};

/// No test leaves a server waiting longer than this for a byte, or for room to send one.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// First bytes of frames: FIN and the opcode.
pub const TEXT: u8 = 0x81;
/// A binary message in one frame.
pub const BINARY: u8 = 0x82;
/// The first fragment of a text.
pub const TEXT_BEGINS: u8 = 0x01;
/// A fragment that is not the last.
pub const CONTINUES: u8 = 0x00;
/// The last fragment.
pub const ENDS: u8 = 0x80;
/// A close frame.
pub const CLOSE: u8 = 0x88;
/// A ping.
pub const PING: u8 = 0x89;
/// A pong.
pub const PONG: u8 = 0x8a;

/// A listener whose connections are each served by a thread.
#[derive(Debug)]
pub struct HostileServer {
    /// Where it listens, on loopback.
    pub port: u16,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    /// When each was accepted, and its socket while it is being served.
    accepted: Mutex<Vec<(Instant, Option<TcpStream>)>>,
}

impl HostileServer {
    /// Listens, and passes each connection with its number, from 0, to `serve`.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start(serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listening")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared::default());
        let (ours, serve) = (Arc::clone(&shared), Arc::new(serve));
        let listening = thread::spawn(move || {
            let mut threads = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                if ours.stopped.load(SeqCst) {
                    break;
                }
                let Ok(clone) = stream.try_clone() else { break };
                let index = {
                    let mut accepted = ours.accepted.lock().unwrap_or_else(PoisonError::into_inner);
                    accepted.push((Instant::now(), Some(clone)));
                    accepted.len() - 1
                };
                let (ours, serve) = (Arc::clone(&ours), Arc::clone(&serve));
                threads.push(thread::spawn(move || {
                    serve(index, stream);
                    // Only now, with no handle left, does the client see the end.
                    ours.accepted.lock().unwrap_or_else(PoisonError::into_inner)[index].1 = None;
                }));
            }
            for thread in threads {
                let _ = thread.join();
            }
        });
        Ok(Self {
            port,
            shared,
            listening: Some(listening),
        })
    }

    /// When each connection was accepted.
    #[must_use]
    pub fn accepted(&self) -> Vec<Instant> {
        let accepted = self
            .shared
            .accepted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        accepted.iter().map(|(at, _)| *at).collect()
    }
}

impl Drop for HostileServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, SeqCst);
        // Wakes the listener, which then sees that it should stop, and every thread that waits for a byte or for room.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let accepted = self
            .shared
            .accepted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for stream in accepted.iter().filter_map(|(_, stream)| stream.as_ref()) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(accepted);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// The server's end of a connection.
pub struct Peer {
    stream: Box<dyn Stream>,
    tcp: TcpStream,
}

impl Peer {
    /// Over TCP.
    ///
    /// # Errors
    /// When the socket fails, as for everything below.
    pub fn plain(tcp: TcpStream) -> io::Result<Self> {
        tcp.set_read_timeout(Some(WAIT_MAX))?;
        tcp.set_write_timeout(Some(WAIT_MAX))?;
        tcp.set_nodelay(true)?;
        Ok(Self {
            stream: Box::new(tcp.try_clone()?),
            tcp,
        })
    }

    /// Over TLS.
    ///
    /// # Errors
    /// When the configuration is invalid.
    pub fn tls(tcp: TcpStream, config: &Arc<ServerConfig>) -> io::Result<Self> {
        let peer = Self::plain(tcp)?;
        let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        Ok(Self {
            stream: Box::new(StreamOwned::new(session, peer.tcp.try_clone()?)),
            ..peer
        })
    }

    /// Reads the request's head: the path, and the value that `Sec-WebSocket-Accept` must have.
    ///
    /// # Errors
    /// When it does not come.
    pub fn request(&mut self) -> io::Result<(String, String)> {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let key = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key")
                .then(|| value.trim().to_owned())
        });
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        Ok((path, derive_accept_key(key.unwrap_or_default().as_bytes())))
    }

    /// Answers the handshake with these additional header lines.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn upgrade(&mut self, accept: &str, more: &str) -> io::Result<()> {
        self.send(
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
            )
            .as_bytes(),
        )
    }

    /// A good handshake, and the text of the `init` that follows it.
    ///
    /// # Errors
    /// When they do not come.
    pub fn begin(&mut self) -> io::Result<Vec<u8>> {
        let (_, accept) = self.request()?;
        self.upgrade(&accept, "")?;
        Ok(self.frame()?.1)
    }

    /// The same, for a server of several feeds: the path that was asked for.
    ///
    /// # Errors
    /// When they do not come.
    pub fn begin_at(&mut self) -> io::Result<String> {
        let (path, accept) = self.request()?;
        self.upgrade(&accept, "")?;
        self.frame()?;
        Ok(path)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When they cannot be sent.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Reads one frame of the client: its first byte and its payload.
    ///
    /// # Errors
    /// When none comes.
    pub fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        let mut len = u64::from(head[1] & 0x7f);
        if len == 126 {
            let mut long = [0; 2];
            self.stream.read_exact(&mut long)?;
            len = u16::from_be_bytes(long).into();
        }
        let mut mask = [0; 4];
        self.stream.read_exact(&mut mask)?;
        let mut payload = vec![0; usize::try_from(len).unwrap_or(0)];
        self.stream.read_exact(&mut payload)?;
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        Ok((head[0], payload))
    }

    /// Waits until everything sent has been read, which the client's pong proves; its own pings are answered.
    ///
    /// # Errors
    /// When the pong does not come.
    pub fn delivered(&mut self) -> io::Result<()> {
        const PAYLOAD: &[u8] = b"all of it?";
        self.send(&frame(PING, PAYLOAD))?;
        loop {
            match self.frame()? {
                (PONG, payload) if payload == PAYLOAD => return Ok(()),
                (PING, payload) => self.send(&frame(PONG, &payload))?,
                _ => {}
            }
        }
    }

    /// Answers pings, as a live server does, until the client leaves.
    ///
    /// # Errors
    /// When it has left.
    pub fn live(&mut self) -> io::Result<()> {
        loop {
            if let (PING, payload) = self.frame()? {
                self.send(&frame(PONG, &payload))?;
            }
        }
    }

    /// Reads whatever comes and says nothing, until the client leaves.
    ///
    /// # Errors
    /// When it leaves other than cleanly.
    pub fn be_silent(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        while self.stream.read(&mut bytes)? > 0 {}
        Ok(())
    }

    /// Sends the same bytes again and again, with pauses, until the client leaves.
    ///
    /// # Errors
    /// When it has left.
    pub fn flood(&mut self, bytes: &[u8], pause: Duration) -> io::Result<()> {
        loop {
            self.send(bytes)?;
            thread::sleep(pause);
        }
    }

    /// Lets the connection end with a reset instead of a FIN.
    ///
    /// # Errors
    /// When the socket refuses.
    pub fn reset(&mut self) -> io::Result<()> {
        socket2::SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO))
    }
}

/// A frame as a server sends it: unmasked, with the shortest length.
#[must_use]
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ 0..126), _) => bytes.push(len),
        (_, Ok(len)) => {
            bytes.push(126);
            bytes.extend(len.to_be_bytes());
        }
        _ => {
            bytes.push(127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

/// A close frame's bytes.
#[must_use]
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: it is for `localhost`, and from the authority.
    None,
    /// It was valid until 2020.
    Expired,
    /// It is for another host.
    OtherHost,
    /// Only the certificate itself vouches for it.
    SelfSigned,
}

/// An authority that recorders may be told to trust.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When it cannot be made, as for everything below.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of the tests");
        Ok(Self {
            issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)?,
        })
    }

    /// Its certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server's configuration with a certificate that has this flaw.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn server(&self, flaw: Flaw) -> Result<Arc<ServerConfig>> {
        let host = if flaw == Flaw::OtherHost {
            "gateway.example"
        } else {
            "localhost"
        };
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        if flaw == Flaw::Expired {
            (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
        }
        let key = KeyPair::generate()?;
        let certificate = match flaw {
            Flaw::SelfSigned => params.self_signed(&key)?,
            _ => params.signed_by(&key, &self.issuer)?,
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(certificate)], key)?;
        Ok(Arc::new(config))
    }
}

/// A stretch without a session, as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The reason in the ledger.
    pub reason: String,
    /// The detail.
    pub detail: String,
}

/// The gaps that a recorder has recorded, in order, as `krx-recorder coverage` reports them: how a session ended, and
/// the last of the failed attempts before the next one.
///
/// # Errors
/// When they cannot be read.
pub fn gaps(data_dir: &Path) -> Result<Vec<Gap>> {
    let folder = data_dir.parent().context("a data directory in a folder")?;
    let mut command = Program::Recorder.command()?;
    command.args(["coverage", "--json", "--data-dir"]).arg(data_dir);
    let told = Finished::run("krx-recorder-coverage", &mut command, folder, COVERAGE_MAX)?;
    ensure!(told.code == Some(0), "coverage: {}", told.stderr);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&told.stdout)?;
    let mut gaps = Vec::new();
    for row in rows.iter().filter(|row| row["state"] == "gap") {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let (reason, detail) = (text("reason"), text("detail"));
        let attempt = detail
            .split_once("the last: ")
            .and_then(|(_, last)| last.split_once(": "));
        let attempt = attempt.map(|(reason, detail)| Gap {
            reason: reason.to_owned(),
            detail: detail.to_owned(),
        });
        // A refusal begins a row of its own, so its first attempt is the only one.
        let told_by_attempt = attempt.as_ref().is_some_and(|attempt| attempt.reason == reason);
        if reason != "start" && reason != "shutdown" && !told_by_attempt {
            gaps.push(Gap { reason, detail });
        }
        gaps.extend(attempt);
    }
    Ok(gaps)
}

/// Reading a small ledger takes a moment.
const COVERAGE_MAX: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_shortest_length() {
        for (len, head) in [
            (0, vec![TEXT, 0]),
            (125, vec![TEXT, 125]),
            (126, vec![TEXT, 126, 0, 126]),
            (65_535, vec![TEXT, 126, 255, 255]),
            (65_536, vec![TEXT, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let bytes = frame(TEXT, &vec![7; len]);
            assert_eq!((&bytes[..head.len()], bytes.len()), (&head[..], head.len() + len));
        }
    }
}
