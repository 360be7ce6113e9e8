//! The command on configurations in a folder of their own, without a recorder and with one.

use krx_store::DataDirLock;

use super::*;
use crate::config::Overrides;

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// A configuration with a per-issue feed that may have five registrations, and has `list` beside two of its own.
    fn new(list: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            r#"
data_dir = "{}"
[koscom]
base_url = "wss://gateway.example"
member_name = "x"
[[feed]]
market = "KOSPI"
path = "/ws_ksp"
[[feed]]
name = "ISSUES"
service = "per_issue"
path = "/ws/"
registrations_max = 5
register_file = "issues.txt"
[[feed.register]]
presets = ["tick10", "quote10"]
codes = ["000660"]
[[feed]]
name = "FIXED"
service = "per_issue"
path = "/ws/"
[[feed.register]]
presets = ["index"]
codes = ["001"]
"#,
            folder.path().join("data").display()
        );
        std::fs::write(folder.path().join("krx.toml"), text).unwrap();
        let bench = Self { folder };
        if let Some(list) = list {
            std::fs::write(bench.list(), list).unwrap();
        }
        bench
    }

    fn list(&self) -> PathBuf {
        self.folder.path().join("issues.txt")
    }

    fn text(&self) -> Option<String> {
        std::fs::read_to_string(self.list()).ok()
    }

    /// Runs the command with these words; what is wrong, with its exit code.
    fn run(&self, words: &str) -> Result<(), (String, u8)> {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            changes: Changes,
        }
        let words = ["register"].into_iter().chain(words.split(' '));
        let line = <Line as clap::Parser>::try_parse_from(words).map_err(|error| (error.to_string(), 64))?;
        let config = self.folder.path().join("krx.toml");
        let load = |draft: &Draft| Config::load_with(Some(&config), &Overrides::default(), Some(draft));
        register(&config, load, &line.changes, true)
            .map_err(|failure| (failure.to_string(), failure.exit() as u8))
    }

    /// What is wrong, which must change nothing.
    fn refused(&self, words: &str) -> (String, u8) {
        let before = self.text();
        let error = self.run(words).unwrap_err();
        assert_eq!(self.text(), before, "{words}");
        error
    }
}

#[test]
fn the_list_is_changed_and_what_it_says_besides_stays() {
    let bench = Bench::new(Some("# mine\ntick10:005930  # Samsung\n"));
    bench
        .run("--feed ISSUES --add tick10:035420,quote:035420 --remove tick10:005930")
        .unwrap();
    assert_eq!(bench.text().unwrap(), "# mine\ntick10:035420\nquote:035420\n");
    bench
        .run("--feed ISSUES --add change:101N6000 --instruments derivatives --items trdPrc,trdTm")
        .unwrap();
    assert!(
        bench
            .text()
            .unwrap()
            .ends_with("\nchange:101N6000 derivatives trdPrc trdTm\n")
    );
    // What is there already, and what was never there, is no error.
    let before = bench.text();
    bench
        .run("--feed ISSUES --add tick10:035420 --remove tick:999999")
        .unwrap();
    assert_eq!(bench.text(), before);
}

#[test]
fn a_list_that_does_not_exist_yet_is_created() {
    let bench = Bench::new(None);
    bench.run("--feed ISSUES --add index:001").unwrap();
    assert_eq!(bench.text().unwrap(), "index:001\n");
    bench.run("--feed ISSUES --remove index:001").unwrap();
    assert_eq!(bench.text().unwrap(), "");
}

#[test]
fn a_list_that_would_be_wrong_changes_nothing_and_says_why() {
    let bench = Bench::new(Some("tick10:005930\n"));
    let (words, code) = bench.refused("--feed ISSUES --add tick:1,tick:2,tick:3");
    assert!(
        words.starts_with("nothing is changed, because with this list the configuration would be wrong: ")
            && words.contains("ISSUES: 6 registrations, and registrations_max is 5: ")
            && words.contains("issues.txt lists 4"),
        "{words}"
    );
    assert_eq!(code, 78);
    let (words, code) = bench.refused("--feed ISSUES --add tick:000660 --instruments derivatives");
    assert!(words.contains("000660 is listed with derivatives"), "{words}");
    assert_eq!(code, 78);
    // A list that is wrong already can be put right.
    std::fs::write(bench.list(), "tick:1\ntick:2\ntick:3\ntick:4\n").unwrap();
    bench.refused("--feed ISSUES --add tick:5");
    bench.run("--feed ISSUES --remove tick:1").unwrap();
    assert_eq!(bench.text().unwrap(), "tick:2\ntick:3\ntick:4\n");
}

#[test]
fn each_wrong_call_says_what_to_do_and_changes_nothing() {
    let bench = Bench::new(Some("tick10:005930\n"));
    for (words, expected, expected_code) in [
        ("--feed ISSUES", "--add <PRESET:CODE>", 64),
        ("--feed ISSUES --add 005930", "is not a preset and a code", 64),
        ("--feed ISSUES --add tick11:005930", "must be one of", 64),
        ("--feed issues --add tick:005930", "--feed", 64),
        (
            "--feed ISSUES --add change:005930",
            "--add change:005930: \"change\" needs items",
            64,
        ),
        (
            "--feed ISSUES --add tick:005930 --items trdPrc",
            "only preset \"change\" has items",
            64,
        ),
        (
            "--feed ISSUES --add index:001 --instruments stocks",
            "preset \"index\" is for indices",
            64,
        ),
        (
            "--feed KOSPI --add tick:005930",
            "no per-issue feed of this name; its per-issue feeds: ISSUES, FIXED",
            64,
        ),
        (
            "--feed FIXED --add tick:005930",
            "feed.register_file: feed FIXED has none",
            78,
        ),
        (
            "--feed ISSUES --remove quote10:000660,tick10:005930",
            "--remove quote10:000660: nothing is changed, because it is listed in a [[feed.register]]",
            64,
        ),
    ] {
        let (found, code) = bench.refused(words);
        assert!(found.contains(expected), "{words}: {found}");
        assert_eq!(code, expected_code, "{words}: {found}");
    }
}

#[test]
fn a_directory_that_somebody_unknown_holds_is_an_error_and_changes_nothing() {
    let bench = Bench::new(Some(""));
    let data = DataDir::new(bench.folder.path().join("data"));
    let _held = DataDirLock::take(&data).unwrap();
    std::fs::write(data.lock_file(), "4194305\n").unwrap();
    let (words, code) = bench.refused("--feed ISSUES --add tick:005930");
    assert!(
        words.starts_with("nothing is changed: process 4194305 holds the data directory"),
        "{words}"
    );
    assert_eq!(code, 74);
}

#[test]
fn a_person_reads_what_is_changed_and_when_it_takes_effect() {
    let report = Report {
        feed: "ISSUES".parse().unwrap(),
        file: "issues.txt".into(),
        added: vec!["tick10:005930".into(), "tick10:101N6000".into()],
        removed: vec!["quote10:000660".into()],
        unchanged: Vec::new(),
        wanted: 12,
        max: 200,
        process: None,
        remarks: vec!["101N6000 is odd".into()],
    };
    assert_eq!(
        words(&report, &Holder::Nobody),
        "ISSUES: added tick10:005930, tick10:101N6000; removed quote10:000660; 12 of 200 registrations\n\
         101N6000 is odd\n\
         no recorder is running: issues.txt takes effect at the next start\n"
    );
    assert!(
        words(&report, &Holder::Other(7)).ends_with(
            "process 7 holds the data directory and is not a recorder: issues.txt takes effect at the next start\n"
        )
    );
}
