//! Tests of the configuration: a complete file, and everything that can be wrong with one.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::NaiveTime;

use super::file::{RETENTION_KEYS, shape};
use super::proxy::ProxySetting;
use super::registrations_tests::ISSUES;
use super::*;
use crate::hours::schedule::Schedule;

pub(super) const WHOLE: &str = r#"
data_dir = "/var/lib/krx-recorder"
[koscom]
base_url = "wss://gateway.example"
member_name = "예시 증권"
api_key_file = "/etc/krx-recorder/api-key"
allow_plaintext = false
[[feed]]
market = "KOSPI"
path = "/ws_ksp"
[[feed]]
market = "KOSDAQ"
path = "/ws_kdq"
[schedule]
mode = "calendar"
open = "08:20"
close = "20:10"
calendar_file = "/etc/krx-recorder/calendar.toml"
[connection]
proxy = "http://proxy.example:3128"
proxy_credentials_file = "/etc/krx-recorder/proxy-credentials"
ca_file = "/etc/krx-recorder/authority.pem"
connect_timeout = "10s"
heartbeat_interval = "10s"
stall_timeout = "30s"
backoff_initial = "250ms"
backoff_max = "15s"
message_bytes_max = 1048576
answer_timeout = "5s"
silent_after = "60s"
[journal]
sync_interval = "50ms"
segment_bytes = 67108864
keep_days = 0
[rotate]
interval = "5m"
rows_max = 1000000
[clock]
lag_max = "10s"
[disk]
warn_free_bytes = 5000000000
[status]
listen = "127.0.0.1:9464"

[seal]
after_close = true

[retention]
trades_days = 3650
quarantine_days = 400
coverage_days = 3650

[log]
target = "auto"
filter = "info"
"#;

/// A feed that sets everything a feed can set.
const OWN: &str = r#"[[feed]]
name = "KONEX"
service = "full_market"
market = "KONEX"
path = "/ws_knx"
base_url = "ws://another.example:9887"
member_name = "Another"
api_key_file = "/etc/krx-recorder/api-key-KONEX"
allow_plaintext = true
schedule = { mode = "calendar", open = "07:20", close = "18:10" }
[[feed]]
"#;

pub(super) fn load(text: &str) -> Result<Config, ConfigError> {
    let (file, mut problems) = parse(text);
    let lists = read_lists(&file, None, &mut problems);
    let overrides = Overrides::default();
    let config = check(file, &overrides, Some(Calendar::default()), &lists, &mut problems);
    problems.finish(config)
}

fn problem(from: &str, to: &str) -> String {
    assert!(WHOLE.contains(from), "{from}");
    load(&WHOLE.replace(from, to)).unwrap_err().to_string()
}

/// The keys of a table, or of all tables of an array.
pub(super) fn written_keys<'a>(file: &'a toml::Value, table: &str) -> BTreeSet<&'a str> {
    let mut tables = vec![file];
    for part in table.split('.').filter(|part| !part.is_empty()) {
        let inner = tables.into_iter().filter_map(|table| table.get(part));
        let each = |value: &'a toml::Value| match value {
            toml::Value::Array(array) => array.iter().collect(),
            table => vec![table],
        };
        tables = inner.flat_map(each).collect();
    }
    let keys = tables
        .into_iter()
        .flat_map(|table| table.as_table().unwrap().keys());
    keys.map(String::as_str).collect()
}

