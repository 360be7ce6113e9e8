//! A case: what the server does wrong, and what must become of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use krx_harness::issues::registrations::{last_states, stretches, without_holes};
use krx_harness::issues::{IssueRow, issue_rows};
use krx_harness::process::{free_port, wait_until};
use krx_harness::recorder::status;
use krx_harness::tree::files_under;
use krx_harness::{Group, IssueList, RecorderConfig};
use krx_tests::hostile::HostileServer;
use krx_tests::issue_server::{IssueSession, quote10, tick10};

/// The most memory that a recorder of one feed may ever use, whatever it is sent.
const PEAK_BYTES_MAX: u64 = 60_000_000;

/// Everything, including the slowest wait, is over long before this.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// What is registered, in the order in which it is asked for.
pub(super) const PAIRS: [&str; 6] = [
    "tick10:005930",
    "quote10:005930",
    "tick10:000660",
    "quote10:000660",
    "change:005930",
    "index:001",
];

fn list() -> IssueList {
    IssueList::of(vec![
        Group::of(&["tick10", "quote10"], &["005930", "000660"]),
        Group::of(&["change"], &["005930"]).with_items(&["trdPrc"]),
        Group::of(&["index"], &["001"]),
    ])
}

/// What the server does once all pairs are asked for.
type Deed = fn(&mut IssueSession, &[u64]) -> io::Result<()>;

pub(super) struct Case {
    name: &'static str,
    deed: Deed,
    /// The words of each row of the hostile session, in their order; see [`IssueRow`].
    rows: fn() -> Vec<String>,
    /// The states of pairs that are not active in the end.
    states: &'static [(&'static str, &'static str)],
    /// What `registrations` says of a pair in its hostile session, in words.
    details: &'static [(&'static str, &'static str)],
    /// What the log says, and how often.
    logged: &'static [(&'static str, usize)],
    /// The time limit for answers: far longer than any test, unless the case is about it.
    answer_timeout: &'static str,
}

pub(super) const fn case(name: &'static str, deed: Deed, rows: fn() -> Vec<String>) -> Case {
    Case {
        name,
        deed,
        rows,
        states: &[],
        details: &[],
        logged: &[],
        answer_timeout: "10m",
    }
}

impl Case {
    /// These pairs are not active in the end.
    pub(super) const fn but(self, states: &'static [(&'static str, &'static str)]) -> Self {
        Self { states, ..self }
    }

    /// `registrations` says this of these pairs.
    pub(super) const fn saying(self, details: &'static [(&'static str, &'static str)]) -> Self {
        Self { details, ..self }
    }

    /// The log says this so often.
    pub(super) const fn logging(self, logged: &'static [(&'static str, usize)]) -> Self {
        Self { logged, ..self }
    }

    /// An answer may take a second.
    pub(super) const fn impatient(self) -> Self {
        Self {
            answer_timeout: "1s",
            ..self
        }
    }
}

/// What is sent on the good connection, and the words of its rows.
fn good() -> [(String, String); 4] {
    [
        tick10("005930", 81_001),
        quote10("005930", 81_002),
        tick10("000660", 81_003),
        quote10("000660", 81_004),
    ]
}

/// A good push between those of a case: what surrounds it must not cost it.
pub(super) fn neighbour() -> (String, String) {
    tick10("000660", 70_000)
}

pub(super) fn ok_to_all(session: &mut IssueSession, ids: &[u64]) -> io::Result<()> {
    ids.iter().try_for_each(|id| session.ok(*id))
}

/// Accepts all, and says each of these between two good pushes.
pub(super) fn between(session: &mut IssueSession, ids: &[u64], odd: &[String]) -> io::Result<()> {
    ok_to_all(session, ids)?;
    for odd in odd {
        session.say(&neighbour().0)?;
        session.say(odd)?;
    }
    session.say(&neighbour().0)
}

/// The rows of [`between`]: those of each odd message between two good ones.
pub(super) fn rows_between<'a>(odd: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut rows = Vec::new();
    for odd in odd {
        rows.push(neighbour().1);
        rows.extend((!odd.is_empty()).then(|| odd.to_owned()));
    }
    rows.push(neighbour().1);
    rows
}

pub(super) fn quarantined(reason: &str, raw: &str) -> String {
    format!("quarantine {reason} {raw}")
}

