use std::collections::{HashMap, HashSet};

use krx_protocol::per_issue::Pair;
use serde_json::Value;

use super::*;
use crate::universe::Universe;

fn day(start: HalfSecond) -> DayConfig {
    DayConfig {
        trades_per_day: 300_000,
        start,
        ..DayConfig::default()
    }
}

fn issues(config: PerIssueConfig) -> FloorIssues {
    FloorIssues::new(day(HalfSecond::DAY_START), config, false)
}

fn subscription(preset: Preset, code: &str, items: &[&str]) -> Subscription {
    Subscription {
        pair: Pair {
            preset,
            code: code.to_owned(),
        },
        items: items.iter().map(|item| (*item).to_owned()).collect(),
    }
}

/// The codes of the stocks that trade most.
fn busiest(count: usize) -> Vec<String> {
    let universe = Universe::synthetic();
    let busiest = universe.busiest(count);
    busiest
        .iter()
        .map(|issue| issue.code.as_str().to_owned())
        .collect()
}

/// The registration and the parameters of each push of the day.
fn pushes(issues: &mut FloorIssues) -> impl Iterator<Item = (u64, TimeOfDay, String)> + '_ {
    std::iter::from_fn(|| {
        loop {
            match issues.next() {
                Next::Message(Push::Of {
                    registration,
                    at,
                    params,
                }) => return Some((registration, at, params)),
                Next::Message(Push::Mark(_) | Push::Message(_)) | Next::PassedOver => {}
                Next::NotYet => panic!("a made-up day is always there"),
                Next::DayOver { .. } => return None,
            }
        }
    })
}

fn members(params: &str) -> serde_json::Map<String, Value> {
    serde_json::from_str(params).unwrap_or_else(|error| panic!("{params}: {error}"))
}

fn names(params: &str) -> Vec<String> {
    // The map sorts its keys: the order is that of the text.
    params
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|part| params.contains(&format!("\"{part}\":")))
        .map(str::to_owned)
        .collect()
}

#[test]
fn each_preset_has_the_fields_that_the_guide_lists() {
    let stock = busiest(1).remove(0);
    for (preset, code, expected) in [
        (
            Preset::Tick,
            stock.as_str(),
            "preset isuSrtCd trdPrc trdvol trdTm accTrdvol accTrdval",
        ),
        (
            Preset::Quote,
            "101N6000",
            "preset isuSrtCd accTrdvol askStep1BstordPrc bidStep1BstordPrc askStep1BstordRqty bidStep1BstordRqty",
        ),
        (
            Preset::Tick10,
            &stock,
            "preset isuSrtCd cmpprevddTpCd cmpprevddPrc opnprc hgprc lwprc trdPrc trdvol accTrdvol accTrdval \
             lstAskbidTpCd trdTm",
        ),
        (
            Preset::Tick10,
            "101N6000",
            "preset isuSrtCd trdPrc opnprc hgprc lwprc trdvol accTrdvol accTrdval negoBlkAccTrdvol lstAskbidTpCd \
             trdTm realtmUplmtprc realtmLwlmtprc fstmmAgndaContrtPrc futrmmAgndaContrtPrc",
        ),
        (
            Preset::Tick10,
            "201N6305",
            "preset isuSrtCd isuCd trdPrc opnprc hgprc lwprc trdvol accTrdvol accTrdval negoBlkAccTrdvol \
             lstTrdTpCd trdTm realtmUplmtprc realtmLwlmtprc",
        ),
        (
            Preset::Index,
            "001",
            "preset isuSrtCd trdTm trdPrc cmpprevddTpCd cmpprevddPrc accTrdvol accTrdval",
        ),
    ] {
        let mut issues = issues(PerIssueConfig::default());
        assert_ne!(
            issues.register(1, &subscription(preset, code, &[])),
            Welcome::NoSuchIssue
        );
        let wanted = |params: &String| !params.contains("askordPrc_1");
        let params = pushes(&mut issues)
            .map(|(.., params)| params)
            .find(wanted)
            .unwrap();
        assert_eq!(names(&params).join(" "), expected, "{params}");
        for (name, value) in members(&params) {
            let text = ["preset", "isuSrtCd", "isuCd"].contains(&name.as_str());
            assert_eq!(value.is_string(), text, "{name} in {params}");
        }
        let state = issues.state(1).unwrap();
        assert!(!state.contains("preset"), "{state}");
        assert_eq!(members(&state)["isuSrtCd"], code);
    }
}

