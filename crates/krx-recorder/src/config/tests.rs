//! Tests of the configuration: the whole file, and each thing that can be wrong with it.

use super::file::KEYS;
use super::*;

const WHOLE: &str = r#"
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
[journal]
sync_interval = "50ms"
segment_bytes = 67108864
keep_days = 0
[rotate]
interval = "5m"
rows_max = 1000000
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

fn load(text: &str) -> Result<Config, ConfigError> {
    check(parse(text)?, &Overrides::default(), Calendar::default())
}

fn problem(from: &str, to: &str) -> String {
    assert!(WHOLE.contains(from), "{from}");
    load(&WHOLE.replace(from, to)).unwrap_err().to_string()
}

#[test]
fn the_whole_file_has_every_key_and_the_defaults_are_its_values() {
    let whole = load(WHOLE).unwrap();
    assert_eq!(whole.feeds[1].url.to_string(), "wss://gateway.example/ws_kdq");
    assert_eq!(whole.export.rotate_interval, Duration::from_secs(300));
    let short = "data_dir = \"/d\"\n[koscom]\nbase_url = \"wss://gateway.example/\"\nmember_name = \"x\"";
    let short = load(short).unwrap();
    assert_eq!((&short.feeds, short.schedule), (&whole.feeds, whole.schedule));
    // Only without these does the environment count, and this machine's authorities alone.
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
    let table: toml::Table = WHOLE.parse().unwrap();
    for (name, keys) in KEYS {
        let written: Vec<_> = match table.get(*name) {
            None => table.keys().cloned().collect(),
            Some(toml::Value::Array(array)) => array[0].as_table().unwrap().keys().cloned().collect(),
            Some(value) => value.as_table().unwrap().keys().cloned().collect(),
        };
        let mut keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
        let mut written = written;
        keys.sort();
        written.sort();
        assert_eq!(keys, written, "[{name}]");
    }
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
        assert_eq!(problem(from, to), expected);
    }
}

#[test]
fn each_wrong_value_says_which_and_what_to_write() {
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
        ("\"KOSDAQ\"", "\"KOSPI\"", "KOSPI stands twice"),
        ("\"KOSDAQ\"", "\"../x\"", "no market name"),
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
        ("\"30s\"", "\"5s\"", "longer than connection.heartbeat_interval"),
        ("\"5m\"", "\"1500ms\"", "whole seconds"),
        ("\"5m\"", "\"0s\"", "rotate.interval"),
        ("1000000", "0", "rotate.rows_max"),
        ("67108864", "1", "journal.segment_bytes"),
        ("1048576", "65535", "connection.message_bytes_max"),
        ("1048576", "8388609", "between 64 KiB and 8 MiB"),
        ("1048576", "\"1 MiB\"", "TOML"),
        ("127.0.0.1:9464", "0.0.0.0:9464", "loopback"),
        ("127.0.0.1:9464", "here", "status.listen"),
        ("keep_days = 0", "keep_days = -1", "keep_days"),
        ("keep_days = 0", "keep_days = 4294967295", "journal.keep_days"),
        ("[journal]", "[journal", "TOML"),
    ];
    for (from, to, expected) in cases {
        let problem = problem(from, to);
        assert!(problem.contains(expected), "{to}: {problem}");
    }
    assert!(load("").unwrap_err().to_string().contains("--base-url"));
}

#[test]
fn plaintext_is_for_loopback_or_on_request() {
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
fn the_bounds_of_a_message_are_themselves_allowed() {
    for bytes in [65_536, 8_388_608] {
        let config = load(&WHOLE.replace("1048576", &bytes.to_string())).unwrap();
        assert_eq!(config.connection.message_bytes_max, bytes);
    }
}

#[test]
fn the_command_line_stands_above_the_file() {
    let overrides = Overrides {
        data_dir: Some("/elsewhere".into()),
        base_url: Some("ws://127.0.0.1:1".into()),
        member_name: Some("me".into()),
        always: true,
    };
    let config = Config::load(None, &overrides).unwrap();
    assert_eq!(
        (config.data_dir, config.schedule),
        (PathBuf::from("/elsewhere"), Schedule::Always)
    );
    assert_eq!(config.feeds.len(), 2);
}

#[test]
fn the_calendar_file_is_read_with_the_configuration_and_alone() {
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
    // A calendar needs neither server nor key, and no file at all.
    assert!(load_calendar(Some(&config)).unwrap().is_trading(christmas));
    assert!(!load_calendar(None).unwrap().is_trading(christmas));

    let whole = WHOLE.replace("/etc/krx-recorder/calendar.toml", calendar.to_str().unwrap());
    std::fs::write(&config, whole).unwrap();
    let loaded = Config::load(Some(&config), &Overrides::default()).unwrap();
    assert!(loaded.calendar.is_trading(christmas));
    assert_eq!(loaded.calendar_file, Some(calendar));
}
