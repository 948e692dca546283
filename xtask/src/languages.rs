//! The test suites of the languages of rules, out of packages that have them:
//! JSONPath's (RFC 9535) and CEL's.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::child;
use crate::install::{self, Tool};

pub const VARIABLE: &str = "DAYBOOK_TEST_LANGUAGES";
const NPM: Tool = Tool { program: "npm", package: "npm" };
const JSONPATH: (&str, &str) = ("jsonpath-rfc9535", "1.3.0");
const CEL: (&str, &str) = ("@bufbuild/cel-spec", "0.6.1");

/// CEL's cases as one list; as they come they are a program.
const FLAT: &str = r#"
const { tests } = await import(process.argv[1]);
const all = [];
const walk = (suite, path) => {
  const name = path ? `${path}/${suite.name}` : suite.name;
  for (const test of suite.tests ?? []) all.push({ ...test.original, name: `${name}/${test.original.name}` });
  for (const inner of suite.suites ?? []) walk(inner, name);
};
walk(tests, "");
const plain = (_, v) => (typeof v === "bigint" || (typeof v === "number" && !Number.isFinite(v)) ? String(v) : v);
console.log(JSON.stringify(all, plain));
"#;

/// The folder that the environment names, or one of our own.
pub fn prepare() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        return Ok(named.into());
    }
    let folder = crate::target().join("tools").join(format!("languages-{}-{}", JSONPATH.1, CEL.1));
    if folder.join("cel.json").is_file() {
        return Ok(folder);
    }
    eprintln!("xtask: fetching the test suites of JSONPath and CEL");
    let npm = install::find_or_install(&[NPM])?.remove(0);
    let jsonpath = unpacked(&npm, &folder, JSONPATH)?;
    let suite = jsonpath.join("src/__tests__/jsonpath-compliance-test-suite/cts.json");
    std::fs::copy(&suite, folder.join("jsonpath.json")).with_context(|| suite.display().to_string())?;
    let cel = unpacked(&npm, &folder, CEL)?;
    let program = format!("file://{}", cel.join("dist/esm/testdata/conformance.js").display());
    let node = install::find("node").context("node is missing")?;
    let output = Command::new(node).args(["--input-type=module", "-e", FLAT, &program]).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Last, so that it stands for all of it.
    std::fs::write(folder.join("cel.json"), output.stdout)?;
    Ok(folder)
}

/// The package's folder.
fn unpacked(npm: &Path, folder: &Path, (name, version): (&str, &str)) -> Result<PathBuf> {
    let place = folder.join(name.rsplit('/').next().unwrap_or(name));
    std::fs::create_dir_all(&place)?;
    let package = format!("{name}@{version}");
    let mut pack = Command::new(npm);
    let packed = pack.args(["pack", "--silent", &package]).current_dir(&place).output()?;
    anyhow::ensure!(packed.status.success(), "{package}: {}", String::from_utf8_lossy(&packed.stderr));
    let file = String::from_utf8(packed.stdout)?.trim().to_owned();
    child::check(Command::new("tar").args(["xzf", &file]).current_dir(&place))?;
    Ok(place.join("package"))
}