#[test]
fn a_complete_file_has_every_key_with_its_default_value() {
    let whole = load(WHOLE).unwrap();
    assert_eq!(whole.feeds[1].url.to_string(), "wss://gateway.example/ws_kdq");
    assert_eq!(whole.export.rotate_interval, Duration::from_secs(300));
    let short = "data_dir = \"/d\"\n[koscom]\nbase_url = \"wss://gateway.example/\"\nmember_name = \"x\"";
    let short = load(short).unwrap();
    let feeds = short.feeds.iter().map(|feed| FeedConfig {
        member_name: "예시 증권".to_owned(),
        ..feed.clone()
    });
    assert_eq!(feeds.collect::<Vec<_>>(), whole.feeds);
    // Only without these does the environment choose the proxy, and are only this machine's authorities trusted.
    let connection = ConnectionConfig {
        proxy: ProxySetting::Environment,
        proxy_credentials_file: None,
        ca_file: None,
        ..whole.connection
    };
    assert_eq!(
        (short.connection, short.journal, short.export),
        (connection, whole.journal, whole.export)
    );
    assert_eq!(short.status_listen, None);
    // A feed's own keys have no defaults.
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&list, "000660").unwrap();
    let issues = ISSUES.replace("issues.txt", list.path().to_str().unwrap());
    let register = tempfile::NamedTempFile::new().unwrap();
    let max = "registrations_max = 20\n";
    let with_list = format!("{max}register_file = {:?}\n", register.path());
    let issues = issues.replace(max, &with_list);
    let of_datasets: String = RETENTION_KEYS
        .iter()
        .map(|(_, key)| format!("{key} = 400\n"))
        .collect();
    let three = "trades_days = 3650\nquarantine_days = 400\ncoverage_days = 3650\n";
    assert!(WHOLE.contains(three));
    // Without it there are no bars.
    let bars = WHOLE.replace("after_close = true\n", "after_close = true\nbars = \"1m\"\n");
    let whole = bars.replace(three, &of_datasets);
    let whole = whole.replacen("[[feed]]\n", OWN, 1) + &issues;
    load(&whole).unwrap();
    let table = toml::Value::Table(whole.parse().unwrap());
    for (name, keys) in shape().keys {
        assert_eq!(written_keys(&table, name), keys.into_iter().collect(), "[{name}]");
    }
}

#[test]
fn bars_are_of_a_minute_or_there_are_none() {
    let with = |bars: &str| load(&WHOLE.replace("after_close = true\n", &format!("bars = {bars}\n")));
    assert!(!load(WHOLE).unwrap().bars);
    assert!(with("\"1m\"").unwrap().bars);
    let error = with("\"5m\"").unwrap_err().to_string();
    assert!(
        error.contains("seal.bars: \"5m\" is not a supported length"),
        "{error}"
    );
}

#[test]
fn an_unknown_key_is_named_with_its_nearest_neighbour() {
    let cases = [
        (
            "stall_timeout",
            "stall_timeot",
            "unknown key `connection.stall_timeot`; did you mean `connection.stall_timeout`?",
        ),
        (
            "data_dir",
            "datadir",
            "unknown key `datadir`; did you mean `data_dir`?",
        ),
        (
            "[rotate]",
            "[rotation]",
            "unknown key `rotation`; did you mean `rotate`?",
        ),
        (
            "market = \"KOSPI\"",
            "markt = \"KOSPI\"",
            "unknown key `feed.markt`; did you mean `feed.market`?",
        ),
        (
            "keep_days = 0",
            "rows_max = 5",
            "unknown key `journal.rows_max`; did you mean `rotate.rows_max`?",
        ),
    ];
    for (from, to, expected) in cases {
        let line = 1 + WHOLE[..WHOLE.find(from).unwrap()].matches('\n').count();
        assert_eq!(problem(from, to), format!("line {line}: {expected}"));
    }
}