#[test]
fn a_stocks_book_has_ten_levels_and_a_derivatives_five_with_orders() {
    let stock = busiest(1).remove(0);
    for (code, levels, fields) in [(stock.as_str(), 10, 3 + 40 + 7), ("201N6305", 5, 2 + 30 + 6)] {
        let mut issues = issues(PerIssueConfig::default());
        issues.register(1, &subscription(Preset::Quote10, code, &[]));
        for (_, _, params) in pushes(&mut issues).take(2_000) {
            let all = members(&params);
            assert_eq!(all.len(), fields, "{params}");
            let number = |name: String| all[&name].as_f64().unwrap();
            let level = |side: &str, nth: usize, what: &str| number(format!("{side}Step{nth}Bstord{what}"));
            let (ask, bid) = (level("ask", 1, "Prc"), level("bid", 1, "Prc"));
            assert!(bid < ask || bid == 0.0 || ask == 0.0, "{params}");
            for side in ["ask", "bid"] {
                let sum: f64 = (1..=levels).map(|nth| level(side, nth, "Rqty")).sum();
                let total = match levels {
                    10 => format!("{side}ordTotRqty"),
                    _ => format!("{side}TotOrdRqty"),
                };
                assert_eq!(number(total), sum, "{params}");
                if levels == 5 {
                    let orders: f64 = (1..=levels).map(|nth| level(side, nth, "Cnt")).sum();
                    assert_eq!(number(format!("{side}ValidOrdCnt")), orders);
                }
            }
        }
    }
}

#[test]
fn a_trade_takes_its_volume_from_the_level_it_hits() {
    let code = busiest(1).remove(0);
    let mut issues = issues(PerIssueConfig::default());
    issues.register(1, &subscription(Preset::Quote10, &code, &[]));
    issues.register(2, &subscription(Preset::Tick10, &code, &[]));
    let (mut book, mut tick) = (None, None);
    let mut checked = 0;
    for (registration, _, params) in pushes(&mut issues) {
        let all = members(&params);
        if registration == 2 {
            tick = Some(all);
            continue;
        }
        if let (Some(before), Some(tick)) = (&book, tick.take()) {
            let before: &serde_json::Map<String, Value> = before;
            let side = match tick["lstAskbidTpCd"].as_u64().unwrap() {
                1 => "bid",
                2 => "ask",
                _ => {
                    book = Some(all);
                    continue;
                }
            };
            if tick["trdTm"].as_u64().unwrap() < 24_000_000 && tick["trdvol"] != 0 {
                let (price, size) = (format!("{side}Step1BstordPrc"), format!("{side}Step1BstordRqty"));
                assert_eq!(before[&price], tick["trdPrc"], "{tick:?} after {before:?}");
                let left = before[&size].as_u64().unwrap() - tick["trdvol"].as_u64().unwrap();
                if left > 0 {
                    assert_eq!((&all[&price], all[&size].as_u64()), (&tick["trdPrc"], Some(left)));
                } else {
                    assert_ne!(all[&price], tick["trdPrc"], "the level is used up");
                    assert!(
                        tick.contains_key("askordPrc_1"),
                        "the best price changed: {tick:?}"
                    );
                }
                assert_eq!(all["accTrdvol"], tick["accTrdvol"]);
                checked += 1;
            }
        }
        book = Some(all);
    }
    assert!(checked > 1_000, "{checked}");
}

#[test]
fn a_change_has_the_changed_items_and_both_codes() {
    let code = busiest(1).remove(0);
    let mut issues = issues(PerIssueConfig::default());
    let wanted = ["trdPrc", "trdvol", "nonsense", "trdTm"];
    issues.register(1, &subscription(Preset::Change, &code, &wanted));
    let state = issues.state(1).unwrap();
    assert_eq!(names(&state), ["isuSrtCd", "isuCd", "trdPrc", "trdvol", "trdTm"]);
    let mut last = members(&state);
    let mut seen = HashSet::new();
    for (_, _, params) in pushes(&mut issues) {
        let mut changed = members(&params);
        let isin = changed.remove("isuCd").unwrap();
        assert!(isin.as_str().unwrap().starts_with("KR7"), "{isin}");
        assert_eq!(changed.remove("isuSrtCd").unwrap(), code.as_str());
        assert!(!changed.is_empty());
        for (name, value) in changed {
            assert_ne!(last[&name], value, "{name} in {params}");
            last.insert(name, value);
        }
        seen.insert(names(&params).len());
    }
    assert!(seen.len() > 1, "{seen:?}");
}

