use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use super::load::load;
use super::*;

fn with(flags: Flags, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let env: HashMap<_, _> = env.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    load(&flags, &|name| env.get(name).cloned())
}

/// Loads with a file of this text.
fn with_file(text: &str, mut flags: Flags, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    flags.config = Some(file.path().to_owned());
    with(flags, env)
}

fn message(result: Result<Config, ConfigError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn defaults_load_and_derive_paths() {
    let config = with(Flags::default(), &[]).unwrap();
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.database.url, DatabaseUrl::Sqlite("./daybook-data/daybook.db".into()));
    assert_eq!(config.hub.journal_dir, Path::new("./daybook-data/journal"));
    assert!(Role::ALL.iter().all(|r| config.roles.has(*r)));
    assert_eq!(config.hub.ack, HubAck::Journal);
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let text = "[http]\nlisten = '127.0.0.1:1'\n[log]\nformat = 'json'\n";
    let env = [("HTTP_ADDR", "127.0.0.1:2")];
    let both = [env[0], ("DAYBOOK_HTTP_LISTEN", "127.0.0.1:3")];
    let flags = Flags { listen: Some("127.0.0.1:4".into()), ..Flags::default() };
    let port =
        |flags: &Flags, env: &[(&str, &str)]| with_file(text, flags.clone(), env).unwrap().http.listen.port();
    assert_eq!(port(&Flags::default(), &[]), 1);
    assert_eq!(port(&Flags::default(), &env), 2);
    assert_eq!(port(&Flags::default(), &both), 3);
    assert_eq!(port(&flags, &both), 4);
    assert_eq!(with_file(text, flags, &env).unwrap().log.format, LogFormat::Json);
}

#[test]
fn lists_and_tables_come_from_the_environment_too() {
    let env = [
        ("DAYBOOK_HUB_HOSTS", "Tap.example.org=acme, b.example.org=default"),
        ("CORS_ALLOWED_ORIGINS", "https://a.example, https://b.example"),
        ("DAYBOOK_ROLES", "api,hub"),
        ("RATE_LIMIT_BURST", "5_000"),
    ];
    let config = with(Flags::default(), &env).unwrap();
    assert_eq!(config.hub.hosts["tap.example.org"].as_str(), "acme");
    assert_eq!(config.http.cors_allowed_origins, ["https://a.example", "https://b.example"]);
    assert!(
        config.roles.has(Role::ReadApi)
            && config.roles.has(Role::Commands)
            && !config.roles.has(Role::Drainer)
    );
    assert_eq!(config.limits.rate_burst, 5_000);
    let config = with_file("[hub.hosts]\n\"x.example\" = 'acme'\n", Flags::default(), &[]).unwrap();
    assert_eq!(config.hub.hosts["x.example"].as_str(), "acme");
}

#[test]
fn errors_name_the_setting_and_its_source() {
    let env = |name: &str, value: &str| message(with(Flags::default(), &[(name, value)]));
    assert!(env("HTTP_ADDR", "nowhere").starts_with("HTTP_ADDR: "));
    assert_eq!(env("RATE_LIMIT_BURST", "many"), "RATE_LIMIT_BURST: must be a whole number");
    assert!(env("RATE_LIMIT_BURST", "-1").starts_with("RATE_LIMIT_BURST: "));
    assert!(env("HUB_ACK", "never").starts_with("HUB_ACK: unknown variant `never`"));
    assert!(env("DATABASE_URL", "mysql://x").starts_with("DATABASE_URL: must be sqlite:"));
    assert!(env("DAYBOOK_HUB_HOSTS", "a=B C").starts_with("DAYBOOK_HUB_HOSTS: "));
    assert!(env("DAYBOOK_ROLES", "king").starts_with("DAYBOOK_ROLES: there is no role \"king\""));
    assert_eq!(env("DAYBOOK_HTTP_CONCURRENCY", "0"), "DAYBOOK_HTTP_CONCURRENCY: must be at least 1");

    let unknown = message(with_file("[http]\nlisten_on = 'x'\n", Flags::default(), &[]));
    assert!(unknown.ends_with("there is no setting http.listen_on"), "{unknown}");
    let kind = message(with_file("[http]\nconcurrency = 'x'\n", Flags::default(), &[]));
    assert!(kind.ends_with("http.concurrency: must be an integer, not a string"), "{kind}");
    let broken = message(with_file("[auth]\napi_keys = hush\n", Flags::default(), &[]));
    assert!(broken.contains("line 2") && !broken.contains("hush"), "{broken}");
    let flags = Flags { config: Some("/nonexistent/daybook.toml".into()), ..Flags::default() };
    assert!(message(with(flags, &[])).starts_with("/nonexistent/daybook.toml: "));
}

#[test]
fn a_relay_needs_a_bus() {
    let relay = ("DAYBOOK_ROLES", "commands,relay");
    let missing = message(with(Flags::default(), &[relay]));
    assert_eq!(missing, "nats.url: must be set for the role relay");
    assert!(with(Flags::default(), &[relay, ("NATS_URL", "nats://n")]).unwrap().nats.is_set());
    // With all roles in one process it is not missed.
    assert!(!with(Flags::default(), &[]).unwrap().nats.is_set());
    let env = [("DAYBOOK_NATS_STREAM", "A.B")];
    assert_eq!(
        message(with(Flags::default(), &env)),
        "DAYBOOK_NATS_STREAM: must be letters, digits, - and _"
    );
}

#[test]
fn secrets_do_not_print() {
    let env =
        [("API_KEYS", "hush"), ("DATABASE_URL", "postgres://u:hush@db/x"), ("NATS_URL", "nats://u:hush@n")];
    let config = with(Flags::default(), &env).unwrap();
    assert!(!format!("{config:?}").contains("hush"));
    assert_eq!(config.database.url.to_string(), "postgres");
    assert_eq!(config.invalid("auth.api_keys", "no").to_string(), "API_KEYS: no");
}
