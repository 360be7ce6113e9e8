//! Tests of per-issue feeds in the configuration: what they register, and everything that can be wrong with it.

use krx_protocol::per_issue::{Wish, WishList};

use super::tests::{WHOLE, load};
use super::*;

/// A per-issue feed that sets everything such a feed can set. `issues.txt` is to be replaced.
pub(super) const ISSUES: &str = r#"
[[feed]]
name = "ISSUES"
service = "per_issue"
path = "/ws/"
registrations_max = 20
[[feed.register]]
presets = ["tick10", "quote10"]
codes = ["005930", "000660"]
[[feed.register]]
presets = ["tick10"]
instruments = "derivatives"
codes = ["101N6000", "201N6220*006"]
[[feed.register]]
presets = ["index"]
codes = ["001"]
[[feed.register]]
presets = ["change", "tick"]
items = ["trdPrc", "accTrdvol"]
codes_file = "issues.txt"
"#;

/// The same feed with codes in place of the file.
fn issues() -> String {
    ISSUES.replace("codes_file = \"issues.txt\"", "codes = [\"035420\"]")
}

fn whole() -> String {
    format!("{WHOLE}{}", issues())
}

/// The line of the last occurrence.
pub(super) fn line_of(text: &str, of: &str) -> usize {
    let at = text.rfind(of).unwrap_or_else(|| panic!("{of}"));
    1 + text[..at].matches('\n').count()
}

/// Loads the file with a text of the per-issue feed replaced, and says what is wrong and where it was.
fn problem(from: &str, to: &str) -> (String, usize) {
    let issues = issues();
    assert!(issues.contains(from), "{from}");
    let text = format!("{WHOLE}{}", issues.replacen(from, to, 1));
    let at = WHOLE.matches('\n').count() + 1 + issues[..issues.find(from).unwrap()].matches('\n').count();
    match load(&text) {
        Ok(config) => panic!("{to:?} is accepted: {:?}", config.feeds[2]),
        Err(error) => (error.to_string(), at),
    }
}

pub(super) fn names(wishes: &WishList) -> Vec<String> {
    let name = |wish: &Wish| {
        let kind = wish.instruments.as_str();
        format!("{} {kind} {}", wish.pair, wish.items.join("+"))
    };
    wishes.iter().map(name).collect()
}

pub(super) fn registered(config: &Config) -> &PerIssueConfig {
    match &config.feeds.last().unwrap().service {
        FeedService::PerIssue(registered) => registered,
        FeedService::FullMarket => panic!("a full-market feed"),
    }
}

#[test]
fn a_per_issue_feed_has_what_its_groups_list_in_their_order() {
    let config = load(&whole()).unwrap();
    let feed = &config.feeds[2];
    assert_eq!(
        (feed.name.as_str(), feed.url.to_string().as_str()),
        ("ISSUES", "wss://gateway.example/ws/")
    );
    assert_eq!(config.feeds[0].service, FeedService::FullMarket);
    assert_eq!(registered(&config).registrations_max, 20);
    assert_eq!(
        names(&registered(&config).wishes),
        [
            "tick10:005930 stocks ",
            "quote10:005930 stocks ",
            "tick10:000660 stocks ",
            "quote10:000660 stocks ",
            "tick10:101N6000 derivatives ",
            "tick10:201N6220*006 derivatives ",
            "index:001 indices ",
            "change:035420 stocks trdPrc+accTrdvol",
            "tick:035420 stocks ",
        ]
    );
    let most = load(&whole().replace("registrations_max = 20\n", "")).unwrap();
    assert_eq!(registered(&most).registrations_max, 200);
    // Both are the same, and `change` of one code has the items of both groups.
    let more = "[[feed.register]]\npresets = [\"change\", \"tick\", \"change\"]\nitems = [\"trdTm\", \"trdPrc\"]\n\
                codes = [\"035420\", \"035420\"]\n";
    let explicit = whole().replace(
        "presets = [\"index\"]",
        "presets = [\"index\"]\ninstruments = \"indices\"",
    );
    let united = load(&(explicit + more)).unwrap();
    let (before, after) = (
        names(&registered(&config).wishes),
        names(&registered(&united).wishes),
    );
    assert_eq!(after[..7], before[..7]);
    assert_eq!(
        after[7..],
        [
            "change:035420 stocks trdPrc+accTrdvol+trdTm",
            "tick:035420 stocks "
        ]
    );
}

