use cqrs_es::test::TestFramework;

use super::*;
use crate::decide::{Context, Decide, Rejection};
use crate::secret::Secret;
use crate::target_url::UrlPolicy;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn endpoint() -> TestFramework<WebhookEndpoint> {
    TestFramework::with(Context { now: at(1_000), urls: UrlPolicy::default() })
}

fn definition() -> Definition {
    Definition { url: "https://hooks.example/a".into(), ..Definition::default() }
}

fn say(definition: Definition) -> Change {
    Change { definition, credential: None, headers: None }
}

fn key(text: &str) -> NewKey {
    NewKey { secret: Secret::new(text), public: None }
}

fn create(change: Change) -> Command {
    Command::Create { endpoint: "ops".into(), change, key: key("whsec_a") }
}

fn created(definition: Definition) -> Event {
    Event::Created {
        endpoint: "ops".into(),
        definition,
        secret: "whsec_a".into(),
        public_key: None,
        credential: None,
        headers: None,
    }
}

fn field(result: Result<Vec<Event>, Rejection>) -> String {
    match result {
        Err(Rejection::Field { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_endpoint_is_created_once() {
    endpoint()
        .given_no_previous_events()
        .when(create(say(definition())))
        .then_expect_events(vec![created(definition())]);
    let again = endpoint().given(vec![created(definition())]).when(create(say(definition())));
    assert!(matches!(again.inspect_result(), Err(Rejection::State(_))));
    let deleted = vec![created(definition()), Event::Deleted {}];
    let again = endpoint().given(deleted).when(create(say(definition())));
    assert!(matches!(again.inspect_result(), Err(Rejection::State(_))));
}

#[test]
fn what_it_may_not_say_is_refused_by_its_field() {
    let with = |change: fn(&mut Definition)| {
        let mut definition = definition();
        change(&mut definition);
        field(endpoint().given_no_previous_events().when(create(say(definition))).inspect_result())
    };
    for url in [
        "http://a.example/",
        "ftp://a.example",
        "https://u:p@a.example/",
        "https://a.example/#x",
        "x",
        "https://a.example/ü",
    ] {
        let bad = Definition { url: url.into(), ..Definition::default() };
        let result = endpoint().given_no_previous_events().when(create(say(bad))).inspect_result();
        assert_eq!(field(result), "/definition/url", "{url}");
    }
    assert_eq!(with(|d| d.timeout_ms = Some(1)), "/definition/timeout_ms");
    assert_eq!(with(|d| d.concurrency = Some(0)), "/definition/concurrency");
    assert_eq!(with(|d| d.rate_per_second = Some(0)), "/definition/rate_per_second");
    assert_eq!(with(|d| d.filter.types = vec!["a".into(), String::new()]), "/definition/filter/types/1");
    assert_eq!(with(|d| d.filter.rules = vec!["a".into(); 65]), "/definition/filter/rules");
    assert_eq!(with(|d| d.auth = Auth::Basic { username: "a:b".into() }), "/definition/auth/username");
    assert_eq!(with(|d| d.auth = Auth::Hmac { header: "Host".into() }), "/definition/auth/header");
    assert_eq!(with(|d| d.auth = Auth::Bearer), "/credential");
    let unasked = Change { credential: Some(Secret::new("x")), ..say(definition()) };
    let result = endpoint().given_no_previous_events().when(create(unasked)).inspect_result();
    assert_eq!(field(result), "/credential");
}

#[test]
fn headers_are_an_endpoints_own_and_end_no_line() {
    let try_one = |name: &str, value: &str| {
        let headers = Some(Headers::from([(name.to_owned(), value.to_owned())]));
        endpoint()
            .given_no_previous_events()
            .when(create(Change { headers, ..say(definition()) }))
            .inspect_result()
    };
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "connection",
        "Proxy-Authorization",
        "webhook-id",
        "Authorization",
        "",
        "a b",
        "a:b",
        "a\r\nb",
    ] {
        assert_eq!(field(try_one(name, "x")), format!("/headers/{name}"), "{name}");
    }
    for value in ["a\r\nX: y", "a\nb", "\u{0}", "ü", " a", "a\t"] {
        assert_eq!(field(try_one("X-A", value)), "/headers/X-A", "{value:?}");
    }
    assert!(try_one("X-Team", "ops and more").is_ok());
}

#[test]
fn a_change_keeps_the_secrets_that_it_leaves_out() {
    let with_token =
        |url: &str| Definition { auth: Auth::Bearer, ..Definition { url: url.into(), ..definition() } };
    let given = Event::Created {
        endpoint: "ops".into(),
        definition: with_token("https://a.example/"),
        secret: "whsec_a".into(),
        public_key: None,
        credential: Some("token".into()),
        headers: Some(r#"{"X-A":"1"}"#.into()),
    };
    let change = |definition| Command::Change { endpoint: "ops".into(), change: say(definition) };
    endpoint().given(vec![given.clone()]).when(change(with_token("https://b.example/"))).then_expect_events(
        vec![Event::Changed {
            endpoint: "ops".into(),
            definition: with_token("https://b.example/"),
            credential: Some("token".into()),
            headers: Some(r#"{"X-A":"1"}"#.into()),
        }],
    );
    let other = Definition { auth: Auth::Basic { username: "u".into() }, ..definition() };
    let result = endpoint().given(vec![given.clone()]).when(change(other)).inspect_result();
    assert_eq!(field(result), "/credential");
    endpoint().given(vec![given]).when(change(with_token("https://a.example/"))).then_expect_events(vec![]);
}

#[test]
fn after_a_rotation_both_keys_sign_until_the_overlap_ends() {
    let rotate =
        |overlap_seconds| Command::Rotate { endpoint: "ops".into(), key: key("whsec_b"), overlap_seconds };
    let rotated = |until| Event::SecretRotated {
        endpoint: "ops".into(),
        secret: "whsec_b".into(),
        public_key: None,
        overlap_until: at(until),
    };
    endpoint().given(vec![created(definition())]).when(rotate(60)).then_expect_events(vec![rotated(1_060)]);
    let mut state = WebhookEndpoint::default();
    [created(definition()), rotated(1_060)].into_iter().for_each(|e| state.evolve(e));
    let signing = |at| state.signing(at).map(|k| k.secret.clear().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(signing(at(1_059)), ["whsec_b", "whsec_a"]);
    assert_eq!(signing(at(1_060)), ["whsec_b"]);
    let three = vec![created(definition()), rotated(2_000), rotated(2_000)];
    assert!(matches!(endpoint().given(three).when(rotate(60)).inspect_result(), Err(Rejection::State(_))));
    let too_long = endpoint().given(vec![created(definition())]).when(rotate(u32::MAX)).inspect_result();
    assert_eq!(field(too_long), "/overlap_seconds");
}

#[test]
fn it_is_paused_resumed_disabled_and_deleted() {
    let given = |more: &[Event]| endpoint().given([&[created(definition())], more].concat());
    let paused = Event::Paused { reason: None };
    let disabled = Event::Disabled { by: DisabledBy::Gone, since: None };
    let pause = || Command::Pause { reason: None };
    given(&[]).when(pause()).then_expect_events(vec![paused.clone()]);
    given(std::slice::from_ref(&paused)).when(pause()).then_expect_events(vec![]);
    given(std::slice::from_ref(&paused)).when(Command::Resume).then_expect_events(vec![Event::Resumed {}]);
    given(&[]).when(Command::Resume).then_expect_events(vec![]);
    given(std::slice::from_ref(&disabled)).when(Command::Resume).then_expect_events(vec![Event::Resumed {}]);
    assert!(given(std::slice::from_ref(&disabled)).when(pause()).inspect_result().is_err());
    let disable = Command::Disable { by: DisabledBy::Failing, since: None };
    given(&[disabled]).when(disable).then_expect_events(vec![]);
    given(&[]).when(Command::Test).then_expect_events(vec![Event::Tested {}]);
    assert!(given(&[paused]).when(Command::Test).inspect_result().is_err());
    given(&[]).when(Command::Delete).then_expect_events(vec![Event::Deleted {}]);
    given(&[Event::Deleted {}]).when(Command::Delete).then_expect_events(vec![]);
    assert!(given(&[Event::Deleted {}]).when(Command::Resume).inspect_result().is_err());
    let unknown = endpoint().given_no_previous_events().when(Command::Test).inspect_result();
    assert!(matches!(unknown, Err(Rejection::NotFound)));
}

#[test]
fn a_filter_takes_signals_or_what_rules_find() {
    let list = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    let nothing = Filter::default();
    assert!(!nothing.takes_signal("shop", "order") && !nothing.takes_rule("big", "shop", Some("order")));
    let typed = Filter { types: list(&["order.*", "refund"]), ..Filter::default() };
    assert!(typed.takes_signal("shop", "order.placed") && typed.takes_signal("shop", "refund"));
    assert!(!typed.takes_signal("shop", "refunds") && !typed.takes_rule("big", "shop", Some("refund")));
    let of_rule = Filter { rules: list(&["big"]), apps: list(&["shop"]), ..Filter::default() };
    assert!(
        of_rule.takes_rule("big", "shop", Some("order")) && !of_rule.takes_rule("big", "bank", Some("order"))
    );
    assert!(!of_rule.takes_rule("small", "shop", Some("order")) && !of_rule.takes_signal("shop", "order"));
}
