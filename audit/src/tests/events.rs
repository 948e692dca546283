use super::*;

const TAP: &str = r#"band.tapped {"band_id":"b1","mode":"none","source":"hub"}"#;

/// Two tenants, three actors, three correlations, taps in between, over days.
async fn busy() -> Bed {
    let bed = Bed::new();
    for n in 0..400_usize {
        let owner = ["acme", "other", "acme"][n % 3];
        let by = By(owner, ["key:a", "key:b", "hub"][n % 7 % 3], ["c", "c/0000000000", "d"][n % 5 % 3], None);
        let event = match n % 4 {
            0 => TAP,
            1 => "band.retired {}",
            2 => "band.restored {}",
            _ => r#"band.tagged {"tags":[]}"#,
        };
        // Sometimes next to each other.
        let events = vec![event; 1 + n % 3];
        bed.append(by, (if event == TAP { "taps" } else { "band" }, "x"), &events).await;
    }
    bed.index().await;
    bed
}

/// Every position that a query leads to, page by page.
async fn through(bed: &Bed, query: &str, limit: usize) -> Vec<u64> {
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let cursor = after.map_or(String::new(), |after: u64| format!("&after={after}"));
        let page = bed.ok("acme", &format!("/v1/audit/events?limit={limit}{query}{cursor}")).await;
        let found = positions(&page["events"]);
        let (through, upto) = (page["through"].as_u64().unwrap(), page["upto"].as_u64().unwrap());
        assert!(found.len() <= limit && found.iter().all(|p| *p > after.unwrap_or(0) && *p <= through));
        seen.extend(found);
        if through == upto {
            return seen;
        }
        assert!(Some(through) > after, "{query}: every page gets on");
        after = Some(through);
    }
}

async fn expected(bed: &Bed, wanted: impl Fn(&RecordedEvent) -> bool) -> Vec<u64> {
    let all = bed.all().await;
    all.iter().filter(|e| e.stream.tenant == tenant("acme") && wanted(e)).map(|e| e.position).collect()
}

#[tokio::test]
async fn pages_go_through_what_is_asked_for_exactly_once() {
    let mut bed = busy().await;
    let is = |event: &RecordedEvent, words: &str| words.split(',').any(|w| *event.event_type == *w);
    let kept = |e: &RecordedEvent| !is(e, "band.tapped");
    let day = |text: &str| -> Timestamp { text.parse().unwrap() };
    let (start, end) = (day("1970-01-20T00:00:00Z"), day("1970-02-20T06:00:00Z"));
    for small in [false, true] {
        if small {
            bed.limits = Limits { scanned: 37, fetched: 11, bytes: 60 };
        }
        for limit in [1, 7, 1_000] {
            let go = async |query: &str| through(&bed, query, limit).await;
            assert_eq!(go("").await, expected(&bed, |_| true).await);
            let types = "band.retired,band.tapped";
            assert_eq!(go(&format!("&type={types}")).await, expected(&bed, |e| is(e, types)).await);
            for actor in ["key:a", "hub", "nobody"] {
                let by = |e: &RecordedEvent| *e.metadata.actor == *actor;
                let found = go(&format!("&actor={actor}")).await;
                assert_eq!(found, expected(&bed, |e| by(e) && kept(e)).await);
                // Without the index, which has no taps.
                let taps = go(&format!("&actor={actor}&type=band.tapped")).await;
                assert_eq!(taps, expected(&bed, |e| by(e) && !kept(e)).await);
                let both = go(&format!("&actor={actor}&correlation_id=c&type=band.retired")).await;
                let has =
                    |e: &RecordedEvent| by(e) && *e.metadata.correlation_id == *"c" && is(e, "band.retired");
                assert_eq!(both, expected(&bed, has).await);
            }
            for id in ["c", "c/0000000000", "0000000000"] {
                let of = |e: &RecordedEvent| *e.metadata.correlation_id == *id && kept(e);
                assert_eq!(go(&format!("&correlation_id={id}")).await, expected(&bed, of).await);
            }
            let between = |e: &RecordedEvent| (start..end).contains(&e.recorded_at);
            let times = format!("&since={start}&until={end}");
            assert_eq!(go(&times).await, expected(&bed, between).await);
            let mine = |e: &RecordedEvent| between(e) && *e.metadata.actor == *"key:a" && kept(e);
            assert_eq!(go(&format!("{times}&actor=key:a")).await, expected(&bed, mine).await);
            let upto = go("&upto=300&actor=key:b").await;
            let few = |e: &RecordedEvent| e.position <= 300 && *e.metadata.actor == *"key:b" && kept(e);
            assert_eq!(upto, expected(&bed, few).await);
        }
    }
}

