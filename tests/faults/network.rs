//! Part 7: a network that swallows or refuses everything for longer than `stall_timeout`, and comes back.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use krx_harness::oracle::MARKETS;
use krx_harness::{Mode, compare};
use krx_tests::tally::{Extent, Tally};
use krx_tests::volume::{has_tool, run};

use crate::common::{Bench, CONNECT_MAX, check_coverage, look_at_logs, turn};

const QUICK: &str = "[connection]\nconnect_timeout = \"1s\"\nheartbeat_interval = \"1s\"\nstall_timeout = \"3s\"\n\
                     backoff_initial = \"100ms\"\nbackoff_max = \"500ms\"\n";

/// Longer than `stall_timeout`, with time for attempts that fail.
const AWAY: Duration = Duration::from_secs(7);

const BACK: Duration = Duration::from_secs(4);

/// A network namespace with only a loopback interface.
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

fn outages(tally: &mut Tally) -> Result<()> {
    let namespace = Namespace::new()?;
    let within = ["ip", "netns", "exec", &namespace.0];
    let mut bench = Bench::within(&within, &["--rate", "5000", "--repeat"])?;
    let port = bench.simulator.port;
    bench.config.wrapper = within.map(str::to_owned).to_vec();
    bench.config.more = QUICK.to_owned();
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
    }
    if let Some(coverage) = check_coverage(tally, "network", &bench.config) {
        let lost = |(state, reason): &(String, String)| {
            state == "gap" && !["start", "shutdown", "not_running"].contains(&reason.as_str())
        };
        let gaps: u64 = coverage
            .intervals
            .iter()
            .filter(|(row, _)| lost(row))
            .map(|(_, count)| count)
            .sum();
        let outages = (rules.len() * MARKETS.len()) as u64;
        ensure!(
            gaps >= outages && coverage.gaps("stalled") >= outages / 2,
            "I4: a gap is unreported: {:?} for {outages} outages",
            coverage.intervals
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
                format!("{tool} is not installed (tests/tools/fault-tools.sh)"),
            );
        }
    }
    let result = outages(&mut tally);
    tally.check("network", result);
    tally.finish();
}
