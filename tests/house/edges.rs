//! Which crate may know which: the allowed edges, and where each heavy
//! technology may be named.

use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use daybook_tests::repository;

/// Our crates and those of ours that each may depend on. The root package and
/// the tests may depend on all of them.
const EDGES: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("background", &[]),
    ("models", &["domain"]),
    ("models-fantasy", &[]),
    ("models-anomaly", &[]),
    ("models-rules", &["domain", "models-anomaly"]),
    ("models-schemas", &[]),
    ("models-stylometry", &[]),
    ("models-pricing", &[]),
    ("proofs", &["domain"]),
    ("daybook-http", &["domain"]),
    (
        "commands",
        &["domain", "daybook-http", "models-rules", "models-schemas", "models-stylometry", "signatures"],
    ),
    ("racing", &["domain", "commands", "projections", "models-fantasy", "daybook-http"]),
    ("projections", &["background", "domain", "models", "models-fantasy", "models-stylometry"]),
    ("replays", &["background", "domain", "models", "projections", "daybook-http"]),
    ("audit", &["domain", "projections", "replays", "daybook-http"]),
    (
        "read-api",
        &["domain", "models-rules", "models-stylometry", "projections", "daybook-http", "proofs", "styles"],
    ),
    (
        "workers",
        &["domain", "models", "models-rules", "models-stylometry", "projections", "proofs", "signatures"],
    ),
    ("runs", &["domain", "daybook-http", "commands", "models-pricing"]),
    ("privacy", &["domain"]),
    ("styles", &["domain", "models-stylometry"]),
    ("rewriting", &["domain", "commands", "projections", "styles", "models-stylometry", "daybook-http"]),
    ("infra-language", &["domain"]),
    ("infra-bus", &["domain"]),
    ("infra-keys", &["domain"]),
    ("infra-log", &["domain", "infra-wal"]),
    ("infra-rows", &["background", "domain", "infra-wal"]),
    ("infra-wal", &["background"]),
    ("infra-journal", &["domain"]),
    ("infra-archive", &["background", "domain", "proofs"]),
    ("infra-warehouse", &["domain", "infra-archive"]),
    ("infra-cube", &["domain", "infra-archive"]),
    ("infra-texts", &[]),
    ("infra-sql", &["domain", "infra-archive"]),
    ("infra-runtime", &["domain"]),
    ("infra-webhooks", &["domain"]),
    ("signatures", &[]),
    ("xtask", &[]),
];

const ALL: &[&str] = &["daybook", "daybook-tests"];

/// Technologies, and the crates beside the root and the tests that name them.
const TECHNOLOGIES: &[(&str, &[&str])] = &[
    ("axum", &["daybook-http", "commands", "racing", "read-api", "replays", "audit", "runs", "rewriting"]),
    ("hyper", &["daybook-http", "read-api"]),
    ("async-nats", &["infra-bus"]),
    ("sqlx", &["infra-keys", "infra-log", "infra-rows"]),
    ("rusqlite", &["infra-keys", "infra-log", "infra-rows", "infra-wal"]),
    ("aes-gcm-siv", &["privacy", "infra-keys"]),
    ("object_store", &["infra-archive", "infra-warehouse"]),
    ("parquet", &["infra-archive", "infra-warehouse", "infra-cube"]),
    ("arrow-array", &["infra-archive", "infra-warehouse", "infra-cube"]),
    ("datafusion", &["infra-sql"]),
];

/// The tests of a crate may also use the in-memory references.
const REFERENCES: &[&str] = &["infra-bus", "infra-log", "infra-rows"];

fn packages() -> Vec<Package> {
    let manifest = repository().join("Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap().packages
}

#[test]
fn only_the_allowed_edges_exist() {
    let packages = packages();
    let ours: Vec<&str> = packages.iter().map(|p| p.name.as_str()).collect();
    for package in packages.iter().filter(|p| !ALL.contains(&p.name.as_str())) {
        let allowed = EDGES.iter().find(|(name, _)| *name == package.name.as_str());
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{} stands in no rule", package.name));
        for dependency in package.dependencies.iter().filter(|d| ours.contains(&d.name.as_str())) {
            let name = dependency.name.as_str();
            let in_tests = dependency.kind == DependencyKind::Development && REFERENCES.contains(&name);
            assert!(allowed.contains(&name) || in_tests, "{} must not depend on {name}", package.name);
        }
    }
}

#[test]
fn every_rule_has_its_crate() {
    let packages = packages();
    for (name, _) in EDGES {
        assert!(packages.iter().any(|p| p.name.as_str() == *name), "there is no crate {name}");
    }
}

#[test]
fn heavy_technology_stays_in_its_leaf() {
    for package in packages().iter().filter(|p| !ALL.contains(&p.name.as_str())) {
        for (technology, allowed) in TECHNOLOGIES {
            let named = package.dependencies.iter().any(|d| d.name.as_str() == *technology);
            assert!(
                !named || allowed.contains(&package.name.as_str()),
                "{} must not depend on {technology}",
                package.name
            );
        }
    }
}
