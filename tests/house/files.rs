//! Tracked files: their length, their words, and that those which must be
//! there are.

use std::fs;
use std::process::Command;

use daybook_tests::repository;

const MOST_LINES: usize = 500;

/// Files that are longer all the same. The list may only become shorter.
const LONGER: &[(&str, usize)] = &[];

/// The text files that git knows, with their text. Lock files are generated.
fn tracked() -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(repository())
        .output()
        .expect("git is there");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    String::from_utf8(listed.stdout)
        .unwrap()
        .split_terminator('\0')
        .filter(|path| !path.ends_with("Cargo.lock"))
        .filter_map(|path| Some((path.to_owned(), fs::read_to_string(repository().join(path)).ok()?)))
        .collect()
}

#[test]
fn no_file_grows_too_long() {
    for (path, text) in tracked() {
        if ![".rs", ".py", ".md", ".sql", ".sh"].iter().any(|ending| path.ends_with(ending)) {
            continue;
        }
        let lines = text.lines().count();
        match LONGER.iter().find(|(name, _)| *name == path) {
            None => assert!(lines <= MOST_LINES, "{path} has {lines} lines; split it at {MOST_LINES}"),
            Some((_, most)) => {
                assert!(lines <= *most, "{path} grew to {lines} lines; its limit is {most}");
                assert!(lines > MOST_LINES, "{path} needs no exception any more");
            }
        }
    }
}

/// Words that have no place in the repository: registry hosts (they differ
/// from machine to machine), notes to oneself, paths of one machine.
fn forbidden() -> Vec<String> {
    [
        ("crates", ".io"),
        ("npmjs", ".org"),
        ("pypi", ".org"),
        ("TO", "DO"),
        ("FIX", "ME"),
        ("/work", "/"),
        ("Co-authored", "-by"),
    ]
    .map(|(front, back)| format!("{front}{back}"))
    .into()
}

#[test]
fn no_forbidden_words() {
    let forbidden = forbidden();
    for (path, text) in tracked() {
        for (number, line) in text.lines().enumerate() {
            for word in &forbidden {
                assert!(!line.contains(word.as_str()), "{path}:{}: {word}", number + 1);
            }
        }
    }
}

#[test]
fn the_licences_are_there() {
    for (file, words) in [("LICENSE-MIT", "MIT License"), ("LICENSE-APACHE", "Apache License")] {
        let text = fs::read_to_string(repository().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(text.contains(words), "{file}");
    }
}

/// Every `cargo xtask <task>` that a page tells people to type exists: each
/// task is a file of its own.
#[test]
fn documented_tasks_exist() {
    for (path, text) in tracked().into_iter().filter(|(path, _)| path.ends_with(".md")) {
        for after in text.split("cargo xtask ").skip(1) {
            let task: String = after.chars().take_while(char::is_ascii_alphanumeric).collect();
            let tasks = repository().join("xtask/src");
            let there = tasks.join(format!("{task}.rs")).is_file() || tasks.join(&task).is_dir();
            assert!(there, "{path}: there is no `cargo xtask {task}`");
        }
    }
}

/// Pages link to files of the repository that are there.
#[test]
fn links_between_pages_lead_somewhere() {
    for (path, text) in tracked().into_iter().filter(|(path, _)| path.ends_with(".md")) {
        let folder = repository().join(&path).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if link.is_empty() || link.contains("://") {
                continue;
            }
            assert!(folder.join(link).exists(), "{path} links to {link}");
        }
    }
}

/// What is sealed, and whose it is, stands on the page about personal data.
#[test]
fn the_page_names_everything_that_is_personal() {
    let page = fs::read_to_string(repository().join("docs/privacy.md")).unwrap();
    for kind in domain::registry::EVENT_TYPES {
        let Some(personal) = &kind.personal else { continue };
        let row =
            page.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{}`", kind.name)));
        let row = row.unwrap_or_else(|| panic!("docs/privacy.md does not name {}", kind.name));
        assert!(row.contains(&format!("`{}:", personal.kind)), "{row}");
        for field in personal.fields {
            assert!(row.contains(&format!("`{field}`")), "{row} leaves out {field}");
        }
    }
}
