//! A server that does everything wrong, and what the recorder makes of it (docs/hostile-server.md).
//!
//! Each case has its own recorder and server, and all cases of a test run at the same time. The server is hostile on
//! the first connection and good on the second.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use krx_harness::RecorderConfig;
use krx_harness::process::{free_port, wait_until};
use krx_harness::recorded::{Frame, Frames};
use krx_harness::recorder::{KEY, status};
use krx_harness::tree::files_under;
use krx_store::DataDir;
use krx_store::journal::{Followed, Follower, RecordKind};
use krx_tests::hostile::{
    Authority, BINARY, CONTINUES, ENDS, Flaw, HostileServer, PING, PONG, Peer, TEXT, TEXT_BEGINS, close,
    frame, gaps,
};

const MARKET: &str = "KOSPI";

/// The most memory that a recorder of one market may ever use, whatever it is sent.
const PEAK_BYTES_MAX: u64 = 60_000_000;

/// The recorder's limits in these tests.
const STALL: Duration = Duration::from_secs(1);
const CONNECTION: &str = "[connection]\nconnect_timeout = \"1s\"\nheartbeat_interval = \"300ms\"\n\
    stall_timeout = \"1s\"\nbackoff_initial = \"50ms\"\nbackoff_max = \"200ms\"\nmessage_bytes_max = 1048576\n\n\
    [[feed]]\nmarket = \"KOSPI\"\npath = \"/ws_ksp\"\n";

/// How long a machine under load may take over something that takes no time.
const SLACK: Duration = Duration::from_secs(4);

/// Everything, including the slowest wait, is over long before this.
const LIMIT: Duration = Duration::from_secs(40);

type Deed = fn(&mut Peer) -> io::Result<()>;

/// The behaviour on the first connection.
#[derive(Clone, Copy)]
enum Hostility {
    /// A session with a record, and then this.
    Session(Deed),
    /// This instead of the answer to the request, which has been read; the text is what the answer must accept.
    Answer(fn(&mut Peer, &str) -> io::Result<()>),
    /// A bad certificate.
    Certificate(Flaw),
    /// This instead of TLS.
    Hello(Deed),
}

struct Case {
    name: &'static str,
    hostility: Hostility,
    /// What must be on record.
    reason: &'static str,
    detail: &'static str,
    /// The earliest and the latest time for the next connection, counted from the first deed.
    back: (Duration, Duration),
    /// Messages of the hostile session that belong in quarantine.
    quarantined: usize,
}

const fn case(name: &'static str, hostility: Hostility, reason: &'static str, detail: &'static str) -> Case {
    Case {
        name,
        hostility,
        reason,
        detail,
        back: (Duration::ZERO, SLACK),
        quarantined: 0,
    }
}

const fn session(name: &'static str, deed: Deed, reason: &'static str, detail: &'static str) -> Case {
    case(name, Hostility::Session(deed), reason, detail)
}

/// A session that must be detected by the clock: not before the limit, and soon after it.
const fn stalled(name: &'static str, deed: Deed, detail: &'static str) -> Case {
    Case {
        back: (STALL, Duration::from_secs(5)),
        ..session(name, deed, "stalled", detail)
    }
}

const fn answer(
    name: &'static str,
    answer: fn(&mut Peer, &str) -> io::Result<()>,
    reason: &'static str,
    detail: &'static str,
) -> Case {
    case(name, Hostility::Answer(answer), reason, detail)
}

impl Case {
    const fn back_between(self, least_ms: u64, most_ms: u64) -> Self {
        Self {
            back: (Duration::from_millis(least_ms), Duration::from_millis(most_ms)),
            ..self
        }
    }
}

