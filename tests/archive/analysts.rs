//! The examples of docs/archive.md, run by DuckDB and pandas.

use std::path::Path;
use std::process::Command;

use daybook_tests::{repository, skip};

use super::operators::sealed;

/// Fenced blocks whose first line is this.
fn blocks(page: &str, fence: &str) -> Vec<String> {
    let opening = format!("```{fence}\n");
    page.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

fn python(folder: &Path, program: &str) -> Option<String> {
    let Some(python) = std::env::var_os("DAYBOOK_TEST_PYTHON") else {
        skip("DAYBOOK_TEST_PYTHON names no Python with duckdb and pandas");
        return None;
    };
    let output = Command::new(python).arg("-c").arg(program).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program}\n{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn duckdb_and_pandas_read_the_archive_as_documented() {
    let Some(data) = sealed(500) else { return };
    let folder = data.path().join("archive");
    let page = std::fs::read_to_string(repository().join("docs/archive.md")).unwrap();
    let queries = blocks(&page, "sql duckdb");
    assert_eq!(queries.len(), 2);
    for query in &queries {
        let program = format!("import duckdb\nfor row in duckdb.sql('''{query}''').fetchall(): print(row)");
        let Some(rows) = python(&folder, &program) else { return };
        assert!(rows.contains("500"), "{query}\n{rows}");
    }
    let examples = blocks(&page, "python");
    assert_eq!(examples.len(), 1);
    assert!(python(&folder, &examples[0]).unwrap().contains("500"));
}

/// Every column of every segment can be read, and has the documented type.
#[test]
fn the_columns_are_those_of_the_page() {
    let Some(data) = sealed(10) else { return };
    let program = "import duckdb\n\
        rows = duckdb.sql(\"describe select * from 'log/band.tapped/*.parquet'\").fetchall()\n\
        print([(row[0], row[1]) for row in rows])\n\
        print(duckdb.sql(\"select count(distinct leaf), min(octet_length(leaf)), bool_and(decoded) \
        from 'log/band.tapped/*.parquet'\").fetchall())";
    let Some(told) = python(&data.path().join("archive"), program) else { return };
    for column in [
        "('position', 'BIGINT')",
        "('stream', 'VARCHAR')",
        "('recorded_at', 'TIMESTAMP WITH TIME ZONE')",
        "('leaf', 'BLOB')",
        "('decoded', 'BOOLEAN')",
        "('p_band_id', 'VARCHAR')",
        "[(10, 32, True)]",
    ] {
        assert!(told.contains(column), "{column} in {told}");
    }
}