/// Each with its line, and none that only follows from another.
#[test]
fn all_problems_are_reported_at_once() {
    let wrong = r#"
data_dir = "data"
datadir = "/srv"
[koscom]
base_url = "https://gateway.example"
member_name = " "
api_key_file = "~/key"
[feed]
market = "kospi"
[schedule]
mode = "sometimes"
open = "8.20"
[connection]
stall_timeout = "soon"
heartbeat_interval = "1ms"
message_bytes_max = "1 MiB"
[[journal]]
keep_days = -1
segment_bytes = 1
[rotate]
interval = "1500ms"
rows_max = 1
[retention]
trades_days = 0
[status]
listen = "0.0.0.0:1"
[seal]
after_close = "no"
[clock]
lag_max = "900ms"
[log]
target = "syslog"
filter = "loud"
"#;
    let error = load(wrong).unwrap_err();
    let ConfigError::Wrong(files) = &error else {
        panic!("{error}");
    };
    let found: Vec<_> = files[0]
        .problems
        .iter()
        .map(|problem| {
            (
                problem.line.unwrap_or(0),
                problem.words.split(": ").next().unwrap(),
            )
        })
        .collect();
    let expected = [
        (2, "data_dir"),
        (3, "unknown key `datadir`; did you mean `data_dir`?"),
        (5, "koscom.base_url"),
        (6, "koscom.member_name"),
        (7, "koscom.api_key_file"),
        (8, "[feed]"),
        (8, "[[feed]]"),
        (9, "feed.market"),
        (11, "schedule.mode"),
        (12, "schedule.open"),
        (14, "connection.stall_timeout"),
        (16, "connection.message_bytes_max"),
        (17, "[[journal]]"),
        (18, "journal.keep_days"),
        (19, "journal.segment_bytes"),
        (21, "rotate.interval"),
        (22, "rotate.rows_max"),
        (24, "retention.trades_days"),
        (26, "status.listen"),
        (28, "seal.after_close"),
        (30, "clock.lag_max"),
        (32, "log.target"),
        (33, "log.filter"),
    ];
    assert_eq!(found, expected, "{error}");
    let text = "23 errors:\n  line 2: data_dir: \"data\" depends on the directory";
    assert!(error.to_string().starts_with(text), "{error}");
    assert!(!error.on_one_line().contains('\n'));
}

#[test]
fn all_toml_errors_are_reported_too_but_not_their_consequences() {
    let text = WHOLE
        .replace("open = \"08:20\"", "open =")
        .replace("[rotate]", "[rotate")
        .replace("[seal]", "[sael]");
    let error = load(&text).unwrap_err();
    let ConfigError::Wrong(files) = &error else {
        panic!("{error}");
    };
    let mut lines: Vec<_> = files[0]
        .problems
        .iter()
        .filter_map(|problem| problem.line)
        .collect();
    lines.dedup();
    let line_of = |text: &str| 1 + WHOLE[..WHOLE.find(text).unwrap()].matches('\n').count();
    assert_eq!(lines, [line_of("open ="), line_of("[rotate]")], "{error}");
}

#[test]
fn a_duplicate_key_or_table_hides_nothing() {
    let text = WHOLE
        .replace("open = \"08:20\"", "open = \"08:20\"\nopen = \"08:30\"")
        .replace("\"5m\"", "\"soon\"")
        + "[journal]\nkeep_days = 2\n";
    let error = load(&text).unwrap_err().to_string();
    let line_of = |of: &str| 1 + text[..text.rfind(of).unwrap()].matches('\n').count();
    for (line, words) in [
        (line_of("open = "), "duplicate key"),
        (line_of("[journal]"), "duplicate key"),
        (line_of("\"soon\""), "rotate.interval: "),
    ] {
        assert!(
            error.contains(&format!("line {line}: {words}")),
            "{line} {words}: {error}"
        );
    }
}