fn record(code: &str) -> String {
    format!(r#"{{"isuSrtCd":"{code}","trdPrc":"81000","trdVol":"5","trdTm":"14340400"}}"#)
}

fn batch(codes: &[&str]) -> String {
    let records: Vec<_> = codes.iter().map(|code| record(code)).collect();
    format!("[{}]", records.join(","))
}

/// What the good session sends.
const GOOD: [&[&str]; 3] = [
    &["100001", "100002"],
    &["100003"],
    &["100004", "100005", "100006"],
];

/// Serves a connection; reports when the hostile deed began, and when everything good has been read.
fn serve(
    case: &Case,
    authority: Option<&Authority>,
    index: usize,
    tcp: TcpStream,
    told: &Sender<Instant>,
) -> Result<()> {
    let secure = |tcp, flaw| -> Result<Peer> {
        let config = authority.context("an authority")?.server(flaw)?;
        Ok(Peer::tls(tcp, &config)?)
    };
    if index == 0 {
        if let Hostility::Certificate(flaw) = case.hostility {
            let mut peer = secure(tcp, flaw)?;
            told.send(Instant::now())?;
            peer.request()?;
            return Ok(());
        }
        let mut peer = Peer::plain(tcp)?;
        match case.hostility {
            Hostility::Session(deed) => {
                peer.begin()?;
                // Each sign of life comes after this, however late a busy machine lets the thread continue.
                let begun = Instant::now();
                peer.send(&frame(TEXT, batch(&["000001"]).as_bytes()))?;
                peer.delivered()?;
                told.send(begun)?;
                deed(&mut peer)?;
            }
            Hostility::Answer(deed) => {
                let (_, accept) = peer.request()?;
                told.send(Instant::now())?;
                deed(&mut peer, &accept)?;
            }
            Hostility::Hello(deed) => {
                told.send(Instant::now())?;
                deed(&mut peer)?;
            }
            Hostility::Certificate(_) => {}
        }
        return Ok(());
    }
    let mut peer = match authority {
        Some(_) => secure(tcp, Flaw::None)?,
        None => Peer::plain(tcp)?,
    };
    peer.begin()?;
    for codes in GOOD {
        peer.send(&frame(TEXT, batch(codes).as_bytes()))?;
    }
    peer.delivered()?;
    told.send(Instant::now())?;
    peer.live()?;
    Ok(())
}

fn recorder_config(folder: &Path, base_url: &str) -> RecorderConfig {
    RecorderConfig {
        more: CONNECTION.to_owned(),
        segment_bytes: 4 << 20,
        ..RecorderConfig::new(folder, base_url)
    }
}

fn frames(data_dir: &Path) -> Result<Vec<Frame>> {
    let mut frames = Frames::open(data_dir, MARKET)?;
    let mut found = Vec::new();
    while let Some(frame) = frames.next()? {
        found.push(frame);
    }
    Ok(found)
}

/// Runs a case; returns how long the recorder took to be back, and its peak memory.
fn run(case: &'static Case) -> Result<(Duration, u64)> {
    let folder = tempfile::tempdir()?;
    let secure = matches!(case.hostility, Hostility::Certificate(_) | Hostility::Hello(_));
    let authority = secure.then(Authority::new).transpose()?;
    let trusted = folder.path().join("authority.pem");
    if let Some(authority) = &authority {
        std::fs::write(&trusted, authority.pem())?;
    }
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let server = HostileServer::start(move |index, tcp| {
        let tell = tell.lock().unwrap().clone();
        // These tests are about connections that break.
        let _ = serve(case, authority.as_ref(), index, tcp, &tell);
    })?;
    let mut config = if secure {
        recorder_config(folder.path(), &format!("wss://localhost:{}", server.port))
    } else {
        recorder_config(folder.path(), &format!("ws://127.0.0.1:{}", server.port))
    };
    config.variables.push(("SSL_CERT_FILE".to_owned(), trusted));
    let mut recorder = config.start()?;
    let deed = told.recv_timeout(LIMIT).with_context(|| recorder.log_end())?;
    let read = told.recv_timeout(LIMIT).with_context(|| recorder.log_end())?;
    let peak = recorder.process.memory_peak_bytes()?;
    recorder.stop()?;
    let log = recorder.log()?;
    let accepted = server.accepted();
    drop(server);

    ensure!(!log.contains("panicked"), "{log}");
    ensure!(peak < PEAK_BYTES_MAX, "{peak} bytes of memory");
    ensure!(accepted.len() == 2, "{} connections:\n{log}", accepted.len());
    let back = accepted[1].saturating_duration_since(deed);
    ensure!(
        (case.back.0..=case.back.1).contains(&back),
        "back after {back:?}:\n{log}"
    );
    ensure!(read >= accepted[1]);
    let gap = gaps(&config.data_dir)?;
    let found = gap
        .iter()
        .any(|gap| gap.reason == case.reason && gap.detail.contains(case.detail));
    ensure!(found, "no gap {:?} {:?} in {gap:?}", case.reason, case.detail);
    ensure!(gap.iter().all(|gap| gap.detail.chars().count() <= 400), "{gap:?}");
    expect_good_records(case, &frames(&config.data_dir)?)?;
    Ok((back, peak))
}

fn expect_good_records(case: &Case, frames: &[Frame]) -> Result<()> {
    let hostile_session = matches!(case.hostility, Hostility::Session(_));
    let mut expected = Vec::new();
    if hostile_session {
        expected.push(vec!["000001"]);
    }
    expected.extend(GOOD.map(<[_]>::to_vec));
    let codes: Vec<Vec<_>> = frames
        .iter()
        .map(|frame| frame.trades.iter().map(|row| row.code.as_str()).collect())
        .filter(|codes: &Vec<_>| !codes.is_empty())
        .collect();
    ensure!(codes == expected, "{codes:?}");
    let quarantined: usize = frames.iter().map(|frame| frame.quarantine.len()).sum();
    ensure!(
        quarantined == case.quarantined,
        "{quarantined} rows in quarantine"
    );
    Ok(())
}

/// Runs all cases at the same time.
fn run_all(cases: &'static [Case]) {
    let started = Instant::now();
    let results: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = cases.iter().map(|case| scope.spawn(|| run(case))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut failures = String::new();
    for (case, result) in cases.iter().zip(results) {
        match result {
            Ok((back, peak)) => println!(
                "{:<40} {:<13} back after {:>5} ms, peak {:>5.1} MB",
                case.name,
                case.reason,
                back.as_millis(),
                peak as f64 / 1e6
            ),
            Err(error) => {
                let _ = writeln!(failures, "{}: {error:#}\n", case.name);
            }
        }
    }
    println!("{} cases in {:.1?}", cases.len(), started.elapsed());
    assert!(failures.is_empty(), "{failures}");
}

fn and_listen(peer: &mut Peer, bytes: &[u8]) -> io::Result<()> {
    peer.send(bytes)?;
    peer.be_silent()
}

#[test]
fn i5_frames_that_break_the_protocol() {
    static CASES: [Case; 14] = [
        session(
            "a frame of 2^62 bytes",
            |peer| and_listen(peer, &[TEXT, 127, 0x40, 0, 0, 0, 0, 0, 0, 0]),
            "protocol",
            "Message too long: 4611686018427387904 > 1048576",
        ),
        session(
            "a message of 2 MiB",
            |peer| and_listen(peer, &frame(TEXT, &vec![b' '; 2 << 20])),
            "protocol",
            "Message too long: 2097152 > 1048576",
        ),
        session(
            "fragments of more than 1 MiB together",
            |peer| {
                peer.send(&frame(TEXT_BEGINS, b"["))?;
                for _ in 0..17 {
                    peer.send(&frame(CONTINUES, &vec![b' '; 1 << 16]))?;
                }
                peer.be_silent()
            },
            "protocol",
            "Message too long",
        ),
        session(
            "a masked frame",
            |peer| and_listen(peer, &[TEXT, 0x82, 1, 2, 3, 4, b'[' ^ 1, b']' ^ 2]),
            "protocol",
            "masked frame",
        ),
        session(
            "reserved bits",
            |peer| and_listen(peer, &frame(TEXT | 0x40, b"[]")),
            "protocol",
            "Reserved bits",
        ),
        session(
            "a reserved data opcode",
            |peer| and_listen(peer, &frame(0x83, b"[]")),
            "protocol",
            "",
        ),
        session(
            "a reserved control opcode",
            |peer| and_listen(peer, &frame(0x8b, b"")),
            "protocol",
            "",
        ),
        session(
            "text that is not UTF-8",
            |peer| and_listen(peer, &frame(TEXT, b"[\"\xb0\xed\xb0\xb4\"]")),
            "protocol",
            "UTF-8",
        ),
        session(
            "a ping of 126 bytes",
            |peer| and_listen(peer, &frame(PING, &[0; 126])),
            "protocol",
            "Control frame too big",
        ),
        session(
            "a ping in fragments",
            |peer| and_listen(peer, &frame(PING & 0x7f, b"")),
            "protocol",
            "Fragmented control frame",
        ),
        session(
            "a fragment of nothing",
            |peer| and_listen(peer, &frame(ENDS, b"]")),
            "protocol",
            "nothing to continue",
        ),
        session(
            "a message within a message",
            |peer| and_listen(peer, &[frame(TEXT_BEGINS, b"["), frame(TEXT, b"[]")].concat()),
            "protocol",
            "waiting for more fragments",
        ),
        session(
            "a close frame of one byte",
            |peer| and_listen(peer, &frame(0x88, b"\x03")),
            "protocol",
            "Invalid close sequence",
        ),
        session(
            "a close code that must not be sent",
            |peer| and_listen(peer, &close(1005, "")),
            "server_closed",
            "close code 1002",
        ),
    ];
    run_all(&CASES);
}

#[test]
fn i5_messages_without_end_and_floods() {
    static CASES: [Case; 9] = [
        stalled(
            "a million fragments of one byte",
            |peer| {
                peer.send(&frame(TEXT_BEGINS, b"["))?;
                and_listen(peer, &frame(CONTINUES, b" ").repeat(1_000_000))
            },
            "a message began and did not end within 1s",
        ),
        stalled(
            "empty fragments without end",
            |peer| {
                peer.send(&frame(TEXT_BEGINS, b"["))?;
                peer.flood(&frame(CONTINUES, b"").repeat(10_000), Duration::from_millis(5))
            },
            "did not end within 1s",
        ),
        stalled(
            "a message without end, and good pongs",
            |peer| {
                peer.send(&frame(TEXT_BEGINS, b"["))?;
                loop {
                    if let (PING, payload) = peer.frame()? {
                        peer.send(&[frame(CONTINUES, b" "), frame(PONG, &payload)].concat())?;
                    }
                }
            },
            "did not end within 1s",
        ),
        stalled(
            "a byte at a time",
            |peer| {
                peer.send(&[TEXT, 126, 16, 0, b'['])?;
                peer.flood(b" ", Duration::from_millis(200))
            },
            "nothing came for 1s",
        ),
        stalled("silence", Peer::be_silent, "nothing came for 1s"),
        stalled(
            "a server that does not even read",
            |_| {
                thread::sleep(STALL * 3);
                Ok(())
            },
            "nothing came for 1s",
        ),
        stalled(
            "pongs and nothing else",
            |peer| peer.flood(&frame(PONG, b""), Duration::from_millis(50)),
            "nothing came for 1s",
        ),
        stalled(
            "pings and nothing else",
            |peer| peer.flood(&frame(PING, b""), Duration::from_millis(50)),
            "nothing came for 1s",
        ),
        stalled(
            "a flood of pings",
            |peer| peer.flood(&frame(PING, &[b'x'; 125]).repeat(1000), Duration::ZERO),
            "nothing came for 1s",
        ),
    ];
    run_all(&CASES);
}

#[test]
fn i4_endings_of_every_kind() {
    static CASES: [Case; 7] = [
        session(
            "close in mid-message",
            |peer| {
                and_listen(
                    peer,
                    &[frame(TEXT_BEGINS, b"["), close(1001, "going away")].concat(),
                )
            },
            "server_closed",
            "close code 1001: going away",
        ),
        session(
            "FIN in mid-frame",
            |peer| peer.send(&[TEXT, 100, b'[']),
            "reset",
            "without closing handshake",
        ),
        session("FIN", |_| Ok(()), "reset", "without closing handshake"),
        session("a reset", Peer::reset, "reset", "reset by peer"),
        session(
            "a second session displaces ours",
            |peer| and_listen(peer, &close(4001, "another session with this key")),
            "server_closed",
            "close code 4001: another session with this key",
        ),
        session(
            "a close reason that forges a log line",
            |peer| and_listen(peer, &close(4002, "bye\r\nERROR all is lost \u{1b}[31m")),
            "server_closed",
            "close code 4002: byeERROR all is lost [31m",
        ),
        Case {
            quarantined: 1,
            ..session(
                "error 13004, reconnect shortly",
                |peer| {
                    and_listen(
                        peer,
                        &frame(
                            TEXT,
                            br#"{"jsonrpc":"2.0","error":{"code":13004,"message":"reconnect"}}"#,
                        ),
                    )
                },
                "reconnect",
                "error 13004: reconnect",
            )
            .back_between(1000, 6000)
        },
    ];
    run_all(&CASES);
}

fn http(peer: &mut Peer, head: &str, body: &str) -> io::Result<()> {
    let len = body.len();
    peer.send(format!("HTTP/1.1 {head}\r\nContent-Length: {len}\r\n\r\n{body}").as_bytes())
}

#[test]
fn i4_answers_that_open_no_session() {
    static CASES: [Case; 18] = [
        answer(
            "a wrong Sec-WebSocket-Accept",
            |peer, _| peer.upgrade("AAAAAAAAAAAAAAAAAAAAAAAAAAA=", ""),
            "protocol",
            "Sec-WebSocket-Accept",
        ),
        answer(
            "an extension that nobody asked for",
            |peer, accept| {
                peer.upgrade(accept, "Sec-WebSocket-Extensions: permessage-deflate\r\n")?;
                peer.be_silent()
            },
            "protocol",
            "permessage-deflate",
        ),
        answer(
            "a redirection",
            |peer, _| http(peer, "301 Moved Permanently\r\nLocation: ws://127.0.0.1:9/", ""),
            "protocol",
            "HTTP 301 Moved Permanently, location: ws://127.0.0.1:9/",
        ),
        answer(
            "a page",
            |peer, _| http(peer, "200 OK", "<html>\n<h1>Welcome</h1>"),
            "protocol",
            "HTTP 200 OK: <html>",
        ),
        answer(
            "401, with the key in its words",
            |peer, _| http(peer, "401 Unauthorized", &format!("bad key {KEY}")),
            "refused",
            "HTTP 401 Unauthorized: bad key (the key)",
        )
        .back_between(2000, 6000),
        answer(
            "404",
            |peer, _| http(peer, "404 Not Found", "no Route matched with those values"),
            "unreachable",
            "HTTP 404 Not Found: no Route",
        ),
        answer(
            "429, with Retry-After: 1",
            |peer, _| {
                http(
                    peer,
                    "429 Too Many Requests\r\nRetry-After: 1",
                    "API rate limit exceeded",
                )
            },
            "throttled",
            "retry-after: 1: API rate limit exceeded",
        )
        .back_between(1000, 5000),
        answer(
            "503, without Retry-After",
            |peer, _| http(peer, "503 Service Unavailable", "maintenance"),
            "unavailable",
            "HTTP 503 Service Unavailable: maintenance",
        )
        .back_between(5000, 9000),
        answer(
            "503, with a date",
            |peer, _| {
                let soon = chrono::DateTime::<chrono::Utc>::from(SystemTime::now() + Duration::from_secs(3));
                let date = soon.format("%a, %d %b %Y %H:%M:%S GMT");
                http(
                    peer,
                    &format!("503 Service Unavailable\r\nRetry-After: {date}"),
                    "",
                )
            },
            "unavailable",
            "GMT",
        )
        .back_between(1900, 7000),
        answer(
            "500",
            |peer, _| http(peer, "500 Internal Server Error", ""),
            "unreachable",
            "HTTP 500",
        ),
        answer(
            "a page of a megabyte on one line",
            |peer, _| http(peer, "502 Bad Gateway", &"x".repeat(1 << 20)),
            "unreachable",
            "HTTP 502 Bad Gateway: xxx",
        ),
        answer(
            "headers without end",
            |peer, _| {
                peer.send(b"HTTP/1.1 101 Switching Protocols\r\n")?;
                peer.flood(
                    &b"X-Header: and another one\r\n".repeat(100),
                    Duration::from_millis(1),
                )
            },
            "protocol",
            "",
        ),
        answer(
            "headers a byte at a time",
            |peer, _| {
                peer.send(b"HTTP/1.1 101 Switching Protocols\r\nX-Long: ")?;
                peer.flood(b"x", Duration::from_millis(50))
            },
            "unreachable",
            "no session within 1s",
        )
        .back_between(0, 5000),
        answer(
            "no answer",
            |peer, _| peer.be_silent(),
            "unreachable",
            "no session within 1s: still waiting for the answer from 127.0.0.1 (",
        )
        .back_between(0, 5000),
        answer(
            "no HTTP",
            |peer, _| peer.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
            "protocol",
            "the answer is not HTTP",
        ),
        answer(
            "a TLS port",
            |peer, _| peer.send(&[21, 3, 1, 0, 2, 2, 70]),
            "protocol",
            "for a TLS port, write wss:// instead of ws://",
        ),
        answer(
            "a 101 for something else",
            |peer, accept| {
                let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n";
                peer.send(format!("{head}Sec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes())
            },
            "protocol",
            "no \"Upgrade: websocket\"",
        ),
        answer(
            "FIN instead of an answer",
            |_, _| Ok(()),
            "unreachable",
            "the connection ended before an answer came",
        ),
    ];
    run_all(&CASES);
}

/// A server of 1999: a ServerHello of TLS 1.0.
fn hello_of_tls_1_0(peer: &mut Peer) -> io::Result<()> {
    let hello = [&[2, 0, 0, 38, 3, 1][..], &[7; 32], &[0, 0x00, 0x2f, 0]].concat();
    let record = [&[22, 3, 1, 0, u8::try_from(hello.len()).unwrap()][..], &hello].concat();
    and_listen(peer, &record)
}

#[test]
fn i7_servers_that_cannot_be_trusted() {
    static CASES: [Case; 6] = [
        case(
            "an expired certificate",
            Hostility::Certificate(Flaw::Expired),
            "tls",
            "certificate expired",
        ),
        case(
            "a certificate of another host",
            Hostility::Certificate(Flaw::OtherHost),
            "tls",
            "is for gateway.example, and not for localhost",
        ),
        case(
            "a self-signed certificate",
            Hostility::Certificate(Flaw::SelfSigned),
            "tls",
            "the server's certificate is self-signed, or from an authority that this machine does not trust",
        ),
        case(
            "TLS 1.0 and nothing newer",
            Hostility::Hello(hello_of_tls_1_0),
            "tls",
            "it must support TLS 1.3, or TLS 1.2 with ECDHE",
        ),
        case(
            "an alert: the version is not spoken",
            Hostility::Hello(|peer| and_listen(peer, &[21, 3, 1, 0, 2, 2, 70])),
            "tls",
            "ProtocolVersion; the server offers no secure protocol version and cipher",
        ),
        case(
            "no TLS at all",
            Hostility::Hello(|peer| and_listen(peer, b"HTTP/1.1 400 Bad Request\r\n\r\n")),
            "tls",
            "the server does not speak TLS on this port",
        ),
    ];
    run_all(&CASES);
}

/// A session that was accepted, then one that is refused: the recorder continues, says so, and never repeats the key.
#[test]
fn i7_a_refused_key_and_the_last_problem_are_in_the_status() {
    let folder = tempfile::tempdir().unwrap();
    let server = HostileServer::start(|index, tcp| {
        let serve = || -> io::Result<()> {
            let mut peer = Peer::plain(tcp)?;
            if index > 0 {
                peer.request()?;
                return http(
                    &mut peer,
                    "401 Unauthorized",
                    &format!("{KEY}{}", "x".repeat(1000)),
                );
            }
            peer.begin()?;
            peer.send(&frame(TEXT, batch(&["000001"]).as_bytes()))?;
            peer.delivered()?;
            and_listen(&mut peer, &close(4001, "another session"))
        };
        let _ = serve();
    })
    .unwrap();
    let port = free_port().unwrap();
    let config = RecorderConfig {
        status_port: Some(port),
        ..recorder_config(folder.path(), &format!("ws://127.0.0.1:{}", server.port))
    };
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log("not connected", 1, LIMIT).unwrap();
    let mut market = serde_json::Value::Null;
    wait_until(LIMIT, "the status tells of the refusal", || {
        market = status(port)?["feeds"][0].clone();
        Ok(market["state"] == "refused")
    })
    .unwrap();
    let problem = &market["last_problem"];
    assert_eq!(problem["reason"], "refused", "{market}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("HTTP 401 Unauthorized: (the key)xxx") && detail.chars().count() == 300,
        "{detail}"
    );
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros();
    let at = u128::from(problem["at_us"].as_u64().unwrap());
    assert!((now - 60_000_000..=now).contains(&at), "{at}");
    // It is not retried soon.
    thread::sleep(Duration::from_secs(3));
    assert_eq!(server.accepted().len(), 2);
    recorder.stop().unwrap();
    let reasons: Vec<_> = gaps(&config.data_dir)
        .unwrap()
        .into_iter()
        .map(|gap| gap.reason)
        .collect();
    assert_eq!(reasons, ["server_closed", "refused"]);
    for path in files_under(folder.path()).unwrap() {
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes());
        assert!(!found, "the key is in {}", path.display());
    }
}

/// A server that displaces every session at once is not hammered.
/// A server that repeats the key in its words, escaped as it likes: the key appears nowhere that people look. `raw` of
/// quarantine keeps what was received.
#[test]
fn i7_a_key_that_a_server_repeats_in_any_spelling_is_in_raw_alone() {
    let escaped: String = KEY.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let url: String = KEY.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let spellings = [KEY.to_owned(), escaped.clone(), url.clone(), KEY.to_uppercase()];
    let folder = tempfile::tempdir().unwrap();
    let server = HostileServer::start(move |index, tcp| {
        let serve = || -> io::Result<()> {
            let mut peer = Peer::plain(tcp)?;
            let Some(spelling) = spellings.get(index) else {
                return peer.begin().and_then(|_| peer.live());
            };
            peer.begin()?;
            peer.send(&frame(TEXT, batch(&["000001"]).as_bytes()))?;
            let error = format!(r#"{{"error":{{"code":10090,"message":"no data for {spelling}"}}}}"#);
            peer.send(&frame(TEXT, error.as_bytes()))?;
            peer.delivered()?;
            and_listen(
                &mut peer,
                &close(4001, &format!("bye {spelling}")[..90.min(4 + spelling.len())]),
            )
        };
        let _ = serve();
    })
    .unwrap();
    let config = recorder_config(folder.path(), &format!("ws://127.0.0.1:{}", server.port));
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log(" connected ", 5, LIMIT).unwrap();
    recorder.stop().unwrap();
    let date = krx_store::Moment::now().date().to_string();
    let page = folder.path().join("report.html");
    let mut looked = vec![("the log".to_owned(), recorder.log().unwrap())];
    let report = ["report", &date, "--data-dir", config.data_dir.to_str().unwrap()];
    for more in [vec!["--json"], vec!["--output", page.to_str().unwrap()]] {
        let done = config.run_bare(&[&report[..], &more].concat(), LIMIT).unwrap();
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        looked.push(("the report's figures".to_owned(), done.stdout));
    }
    looked.push(("the report".to_owned(), fs::read_to_string(&page).unwrap()));
    let coverage = ["coverage", &date, "--data-dir", config.data_dir.to_str().unwrap()];
    looked.push((
        "coverage".to_owned(),
        config.run_bare(&coverage, LIMIT).unwrap().stdout,
    ));
    for (what, text) in &looked {
        for spelling in [
            KEY,
            &KEY.to_uppercase(),
            &escaped,
            &escaped.replace('\\', "\\\\"),
            &url,
            &url.to_lowercase(),
        ] {
            assert!(!text.contains(spelling), "{what} has the key:\n{text}");
        }
    }
    assert!(
        looked[0].1.matches("no data for (the key)").count() >= 4,
        "{}",
        looked[0].1
    );
    assert!(looked[0].1.contains("bye (the key)"), "{}", looked[0].1);
    // The meaning of the code is given in our own words.
    assert!(
        looked[1].1.contains("10090: data under maintenance"),
        "{}",
        looked[1].1
    );
}

#[test]
fn two_recorders_with_one_key_do_not_displace_each_other_ever_faster() {
    let folder = tempfile::tempdir().unwrap();
    let server = HostileServer::start(|_, tcp| {
        let serve = || -> io::Result<()> {
            let mut peer = Peer::plain(tcp)?;
            peer.begin()?;
            peer.send(&frame(TEXT, batch(&["000001"]).as_bytes()))?;
            peer.delivered()?;
            and_listen(&mut peer, &close(4001, "another session"))
        };
        let _ = serve();
    })
    .unwrap();
    let config = RecorderConfig {
        more: CONNECTION.replace("backoff_max = \"200ms\"", "backoff_max = \"20s\""),
        ..recorder_config(folder.path(), &format!("ws://127.0.0.1:{}", server.port))
    };
    let mut recorder = config.start().unwrap();
    thread::sleep(Duration::from_secs(6));
    recorder.stop().unwrap();
    let sessions = server.accepted().len();
    // The ceilings are 50, 100, 200 … ms; resetting them at each session would allow two hundred sessions and more.
    println!("{sessions} sessions in 6 s");
    assert!((4..=25).contains(&sessions), "{sessions} sessions");
    assert_eq!(
        frames(&config.data_dir).unwrap().len(),
        sessions,
        "one record each"
    );
}

/// While one server floods, the other market's feed is served.
#[test]
fn i6_a_flood_on_one_feed_does_not_starve_the_other() {
    const MESSAGES: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let flooding = Arc::new(std::sync::Barrier::new(2));
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let server = HostileServer::start(move |index, tcp| {
        let tell = tell.lock().unwrap().clone();
        let serve = || -> io::Result<()> {
            let mut peer = Peer::plain(tcp)?;
            let path = peer.begin_at()?;
            if index > 1 {
                // The flood is over, and its feed is back.
                return peer.live();
            }
            if path == "/ws_kdq" {
                peer.send(&frame(TEXT_BEGINS, b"["))?;
                flooding.wait();
                return peer.flood(&frame(CONTINUES, b"").repeat(50_000), Duration::ZERO);
            }
            flooding.wait();
            let mut taken = Vec::new();
            for _ in 0..MESSAGES {
                let sent = Instant::now();
                peer.send(&frame(TEXT, batch(&["000001"]).as_bytes()))?;
                peer.delivered()?;
                taken.push(sent.elapsed());
                thread::sleep(Duration::from_millis(5));
            }
            let _ = tell.send(taken);
            peer.live()
        };
        let _ = serve();
    })
    .unwrap();
    let config = RecorderConfig {
        // The flood ends by the limit, so the limit is long.
        more: "[connection]\nheartbeat_interval = \"300ms\"\nstall_timeout = \"5s\"\n".to_owned(),
        ..recorder_config(folder.path(), &format!("ws://127.0.0.1:{}", server.port))
    };
    let mut recorder = config.start().unwrap();
    let mut taken = told.recv_timeout(LIMIT).unwrap();
    taken.sort_unstable();
    // Half of them, since any single one may have to wait on a machine under load.
    let (median, longest) = (taken[MESSAGES / 2], taken[MESSAGES - 1]);
    println!("beside the flood a message and its pong took {median:?}, at most {longest:?}");
    assert!(median < Duration::from_millis(100), "{median:?}");
    recorder.wait_for_log("did not end within 5s", 1, LIMIT).unwrap();
    assert!(recorder.process.memory_peak_bytes().unwrap() < PEAK_BYTES_MAX);
    recorder.stop().unwrap();
    let trades: usize = frames(&config.data_dir)
        .unwrap()
        .iter()
        .map(|frame| frame.trades.len())
        .sum();
    assert_eq!(trades, MESSAGES);
}

/// A message, and what must become of it: codes of its trades with their positions, and what is quarantined.
struct Sent {
    first: u8,
    payload: Vec<u8>,
    trades: Vec<(i16, String)>,
    quarantine: Vec<(Option<i16>, &'static str, Vec<u8>)>,
}

impl Sent {
    fn text(payload: impl Into<Vec<u8>>) -> Self {
        Self {
            first: TEXT,
            payload: payload.into(),
            trades: Vec::new(),
            quarantine: Vec::new(),
        }
    }

    fn binary(self) -> Self {
        Self {
            first: BINARY,
            ..self
        }
    }

    fn trade(mut self, item: i16, code: &str) -> Self {
        self.trades.push((item, code.to_owned()));
        self
    }

    fn reject(mut self, item: Option<i16>, reason: &'static str, raw: impl AsRef<[u8]>) -> Self {
        self.quarantine.push((item, reason, raw.as_ref().to_vec()));
        self
    }

    /// A message that goes to quarantine whole.
    fn refused(payload: impl AsRef<[u8]>, reason: &'static str) -> Self {
        Self::text(payload.as_ref()).reject(None, reason, payload)
    }

    /// A bad record between two good ones, which must be kept.
    fn between(bad: &str, reason: &'static str) -> Self {
        let (before, after) = (record("200001"), record("200002"));
        Self::text(format!("[{before},{bad},{after}]"))
            .trade(0, "200001")
            .trade(2, "200002")
            .reject(Some(1), reason, bad)
    }
}

fn fields(code: &str, price: &str, volume: &str, time: &str) -> String {
    format!(r#"{{"isuSrtCd":{code},"trdPrc":{price},"trdVol":{volume},"trdTm":{time}}}"#)
}

fn messages() -> Vec<Sent> {
    let good = record("200000");
    let price = |price: &str| fields("\"000660\"", price, "1", "0");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let many = |count: usize| {
        let records = vec![record("200003"); count].join(",");
        (0..count).fold(Sent::text(format!("[{records}]")), |sent, item| {
            sent.trade(i16::try_from(item).unwrap(), "200003")
        })
    };
    let cut = &good[..good.len() - 9];
    let mut messages = vec![
        Sent::refused("", "empty_message"),
        Sent::refused(" \r\n\t", "empty_message"),
        Sent::refused("null", "unknown_message"),
        Sent::refused("NaN", "malformed_json"),
        Sent::refused("1e400", "unknown_message"),
        Sent::refused("\0", "malformed_json"),
        Sent::refused("{", "malformed_json"),
        Sent::refused(r#"{"hello":"world"}"#, "unknown_message"),
        Sent::refused(r#"{"jsonrpc":"2.0","method":"push","params":{}}"#, "push"),
        Sent::refused(
            r#"{"error":{"code":10090,"message":"data under maintenance"}}"#,
            "server_error",
        ),
        Sent::text("[]"),
        Sent::text(r#"{"jsonrpc":"2.0","id":1,"result":{"message":"ok"}}"#),
        Sent::refused("[", "truncated"),
        Sent::text(format!("[{good},{cut}"))
            .trade(0, "200000")
            .reject(Some(1), "truncated", cut),
        Sent::text(format!("[{good}"))
            .trade(0, "200000")
            .reject(None, "truncated", ""),
        Sent::text(format!("[{good},"))
            .trade(0, "200000")
            .reject(Some(1), "truncated", ""),
        Sent::text(format!("[{}]", fields("\"200010\"", "007", "0001", "09450155"))).trade(0, "200010"),
        Sent::text(format!("[{good}] trailing"))
            .trade(0, "200000")
            .reject(None, "trailing_bytes", " trailing"),
        Sent::text(format!("\u{feff}[{good}]")).trade(0, "200000"),
        Sent::text(format!("[{good}]")).binary().trade(0, "200000"),
        Sent::refused(b"\xff\xfe\x00[", "malformed_json").binary(),
        Sent::text(deep.clone()).reject(Some(0), "malformed_json", &deep[1..deep.len() - 1]),
        Sent::between("null", "not_an_object"),
        Sent::between("[[]]", "not_an_object"),
        Sent::between(&price("NaN"), "malformed_json"),
        Sent::between(&price("1e400"), "malformed_json"),
        Sent::between(&price("1.5"), "fraction"),
        Sent::between(&price("001.5"), "fraction"),
        Sent::between(&price("-81000"), "sign"),
        Sent::between(&price("-081000"), "sign"),
        Sent::between(&price("\"-81000\""), "sign"),
        Sent::between(&price("99999999999999999999"), "overflow"),
        Sent::between(&price("\"99999999999999999999\""), "overflow"),
        Sent::between(&price("null"), "null_value"),
        Sent::between(&price("true"), "wrong_type"),
        Sent::between(&price("{}"), "wrong_type"),
        Sent::between(&price("\"\""), "not_an_integer"),
        Sent::between(&price("\"81,000\""), "not_an_integer"),
        Sent::between(&fields("5930", "1", "1", "0"), "wrong_type"),
        Sent::between(&fields("005930", "1", "1", "0"), "wrong_type"),
        Sent::between(&fields("\"../../etc/passwd\"", "1", "1", "0"), "bad_code"),
        Sent::between(
            &fields(&format!("\"{}\"", "A".repeat(10_000)), "1", "1", "0"),
            "bad_code",
        ),
        Sent::between(&fields(r#""\u0000""#, "1", "1", "0"), "bad_code"),
        Sent::between(&fields(r#""\ud800""#, "1", "1", "0"), "malformed_json"),
        Sent::between(&fields("\"00\u{0}660\"", "1", "1", "0"), "malformed_json"),
        Sent::between(&fields("\"000660\"", "1", "1", "143404000"), "bad_time"),
        Sent::between(r#"{"isuSrtCd":"000660","trdPrc":1,"trdVol":1}"#, "missing_key"),
        Sent::between(
            r#"{"isuSrtCd":"000660","trdPrc":1,"trdPrc":2,"trdVol":1,"trdTm":0}"#,
            "duplicate_key",
        ),
        many(51),
        many(10_000),
    ];
    // The exact same message twice: the feed may repeat itself, and it is not for us to judge.
    for _ in 0..2 {
        messages.push(
            Sent::text(batch(&["200004", "200005"]))
                .trade(0, "200004")
                .trade(1, "200005"),
        );
    }
    // A float cannot hold 2^53 + 1; zero is a price like any other.
    let values = [
        ("9007199254740993", "200006"),
        ("\"9007199254740993\"", "200007"),
        ("0", "200008"),
    ];
    for (value, code) in values {
        let text = format!("[{}]", fields(&format!("\"{code}\""), value, "1", "9450155"));
        messages.push(Sent::text(text).trade(0, code));
    }
    messages
}

/// Frames as they are in the journal, byte for byte.
fn journaled(data_dir: &Path) -> Vec<Vec<u8>> {
    let mut follower = Follower::new(DataDir::new(data_dir).journal(&MARKET.parse().unwrap()), None);
    let mut frames = Vec::new();
    loop {
        match follower.advance().unwrap() {
            Followed::Record(_, head) if head.kind == RecordKind::Frame => {
                frames.push(follower.payload().to_vec());
            }
            Followed::Record(..) | Followed::SegmentEnd(_) => {}
            Followed::Damage(name, span) => panic!("{name} is damaged at {span:?}"),
            Followed::CaughtUp => return frames,
        }
    }
}

#[test]
fn i1_messages_of_every_kind_are_kept_as_they_came() {
    let folder = tempfile::tempdir().unwrap();
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let server = HostileServer::start(move |_, tcp| {
        let tell = tell.lock().unwrap().clone();
        let serve = || -> io::Result<()> {
            let mut peer = Peer::plain(tcp)?;
            peer.begin()?;
            for sent in messages() {
                peer.send(&frame(sent.first, &sent.payload))?;
            }
            // A batch in a million fragments is a batch.
            let text = format!("[{}{}]", record("200009"), " ".repeat(900_000));
            peer.send(&frame(TEXT_BEGINS, b""))?;
            let fragments: Vec<u8> = text.bytes().flat_map(|byte| frame(CONTINUES, &[byte])).collect();
            peer.send(&fragments)?;
            peer.send(&frame(ENDS, b""))?;
            peer.delivered()?;
            let _ = tell.send(());
            peer.live()
        };
        let _ = serve();
    })
    .unwrap();
    let config = RecorderConfig {
        keep_days: 30,
        // A busy machine may delay either side in the middle of a message.
        more: CONNECTION.replace("stall_timeout = \"1s\"", "stall_timeout = \"30s\""),
        ..recorder_config(folder.path(), &format!("ws://127.0.0.1:{}", server.port))
    };
    let mut recorder = config.start().unwrap();
    told.recv_timeout(LIMIT)
        .unwrap_or_else(|error| panic!("{error}: {}", recorder.log_end()));
    let peak = recorder.process.memory_peak_bytes().unwrap();
    recorder.stop().unwrap();
    let log = recorder.log().unwrap();
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(server.accepted().len(), 1, "one session for all of it: {log}");
    println!(
        "{} messages, peak {:.1} MB",
        messages().len() + 1,
        peak as f64 / 1e6
    );
    assert!(peak < PEAK_BYTES_MAX, "{peak} bytes");

    let mut sent = messages();
    sent.push(Sent::text(format!("[{}{}]", record("200009"), " ".repeat(900_000))).trade(0, "200009"));
    let received = journaled(&config.data_dir);
    assert_eq!(received.len(), sent.len());
    for (sent, received) in sent.iter().zip(&received) {
        assert!(*received == sent.payload, "{}", words(&sent.payload));
    }
    let mut found = frames(&config.data_dir).unwrap().into_iter().peekable();
    let mut failures = String::new();
    for (number, sent) in (1..).zip(&sent) {
        let frame = found.next_if(|frame| frame.number == number);
        let (trades, quarantine) =
            frame.map_or_else(Default::default, |frame| (frame.trades, frame.quarantine));
        let codes: Vec<_> = trades.iter().map(|row| (row.item, row.code.clone())).collect();
        let rows: Vec<_> = quarantine
            .into_iter()
            .map(|row| (row.item, row.reason, row.raw))
            .collect();
        let prices = trades.iter().all(|row| row.price == price_of(&row.code));
        let same = rows.len() == sent.quarantine.len()
            && rows
                .iter()
                .zip(&sent.quarantine)
                .all(|(found, sent)| (found.0, found.1.as_str(), &found.2) == (sent.0, sent.1, &sent.2));
        if codes != sent.trades || !same || !prices {
            let rows: Vec<_> = rows
                .iter()
                .map(|(item, reason, raw)| (item, reason, words(raw)))
                .collect();
            let _ = writeln!(failures, "{}: {codes:?}, {rows:?}", words(&sent.payload));
        }
    }
    assert!(failures.is_empty(), "{failures}");
    assert!(found.next().is_none());
    let names: Vec<_> = files_under(&config.data_dir).unwrap();
    assert!(
        names
            .iter()
            .all(|path| !path.to_string_lossy().contains("passwd"))
    );
}

/// The price with which a record of the test was sent.
fn price_of(code: &str) -> i64 {
    match code {
        "200006" | "200007" => 9_007_199_254_740_993,
        "200008" => 0,
        "200010" => 7,
        _ => 81_000,
    }
}

/// The beginning of a message, for a failed assertion.
fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned()
}