#[test]
fn what_is_pushed_of_an_issue_depends_on_the_seed_alone() {
    let codes = busiest(3);
    let run = |seed: u64, others: bool| {
        let config = DayConfig {
            trades_per_day: 50_000,
            seed,
            ..DayConfig::default()
        };
        let mut issues = FloorIssues::new(config, PerIssueConfig::default(), false);
        issues.register(1, &subscription(Preset::Quote10, &codes[0], &[]));
        if others {
            issues.register(2, &subscription(Preset::Tick, &codes[1], &[]));
            issues.register(3, &subscription(Preset::Index, "301", &[]));
        }
        let mut own: HashMap<u64, Vec<String>> = HashMap::new();
        for (registration, _, params) in pushes(&mut issues) {
            own.entry(registration).or_default().push(params);
        }
        own.remove(&1).unwrap()
    };
    let first = run(1, false);
    assert!(first.len() > 100);
    assert!(first == run(1, true), "whatever else is registered");
    assert!(first != run(2, false));
}

#[test]
fn only_what_exists_can_be_registered_and_is_answered_as_configured() {
    let stock = busiest(1).remove(0);
    for (answers, expected) in [
        (Answers::Ok, [Welcome::Plain; 4]),
        (Answers::Snapshot, [Welcome::WithState; 4]),
        (
            Answers::Mixed,
            [
                Welcome::Plain,
                Welcome::WithState,
                Welcome::WithState,
                Welcome::WithState,
            ],
        ),
    ] {
        let mut issues = issues(PerIssueConfig {
            answers,
            ..PerIssueConfig::default()
        });
        for (preset, code) in [
            (Preset::Index, stock.as_str()),
            (Preset::Tick, "001"),
            (Preset::Change, "001"),
            (Preset::Tick, "999999Z"),
        ] {
            assert_eq!(
                issues.register(9, &subscription(preset, code, &["trdPrc"])),
                Welcome::NoSuchIssue
            );
        }
        let pairs = [
            (Preset::Tick, stock.as_str()),
            (Preset::Quote10, &stock),
            (Preset::Tick10, "201N6220*006"),
            (Preset::Index, "301"),
        ];
        let welcomes = pairs.map(|(preset, code)| issues.register(1, &subscription(preset, code, &[])));
        assert_eq!(welcomes, expected, "{answers:?}");
    }
}

#[test]
fn what_is_cancelled_is_pushed_no_more_and_the_start_is_kept() {
    let start = HalfSecond::at(9, 30, 0);
    let mut issues = FloorIssues::new(day(start), PerIssueConfig::default(), false);
    let code = busiest(1).remove(0);
    issues.register(1, &subscription(Preset::Tick, &code, &[]));
    issues.register(2, &subscription(Preset::Quote, &code, &[]));
    let (_, at, _) = pushes(&mut issues).next().unwrap();
    assert!(at >= start.into() && at < HalfSecond::at(9, 35, 0).into());
    issues.cancel(1);
    issues.cancel(1);
    assert_eq!(issues.state(1), None);
    let rest: HashSet<u64> = pushes(&mut issues).skip(100).map(|(number, ..)| number).collect();
    assert_eq!(rest, HashSet::from([2]));
}

#[test]
fn a_leading_zero_is_printed_if_asked_for() {
    let config = PerIssueConfig {
        leading_zeros: true,
        ..PerIssueConfig::default()
    };
    let code = busiest(1).remove(0);
    let mut issues = FloorIssues::new(day(HalfSecond::at(9, 30, 0)), config, false);
    issues.register(1, &subscription(Preset::Tick, &code, &[]));
    let (_, _, params) = pushes(&mut issues).next().unwrap();
    assert!(params.contains("\"trdTm\":093"), "{params}");
    serde_json::from_str::<Value>(&params).unwrap_err();
}

#[test]
fn another_day_follows_with_the_same_registrations() {
    let config = DayConfig {
        trades_per_day: 20_000,
        ..DayConfig::default()
    };
    let mut issues = FloorIssues::new(config, PerIssueConfig::default(), true);
    let code = busiest(1).remove(0);
    issues.register(1, &subscription(Preset::Tick, &code, &[]));
    issues.register(2, &subscription(Preset::Change, &code, &["accTrdvol"]));
    let first: Vec<_> = pushes(&mut issues).collect();
    let second: Vec<_> = pushes(&mut issues).collect();
    assert!(first != second && second.iter().any(|(number, ..)| *number == 2));
    let whole = (HalfSecond::DAY_START.into(), HalfSecond::DAY_END.into());
    for (_, at, _) in first.iter().chain(&second) {
        assert!((whole.0..whole.1).contains(at));
    }
}
