//! The status port over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use krx_protocol::per_issue::{Pair, Preset, RegistrationEvent, RegistrationState, WishGroup, WishList};
use krx_store::{DataDir, Moment, Progress};
use tokio::sync::watch;

use super::*;
use crate::feed::feed_status::{FeedState, FeedStatus};
use crate::feed::queue::queue;
use crate::hours::schedule::Schedule;
use crate::pipeline::feed_view::{FeedView, Registered};
use crate::status::Snapshot;
use crate::watch::clock::ClockWatch;
use crate::watch::disk_watch::DiskStatus;
use crate::watch::liveness::LivenessReport;

struct Port {
    address: SocketAddr,
    server: Option<Server>,
    feed: FeedView,
    liveness: watch::Sender<LivenessReport>,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.server.take().unwrap().stop();
    }
}

fn view(feed: &str) -> FeedView {
    FeedView {
        feed: feed.parse().unwrap(),
        service: "full_market",
        host: "koscom.example".to_owned(),
        progress: Arc::new(Progress::since(Moment::now())),
        tail: Arc::default(),
        schedule: watch::Sender::new(Schedule::Always).subscribe(),
        status: Arc::new(FeedStatus::default()),
        queue: queue().0.gauge(),
        registered: None,
    }
}

fn port() -> Port {
    port_of(vec![view("KOSPI")])
}

fn port_of(feeds: Vec<FeedView>) -> Port {
    let feed = feeds[0].clone();
    let liveness = watch::Sender::new(LivenessReport::begin());
    let disk = Arc::new(DiskStatus::default());
    disk.free_bytes.store(7, Relaxed);
    let clock = (ClockWatch::begin().state(), Duration::from_secs(10));
    let view = View::new(
        DataDir::new(""),
        Moment::now(),
        (disk, 8),
        clock,
        liveness.subscribe(),
        feeds,
    );
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::begin(address, Some(listener), view).unwrap();
    Port {
        address,
        server: Some(server),
        feed,
        liveness,
    }
}

