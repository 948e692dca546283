//! Manifests: inherited lints, versions declared once, banned clocks.

use std::fs;

use daybook_tests::repository;
use toml::{Table, Value};

fn manifest(path: &str) -> Table {
    let text = fs::read_to_string(repository().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    text.parse().unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The manifests of the workspace's members, the root's first.
fn members() -> Vec<(String, Table)> {
    let root = manifest("Cargo.toml");
    let folders: Vec<String> = root["workspace"]["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| format!("{}/Cargo.toml", m.as_str().unwrap()))
        .collect();
    let others = folders.into_iter().map(|path| (path.clone(), manifest(&path)));
    std::iter::once(("Cargo.toml".to_owned(), root.clone())).chain(others).collect()
}

#[test]
fn every_crate_inherits_the_lints() {
    for (path, manifest) in members() {
        let inherited = manifest.get("lints").and_then(|l| l.get("workspace"));
        assert_eq!(inherited, Some(&Value::Boolean(true)), "{path} must say [lints] workspace = true");
    }
}

#[test]
fn every_dependency_is_declared_in_the_workspace() {
    for (path, manifest) in members() {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = manifest.get(section).and_then(Value::as_table) else { continue };
            for (name, dependency) in dependencies {
                let inherited = dependency.get("workspace") == Some(&Value::Boolean(true));
                // The binary has no place among the workspace's libraries.
                assert!(inherited || name == "daybook", "{path}: {name} must be `{name}.workspace = true`");
                assert!(
                    dependency.get("features").is_none(),
                    "{path}: the features of {name} belong into [workspace.dependencies]"
                );
            }
        }
    }
}

#[test]
fn no_dependency_stands_there_for_nothing() {
    let root = manifest("Cargo.toml");
    let declared = root["workspace"]["dependencies"].as_table().unwrap();
    let members = members();
    for name in declared.keys() {
        let used = members.iter().any(|(_, manifest)| {
            ["dependencies", "dev-dependencies", "build-dependencies"]
                .iter()
                .any(|section| manifest.get(*section).is_some_and(|s| s.get(name).is_some()))
        });
        assert!(used, "nobody uses {name} of [workspace.dependencies]");
    }
}

#[test]
fn pure_crates_may_not_read_the_world() {
    let banned = |crate_name: &str| -> Vec<String> {
        let table = manifest(&format!("{crate_name}/clippy.toml"));
        let methods = table["disallowed-methods"].as_array().unwrap().clone();
        methods.iter().map(|m| m["path"].as_str().unwrap().to_owned()).collect()
    };
    for pure in ["domain", "models"] {
        let banned = banned(pure);
        for method in [
            "jiff::Timestamp::now",
            "jiff::Zoned::now",
            "jiff::tz::TimeZone::system",
            "std::time::SystemTime::now",
            "std::time::Instant::now",
            "uuid::Uuid::new_v4",
            "uuid::Uuid::now_v7",
            "std::env::var",
        ] {
            assert!(banned.iter().any(|b| b == method), "{pure}/clippy.toml must ban {method}");
        }
    }
}

#[test]
fn tests_are_never_run_twice_to_pass() {
    let nextest = manifest(".config/nextest.toml");
    assert_eq!(nextest["profile"]["default"]["retries"].as_integer(), Some(0));
}
