//! `docker-compose.yml` and the `Dockerfile`, checked by reading: no container
//! runs where the tests do.

use std::collections::BTreeSet;
use std::fs;

use daybook_tests::repository;
use infra_runtime::config;
use serde_yaml_ng::{Mapping, Value};

fn compose(file: &str) -> Value {
    let text = fs::read_to_string(repository().join(file)).unwrap();
    let mut value: Value = serde_yaml_ng::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
    // What is merged in may have been merged itself.
    for _ in 0..3 {
        value.apply_merge().unwrap();
    }
    value
}

fn services(compose: &Value) -> &Mapping {
    compose["services"].as_mapping().expect("services")
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_sequence().map(|all| all.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

fn is_daybook(service: &Value) -> bool {
    service["image"] == "daybook"
}

#[test]
fn every_service_has_an_image_a_health_check_and_comes_back() {
    for (name, service) in services(&compose("docker-compose.yml")) {
        let name = name.as_str().unwrap();
        let image = service["image"].as_str().unwrap_or_else(|| panic!("{name} has no image"));
        let pinned = image.split_once(':').is_some_and(|(_, tag)| tag != "latest");
        assert!(pinned || is_daybook(service), "{name}: {image} names no version");
        assert!(!texts(&service["healthcheck"]["test"]).is_empty(), "{name} has no health check");
        assert_eq!(service["restart"], "unless-stopped", "{name}");
    }
}

#[test]
fn ports_are_bound_to_this_machine_and_differ_within_a_profile() {
    let compose = compose("docker-compose.yml");
    for profile in ["one", "split"] {
        let mut taken = BTreeSet::new();
        for (name, service) in services(&compose) {
            if !texts(&service["profiles"]).contains(&profile) {
                continue;
            }
            for port in texts(&service["ports"]) {
                assert!(port.starts_with("127.0.0.1:"), "{name:?}: {port}");
                assert!(taken.insert(port.split(':').nth(1)), "{profile}: {port} is taken");
            }
        }
        assert!(!taken.is_empty(), "{profile}");
    }
}

#[test]
fn what_must_survive_lies_in_declared_volumes() {
    let compose = compose("docker-compose.yml");
    let declared: BTreeSet<&str> =
        compose["volumes"].as_mapping().unwrap().keys().filter_map(Value::as_str).collect();
    let mut used = BTreeSet::new();
    for (name, service) in services(&compose) {
        let name = name.as_str().unwrap();
        let volumes = texts(&service["volumes"]);
        let keeps = !is_daybook(service) || matches!(name, "daybook" | "hub");
        assert!(!volumes.is_empty() || !keeps, "{name} would forget");
        for volume in volumes {
            used.insert(volume.split(':').next().unwrap());
        }
    }
    assert_eq!(used, declared);
}

#[test]
fn daybook_is_told_only_what_it_knows_and_waits_for_what_it_needs() {
    let compose = compose("docker-compose.yml");
    let services = services(&compose);
    let known = config::variables();
    let mut roles = BTreeSet::new();
    for (name, service) in services.iter().filter(|(_, s)| is_daybook(s)) {
        let environment = service["environment"].as_mapping().expect("an environment");
        for (variable, value) in environment {
            let variable = variable.as_str().unwrap();
            assert!(known.iter().any(|k| k == variable), "{name:?}: there is no setting {variable}");
            if variable == "DAYBOOK_ROLES" {
                roles.extend(value.as_str().unwrap().split(',').map(str::to_owned));
            }
        }
        for (needed, condition) in service["depends_on"].as_mapping().expect("depends_on") {
            assert!(services.contains_key(needed), "{name:?} needs {needed:?}");
            assert_eq!(condition["condition"], "service_healthy");
        }
    }
    let all: BTreeSet<String> = config::Role::ALL.iter().map(|r| r.name().to_owned()).collect();
    assert_eq!(roles, all, "a role runs nowhere in the profile split");
}

#[test]
fn the_bus_of_the_split_has_as_many_servers_as_copies() {
    let compose = compose("docker-compose.yml");
    let servers = services(&compose).keys().filter(|n| n.as_str().is_some_and(|n| n.starts_with("nats-")));
    let copies = &compose["x-split"]["DAYBOOK_NATS_REPLICAS"];
    assert_eq!(copies.as_str(), Some(servers.count().to_string().as_str()));
}

#[test]
fn the_image_runs_as_a_user_without_rights_and_builds_from_what_is_sent() {
    let text = fs::read_to_string(repository().join("Dockerfile")).unwrap();
    let line = |start: &str| text.lines().filter(|l| l.starts_with(start)).collect::<Vec<_>>();
    assert_eq!(line("FROM").len(), 2);
    assert_eq!(line("USER"), ["USER 10001:10001"]);
    assert!(text.find("\nUSER").unwrap() < text.find("\nENTRYPOINT").unwrap());
    assert!(!line("HEALTHCHECK").is_empty());
    let root: toml::Table = fs::read_to_string(repository().join("Cargo.toml")).unwrap().parse().unwrap();
    let version = root["workspace"]["package"]["rust-version"].as_str().unwrap();
    assert!(line("FROM")[0].starts_with(&format!("FROM rust:{version}-")), "{:?}", line("FROM"));
    let sent = fs::read_to_string(repository().join(".dockerignore")).unwrap();
    for member in root["workspace"]["members"].as_array().unwrap() {
        let folder = member.as_str().unwrap().split('/').next().unwrap();
        assert!(sent.lines().any(|l| l == format!("!{folder}")), "{folder} is not sent to the build");
    }
}

#[test]
fn the_servers_of_the_tests_are_a_file_of_their_own() {
    let compose = compose("docker-compose.test.yml");
    let postgres = &compose["services"]["postgres"];
    assert!(texts(&postgres["ports"]).iter().all(|p| p.starts_with("127.0.0.1:")));
    assert!(!texts(&postgres["tmpfs"]).is_empty());
}
