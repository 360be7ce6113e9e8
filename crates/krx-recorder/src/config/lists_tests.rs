//! Tests of a feed's own list of registrations, beside its groups.

use super::registrations_tests::{names, registered};
use super::*;

struct Bench {
    folder: tempfile::TempDir,
}

const GROUP: &str = "[[feed.register]]\npresets = [\"tick10\", \"quote10\"]\ncodes = [\"000660\"]\n";

impl Bench {
    fn new(feeds: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let head = "data_dir = \"/d\"\n[koscom]\nbase_url = \"wss://gateway.example\"\nmember_name = \"x\"\n";
        std::fs::write(folder.path().join("krx.toml"), format!("{head}{feeds}")).unwrap();
        Self { folder }
    }

    fn with_feed(rest: &str) -> Self {
        Self::new(&format!(
            "[[feed]]\nname = \"ISSUES\"\nservice = \"per_issue\"\npath = \"/ws/\"\nregister_file = \"list.txt\"\n{rest}"
        ))
    }

    fn list(&self, text: &str) -> &Self {
        std::fs::write(self.folder.path().join("list.txt"), text).unwrap();
        self
    }

    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(Some(&self.folder.path().join("krx.toml")), &Overrides::default())
    }

    fn names(&self) -> Vec<String> {
        names(&registered(&self.load().unwrap()).wishes)
    }

    /// What is wrong, without the folder's name.
    fn problem(&self) -> String {
        let words = self.load().unwrap_err().to_string();
        words.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

#[test]
fn a_feed_registers_what_its_groups_and_its_list_have() {
    let bench = Bench::with_feed(GROUP);
    bench.list("# more\nchange:005930 trdPrc\nquote10:000660\nindex:001\nchange:005930 trdTm\ntick:101N6000 derivatives");
    assert_eq!(
        bench.names(),
        [
            "tick10:000660 stocks ",
            "quote10:000660 stocks ",
            "change:005930 stocks trdPrc+trdTm",
            "index:001 indices ",
            "tick:101N6000 derivatives ",
        ]
    );
    assert_eq!(bench.list("").names().len(), 2, "an empty list is a list");
    // The list alone is enough, too.
    let bench = Bench::with_feed("");
    assert_eq!(bench.list("tick:005930\n").names(), ["tick:005930 stocks "]);
    assert_eq!(
        bench.list("# none\n").problem(),
        "the configuration krx.toml, line 5: [[feed]]: nothing is registered: list.txt is empty; list something there, or \
         write [[feed.register]] below it, with `presets` and `codes`"
    );
}

#[test]
fn a_list_that_is_not_good_says_where_and_what_to_write() {
    let bench = Bench::with_feed(GROUP);
    assert!(
        bench.problem().starts_with(
            "the configuration krx.toml, line 9: feed.register_file: list.txt: No such file or directory (os error 2); create \
             it (it may be empty; `krx-recorder register` creates it too), or remove `register_file`"
        ),
        "{}",
        bench.problem()
    );
    let found = bench.list("tick:005930\n\n005930\nindex:001 stocks\n").problem();
    assert!(
        found.starts_with("the file of registrations list.txt has 2 errors:\n  line 3: \"005930\" is not a preset and a code")
            && found.contains("\n  line 4: index:001: preset \"index\" is for indices, not for stocks"),
        "{found}"
    );
    assert_eq!(
        bench.list("tick:000660 derivatives\n").problem(),
        "the configuration krx.toml, line 9: feed.register: 000660 is listed with derivatives in list.txt and with stocks in \
         the group on line 10: write one or the other"
    );
    assert!(
        bench
            .list("tick:005930\nquote:005930 derivatives\n")
            .problem()
            .contains("005930 is listed with derivatives in list.txt and with stocks in list.txt: write one or the other")
    );
    let bench = Bench::with_feed(&format!("registrations_max = 3\n{GROUP}"));
    let found = bench.list("tick:1\nquote10:000660\ntick:2\n").problem();
    assert!(
        found.contains(
            "ISSUES: 4 registrations, and registrations_max is 3: [[feed.register]] on line 11 makes 2 (2 presets × 1 code), \
             list.txt lists 3; 1 repeats another and does not count. Remove 1, "
        ),
        "{found}"
    );
}

#[test]
fn each_feed_has_a_list_of_its_own_and_only_a_per_issue_feed_has_one() {
    let feed = |name: &str| {
        format!(
            "[[feed]]\nname = \"{name}\"\nservice = \"per_issue\"\npath = \"/ws/\"\nregister_file = \"list.txt\"\n"
        )
    };
    let bench = Bench::new(&format!("{}{}", feed("ONE"), feed("TWO")));
    let found = bench.list("tick:005930\n").problem();
    assert!(
        found.starts_with(
            "the configuration krx.toml, line 14: feed.register_file: list.txt is another feed's too"
        ) && !found.contains('\n'),
        "{found}"
    );
    let bench = Bench::new("[[feed]]\nmarket = \"KOSPI\"\npath = \"/\"\nregister_file = \"list.txt\"\n");
    let found = bench.problem();
    assert!(
        found.contains(
            "line 8: [[feed.register]], register_file and registrations_max are for the per-issue service"
        ) && !found.contains('\n'),
        "{found}"
    );
}

#[test]
fn a_draft_is_read_in_place_of_its_list_and_of_no_other() {
    let bench = Bench::with_feed("");
    bench.list("tick:005930\n");
    let config = bench.folder.path().join("krx.toml");
    let load = |file: &str, text: &str| {
        let draft = Draft {
            path: bench.folder.path().join(file),
            text: text.to_owned(),
        };
        Config::load_with(Some(&config), &Overrides::default(), Some(&draft))
    };
    let loaded = load("list.txt", "tick:000660\n").unwrap();
    assert_eq!(names(&registered(&loaded).wishes), ["tick:000660 stocks "]);
    let loaded = load("other.txt", "tick:000660\n").unwrap();
    assert_eq!(names(&registered(&loaded).wishes), ["tick:005930 stocks "]);
    let long = load("list.txt", &"#\n".repeat(1 << 20)).unwrap_err().to_string();
    assert!(long.contains("longer than 1 MiB"), "{long}");
    assert_eq!(
        register_files(&config).unwrap(),
        [(
            "ISSUES".parse().unwrap(),
            Some(bench.folder.path().join("list.txt"))
        )]
    );
}
