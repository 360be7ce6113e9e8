//! Which crate may use what: the rules of docs/ARCHITECTURE.md, as the manifests have them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use krx_harness::tree::files_under;
use modules::{Modules, Tie, cycles, words};
use serde_json::Value;

#[path = "architecture/modules.rs"]
mod modules;

/// Each crate's dependencies within the workspace, all of them.
const INSIDE: [(&str, &[&str]); 8] = [
    ("krx-protocol", &[]),
    ("krx-calendar", &[]),
    ("krx-clock", &[]),
    ("krx-store", &["krx-protocol"]),
    ("krx-exchange", &["krx-protocol"]),
    ("krx-simulator", &["krx-exchange", "krx-protocol"]),
    ("krx-report", &["krx-calendar", "krx-protocol", "krx-store"]),
    (
        "krx-recorder",
        &[
            "krx-calendar",
            "krx-clock",
            "krx-exchange",
            "krx-protocol",
            "krx-report",
            "krx-store",
        ],
    ),
];

/// Who may use a crate, given by a prefix of its name.
const OUTSIDE: [(&str, &[&str]); 6] = [
    ("libc", &["krx-clock"]),
    ("tokio", &["krx-exchange", "krx-recorder", "krx-simulator"]),
    ("axum", &["krx-recorder"]),
    ("arrow", &["krx-store"]),
    ("parquet", &["krx-store"]),
    ("simd-json", &["krx-protocol"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The normal dependencies of the shipped crates; tests and benchmarks may use what they like.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let told = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let metadata: Value = serde_json::from_slice(&told.stdout).unwrap();
    let shipped = metadata["packages"].as_array().unwrap().iter().filter(|package| {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        manifest.starts_with(root().join("crates"))
    });
    let name_of = |of: &Value| of["name"].as_str().unwrap().to_owned();
    let names = shipped.map(|package| {
        // Those of tests and build scripts have a kind.
        let all = package["dependencies"].as_array().unwrap().iter();
        let normal = all.filter(|dependency| dependency["kind"].is_null());
        (name_of(package), normal.map(name_of).collect())
    });
    names.collect()
}

#[test]
fn crates_depend_on_each_other_as_the_design_has_it() {
    let dependencies = dependencies();
    let known: BTreeSet<_> = INSIDE.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        dependencies.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        known,
        "crates without a rule"
    );
    for (name, allowed) in INSIDE {
        let inside = dependencies[name].iter().map(String::as_str);
        let inside: Vec<_> = inside
            .filter(|dependency| dependency.starts_with("krx-"))
            .collect();
        assert_eq!(inside, allowed, "{name}");
    }
}

#[test]
fn heavy_crates_stay_where_they_belong() {
    for (name, dependencies) in dependencies() {
        for (beginning, allowed) in OUTSIDE {
            let found: Vec<_> = dependencies
                .iter()
                .filter(|dependency| dependency.starts_with(beginning))
                .collect();
            assert!(
                found.is_empty() || allowed.contains(&name.as_str()),
                "{name} must not depend on {found:?}"
            );
        }
    }
}

/// The cycles that are found in the crates, by files or by folders.
fn cycles_of_all(ties: impl Fn(&Modules, &Path) -> Vec<Tie>) -> String {
    let crates = root().join("crates");
    let mut told = String::new();
    for name in INSIDE.map(|(name, _)| name) {
        let source = crates.join(name).join("src");
        let roots = ["lib.rs", "main.rs"].map(|file| source.join(file));
        for root in roots.iter().filter(|root| root.exists()) {
            let ties = ties(&Modules::read(root), &source);
            for round in cycles(&ties) {
                told += &format!("{name}:\n{}", words(&round));
            }
        }
    }
    told
}

#[test]
fn no_files_of_a_crate_need_each_other() {
    let found = cycles_of_all(Modules::ties_of_files);
    assert!(found.is_empty(), "these files need each other:\n{found}");
}

#[test]
fn no_folders_of_a_crate_need_each_other() {
    let found = cycles_of_all(Modules::ties_of_folders);
    assert!(
        found.is_empty(),
        "these modules, with all below them, need each other:\n{found}"
    );
}

/// What ties two files of a crate, given as names and contents, in a cycle.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let ties = Modules::read(&folder.path().join("lib.rs")).ties_of_files(folder.path());
    cycles(&ties).iter().map(|round| words(round)).collect()
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let root = ("lib.rs", "mod a;\nmod b;");
    let back = ("b.rs", "pub struct B;\npub fn b() { crate::a::a() }");
    for names_b in [
        "use crate::b::B;\npub fn a() {}",
        "use super::b::{self, B as Other};\npub fn a() {}",
        "pub fn a() -> crate::b::B { todo!() }",
        "use crate::b;\npub fn a() { let _ = b::B; }",
        "use crate::b::*;\npub fn a(_: B) {}",
        "pub fn a() { println!(\"{}\", super::b::b()) }",
        "use crate::b;\n#[derive(Serialize)]\nstruct A { #[serde(with = \"b::b\")] a: u8 }\npub fn a() {}",
        "pub fn a() { fn inner() { use crate::b::B; } }",
    ] {
        let found = circles_of(&[root, ("a.rs", names_b), back]);
        let [circle] = found.as_slice() else {
            panic!("{names_b}: {found:?}")
        };
        assert!(
            circle.contains("a.rs needs b.rs\n") && circle.contains("b.rs needs a.rs\n"),
            "{circle}"
        );
        assert!(circle.contains("b.rs:2: crate::a::a"), "the place: {circle}");
    }
}