#[test]
fn a_data_directory_is_a_full_path_outside_any_folder_that_looks_like_a_partition() {
    let folder = tempfile::tempdir().unwrap();
    let (odd, link) = (folder.path().join("market=KOSPI"), folder.path().join("link"));
    std::fs::create_dir(&odd).unwrap();
    std::os::unix::fs::symlink(&odd, &link).unwrap();
    let below = |path: &Path| path.join("deep/data").display().to_string();
    for (path, words) in [
        ("data".to_owned(), "write the whole path"),
        ("./data".to_owned(), "write the whole path"),
        (String::new(), "is empty"),
        (
            "~/data".to_owned(),
            "only a shell expands `~` to a home directory",
        ),
        ("~krx/data".to_owned(), "expands `~`"),
        (
            "/srv/date=2026/data".to_owned(),
            "is in the directory `date=2026`",
        ),
        ("/srv/feed=X".to_owned(), "is in the directory `feed=X`"),
        (below(&odd), "is in the directory `market=KOSPI`"),
        (below(&link), "is in the directory `market=KOSPI`"),
    ] {
        let problem = problem(
            "data_dir = \"/var/lib/krx-recorder\"",
            &format!("data_dir = \"{path}\""),
        );
        assert!(problem.starts_with("line 2: data_dir: "), "{path}: {problem}");
        assert!(problem.contains(words), "{path}: {problem}");
    }
    // On the command line a relative path means what it means to the shell; the other rules stay.
    let given = |path: &str| DataConfig::load(None, Some(Path::new(path)));
    given("data").unwrap();
    for path in ["~/data", "market=KOSPI/data", "/srv/date=2026"] {
        let problem = given(path).unwrap_err().to_string();
        assert!(problem.starts_with("--data-dir: "), "{problem}");
    }
    given("/srv/update=1/marketed/year=2026").unwrap();
}

#[test]
fn each_wrong_value_is_named_with_a_remedy() {
    let cases = [
        (
            "\"wss://gateway.example\"",
            "\"ws://gateway.example\"",
            "allow_plaintext",
        ),
        (
            "\"wss://gateway.example\"",
            "\"https://gateway.example\"",
            "must begin with wss://",
        ),
        ("\"wss://gateway.example\"", "\"\"", "koscom.base_url"),
        ("\"KOSDAQ\"", "\"KOSPI\"", "KOSPI is listed twice"),
        ("\"KOSDAQ\"", "\"../x\"", "not a feed name"),
        ("\"/ws_kdq\"", "\"ws_kdq\"", "must begin with a slash"),
        (
            "\"calendar\"",
            "\"sometimes\"",
            "must be \"calendar\" or \"always\"",
        ),
        ("\"08:20\"", "\"8.20\"", "schedule.open"),
        ("\"20:10\"", "\"08:00\"", "later than schedule.open"),
        (
            "\"10s\"\nstall",
            "\"ten\"\nstall",
            "connection.heartbeat_interval",
        ),
        (
            "\"30s\"",
            "\"5s\"",
            "connection.stall_timeout: must be longer than connection.heartbeat_interval (10s)",
        ),
        (
            "heartbeat_interval = \"10s\"\nstall_timeout = \"30s\"",
            "heartbeat_interval = \"40s\"",
            "line 24: connection.heartbeat_interval: must be shorter than connection.stall_timeout (30s)",
        ),
        (
            "\"15s\"",
            "\"200ms\"",
            "line 27: connection.backoff_max: must not be shorter than connection.backoff_initial (250ms)",
        ),
        (
            "\"/etc/krx-recorder/api-key\"",
            "\"\"",
            "line 6: koscom.api_key_file: is empty",
        ),
        (
            "\"/etc/krx-recorder/authority.pem\"",
            "\"~/authority.pem\"",
            "line 22: connection.ca_file: \"~/authority.pem\": only a shell expands `~`",
        ),
        (
            "\"/etc/krx-recorder/proxy-credentials\"",
            "\"\"",
            "line 21: connection.proxy_credentials_file: is empty",
        ),
        (
            "ca_file",
            "zzqq",
            "unknown key `connection.zzqq`; no known key resembles it",
        ),
        ("\"5m\"", "\"1500ms\"", "whole seconds"),
        ("\"5m\"", "\"0s\"", "rotate.interval"),
        ("1000000", "0", "rotate.rows_max"),
        ("67108864", "1", "journal.segment_bytes"),
        ("1048576", "65535", "connection.message_bytes_max"),
        ("1048576", "8388609", "between 64 KiB and 8 MiB"),
        (
            "1048576",
            "\"1 MiB\"",
            "connection.message_bytes_max: invalid type: string \"1 MiB\", expected a whole number",
        ),
        ("127.0.0.1:9464", "0.0.0.0:9464", "loopback"),
        ("127.0.0.1:9464", "here", "status.listen"),
        ("keep_days = 0", "keep_days = -1", "keep_days"),
        ("keep_days = 0", "keep_days = 4294967295", "journal.keep_days"),
        (
            "wss://gateway.example",
            "wss://user:secret@gateway.example",
            "koscom.base_url: must not contain a user or a password",
        ),
        (
            "wss://gateway.example",
            "wss://gateway.example:99999",
            "has an invalid port",
        ),
        (
            "wss://gateway.example",
            "wss://gateway.example/?a=b",
            "feed.path is appended to it",
        ),
        ("[journal]", "[journal", "line 31: unclosed table"),
        ("path = \"/ws_kdq\"\n", "", "[[feed]]: `path` is missing"),
        (
            "member_name = \"예시 증권\"",
            "member_name = \"\"",
            "koscom.member_name: is empty",
        ),
        ("listen = \"127.0.0.1:9464\"", "", "status: `listen` is missing"),
    ];
    for (from, to, expected) in cases {
        let problem = problem(from, to);
        assert!(problem.contains(expected), "{to}: {problem}");
        assert!(!problem.contains("secret"), "{problem}");
    }
    assert!(load("").unwrap_err().to_string().contains("--base-url"));
}