/// Pages of the index of one group, and of one day.
#[tokio::test]
async fn a_large_group_is_entered_anywhere() {
    let bed = Bed::new();
    let many = vec!["band.retired {}"; 700];
    for _ in 0..6 {
        bed.append(By("acme", "key:a", "c", None), ("band", "b1"), &many).await;
        bed.append(By("acme", "key:b", "d", None), ("band", "b2"), &["band.retired {}"]).await;
    }
    bed.index().await;
    for query in ["&actor=key:a", "&correlation_id=c"] {
        let wanted = |e: &RecordedEvent| *e.metadata.correlation_id == *"c";
        let all = expected(&bed, wanted).await;
        assert_eq!(through(&bed, query, 1_000).await, all);
        for after in (0..4_206).step_by(311).chain([499, 500, 501, 999, 1_000, 4_205, 4_206, 9_999]) {
            let page = bed.ok("acme", &format!("/v1/audit/events?limit=3&after={after}{query}")).await;
            let next: Vec<u64> = all.iter().copied().filter(|p| *p > after).take(3).collect();
            assert_eq!(positions(&page["events"]), next, "{after}");
        }
    }
}

#[tokio::test]
async fn what_is_not_indexed_yet_is_left_to_the_next_page() {
    let bed = small().await;
    bed.append(By("acme", "key:a", "c/1", None), ("band", "b1"), &["band.retired {}"]).await;
    let page = bed.ok("acme", "/v1/audit/events?actor=key:a").await;
    assert_eq!(
        (positions(&page["events"]), &page["through"], &page["upto"]),
        (vec![1, 2], &4.into(), &4.into())
    );
    bed.index().await;
    let page = bed.ok("acme", "/v1/audit/events?actor=key:a&after=4").await;
    assert_eq!((positions(&page["events"]), &page["through"]), (vec![5], &5.into()));
}

#[tokio::test]
async fn the_formats_say_the_same() {
    let bed = Bed::new();
    let odd = "tenant.configured {\n\"urls\":\r\n{\"allowed_hosts\":[\"a\\nb\", 12345678901234567890.10]}}";
    let stream = ("tenant", "=acme");
    bed.append(By("acme", "cli:o'\"n", "c", None), stream, &[odd, "band.retired {}"]).await;
    let json = bed.ok("acme", "/v1/audit/events").await;
    let ask = async |format: &str| {
        bed.ask("acme", Role::Auditor, &format!("/v1/audit/events?limit=1&format={format}")).await
    };
    let lines = ask("ndjson").await;
    assert_eq!(lines.headers["content-type"], "application/x-ndjson");
    assert_eq!(
        (&lines.headers["daybook-through"], &lines.headers["daybook-upto"]),
        (&"1".parse().unwrap(), &"2".parse().unwrap())
    );
    assert_eq!(lines.text.lines().count(), 1);
    assert_eq!(serde_json::from_str::<Value>(lines.text.trim_end()).unwrap(), json["events"][0]);
    assert!(lines.text.contains("12345678901234567890.10"), "digits stay as they were written");

    let table = ask("csv").await;
    assert!(table.headers["content-type"].to_str().unwrap().starts_with("text/csv"));
    let mut reader = csv::Reader::from_reader(table.text.as_bytes());
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let row = reader.records().next().unwrap().unwrap();
    let of = |name: &str| row[names.iter().position(|n| n == name).unwrap()].to_owned();
    assert_eq!((names.len(), of("actor"), of("stream")), (16, "cli:o'\"n".into(), "'=acme".into()));
    assert_eq!(of("payload"), odd.split_once(' ').unwrap().1);
    assert_eq!(of("event_id"), json["events"][0]["event_id"].as_str().unwrap());
}
