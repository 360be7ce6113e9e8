use std::num::NonZeroU64;
use std::time::Duration;

use krx_exchange::{BundleForm, Market};

use super::*;

fn fault(text: &str) -> Fault {
    text.parse().unwrap()
}

#[test]
fn every_kind_is_understood() {
    let once = |number| FaultTime::Once(NonZeroU64::new(number).unwrap());
    let every = |number| FaultTime::Every(NonZeroU64::new(number).unwrap());
    for (text, kind, when) in [
        ("disconnect@7", FaultKind::Disconnect, once(7)),
        ("reset@every:7", FaultKind::Reset, every(7)),
        ("half@1", FaultKind::Half, once(1)),
        ("resend@5", FaultKind::Resend(20), once(5)),
        ("resend@every:5:3", FaultKind::Resend(3), every(5)),
        ("close@5", FaultKind::Close(1011), once(5)),
        ("close@every:5:1001", FaultKind::Close(1001), every(5)),
        ("stall@5", FaultKind::Stall(Duration::from_secs(30)), once(5)),
        (
            "stall@5:0.25",
            FaultKind::Stall(Duration::from_millis(250)),
            once(5),
        ),
        ("garbage@5", FaultKind::Garbage(Garbage::Text), once(5)),
        (
            "garbage@5:badrecord",
            FaultKind::Garbage(Garbage::BadRecord),
            once(5),
        ),
        ("garbage@5:object", FaultKind::Garbage(Garbage::Object), once(5)),
        (
            "garbage@5:truncated-json",
            FaultKind::Garbage(Garbage::TruncatedJson),
            once(5),
        ),
    ] {
        assert_eq!(
            fault(text),
            Fault {
                kind,
                when,
                endpoint: None
            },
            "{text}"
        );
    }
    assert_eq!(
        fault("stall@5:1,market=KOSDAQ").endpoint,
        Some(Endpoint::FullMarket(Market::Kosdaq))
    );
    assert_eq!(
        fault("stall@5:1,service=per_issue").endpoint,
        Some(Endpoint::PerIssue)
    );
}

#[test]
fn errors_name_what_is_wrong() {
    for (text, part) in [
        ("disconnect", "no @"),
        ("explode@3", "unknown kind \"explode\""),
        ("reset@0", "\"0\" is not a number"),
        ("reset@every:x", "\"x\" is not a number"),
        ("half@3:2", "half takes no argument"),
        ("close@3:1005", "\"1005\" is not a close code"),
        ("close@3:abc", "\"abc\" is not a close code"),
        ("stall@3:-1", "\"-1\" is not a number of seconds"),
        ("stall@3:NaN", "\"NaN\" is not a number of seconds"),
        ("garbage@3:smell", "\"smell\""),
        ("resend@3:0", "\"0\" is not a number of messages"),
        ("resend@3:10001", "\"10001\" is not a number of messages"),
        ("half@3,market=NYSE", "\"NYSE\""),
        ("half@3,tempo=4", "\"tempo=4\""),
        ("half@3,service=full_market", "\"full_market\""),
        (
            "resend@3,service=per_issue",
            "resend cannot happen with service=per_issue",
        ),
        (
            "answer@3:twice,market=KOSPI",
            "answer cannot happen with market=KOSPI",
        ),
        ("answer@3", "\"\" is not one of late[:SECONDS], ignored,"),
        ("answer@3:late:x", "\"x\" is not a number of seconds"),
        ("array@3:0", "\"0\" is not a number of pushes"),
        ("forget@3:101", "\"101\" is not a number of percent"),
        ("error@3:1", "error takes no argument"),
    ] {
        let error = text.parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn those_of_the_per_issue_service_are_understood() {
    let bundle = |form, pushes| FaultKind::Bundle(Bundle { form, pushes });
    let late = |milliseconds| FaultKind::Answer(Treatment::Late(Duration::from_millis(milliseconds)));
    for (text, kind) in [
        ("answer@2:withheld", FaultKind::Answer(Treatment::Unanswered)),
        (
            "answer@every:2:refused",
            FaultKind::Answer(Treatment::Refused { with_id: true }),
        ),
        ("answer@2:late", late(7_000)),
        ("answer@2:late:0.5", late(500)),
        ("array@2", bundle(BundleForm::Array, 3)),
        ("joined@2:2", bundle(BundleForm::Concatenated, 2)),
        ("forget@2", FaultKind::Forget(50)),
        ("unregistered@2", FaultKind::Unregistered),
        ("error@2", FaultKind::Error),
    ] {
        let fault = fault(text);
        assert_eq!(fault.kind, kind, "{text}");
        assert!(fault.concerns(Endpoint::PerIssue), "{text}");
        assert!(!fault.concerns(Endpoint::FullMarket(Market::Kospi)), "{text}");
    }
    assert!(!fault("resend@2").concerns(Endpoint::PerIssue));
    assert!(fault("half@2").concerns(Endpoint::PerIssue));
}