#[test]
fn modules_that_only_hand_names_on_make_no_circle_and_tests_count_for_nothing() {
    let root = ("lib.rs", "mod house;\nmod b;\npub use house::Door;");
    let facade = (
        "house/mod.rs",
        "mod door;\nmod wall;\npub use door::Door;\npub use wall::*;",
    );
    let door = (
        "house/door.rs",
        "use super::Wall;\npub struct Door(Wall);\n#[cfg(test)]\nmod tests { use crate::b::B; }",
    );
    let wall = ("house/wall.rs", "pub struct Wall;");
    let b = (
        "b.rs",
        "use crate::Door;\npub struct B(Door, crate::house::Wall);",
    );
    assert_eq!(circles_of(&[root, facade, door, wall, b]), Vec::<String>::new());
    let wall = ("house/wall.rs", "use super::super::b::B;\npub struct Wall(B);");
    let found = circles_of(&[root, facade, door, wall, b]);
    let [circle] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert!(circle.contains("b.rs needs house/wall.rs\n"), "{circle}");
}

/// A path on somebody's machine works nowhere else.
/// cargo builds no target that its manifest does not name, and `make fuzz` runs those that its script lists.
#[test]
fn every_fuzz_target_is_built_and_run() {
    let fuzz = root().join("tests/fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    let script = std::fs::read_to_string(fuzz.join("../tools/fuzz.sh")).unwrap();
    let list = script
        .lines()
        .find(|line| line.contains("targets=(decoder"))
        .unwrap();
    let listed: BTreeSet<_> = list.split([' ', '(', ')']).collect();
    let targets = files_under(&fuzz.join("targets")).unwrap();
    assert!(targets.len() > 4);
    for target in targets {
        let name = target.file_stem().unwrap().to_str().unwrap();
        assert!(
            manifest.contains(&format!("path = \"targets/{name}.rs\"")),
            "{name}"
        );
        assert!(listed.contains(name), "{name}");
    }
}

#[test]
fn no_source_names_a_path_of_one_machine() {
    let beginnings = ["home", "root", "Users", "work", "tmp"].map(|dir| format!("\"/{dir}/"));
    for folder in ["crates", "tests"] {
        for path in files_under(&root().join(folder)).unwrap() {
            let source = path
                .extension()
                .is_some_and(|end| ["rs", "py", "toml", "sh"].iter().any(|known| end == *known));
            if !source {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for beginning in &beginnings {
                assert!(
                    !text.contains(beginning),
                    "{} names a path that begins with {beginning}",
                    path.display()
                );
            }
        }
    }
}
