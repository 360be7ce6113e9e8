//! Part 7: a network that swallows or refuses everything for longer than `stall_timeout`, and comes back.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use krx_store::journal::{Event, Followed, Follower, GapReason, RecordKind};
use krx_store::{DataDir, Market};
use krx_tests::oracle::MARKETS;
use krx_tests::tally::{Extent, Tally};
use krx_tests::volume::{has_tool, run};
use krx_tests::{Mode, compare};

use crate::common::{Bench, CONNECT_MAX, check_coverage, look_at_logs, turn};

const QUICK: &str = "[connection]\nconnect_timeout = \"1s\"\nheartbeat_interval = \"1s\"\nstall_timeout = \"3s\"\n\
                     backoff_initial = \"100ms\"\nbackoff_max = \"500ms\"\n";

/// Longer than `stall_timeout`, with time for attempts that fail.
const AWAY: Duration = Duration::from_secs(7);

const BACK: Duration = Duration::from_secs(4);

/// A network namespace with nothing but a loopback.
struct Namespace(String);

impl Namespace {
    fn new() -> Result<Self> {
        let name = format!("krx-faults-{}", std::process::id());
        run(&["ip", "netns", "add", &name])?;
        let namespace = Self(name);
        run(&["ip", "-n", &namespace.0, "link", "set", "lo", "up"])?;
        namespace.nft("add table inet faults")?;
        namespace.nft("add chain inet faults in { type filter hook input priority 0 ; }")?;
        Ok(namespace)
    }

    fn nft(&self, command: &str) -> Result<()> {
        run(&["ip", "netns", "exec", &self.0, "nft", command]).map(drop)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = run(&["ip", "netns", "delete", &self.0]);
    }
}

fn gaps(data_dir: &std::path::Path, market: &str) -> Result<Vec<GapReason>> {
    let market: Market = market.parse()?;
    let mut follower = Follower::new(DataDir::new(data_dir).journal(&market), None);
    let mut gaps = Vec::new();
    loop {
        match follower.advance()? {
            Followed::Record(_, head) if head.kind == RecordKind::Event => {
                let event = serde_json::from_slice::<Event>(follower.payload());
                if let Ok(Event::Disconnected { reason, .. } | Event::ConnectFailed { reason, .. }) = event {
                    gaps.push(reason);
                }
            }
            Followed::CaughtUp => return Ok(gaps),
            _ => {}
        }
    }
}

fn outages(tally: &mut Tally) -> Result<()> {
    let namespace = Namespace::new()?;
    let within = ["ip", "netns", "exec", &namespace.0];
    let mut bench = Bench::within(&within, &["--rate", "5000", "--repeat"])?;
    let port = bench.simulator.port;
    bench.config.wrapper = within.map(str::to_owned).to_vec();
    // The journal is kept, to be asked for its events.
    (bench.config.more, bench.config.keep_days) = (QUICK.to_owned(), 30);
    let mut recorder = bench.config.start()?;
    recorder.wait_for_log("INFO connected ", 2, CONNECT_MAX)?;
    let rules = [
        format!("tcp dport {port} drop"),
        format!("tcp sport {port} drop"),
        format!("tcp dport {port} reject with tcp reset"),
        format!("tcp sport {port} reject"),
    ];
    for (round, rule) in rules.iter().enumerate() {
        sleep(BACK);
        namespace.nft(&format!("add rule inet faults in {rule}"))?;
        sleep(AWAY);
        namespace.nft("flush chain inet faults in")?;
        recorder.wait_for_log("INFO connected ", 2 * (round + 2), CONNECT_MAX)?;
        tally.tried += 1;
    }
    sleep(BACK);
    recorder.stop()?;
    bench.simulator.stop()?;
    look_at_logs(tally, "network", bench.path());
    let report = compare(&bench.simulator.ledger, &bench.config.data_dir, Mode::Prefix)?;
    for market in MARKETS {
        let sessions = report.markets[market]
            .sessions
            .values()
            .filter(|session| session.records_recorded > 0)
            .count();
        ensure!(
            sessions == rules.len() + 1,
            "{market}: {sessions} sessions have records"
        );
        let gaps = gaps(&bench.config.data_dir, market)?;
        let ended = |reason: &GapReason| !matches!(reason, GapReason::Unreachable | GapReason::Shutdown);
        let count = gaps.iter().filter(|reason| ended(reason)).count();
        ensure!(
            count >= rules.len(),
            "I4: {market}: a gap is unreported: {gaps:?} for {} outages",
            rules.len()
        );
        ensure!(
            gaps.contains(&GapReason::Stalled) && gaps.contains(&GapReason::Unreachable),
            "I4: {market}: a gap has the wrong reason: {gaps:?}"
        );
    }
    if let Some(coverage) = check_coverage(tally, "network", &bench.config) {
        ensure!(
            coverage.gaps("stalled") >= 4,
            "I4: a gap is unreported: {:?} for {} outages of both markets",
            coverage.intervals,
            rules.len()
        );
    }
    tally.note(format!("{} outages, {} records", rules.len(), report.trades()));
    Ok(())
}

#[test]
fn i4_an_outage_of_the_network_ends_a_session_and_is_on_record() {
    let _turn = turn();
    let mut tally = Tally::begin("part 7: outages of the network");
    if Extent::asked() == Extent::Sample {
        return tally.skip("outages", "they are made by `make test-faults`");
    }
    if !rustix::process::geteuid().is_root() {
        return tally.skip("outages", "network namespaces need root");
    }
    for tool in ["ip", "nft"] {
        if !has_tool(tool) {
            return tally.skip(
                "outages",
                format!("{tool} is not installed (scripts/fault-tools.sh)"),
            );
        }
    }
    let result = outages(&mut tally);
    tally.check("network", result);
    tally.finish();
}