#[test]
fn each_wrong_value_of_a_group_is_reported_at_its_line() {
    let cases = [
        (
            "registrations_max = 20",
            "registrations_max = 0",
            "feed.registrations_max: 0 must lie between 1 and 200",
        ),
        (
            "registrations_max = 20",
            "registrations_max = 201",
            "feed.registrations_max: 201 must lie between 1 and 200",
        ),
        (
            "registrations_max = 20",
            "registrations_max = -1",
            "feed.registrations_max: invalid value: integer `-1`",
        ),
        (
            "\"tick10\", \"quote10\"",
            "\"tick10\", \"quote5\"",
            "feed.register.presets: \"quote5\" must be one of \"tick\", \"quote\",",
        ),
        (
            "[\"tick10\", \"quote10\"]",
            "[]",
            "feed.register.presets: is empty",
        ),
        (
            "[\"tick10\", \"quote10\"]",
            "\"tick10\"",
            "feed.register.presets: invalid type: string \"tick10\", expected a list in brackets",
        ),
        (
            "\"derivatives\"",
            "\"futures\"",
            "feed.register.instruments: \"futures\" must be \"stocks\",",
        ),
        (
            "\"005930\"",
            "\"삼성전자\"",
            "feed.register.codes: \"삼성전자\" is not an issue code: write 12 letters",
        ),
        (
            "\"005930\"",
            "\"\"",
            "feed.register.codes: \"\" is not an issue code",
        ),
        (
            "\"201N6220*006\"",
            "\"201N6220*0061\"",
            "feed.register.codes: \"201N6220*0061\" is not an issue code",
        ),
        (
            "\"000660\"",
            "660",
            "feed.register.codes: invalid type: integer `660`, expected a string in quotes",
        ),
        ("[\"001\"]", "[]", "feed.register.codes: is empty: write codes"),
        (
            "[\"trdPrc\", \"accTrdvol\"]",
            "[]",
            "feed.register.items: is empty",
        ),
        (
            "\"trdPrc\"",
            "\"trd prc\"",
            "feed.register.items: \"trd prc\" is not the name of a field",
        ),
        (
            "\"change\", \"tick\"",
            "\"tick\", \"change\", \"index\"",
            "feed.register.presets: \"index\" is for indices, and the other presets are not",
        ),
        (
            "presets = [\"tick10\"]",
            "presets = [\"index\"]",
            "feed.register.instruments: preset \"index\" is for indices",
        ),
        (
            "\"derivatives\"",
            "\"indices\"",
            "feed.register.presets: indices have preset \"index\" only, not \"tick10\"",
        ),
        (
            "presets = [\"change\", \"tick\"]",
            "presets = [\"tick\"]",
            "feed.register.items: only preset \"change\" has items",
        ),
        (
            "items = [\"trdPrc\", \"accTrdvol\"]",
            "",
            "feed.register.presets: \"change\" needs `items`",
        ),
        (
            "\"101N6000\"",
            "\"005930\"",
            "feed.register: 005930 is listed with derivatives here and with stocks in the group on line ",
        ),
        (
            "codes = [\"001\"]",
            "code = [\"001\"]",
            "unknown key `feed.register.code`; did you mean `feed.register.codes`?",
        ),
        (
            "presets = [\"index\"]",
            "preset = [\"index\"]",
            "unknown key `feed.register.preset`; did you mean `feed.register.presets`?",
        ),
        (
            "items = [",
            "item = [",
            "unknown key `feed.register.item`; did you mean `feed.register.items`?",
        ),
        (
            "registrations_max",
            "registration_max",
            "unknown key `feed.registration_max`; did you mean `feed.registrations_max`?",
        ),
        (
            "name = \"ISSUES\"",
            "nam = \"ISSUES\"",
            "unknown key `feed.nam`; did you mean `feed.name`?",
        ),
        (
            "service = \"per_issue\"",
            "servise = \"per_issue\"",
            "unknown key `feed.servise`; did you mean `feed.service`?",
        ),
        ("name = \"ISSUES\"", "name = \"issues\"", "feed.name: "),
        (
            "name = \"ISSUES\"",
            "name = \"KOSDAQ\"",
            "feed.name: KOSDAQ is reserved for the feed of that whole market",
        ),
        (
            "name = \"ISSUES\"",
            "market = \"KONEX\"",
            "feed.market: a per-issue feed has no market: write a name instead",
        ),
        (
            "name = \"ISSUES\"",
            "name = \"ISSUES\"\nmarket = \"A\"",
            "feed.market: a per-issue feed has no market: remove the line",
        ),
    ];
    for (from, to, expected) in cases {
        let (error, at) = problem(from, to);
        let line = match (from, to) {
            ("\"derivatives\"", "\"indices\"") | ("items = [\"trdPrc\", \"accTrdvol\"]", "") => at - 1,
            ("presets = [\"tick10\"]", _) | ("presets = [\"change\", \"tick\"]", _) => at + 1,
            (_, "name = \"ISSUES\"\nmarket = \"A\"") => at + 1,
            _ => at,
        };
        let expected = format!("line {line}: {expected}");
        assert!(error.starts_with(&expected), "{to}: {expected:?} in {error}");
        assert!(!error.contains('\n'), "{to}: {error}");
    }
}