impl Port {
    /// Sends this head, and reads everything until the end.
    fn say(&self, head: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) -> String {
        self.say(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }
}

fn status_of(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0)
}

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[test]
fn all_forms_show_the_same_figures() {
    let port = port();
    port.feed.status.set(FeedState::Live);
    port.feed.status.read(Moment::now(), 100);
    port.feed.progress.journal.frames.store(3, Relaxed);
    assert_eq!(body_of(&port.get("/healthz")), "ok\n");
    let json = port.get("/status.json");
    let snapshot: Snapshot = serde_json::from_str(body_of(&json)).unwrap();
    let feed = &snapshot.feeds[0];
    assert_eq!(
        (feed.state.as_str(), feed.frames_received, feed.bytes_received),
        ("live", 1, 100)
    );
    assert_eq!((feed.frames_journaled, snapshot.disk_free_bytes), (3, 7));
    assert_eq!(feed.minutes.len(), 1440);
    assert!(snapshot.schedule.session_expected && snapshot.schedule.closes_at.is_none());
    assert_eq!(snapshot.now.0.0, snapshot.now_us);

    let metrics = port.get("/metrics");
    for line in [
        "krx_feed_state{feed=\"KOSPI\",state=\"live\"} 1\n",
        "krx_feed_state{feed=\"KOSPI\",state=\"refused\"} 0\n",
        "krx_feed_frames_total{feed=\"KOSPI\"} 1\n",
        "krx_journal_frames_total{feed=\"KOSPI\"} 3\n",
        "krx_quarantined_total{feed=\"KOSPI\",reason=\"poison\"} 0\n",
        "krx_gaps_total{feed=\"KOSPI\",reason=\"stalled\"} 0\n",
        "krx_disk_free_bytes 7\n",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
    assert!(
        metrics.contains("content-type: text/plain; version=0.0.4"),
        "{metrics}"
    );
    assert!(port.get("/").contains("<!doctype html>"));
    assert_eq!(status_of(&port.get("/nothing")), 404);
}

#[test]
fn registrations_are_shown_where_a_service_has_them() {
    let (status, wanted) = (FeedStatus::default(), ["005930", "999999"]);
    let group = WishGroup {
        presets: vec![Preset::Tick10],
        codes: wanted.map(str::to_owned).to_vec(),
        ..WishGroup::default()
    };
    let wishes = WishList::of(&[group]).unwrap();
    status.registration(&RegistrationEvent::Wanted {
        wishes: wishes.iter().cloned().collect(),
    });
    let state = |code: &str, state| RegistrationEvent::State {
        id: 2,
        pair: Pair {
            preset: Preset::Tick10,
            code: code.to_owned(),
        },
        state,
        detail: "error 10040".to_owned(),
    };
    status.registration(&state("005930", RegistrationState::Active));
    status.registration(&state("999999", RegistrationState::Refused));
    let (market, issues) = (view("KOSPI"), view("ISSUES"));
    let issues = FeedView {
        service: "per_issue",
        status: Arc::new(status),
        registered: Some(Registered {
            wanted: watch::Sender::new(wishes).subscribe(),
            max: watch::Sender::new(20).subscribe(),
        }),
        ..issues
    };
    let port = port_of(vec![market, issues]);
    let json: serde_json::Value = serde_json::from_str(body_of(&port.get("/status.json"))).unwrap();
    let (market, issues) = (&json["feeds"][0], &json["feeds"][1]);
    assert_eq!(market["service"], "full_market");
    assert!(market.as_object().unwrap().contains_key("registrations") && market["registrations"].is_null());
    assert_eq!(issues["service"], "per_issue");
    let mut registrations = issues["registrations"].clone();
    let troubled = registrations.as_object_mut().unwrap().remove("troubled").unwrap();
    assert_eq!(
        registrations,
        serde_json::json!({"wanted": 2, "max": 20, "active": 1, "requested": 0, "refused": 1, "unanswered": 0,
            "silent": 0, "overdue": 0})
    );
    assert_eq!(
        (&troubled[0]["preset"], &troubled[0]["code"]),
        (&"tick10".into(), &"999999".into())
    );
    assert_eq!(
        (&troubled[0]["state"], &troubled[0]["detail"]),
        (&"refused".into(), &"error 10040".into())
    );
    assert!(troubled[0]["since_us"].is_i64() && troubled.as_array().unwrap().len() == 1);
    let metrics = port.get("/metrics");
    for line in [
        "krx_registrations{feed=\"ISSUES\",state=\"active\"} 1\n",
        "krx_registrations{feed=\"ISSUES\",state=\"refused\"} 1\n",
        "krx_registrations{feed=\"ISSUES\",state=\"silent\"} 0\n",
        "krx_registrations_max{feed=\"ISSUES\"} 20\n",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
    assert!(!metrics.contains("krx_registrations{feed=\"KOSPI\""));
    assert_eq!(body_of(&port.get("/healthz")), "ok\n");
}

/// Not known is not 0; but the names are there, for alerts and dashboards.
#[test]
fn without_registrations_their_metrics_are_announced_and_have_no_value() {
    let metrics = port().get("/metrics");
    for (name, kind) in [("krx_registrations", "gauge"), ("krx_registrations_max", "gauge")] {
        assert!(metrics.contains(&format!("\n# TYPE {name} {kind}\n")), "{name}");
        assert!(!metrics.contains(&format!("\n{name}{{")), "{name}");
    }
}

#[test]
fn only_requests_that_name_this_machine_are_answered() {
    let port = port();
    for (head, code) in [
        ("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9464\r\n\r\n", 200),
        ("GET /metrics HTTP/1.1\r\nHost: [::1]\r\n\r\n", 200),
        (
            "GET http://localhost/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
            200,
        ),
        ("GET /metrics HTTP/1.1\r\nHost: example.com\r\n\r\n", 421),
        (
            "GET http://example.com/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
            421,
        ),
        (
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: example.com\r\n\r\n",
            421,
        ),
        ("GET /metrics HTTP/1.1\r\n\r\n", 421),
        ("GET /metrics HTTP/1.0\r\n\r\n", 421),
    ] {
        let answer = port.say(head);
        assert_eq!(status_of(&answer), code, "{head}{answer}");
        assert_eq!(code == 200, answer.contains("krx_"), "{head}");
    }
}

#[test]
fn only_reading_is_allowed() {
    let port = port();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"] {
        for path in ["/", "/metrics", "/nothing"] {
            let answer = port.say(&format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
            ));
            assert_eq!(status_of(&answer), 405, "{method} {path}: {answer}");
            assert!(answer.contains("allow: GET, HEAD\r\n"), "{answer}");
        }
    }
    for path in ["/", "/metrics", "/status.json", "/healthz"] {
        let answer = port.say(&format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!((status_of(&answer), body_of(&answer)), (200, ""), "{path}");
    }
}

#[test]
fn every_answer_has_its_security_headers() {
    let port = port();
    let evil = "GET / HTTP/1.1\r\nHost: evil\r\n\r\n";
    for answer in [
        port.get("/"),
        port.get("/status.json"),
        port.get("/nothing"),
        port.say(evil),
    ] {
        for header in [
            "cache-control: no-store\r\n",
            "x-content-type-options: nosniff\r\n",
            "content-security-policy: default-src 'none'; ",
            "frame-ancestors 'none'",
            "connection: close\r\n",
        ] {
            assert!(answer.contains(header), "{header}: {answer}");
        }
    }
    let page = port.get("/");
    assert!(
        page.contains("script-src 'sha256-") && !page.contains("unsafe-inline"),
        "{page}"
    );
}

#[test]
fn a_client_that_hangs_does_not_block_others() {
    let port = port();
    let hanging: Vec<_> = (0..4 * CONNECTIONS_MAX)
        .map(|index| {
            let mut stream = TcpStream::connect(port.address).unwrap();
            if index % 2 == 0 {
                stream
                    .write_all(b"GET /status.json HTTP/1.1\r\nHost: loc")
                    .unwrap();
            }
            stream
        })
        .collect();
    let asked = Instant::now();
    for _ in 0..3 {
        assert_eq!(body_of(&port.get("/healthz")), "ok\n");
    }
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "it took {:?}",
        asked.elapsed()
    );
    // The oldest were dropped at once to make room; the newest are given up when their time is over.
    let gone = |stream: &TcpStream, within: Duration| {
        stream.set_read_timeout(Some(within)).unwrap();
        let read = (&*stream).read_to_end(&mut Vec::new());
        read.map_err(|error| error.kind())
    };
    let waited = |ended: Result<usize, std::io::ErrorKind>| ended == Err(std::io::ErrorKind::WouldBlock);
    assert!(!waited(gone(&hanging[0], Duration::from_secs(1))), "the oldest");
    let newest = hanging.last().unwrap();
    assert!(waited(gone(newest, Duration::from_secs(1))), "the newest, as yet");
    assert!(!waited(gone(newest, HEAD_TIME_MAX)), "the newest, in the end");
}

#[test]
fn an_endless_head_is_refused() {
    let port = port();
    let answer = port.say(&format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}",
        "x".repeat(HEAD_BYTES_MAX)
    ));
    assert_eq!(status_of(&answer), 431, "{answer}");
}

#[test]
fn a_recorder_that_does_not_check_itself_is_unhealthy() {
    let port = port();
    assert_eq!(status_of(&port.get("/healthz")), 200);
    let long_ago = Instant::now() - Duration::from_secs(60);
    port.liveness.send_modify(|liveness| liveness.at = long_ago);
    let answer = port.get("/healthz");
    assert_eq!(status_of(&answer), 503);
    assert!(
        body_of(&answer).starts_with("the recorder has not checked itself for 6"),
        "{answer}"
    );
    let status: Snapshot = serde_json::from_str(body_of(&port.get("/status.json"))).unwrap();
    assert!(status.complaint.is_some());
    assert!(port.get("/metrics").contains("\nkrx_healthy 0\n"));
}