#[test]
fn a_feed_can_have_its_own_server_name_key_and_hours() {
    let config = load(&WHOLE.replacen("[[feed]]\n", OWN, 1)).unwrap();
    let [own, kospi, _] = &config.feeds[..] else {
        panic!("{:?}", config.feeds)
    };
    assert_eq!(own.url.to_string(), "ws://another.example:9887/ws_knx");
    assert_eq!(
        (own.member_name.as_str(), kospi.member_name.as_str()),
        ("Another", "예시 증권")
    );
    assert_eq!(
        own.api_key_file.as_deref(),
        Some(Path::new("/etc/krx-recorder/api-key-KONEX"))
    );
    let (Schedule::Calendar(own), Schedule::Calendar(common)) = (&own.schedule, &kospi.schedule) else {
        panic!("two calendars")
    };
    let at = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
    assert_eq!((own.open, own.close), (at(7, 20), at(18, 10)));
    assert_eq!((common.open, common.close), (at(8, 20), at(20, 10)));

    // One key of the table is enough, and the command line overrides all of it.
    let always =
        format!("{WHOLE}\n[[feed]]\nmarket = \"A\"\npath = \"/\"\n[feed.schedule]\nmode = \"always\"\n");
    assert_eq!(load(&always).unwrap().feeds[2].schedule, Schedule::Always);
    let overrides = Overrides {
        base_url: Some("ws://127.0.0.1:1".into()),
        member_name: Some("me".into()),
        always: true,
        ..Overrides::default()
    };
    let (file, mut problems) = parse(&WHOLE.replacen("[[feed]]\n", OWN, 1));
    let config = check(
        file,
        &overrides,
        Some(Calendar::default()),
        &Lists::default(),
        &mut problems,
    );
    for feed in problems.finish(config).unwrap().feeds {
        assert_eq!(
            (feed.url.host(), feed.member_name.as_str()),
            (Some("127.0.0.1"), "me")
        );
        assert_eq!(feed.schedule, Schedule::Always);
    }

    // If each feed sets everything, no common values are needed.
    let alone = format!("data_dir = \"/d\"\n{}", OWN.strip_suffix("[[feed]]\n").unwrap());
    load(&alone).unwrap();
    let lacking = load(&alone.replace("member_name = \"Another\"\n", ""))
        .unwrap_err()
        .to_string();
    assert!(lacking.starts_with("koscom.member_name: is missing"), "{lacking}");
}

