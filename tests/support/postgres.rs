//! A PostgreSQL database for each test, on the server that
//! `DAYBOOK_TEST_POSTGRES` names.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
use uuid::Uuid;

/// An empty database, dropped with this value.
pub struct Database {
    pub url: String,
    server: String,
    name: String,
}

/// `None` (after a line that says so) where no server is named; a failure
/// where servers are required.
pub async fn database() -> Option<Database> {
    let Ok(server) = std::env::var("DAYBOOK_TEST_POSTGRES") else {
        crate::skip("DAYBOOK_TEST_POSTGRES names no PostgreSQL server");
        return None;
    };
    let name = format!("t_{}", Uuid::now_v7().simple());
    // Two sessions cannot copy the template database at the same instant.
    let made = tokio::time::timeout(Duration::from_secs(60), async {
        while let Err(error) = execute(&server, format!("CREATE DATABASE {name}")).await {
            let busy = error.as_database_error().and_then(|e| e.code()).is_some_and(|c| c == "55006");
            assert!(busy, "cannot create a database on {server}: {error}");
            tokio::task::yield_now().await;
        }
    });
    made.await.expect("the template database is busy for a minute");
    let url = with_database(&server, &name);
    Some(Database { url, server, name })
}

impl Database {
    /// Ends all connections and lets none in, or lets them in again.
    pub async fn allow_connections(&self, allowed: bool) {
        let name = &self.name;
        execute(&self.server, format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}")).await.unwrap();
        if !allowed {
            let all =
                format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
            execute(&self.server, all).await.unwrap();
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let server = std::mem::take(&mut self.server);
        let drop_it = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A thread with a runtime of its own: the test's may be shutting down.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|r| r.block_on(execute(&server, drop_it)))
        });
        match dropped.join() {
            Ok(Ok(Ok(()))) => {}
            other => eprintln!("database {} was not dropped: {other:?}", self.name),
        }
    }
}

async fn execute(server: &str, statement: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(server).await?;
    raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
    connection.close().await
}

/// The same server's URL with another database name.
fn with_database(server: &str, name: &str) -> String {
    let (front, query) = server.split_once('?').map_or((server, None), |(f, q)| (f, Some(q)));
    let authority = front.find("://").map_or(0, |i| i + 3);
    let end = front[authority..].find('/').map_or(front.len(), |i| authority + i);
    let query = query.map(|q| format!("?{q}")).unwrap_or_default();
    format!("{}/{name}{query}", &front[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_name_is_replaced() {
        let cases = [
            ("postgres://a@h:1/postgres", "postgres://a@h:1/t"),
            ("postgres://a@h:1", "postgres://a@h:1/t"),
            ("postgres://a@h:1/postgres?sslmode=disable", "postgres://a@h:1/t?sslmode=disable"),
        ];
        for (server, expected) in cases {
            assert_eq!(with_database(server, "t"), expected);
        }
    }

    #[tokio::test]
    async fn a_database_lives_as_long_as_its_value() {
        let Some(database) = database().await else { return };
        let (url, server) = (database.url.clone(), database.server.clone());
        execute(&url, "CREATE TABLE t (a INT)".into()).await.unwrap();
        drop(database);
        assert!(execute(&url, "SELECT 1".into()).await.is_err());
        execute(&server, "SELECT 1".into()).await.unwrap();
    }
}
