//! The torture test in short; `--bin torture` runs it for as long as you like.

use std::time::Duration;

use daybook_tests::torture::Torture;

fn torture(processes: usize, seconds: u64) -> Torture {
    let program = env!("CARGO_BIN_EXE_torture").into();
    Torture { program, processes, writers: 16, duration: Duration::from_secs(seconds) }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_survives_killed_writers_and_a_crash() {
    if std::env::var_os("DAYBOOK_TEST_POSTGRES").is_none() {
        daybook_tests::skip("DAYBOOK_TEST_POSTGRES is not set, so there may be no PostgreSQL");
        return;
    }
    let report = torture(4, 10).postgres().await.unwrap();
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_survives_killed_writers() {
    let report = torture(1, 6).sqlite().await.unwrap();
    assert!(report.is_clean(), "{report}");
}