#[test]
fn a_problem_of_one_feed_is_reported_at_its_line() {
    let text = WHOLE.replacen("[[feed]]\n", OWN, 1);
    let cases = [
        (
            "name = \"KONEX\"",
            "name = \"KONEX2\"",
            "feed.name: \"KONEX2\" is not allowed",
        ),
        (
            "\"full_market\"",
            "\"x\"",
            "feed.service: \"x\" must be \"full_market\" or \"per_issue\"",
        ),
        (
            "allow_plaintext = true",
            "allow_plaintext = false",
            "feed.base_url: ws:// would send the API key in the clear",
        ),
        ("\"Another\"", "\" \"", "feed.member_name: is empty"),
        (
            "\"/etc/krx-recorder/api-key-KONEX\"",
            "\"~/k\"",
            "feed.api_key_file: \"~/k\"",
        ),
        (
            "open = \"07:20\"",
            "open = \"7h\"",
            "feed.schedule.open: \"7h\" is not a time of day",
        ),
        (
            "close = \"18:10\"",
            "close = \"07:00\"",
            "feed.schedule.close: must be later than feed.schedule.open",
        ),
        (
            "open = \"07:20\", close = \"18:10\"",
            "open = \"21:00\"",
            "feed.schedule.open: must be earlier than schedule.close (20:10)",
        ),
        (
            "mode = \"calendar\", open",
            "mode = \"sometimes\", open",
            "feed.schedule.mode: \"sometimes\" must be",
        ),
        (
            "open = \"07:20\"",
            "opne = \"07:20\"",
            "unknown key `feed.schedule.opne`; did you mean `feed.schedule.open`?",
        ),
        (
            "open = \"07:20\"",
            "calendar_file = \"x\"",
            "unknown key `feed.schedule.calendar_file`; did you mean `schedule.calendar_file`?",
        ),
        (
            "schedule = { mode = \"calendar\", open = \"07:20\", close = \"18:10\" }",
            "schedule = \"always\"",
            "feed.schedule: this is a table: write [feed.schedule]",
        ),
    ];
    for (from, to, expected) in cases {
        let at = text.find(from).unwrap_or_else(|| panic!("{from}"));
        let line = 1 + text[..at].matches('\n').count();
        // A wrong value that every feed takes from a table is reported once.
        let error = load(&text.replacen(from, to, 1)).unwrap_err().to_string();
        let expected = match expected.split_once(": ") {
            // The URL is on another line than the permission.
            Some(("feed.base_url", _)) => format!("line {}: {expected}", line - 3),
            _ => format!("line {line}: {expected}"),
        };
        assert!(error.starts_with(&expected), "{expected:?} in {error}");
        assert!(!error.contains('\n'), "{error}");
    }
    let common = load(&text.replace("\"20:10\"", "\"20.10\""))
        .unwrap_err()
        .to_string();
    assert_eq!(common.matches("schedule.close").count(), 1, "{common}");
}

#[test]
fn setting_one_backoff_adjusts_the_other() {
    let of = |written: &str| {
        let both = "backoff_initial = \"250ms\"\nbackoff_max = \"15s\"";
        assert!(WHOLE.contains(both));
        let connection = load(&WHOLE.replace(both, written)).unwrap().connection;
        (
            connection.backoff_initial.as_millis(),
            connection.backoff_max.as_millis(),
        )
    };
    assert_eq!(of("backoff_max = \"100ms\""), (100, 100));
    assert_eq!(of("backoff_initial = \"20s\""), (20_000, 20_000));
    assert_eq!(of("backoff_initial = \"1s\""), (1_000, 15_000));
}

