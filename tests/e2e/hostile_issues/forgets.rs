//! A server that forgets registrations.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use krx_harness::issues::issue_rows;
use krx_harness::issues::registrations::{stretches, without_holes};
use krx_harness::process::free_port;
use krx_tests::hostile::{HostileServer, Peer};
use krx_tests::issue_server::{Asked, IssueSession, push, quote10, tick10};

use super::case::{LIMIT, PAIRS, expect_rows, ok_to_all, recorder_config, wait_for_states};

/// A server that forgets half of the registrations without a word, while the full-market feed goes on: those are found
/// silent and made again, and no others.
#[test]
fn a_server_that_forgets_half_of_the_registrations_is_asked_for_them_again() {
    const FORGOTTEN: [&str; 3] = ["tick10:005930", "quote10:000660", "change:005930"];
    let folder = tempfile::tempdir().unwrap();
    let (tell, told) = channel();
    let (tell, rounds) = (Mutex::new(tell), AtomicU64::new(0));
    let server = HostileServer::start(move |_, tcp| {
        let tell = tell.lock().unwrap().clone();
        let serve = || -> Result<()> {
            let mut peer = Peer::plain(tcp)?;
            if peer.begin_at()? == "/ws_ksp" {
                return trade(IssueSession::of(peer)?, &rounds);
            }
            tell.send(forget(IssueSession::of(peer)?, &FORGOTTEN, &rounds))?;
            Ok(())
        };
        let _ = serve();
    })
    .unwrap();
    let port = free_port().unwrap();
    let mut config = recorder_config(folder.path(), &server, port, "10m");
    config.more = config
        .more
        .replace("\"trdPrc\"", "\"trdPrc\", \"accTrdvol\"")
        .replacen(
            "[connection]\n",
            "[[feed]]\nmarket = \"KOSPI\"\npath = \"/ws_ksp\"\n\n[connection]\nsilent_after = \"1s\"\n",
            1,
        );
    let mut recorder = config.start().unwrap();
    let forgotten = told
        .recv_timeout(LIMIT)
        .unwrap_or_else(|error| panic!("{error}: {}", recorder.log_end()));
    let Forgotten { asked, rows } =
        forgotten.unwrap_or_else(|error| panic!("{error:#}: {}", recorder.log_end()));
    wait_for_states(port, &[]).unwrap();
    recorder.stop().unwrap();

    let mut expected = Vec::new();
    for pair in ["tick10:005930", "change:005930", "quote10:000660"] {
        expected.extend(["unsubscribe", "subscribe"].map(|method| format!("{method} {pair}")));
    }
    let mut asked: Vec<_> = asked
        .iter()
        .map(|asked| format!("{} {}", asked.method, asked.pair))
        .collect();
    // Each is cancelled and asked for again, one after the other, in whichever order they are found.
    let pairs: Vec<_> = asked.chunks(2).map(<[_]>::to_vec).collect();
    for pair in &pairs {
        assert!(
            pair[0].starts_with("unsubscribe ") && pair[1] == pair[0][2..],
            "{asked:?}"
        );
    }
    asked.sort_unstable();
    expected.sort_unstable();
    assert_eq!(asked, expected);
    let log = recorder.log().unwrap();
    for pair in FORGOTTEN {
        let told = log
            .lines()
            .filter(|line| line.contains("brings nothing any more") && line.contains(pair));
        assert_eq!(told.count(), 1, "{log}");
    }
    assert!(log.contains("while the full-market feed shows"), "{log}");
    let stretches = stretches(&config.data_dir, "ISSUES").unwrap();
    without_holes(&stretches).unwrap();
    let silent: BTreeSet<_> = stretches
        .iter()
        .filter(|stretch| stretch.state == "silent")
        .map(|stretch| stretch.pair.as_str())
        .collect();
    assert_eq!(silent, FORGOTTEN.into());
    expect_rows(&issue_rows(&config.data_dir, "ISSUES").unwrap(), &rows).unwrap();
}

/// A trade of both issues for each round of pushes, so that no pair misses more than it should, until the client leaves.
fn trade(mut session: IssueSession, rounds: &AtomicU64) -> Result<()> {
    let mut traded = 0;
    loop {
        let round = rounds.load(Relaxed);
        if round > traded {
            traded = round;
            let trade =
                |code| format!(r#"{{"isuSrtCd":"{code}","trdPrc":"81000","trdVol":"5","trdTm":"14340400"}}"#);
            session.say(&format!("[{},{}]", trade("005930"), trade("000660")))?;
        }
        session.delivered()?;
        thread::sleep(Duration::from_millis(10));
    }
}

/// What became of the forgotten registrations.
struct Forgotten {
    /// What was asked for after they were forgotten.
    asked: Vec<Asked>,
    /// The words of all rows, in their order.
    rows: Vec<String>,
}

/// Pushes for all pairs, then for those that are not forgotten, until the forgotten ones are asked for again and answered;
/// then for all of them.
fn forget(mut session: IssueSession, forgotten: &[&str], rounds: &AtomicU64) -> Result<Forgotten> {
    let first = session.next_of(PAIRS.len())?;
    let ids: Vec<_> = first.iter().map(|asked| asked.id).collect();
    ok_to_all(&mut session, &ids)?;
    let (mut asked, mut rows) = (Vec::new(), Vec::new());
    let mut lacking: Vec<&str> = Vec::new();
    for round in 0.. {
        for pair in PAIRS.iter().filter(|pair| !lacking.contains(pair)) {
            if let Some((text, words)) = push_for(pair, round) {
                session.say(&text)?;
                rows.push(words);
            }
        }
        session.delivered()?;
        rounds.fetch_add(1, Relaxed);
        while let Some(request) = session.waiting() {
            session.ok(request.id)?;
            if request.method == "subscribe" {
                lacking.retain(|pair| *pair != request.pair);
            }
            asked.push(request);
        }
        match round {
            10 => lacking = forgotten.to_vec(),
            // After all are back, another round has each of them once more.
            11.. if lacking.is_empty() => break,
            _ => {}
        }
        thread::sleep(Duration::from_millis(50));
    }
    for pair in PAIRS {
        if let Some((text, words)) = push_for(pair, 1_000_000) {
            session.say(&text)?;
            rows.push(words);
        }
    }
    session.delivered()?;
    // The connection stays until the test has seen the states: the server ends it.
    thread::spawn(move || session.live());
    Ok(Forgotten { asked, rows })
}

/// A push of a pair, and the words of its row; an index may bring nothing all day.
fn push_for(pair: &str, round: i64) -> Option<(String, String)> {
    let (preset, code) = pair.split_once(':')?;
    match preset {
        "tick10" => Some(tick10(code, round)),
        "quote10" => Some(quote10(code, round)),
        "change" => {
            let words = format!("changes {code} update field=accTrdvol value={round}");
            Some((
                push(&format!(r#""isuSrtCd":"{code}","accTrdvol":{round}"#)),
                words,
            ))
        }
        _ => None,
    }
}
