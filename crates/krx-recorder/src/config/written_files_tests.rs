//! Tests of files as people have them: the example, and a list of codes beside its configuration.

use super::file::shape;
use super::registrations_tests::{ISSUES, names, registered};
use super::tests::{load, written_keys};
use super::*;

/// Also with each commented key in force.
#[test]
fn the_example_is_valid_and_has_every_key() {
    let example = include_str!("../../../../deploy/krx-recorder.example.toml");
    assert_eq!(load(example).unwrap().feeds.len(), 2);
    let is_commented = |line: &str| {
        let begins = line.split(['=', '#']).next().unwrap_or_default().trim();
        let is_key = line.contains(" = ")
            && begins
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let is_table = line.starts_with('[') && line.ends_with(']') && !line.contains(' ');
        is_key || is_table
    };
    let uncommented = example.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if is_commented(rest) => rest,
        _ => line,
    });
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&list, "101N6000\n").unwrap();
    let all = uncommented.collect::<Vec<_>>().join("\n");
    let all = all.replace("derivatives.txt", list.path().to_str().unwrap());
    let register = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&register, "tick10:035420\n").unwrap();
    let all = all.replace("issues-register.txt", register.path().to_str().unwrap());
    let config = load(&all).unwrap();
    assert_eq!(
        names(&registered(&config).wishes),
        [
            "tick10:005930 stocks ",
            "quote10:005930 stocks ",
            "tick10:000660 stocks ",
            "quote10:000660 stocks ",
            "tick10:101N6000 derivatives ",
            "quote10:101N6000 derivatives ",
            "index:001 indices ",
            "change:005930 stocks trdPrc+accTrdvol",
            "tick10:035420 stocks ",
        ]
    );
    let table = toml::Value::Table(all.parse().unwrap());
    for (name, keys) in shape().keys {
        assert_eq!(written_keys(&table, name), keys.into_iter().collect(), "[{name}]");
    }
}

#[test]
fn a_file_of_codes_is_beside_the_configuration_and_read_again_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("krx-recorder.toml");
    let list = folder.path().join("issues.txt");
    let text = format!(
        "data_dir = \"/d\"\n[koscom]\nbase_url = \"wss://gateway.example\"\nmember_name = \"x\"\n{ISSUES}\
         [[feed.register]]\npresets = [\"quote\"]\ncodes_file = \"issues.txt\"\n"
    );
    std::fs::write(&path, &text).unwrap();
    let load = || Config::load(Some(&path), &Overrides::default());
    let problem = || load().unwrap_err().to_string();
    // The file is read once, and reported at the first group that names it.
    let line = 1 + text[..text.find("codes_file").unwrap()].matches('\n').count();
    let expected = format!(
        "the configuration {}, line {line}: feed.register.codes_file: {}: No such file",
        path.display(),
        list.display()
    );
    assert!(problem().starts_with(&expected), "{}", problem());
    assert!(!problem().contains('\n'), "{}", problem());
    std::fs::write(&list, "# none\n").unwrap();
    assert!(
        problem().contains("issues.txt: it contains no code; write one on each line"),
        "{}",
        problem()
    );
    std::fs::write(&list, "035420\nNAVER Corp\n").unwrap();
    let expected = format!("the file of codes {}, line 2: \"NAVER Corp\"", list.display());
    assert!(
        problem().starts_with(&expected) && !problem().contains('\n'),
        "{}",
        problem()
    );
    // A code of the file that another group has as another kind.
    std::fs::write(&list, "035420\n101N6000\n").unwrap();
    let expected =
        format!("line {line}: feed.register: 101N6000 is listed with stocks here and with derivatives");
    assert!(problem().contains(&expected), "{}", problem());

    std::fs::write(&list, "\u{feff}# mine\r\n035420  # one\r\n\r\n051910").unwrap();
    let first = load().unwrap();
    assert_eq!(
        names(&registered(&first).wishes)[7..],
        [
            "change:035420 stocks trdPrc+accTrdvol",
            "tick:035420 stocks ",
            "change:051910 stocks trdPrc+accTrdvol",
            "tick:051910 stocks ",
            "quote:035420 stocks ",
            "quote:051910 stocks ",
        ]
    );
    std::fs::write(&list, "051910\n035420\n").unwrap();
    let second = load().unwrap();
    let difference = registered(&first).wishes.difference(&registered(&second).wishes);
    assert!(difference.is_empty(), "{difference:?}");
    // What works on recorded data needs no list.
    std::fs::remove_file(&list).unwrap();
    DataConfig::load(Some(&path), None).unwrap();
    let absent = load_absence(Some(&path)).unwrap();
    let absent: Vec<_> = absent.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(absent, ["ISSUES"]);
}
