//! The one statement of a query's text, if it is one that only reads.

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::Statement as Sql;
use domain::ports::sql::SqlError;

use crate::limits::PARSE_DEPTH;
use crate::{depth, failure};

const ALLOWED: &str = "Only one statement that reads is allowed: SELECT (also WITH and VALUES), EXPLAIN of one, \
                       DESCRIBE <table> or SHOW TABLES.";
const TABLES: &str = "SELECT name, event_type FROM tables ORDER BY name";

pub struct Checked {
    pub statement: Statement,
    /// Whether rows are asked for, so that their number can be limited.
    pub query: bool,
}

fn refused() -> SqlError {
    SqlError::NotAllowed(ALLOWED.to_owned())
}

pub fn check(text: &str) -> Result<Checked, SqlError> {
    depth::check(text)?;
    let mut statements = parse(text)?;
    let (Some(statement), None) = (statements.pop_front(), statements.pop_front()) else {
        return Err(refused());
    };
    match &statement {
        Statement::Statement(sql) => match &**sql {
            Sql::Query(_) => Ok(Checked { statement, query: true }),
            Sql::ExplainTable { .. } => Ok(Checked { statement, query: false }),
            Sql::ShowTables { .. } => check(TABLES),
            _ => Err(refused()),
        },
        Statement::Explain(explain) => match &*explain.statement {
            Statement::Statement(sql) if matches!(**sql, Sql::Query(_)) => {
                Ok(Checked { statement, query: false })
            }
            _ => Err(refused()),
        },
        _ => Err(refused()),
    }
}

fn parse(text: &str) -> Result<std::collections::VecDeque<Statement>, SqlError> {
    let parser = DFParserBuilder::new(text).with_recursion_limit(PARSE_DEPTH).build();
    parser.and_then(|mut parser| parser.parse_statements()).map_err(failure::of_planning)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_reads_is_allowed() {
        for text in [
            "select 1",
            "WITH a AS (SELECT 1) SELECT * FROM a;",
            "values (1)",
            "explain select 1",
            "describe events",
            "show tables",
        ] {
            assert!(check(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            ";",
            "select 1; select 2",
            "insert into events values (1)",
            "delete from events",
            "update events set type = 'x'",
            "create table t (a int)",
            "create external table t stored as csv location '/etc/passwd'",
            "copy events to '/tmp/x.csv'",
            "copy (select 1) to '/tmp/x.csv'",
            "set datafusion.execution.batch_size = 1",
            "reset all",
            "drop table events",
            "explain insert into events values (1)",
            "prepare a as select 1",
            "show all",
            "begin",
        ] {
            assert!(matches!(check(text), Err(SqlError::NotAllowed(_))), "{text}");
        }
    }
}