#[test]
fn a_group_without_what_it_needs_is_reported_at_its_head() {
    let head = |before: &str| line_of(&whole(), before) - 1;
    let cases = [
        (
            "presets = [\"index\"]\n",
            "[[feed.register]]: `presets` is missing",
            0,
        ),
        (
            "codes = [\"001\"]\n",
            "[[feed.register]]: `codes` is missing: write codes, such as",
            1,
        ),
        ("name = \"ISSUES\"\n", "[[feed]]: `name` is missing", 0),
    ];
    for (lacking, expected, above) in cases {
        let error = load(&whole().replacen(lacking, "", 1)).unwrap_err().to_string();
        let expected = format!("line {}: {expected}", head(lacking) - above);
        assert!(error.starts_with(&expected), "{expected:?} in {error}");
        assert!(!error.contains('\n'), "{error}");
    }
    let text = whole();
    let bare = &text[..text.find("[[feed.register]]").unwrap()];
    let error = load(bare).unwrap_err().to_string();
    let expected = format!(
        "line {}: [[feed]]: nothing is registered",
        head("name = \"ISSUES\"")
    );
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn brackets_and_shapes_of_groups_are_mended_to_find_what_else_is_wrong() {
    let text = format!(
        "{bare}[feed.register]\npresets = [\"tik\"]\ncodes = [\"005930\"]\n",
        bare = {
            let text = whole();
            text[..text.find("[[feed.register]]").unwrap()].to_owned()
        }
    );
    let error = load(&text).unwrap_err().to_string();
    let at = line_of(&text, "[feed.register]");
    for words in [
        format!(
            "line {at}: [feed.register]: write [[feed.register]], in double brackets: there can be several groups"
        ),
        format!("line {}: feed.register.presets: \"tik\" must be one of", at + 1),
    ] {
        assert!(error.contains(&words), "{words:?} in {error}");
    }
    assert!(error.starts_with("2 errors"), "{error}");
    for (written, words) in [
        (
            "register = \"all\"",
            "feed.register: this is a table: write [[feed.register]]",
        ),
        ("register = [7]", "[[feed.register]]: invalid type: integer `7`"),
    ] {
        let text = text.replace(
            "[feed.register]\npresets = [\"tik\"]\ncodes = [\"005930\"]",
            written,
        );
        let error = load(&text).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn groups_belong_to_per_issue_feeds_alone() {
    let group = "[[feed.register]]\npresets = [\"tick\"]\ncodes = [\"005930\"]\n";
    let text = WHOLE.replace("[schedule]\n", &format!("{group}[schedule]\n"));
    let error = load(&text).unwrap_err().to_string();
    let expected = format!(
        "line {}: [[feed.register]], register_file and registrations_max are for the per-issue service: remove them, or write service",
        line_of(&text, "[[feed.register]]")
    );
    assert!(error.starts_with(&expected), "{error}");
    let text = WHOLE.replace(
        "path = \"/ws_kdq\"",
        "path = \"/ws_kdq\"\nregistrations_max = 200",
    );
    let error = load(&text).unwrap_err().to_string();
    assert!(
        error.contains("are for the per-issue service") && !error.contains('\n'),
        "{error}"
    );
    // Without its service, the feed is not also missing a market.
    let text = whole().replace("service = \"per_issue\"\n", "");
    let error = load(&text).unwrap_err().to_string();
    assert!(
        error.contains("are for the per-issue service") && !error.contains('\n'),
        "{error}"
    );
}

#[test]
fn no_two_feeds_have_one_name() {
    let konex = "[[feed]]\nmarket = \"KONEX\"\npath = \"/ws_knx\"\n";
    let named = issues().replace("\"ISSUES\"", "\"KONEX\"");
    for text in [format!("{WHOLE}{konex}{named}"), format!("{WHOLE}{named}{konex}")] {
        let error = load(&text).unwrap_err().to_string();
        let expected = format!(
            "line {}: feed.name: KONEX is the name of a full-market feed too, and both would have one journal",
            line_of(&text, "name = \"KONEX\"")
        );
        assert!(error.starts_with(&expected) && !error.contains('\n'), "{error}");
    }
    let twice = format!("{WHOLE}{}{}", issues(), issues());
    let error = load(&twice).unwrap_err().to_string();
    let line = line_of(&twice, "name = \"ISSUES\"");
    assert_eq!(error, format!("line {line}: feed.name: ISSUES is listed twice"));
    let two = format!(
        "{WHOLE}{}{}",
        issues(),
        issues().replace("\"ISSUES\"", "\"MORE\"")
    );
    assert_eq!(load(&two).unwrap().feeds.len(), 4);
}

#[test]
fn too_many_registrations_are_counted_group_by_group() {
    let group = |presets: &str, numbers: std::ops::Range<usize>| {
        let codes: Vec<_> = numbers.map(|number| format!("\"{number:06}\"")).collect();
        format!(
            "[[feed.register]]\npresets = [{presets}]\ncodes = [{}]\n",
            codes.join(", ")
        )
    };
    let feed = "[[feed]]\nname = \"ISSUES\"\nservice = \"per_issue\"\npath = \"/ws/\"\n";
    let text = format!(
        "{WHOLE}{feed}{}{}",
        group("\"tick10\", \"quote10\"", 0..80),
        group("\"tick10\"", 74..134)
    );
    let [table, first, second] = [
        "name = \"ISSUES\"",
        "presets = [\"tick10\", \"quote10\"]",
        "presets = [\"tick10\"]",
    ]
    .map(|below| line_of(&text, below) - 1);
    assert_eq!(
        load(&text).unwrap_err().to_string(),
        format!(
            "line {table}: ISSUES: 214 registrations, and registrations_max is 200: [[feed.register]] on line {first} \
             makes 160 (2 presets × 80 codes), on line {second} 60 (1 preset × 60 codes); 6 repeat others and do not \
             count. Remove 14, or give some to another feed with its own key"
        )
    );
    let fitting = format!(
        "{WHOLE}{feed}{}{}",
        group("\"tick10\", \"quote10\"", 0..80),
        group("\"tick10\"", 74..120)
    );
    assert_eq!(registered(&load(&fitting).unwrap()).wishes.len(), 200);
    // At the line of the key if it is there.
    let (error, at) = problem("registrations_max = 20", "registrations_max = 8");
    let expected = format!("line {at}: ISSUES: 9 registrations, and registrations_max is 8: ");
    assert!(error.starts_with(&expected), "{error}");
    assert!(
        error.ends_with("Remove 1, or write a larger registrations_max if Koscom allows you more"),
        "{error}"
    );
    let (_, _) = problem("registrations_max = 20", "registrations_max = 1");
    load(&whole().replace("registrations_max = 20", "registrations_max = 9")).unwrap();
}

#[test]
fn codes_of_two_kinds_are_reported_once_for_two_groups() {
    let codes: Vec<_> = (0..8).map(|number| format!("\"{number:06}\"")).collect();
    let group = |head: &str| format!("[[feed.register]]\n{head}\ncodes = [{}]\n", codes.join(", "));
    let feed = "[[feed]]\nname = \"ISSUES\"\nservice = \"per_issue\"\npath = \"/ws/\"\n";
    // The presets differ, so that no pair is there twice.
    let second = "presets = [\"quote\"]\ninstruments = \"derivatives\"";
    let text = format!("{WHOLE}{feed}{}{}", group("presets = [\"tick\"]"), group(second));
    let first = line_of(&text, "presets = [\"tick\"]") - 1;
    assert_eq!(
        load(&text).unwrap_err().to_string(),
        format!(
            "line {}: feed.register: 000000, 000001, 000002, 000003, 000004 and 3 more are listed with derivatives here \
             and with stocks in the group on line {first}: write one or the other",
            line_of(&text, "codes = ")
        )
    );
}