/// Serves a connection. Tells when all of its messages are read; the hostile one ends when it is told to.
fn serve(
    case: &Case,
    index: usize,
    tcp: TcpStream,
    told: &Sender<()>,
    end: &Mutex<Receiver<()>>,
) -> Result<()> {
    let mut session = IssueSession::begin(tcp)?;
    let asked = session.next_of(PAIRS.len())?;
    let pairs: Vec<_> = asked.iter().map(|asked| asked.pair.as_str()).collect();
    ensure!(pairs == PAIRS, "{pairs:?}");
    let ids: Vec<_> = asked.iter().map(|asked| asked.id).collect();
    if index == 0 {
        (case.deed)(&mut session, &ids)?;
        session.delivered()?;
        told.send(())?;
        end.lock().unwrap().recv_timeout(LIMIT)?;
        return Ok(());
    }
    ok_to_all(&mut session, &ids)?;
    for (text, _) in good() {
        session.say(&text)?;
    }
    session.delivered()?;
    told.send(())?;
    session.live()?;
    Ok(())
}

/// The states of all pairs, by the status port.
fn states(port: u16) -> Result<BTreeMap<String, String>> {
    let status = status(port)?;
    let feeds = status["feeds"].as_array().context("feeds")?;
    let feed = feeds
        .iter()
        .find(|feed| feed["feed"] == "ISSUES")
        .context("the feed")?;
    let registrations = &feed["registrations"];
    ensure!(registrations["wanted"] == PAIRS.len(), "{registrations}");
    let mut states: BTreeMap<_, _> = PAIRS.map(|pair| (pair.to_owned(), "active".to_owned())).into();
    for troubled in registrations["troubled"].as_array().context("troubled")? {
        let text = |key: &str| troubled[key].as_str().unwrap_or_default();
        states.insert(
            format!("{}:{}", text("preset"), text("code")),
            text("state").to_owned(),
        );
    }
    let active = states.values().filter(|state| *state == "active").count();
    ensure!(registrations["active"] == active, "{registrations}");
    Ok(states)
}

/// Waits until all pairs are active except these.
pub(super) fn wait_for_states(port: u16, but: &[(&str, &str)]) -> Result<()> {
    let mut expected: BTreeMap<_, _> = PAIRS.map(|pair| (pair, "active")).into();
    expected.extend(but.iter().copied());
    let mut found = BTreeMap::new();
    let waited = wait_until(LIMIT, "the registrations have their states", || {
        // A busy machine may take longer than the status is waited for.
        found = states(port).unwrap_or_default();
        Ok(found
            .iter()
            .map(|(pair, state)| (pair.as_str(), state.as_str()))
            .eq(expected.clone()))
    });
    waited.with_context(|| format!("{found:?} instead of {expected:?}"))
}

pub(super) fn recorder_config(
    folder: &Path,
    server: &HostileServer,
    port: u16,
    answer_timeout: &str,
) -> RecorderConfig {
    RecorderConfig {
        status_port: Some(port),
        segment_bytes: 4 << 20,
        more: format!(
            "[connection]\nanswer_timeout = \"{answer_timeout}\"\nbackoff_initial = \"50ms\"\nbackoff_max = \"200ms\"\n\
             message_bytes_max = 1048576\n\n{}",
            list().to_toml()
        ),
        ..RecorderConfig::new(folder, &format!("ws://127.0.0.1:{}", server.port))
    }
}