#[test]
fn files_that_a_configuration_names_are_checked_and_may_be_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let whole = WHOLE.replace("/etc/krx-recorder/", "");
    let path = folder.path().join("krx-recorder.toml");
    std::fs::write(&path, &whole).unwrap();
    std::fs::write(folder.path().join("calendar.toml"), "").unwrap();
    let load = || Config::load(Some(&path), &Overrides::default()).map_err(|error| error.to_string());
    let problems = load().unwrap_err();
    for words in [
        "line 21: connection.proxy_credentials_file: ",
        "proxy-credentials: No such file",
        "line 22: connection.ca_file: ",
        "authority.pem: No such file",
    ] {
        assert!(problems.contains(words), "{words:?} in {problems}");
    }
    let in_folder = |name: &str| Some(folder.path().join(name));
    std::fs::write(in_folder("proxy-credentials").unwrap(), "user:password\n").unwrap();
    std::fs::write(&path, whole.replace("ca_file = \"authority.pem\"\n", "")).unwrap();
    let config = load().unwrap();
    assert_eq!(config.api_key_file, in_folder("api-key"));
    assert_eq!(config.calendar_file, in_folder("calendar.toml"));
    assert_eq!(
        config.connection.proxy_credentials_file,
        in_folder("proxy-credentials")
    );
}

#[test]
fn plaintext_is_allowed_on_loopback_or_on_request() {
    for url in [
        "ws://127.0.0.1:9887",
        "ws://localhost:1",
        "ws://[::1]:9887",
        "wss://gateway.example",
    ] {
        load(&WHOLE.replace("wss://gateway.example", url)).unwrap();
    }
    let allowed = WHOLE
        .replace("wss://", "ws://")
        .replace("allow_plaintext = false", "allow_plaintext = true");
    load(&allowed).unwrap();
}

#[test]
fn the_limits_of_message_bytes_max_are_themselves_allowed() {
    for bytes in [65_536, 8_388_608] {
        let config = load(&WHOLE.replace("1048576", &bytes.to_string())).unwrap();
        assert_eq!(config.connection.message_bytes_max, bytes);
    }
}

#[test]
fn the_command_line_overrides_the_file() {
    let overrides = Overrides {
        data_dir: Some("/elsewhere".into()),
        base_url: Some("ws://127.0.0.1:1".into()),
        member_name: Some("me".into()),
        always: true,
    };
    let config = Config::load(None, &overrides).unwrap();
    assert_eq!(
        (config.data_dir, &config.feeds[0].schedule),
        (PathBuf::from("/elsewhere"), &Schedule::Always)
    );
    assert_eq!(config.feeds.len(), 2);
}

#[test]
fn the_calendar_file_is_read_with_and_without_the_rest_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let (config, calendar) = (
        folder.path().join("recorder.toml"),
        folder.path().join("calendar.toml"),
    );
    let table = format!("[schedule]\ncalendar_file = \"{}\"", calendar.display());
    std::fs::write(&config, &table).unwrap();
    let christmas = "2026-12-25".parse().unwrap();

    let missing = load_calendar(Some(&config)).unwrap_err().to_string();
    assert!(missing.contains("calendar.toml: it cannot be read"), "{missing}");

    std::fs::write(&calendar, "[[day]]\ndate = \"2026-12-25\"\ntrading = true\n").unwrap();
    // A calendar needs no server, no key, and no file at all.
    assert!(load_calendar(Some(&config)).unwrap().is_trading(christmas));
    assert!(!load_calendar(None).unwrap().is_trading(christmas));

    let is_looked_into = |line: &&str| line.starts_with("ca_file") || line.starts_with("proxy_credentials");
    let whole: Vec<_> = WHOLE.lines().filter(|line| !is_looked_into(line)).collect();
    let whole = whole
        .join("\n")
        .replace("/etc/krx-recorder/calendar.toml", calendar.to_str().unwrap());
    std::fs::write(&config, whole).unwrap();
    let loaded = Config::load(Some(&config), &Overrides::default()).unwrap();
    assert!(loaded.calendar.is_trading(christmas));
    assert_eq!(loaded.calendar_file, Some(calendar));
}
