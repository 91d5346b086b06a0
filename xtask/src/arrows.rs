//! The law of arrows: which crate may depend on which, and who alone may name what (ARCHITECTURE.md, invariants).

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{metadata, root};

/// What each crate may name among our own, in the order of the flow. Tests may also use `kld-testkit`.
const ARROWS: &[(&str, &[&str])] = &[
    ("kld-kernels", &[]),
    ("kld-core", &["kld-kernels"]),
    ("kld-models", &["kld-core"]),
    ("kld-text", &["kld-core"]),
    ("kld-report", &["kld-core"]),
    ("kld-series", &["kld-core"]),
    ("kld-eval", &["kld-core", "kld-kernels", "kld-models"]),
    (
        "kld-train",
        &["kld-core", "kld-kernels", "kld-models", "kld-series"],
    ),
    (
        "kld",
        &[
            "kld-core",
            "kld-eval",
            "kld-kernels",
            "kld-models",
            "kld-report",
            "kld-series",
            "kld-text",
            "kld-train",
        ],
    ),
    ("kld-testkit", &["kld-core", "kld-models"]),
    ("xtask", &[]),
];

/// Outside crates that only some of ours may name.
const RESERVED: &[(&str, &[&str])] = &[
    ("candle-core", &["kld-models"]),
    ("gemm", &["kld-models"]),
    ("clap", &["kld"]),
    ("console", &["kld"]),
    ("indicatif", &["kld"]),
    ("ureq", &["kld-models"]),
];

/// Where `unsafe` may stand, and what for.
const UNSAFE: &[(&str, &str)] = &[
    ("crates/kld-kernels/src", "vector instruction sets"),
    ("crates/kld-models/src", "memory maps and matrix products"),
];

/// Checks the manifests and the sources.
pub(crate) fn check() -> Result<()> {
    let mut broken = dependencies()?;
    broken.extend(sources()?);
    if broken.is_empty() {
        Ok(())
    } else {
        bail!("the law of arrows is broken:\n  {}", broken.join("\n  "))
    }
}

fn dependencies() -> Result<Vec<String>> {
    against_the_law(&metadata()?)
}

/// What the manifests, as `cargo metadata` tells them, have against the law.
fn against_the_law(metadata: &Value) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for package in metadata["packages"]
        .as_array()
        .context("no packages in cargo metadata")?
    {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = ARROWS.iter().find(|(of, _)| *of == name) else {
            broken.push(format!(
                "{name} is not in the law: give it a line in xtask/src/arrows.rs"
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            let for_tests = dependency["kind"].as_str() == Some("dev");
            if ARROWS.iter().any(|(of, _)| *of == on)
                && !allowed.contains(&on)
                && !(for_tests && on == "kld-testkit")
            {
                broken.push(format!("{name} depends on {on}"));
            }
            if let Some((_, users)) = RESERVED.iter().find(|(of, _)| *of == on)
                && !users.contains(&name)
            {
                broken.push(format!(
                    "{name} names {on}, which only {} may",
                    users.join(", ")
                ));
            }
        }
    }
    Ok(broken)
}

/// Libraries never print, exit or read the environment, and `unsafe` stands in few places.
fn sources() -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for file in rust_files(&root().join("crates"))? {
        let shown = file
            .strip_prefix(root())
            .unwrap_or(&file)
            .display()
            .to_string();
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {shown}"))?;
        let in_library = shown.contains("/src/")
            && !shown.starts_with("crates/kld/")
            && !shown.contains("testkit");
        for (number, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            let mut forbid = |found: bool, what: &str| {
                if found {
                    broken.push(format!("{shown}:{}: {what}", number + 1));
                }
            };
            let has = |word: &str| line.contains(word);
            forbid(
                in_library && (has("process::exit") || has("env::var")),
                "a library exits or reads the environment",
            );
            let allowed = UNSAFE.iter().any(|(folder, _)| shown.starts_with(folder));
            forbid(
                !allowed && (has("unsafe {") || has("unsafe fn")),
                "unsafe outside its places",
            );
        }
    }
    Ok(broken)
}

fn rust_files(folder: &Path) -> Result<BTreeSet<std::path::PathBuf>> {
    let mut files = BTreeSet::new();
    for entry in folder
        .read_dir()
        .with_context(|| format!("cannot list {}", folder.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.insert(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn broken(name: &str, on: &str, kind: &Value) -> Vec<String> {
        let metadata =
            json!({"packages": [{"name": name, "dependencies": [{"name": on, "kind": kind}]}]});
        against_the_law(&metadata).unwrap()
    }

    #[test]
    fn arrows_against_the_flow_are_found() {
        assert_eq!(
            broken("kld-core", "kld-models", &Value::Null),
            ["kld-core depends on kld-models"]
        );
        assert_eq!(
            broken("kld-report", "kld-eval", &Value::Null),
            ["kld-report depends on kld-eval"]
        );
        assert_eq!(
            broken("kld-eval", "candle-core", &Value::Null),
            ["kld-eval names candle-core, which only kld-models may"]
        );
        assert_eq!(broken("kld-new", "serde", &Value::Null).len(), 1);
    }

    #[test]
    fn arrows_with_the_flow_and_the_testkit_in_tests_are_fine() {
        assert!(broken("kld-eval", "kld-models", &Value::Null).is_empty());
        assert!(broken("kld-eval", "kld-testkit", &json!("dev")).is_empty());
        assert_eq!(
            broken("kld-eval", "kld-testkit", &Value::Null),
            ["kld-eval depends on kld-testkit"]
        );
    }

    #[test]
    fn this_project_keeps_the_law() {
        check().unwrap();
    }
}