/// Runs a case; returns the recorder's peak memory.
fn run(case: &'static Case) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    let ((tell, told), (end, ended)) = (channel(), channel());
    let (tell, ended) = (Mutex::new(tell), Mutex::new(ended));
    let failure = std::sync::Arc::new(Mutex::new(None));
    let server = HostileServer::start({
        let failure = std::sync::Arc::clone(&failure);
        move |index, tcp| {
            let tell = tell.lock().unwrap().clone();
            if let Err(error) = serve(case, index, tcp, &tell, &ended) {
                failure
                    .lock()
                    .unwrap()
                    .get_or_insert(format!("connection {index}: {error:#}"));
            }
        }
    })?;
    let port = free_port()?;
    let config = recorder_config(folder.path(), &server, port, case.answer_timeout);
    let mut recorder = config.start()?;
    let context = |what: &str, recorder: &krx_harness::Recorder| {
        let failure = failure.lock().unwrap().clone();
        format!("{what}: {failure:?}\n{}", recorder.log_end())
    };
    told.recv_timeout(LIMIT)
        .with_context(|| context("the hostile connection", &recorder))?;
    wait_for_states(port, case.states).with_context(|| context("the hostile session", &recorder))?;
    end.send(())?;
    told.recv_timeout(LIMIT)
        .with_context(|| context("the good connection", &recorder))?;
    wait_for_states(port, &[]).with_context(|| context("the good session", &recorder))?;
    let peak = recorder.process.memory_peak_bytes()?;
    recorder.stop()?;
    let log = recorder.log()?;
    let connections = server.accepted().len();
    drop(server);

    ensure!(!log.contains("panicked"), "{log}");
    ensure!(peak < PEAK_BYTES_MAX, "{peak} bytes of memory");
    ensure!(connections == 2, "{connections} connections:\n{log}");
    let (hostile, good_rows): (Vec<_>, Vec<_>) = issue_rows(&config.data_dir, "ISSUES")?
        .into_iter()
        .partition(|row| row.session == 1);
    expect_rows(&hostile, &(case.rows)())?;
    expect_rows(&good_rows, &good().map(|(_, words)| words)).context("the good session")?;
    expect_on_record(&config.data_dir, case)?;
    for (words, times) in case.logged {
        let found = log.matches(words).count();
        ensure!(
            found == *times,
            "the log says {words:?} {found} times, not {times}:\n{log}"
        );
    }
    let names = files_under(&config.data_dir)?;
    ensure!(
        names
            .iter()
            .all(|path| !path.to_string_lossy().contains("passwd")),
        "{names:?}"
    );
    Ok(peak)
}

/// The dataset of registrations has the case's states of the hostile session in the end, and no hole (I11).
fn expect_on_record(data_dir: &Path, case: &Case) -> Result<()> {
    let stretches = stretches(data_dir, "ISSUES")?;
    without_holes(&stretches)?;
    let (hostile, good): (Vec<_>, Vec<_>) = stretches
        .into_iter()
        .filter(|stretch| stretch.session.is_some())
        .partition(|stretch| stretch.session == Some(1));
    for (pair, detail) in case.details {
        let mut of_pair = hostile.iter().filter(|stretch| stretch.pair == *pair);
        ensure!(
            of_pair.any(|stretch| stretch.detail.as_deref() == Some(detail)),
            "no stretch of {pair} says {detail:?}: {hostile:?}"
        );
    }
    for (stretches, but) in [(hostile, case.states), (good, &[][..])] {
        let mut expected: BTreeMap<_, _> = PAIRS.map(|pair| (pair, "active")).into();
        expected.extend(but.iter().copied());
        let found = last_states(&stretches);
        ensure!(found == expected, "on record: {found:?} instead of {expected:?}");
    }
    Ok(())
}

/// The rows are these, each once and in this order, and no two of a frame have one place.
pub(super) fn expect_rows(found: &[IssueRow], expected: &[String]) -> Result<()> {
    let short = |words: &str| words.chars().take(300).collect::<String>();
    for (found, expected) in found.iter().zip(expected) {
        ensure!(
            found.words == *expected,
            "\n{}\ninstead of\n{}",
            short(&found.words),
            short(expected)
        );
    }
    let rest = |words: Option<&str>| words.map(short);
    ensure!(
        found.len() == expected.len(),
        "{} rows instead of {}; then come {:?} and {:?}",
        found.len(),
        expected.len(),
        rest(found.get(expected.len()).map(|row| row.words.as_str())),
        rest(expected.get(found.len()).map(String::as_str))
    );
    for pair in found.windows(2).filter(|pair| pair[0].item.is_some()) {
        ensure!(
            (pair[0].frame, pair[0].item) != (pair[1].frame, pair[1].item),
            "{pair:?}"
        );
    }
    Ok(())
}

/// Runs all cases at the same time.
pub(super) fn run_all(cases: &'static [Case]) {
    let started = Instant::now();
    let results: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = cases.iter().map(|case| scope.spawn(|| run(case))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut failures = String::new();
    for (case, result) in cases.iter().zip(results) {
        match result {
            Ok(peak) => println!("{:<60} peak {:>5.1} MB", case.name, peak as f64 / 1e6),
            Err(error) => {
                let _ = writeln!(failures, "{}: {error:#}\n", case.name);
            }
        }
    }
    println!("{} cases in {:.1?}", cases.len(), started.elapsed());
    assert!(failures.is_empty(), "{failures}");
}
