//! The warehouse as operators and analysts use it: written by a server and by
//! the command line, killed, merged, and read by other people's engines.

use std::process::Command;
use std::time::{Duration, Instant};

use daybook_tests::cli::Cli;
use daybook_tests::{repository, skip};
use serde_json::{Value, json};

fn python(program: &str, arguments: &[&str]) -> Option<String> {
    let Some(python) = std::env::var_os("DAYBOOK_TEST_PYTHON") else {
        skip("DAYBOOK_TEST_PYTHON names no Python with duckdb and sqlglot");
        return None;
    };
    let output = Command::new(python).arg("-c").arg(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}\n{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

struct Bed {
    cli: Cli,
    _data: tempfile::TempDir,
}

impl Bed {
    fn new(settings: &[(&str, &str)]) -> Option<Self> {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("warehouse");
        let mut settings = settings.to_vec();
        settings.push(("WAREHOUSE_URL", folder.to_str().unwrap()));
        Some(Self { cli: Cli::new(data.path(), &settings)?, _data: data })
    }

    fn run(&self, args: &[&str]) -> Value {
        self.cli.json(args, 0)
    }

    /// Imports this many orders of an app, a minute apart, from hour 0 on.
    fn import(&self, app: &str, name: &str, orders: usize) {
        let line = |n: usize| {
            json!({"appId": app, "deviceId": "d1", "idempotencyKey": format!("{name}-{n}"),
                "timestampMs": 1_751_328_000_000_u64 + 60_000 * n as u64,
                "deviceContext": {"platform": "ios", "screenWidth": 390},
                "purchaseComplete": {"orderId": format!("{name}-{n}"), "totalCents": n}})
            .to_string()
        };
        let file = self.cli.data.join(format!("{name}.jsonl"));
        std::fs::write(&file, (0..orders).map(line).collect::<Vec<_>>().join("\n")).unwrap();
        let file = file.to_str().unwrap();
        self.run(&["import", "signals", "--app", app, "--format", "ndjson", file]);
    }

    fn statements(&self, engine: &str) -> String {
        self.run(&["warehouse", "ddl", engine])["statements"].as_str().unwrap().to_owned()
    }

    /// What DuckDB answers to each query over the view of the statements.
    fn duckdb(&self, queries: &[&str]) -> Option<Vec<String>> {
        let program = "import sys, duckdb\nduckdb.sql(sys.argv[1])\n\
            for query in sys.argv[2:]: print(duckdb.sql(query).fetchall())";
        let ddl = self.statements("--duckdb");
        let arguments: Vec<&str> = std::iter::once(&*ddl).chain(queries.iter().copied()).collect();
        Some(python(program, &arguments)?.lines().map(str::to_owned).collect())
    }

    fn parquet_files(&self) -> usize {
        daybook_tests::files(&self.cli.data.join("warehouse/tenant=default/events")).len()
    }
}

const COUNTS: &str = "select app_id, count(*), count(distinct position), sum((data->>'total_cents')::int), \
    min(screen_width), bool_and(decoded) from signals group by 1 order by 1";

#[test]
fn duckdb_reads_it_by_the_printed_statements() {
    let Some(bed) = Bed::new(&[]) else { return };
    bed.import("shop", "one", 150);
    bed.import("a:b", "two", 10);
    assert_eq!(bed.run(&["warehouse", "run"]), json!({"signals": 160, "files": 4}));
    assert_eq!(bed.run(&["warehouse", "run"]), json!({"signals": 0, "files": 0}));
    bed.import("shop", "three", 20);
    assert_eq!(bed.run(&["warehouse", "run"])["files"], 1);
    let told = ["[('a:b', 10, 10, 45, 390, True), ('shop', 170, 170, 11365, 390, True)]"];
    let Some(rows) = bed.duckdb(&[COUNTS]) else { return };
    assert_eq!(rows, told);
    // Merged, and the parts still there: nothing is seen twice.
    let before = bed.parquet_files();
    assert_eq!(bed.run(&["warehouse", "compact"]), json!({"merges": 1, "deleted": 0}));
    assert_eq!(bed.parquet_files(), before + 1);
    let hours = "select hour, count(*) from signals where app_id = 'shop' and year = '2025' and month = '07' \
        and day = '01' group by 1 order by 1";
    let times = "select epoch_ms(min(event_time)), epoch_ms(max(event_time)) from signals where hour = '02'";
    let rows = bed.duckdb(&[COUNTS, hours, times]).unwrap();
    assert_eq!(rows[0], told[0]);
    assert_eq!(rows[1], "[('00', 80), ('01', 60), ('02', 30)]");
    assert_eq!(rows[2], "[(1751335200000, 1751336940000)]");
    let status = bed.run(&["warehouse", "status"]);
    assert_eq!((&status["signals"], &status["files"]), (&json!(180), &json!(4)));
    assert_eq!(status["retired"], 2);
}

/// The dialects of the other engines, by a parser of theirs that is not ours.
#[test]
fn the_statements_of_other_engines_can_be_parsed() {
    let Some(bed) = Bed::new(&[]) else { return };
    for engine in ["trino", "spark"] {
        let text = bed.statements(&format!("--{engine}"));
        assert!(text.contains("tenant=default/events'") && text.contains("tenant=default/files'"), "{text}");
        let program = "import sys, sqlglot\n\
            from sqlglot import exp\n\
            all = [s for s in sqlglot.parse(sys.argv[1], dialect=sys.argv[2]) if s]\n\
            print([type(s).__name__ for s in all])\n\
            print([len(list(s.find_all(exp.ColumnDef))) for s in all])";
        let Some(told) = python(program, &[&text, engine]) else { return };
        let mut lines = told.lines();
        let (kinds, columns) = (lines.next().unwrap(), lines.next().unwrap());
        assert_eq!(kinds.matches("Create").count(), 4, "{kinds}");
        assert!(columns.contains("42") && columns.contains("10"), "{columns}");
    }
}

/// Killed again and again while it takes signals in and writes them: each is
/// in one file.
#[tokio::test]
async fn a_killed_server_writes_each_signal_once() {
    let settings = [("BATCH_FLUSH_INTERVAL", "20ms"), ("BATCH_MAX_EVENTS", "7")];
    let Some(bed) = Bed::new(&settings) else { return };
    let mut sent = 0;
    for round in 0..4 {
        let server = bed.cli.serve();
        for batch in 0..6 {
            let event = |n: usize| {
                json!({"appId": "shop", "idempotencyKey": format!("{round}-{batch}-{n}"),
                    "timestampMs": 1_751_328_000_000_u64, "appStart": {"isColdStart": true}})
            };
            let events: Vec<Value> = (0..5).map(event).collect();
            let answer = server.post("/v1/events/batch", &json!({"events": events})).await.unwrap();
            assert_eq!(answer["accepted_count"], 5);
            sent += 5;
        }
        // Killed wherever it is once it has begun to write.
        let deadline = Instant::now() + Duration::from_secs(200);
        while !bed.cli.data.join("warehouse/manifest/newest").is_file() {
            assert!(Instant::now() < deadline, "nothing is written");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.kill().unwrap();
    }
    bed.run(&["warehouse", "run"]);
    let status = bed.run(&["warehouse", "status"]);
    assert_eq!(status["signals"], sent);
    let query = "select count(*), count(distinct position), count(distinct id) from signals";
    let Some(rows) = bed.duckdb(&[query]) else { return };
    assert_eq!(rows, [format!("[({sent}, {sent}, {sent})]")]);
}

#[test]
fn what_is_configured_wrong_is_said_by_its_name() {
    let data = tempfile::tempdir().unwrap();
    let Some(bare) = Cli::new(data.path(), &[]) else { return };
    let said = bare.refused(&["warehouse", "run"], 2);
    assert!(said.contains("warehouse.url"), "{said}");
    for (name, value) in [
        ("PARQUET_COMPRESSION", "lz4"),
        ("BATCH_FLUSH_INTERVAL", "soon"),
        ("BATCH_MAX_EVENTS", "0"),
        ("PARQUET_ROW_GROUP_SIZE", "0"),
    ] {
        let Some(bed) = Bed::new(&[(name, value)]) else { return };
        let said = bed.cli.refused(&["warehouse", "run"], 2);
        assert!(said.contains(name), "{name}: {said}");
    }
    let said = bare.refused(&["warehouse", "ddl", "--tenant", "acme"], 2);
    assert!(said.contains("--duckdb"), "{said}");
}

#[test]
fn the_page_names_every_column() {
    let Some(bed) = Bed::new(&[]) else { return };
    let page = std::fs::read_to_string(repository().join("docs/warehouse.md")).unwrap();
    let text = bed.statements("--spark");
    let table = text.split("signals_all (\n").nth(1).unwrap().split("\n)").next().unwrap();
    let names: Vec<&str> = table.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(names.len(), 42);
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}
