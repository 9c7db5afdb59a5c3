//! The documents against the repository: the paths, tests, functions and links that they name must exist, and the
//! graph of the crates must be Cargo's.
//!
//! Such statements become wrong silently when code moves. Each test reads Markdown as text and reports everything that
//! is missing at once. Nothing here judges whether a statement is true beyond that.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// At least so many invariants are in the table; a smaller number means that it was not read.
const INVARIANTS_MIN: usize = 35;
/// Where a path on the architecture page may begin. The last one is for `driver/…`.
const PATHS_BEGIN_IN: [&str; 3] = ["", "host", "host/node/src"];

#[test]
fn every_invariant_names_a_test_that_exists() {
    let sources = sources();
    let invariants = rows(section(
        &architecture(),
        "Invariants, and the tests that hold them",
    ));
    assert!(
        invariants.len() >= INVARIANTS_MIN,
        "only {} invariants",
        invariants.len()
    );
    let mut missing = Vec::new();
    for row in &invariants {
        let words = words(&row[1]);
        let (paths, functions): (Vec<_>, Vec<_>) = words
            .into_iter()
            .filter(|word| is_path(word) || is_test(word))
            .partition(|word| is_path(word));
        if paths.is_empty() && functions.is_empty() {
            missing.push(format!("any test of: {}", row[0]));
        }
        missing.extend(paths.into_iter().filter(|path| find(path).is_none()));
        missing.extend(
            functions
                .into_iter()
                .filter(|it| !is_declared(it, &sources)),
        );
    }
    check_none_missing("invariants", &missing);
}

#[test]
fn every_path_of_the_code_map_exists() {
    let mut missing = Vec::new();
    for row in rows(section(&architecture(), "Code map")) {
        let mut names = words(&row[0]).into_iter();
        let Some(first) = names.next() else {
            continue; // A heading within the table.
        };
        match find(&first) {
            None => missing.push(first),
            Some(folder) => missing.extend(
                names
                    .filter(|name| !folder.join(name).exists())
                    .filter(|name| !folder.join(format!("{name}.rs")).exists())
                    .map(|name| format!("{name} in {first}")),
            ),
        }
        let others = words(&row[1]).into_iter().filter(|word| is_path(word));
        missing.extend(others.filter(|path| find(path).is_none()));
    }
    check_none_missing("the code map", &missing);
}

#[test]
fn what_loops_and_instructions_name_exists() {
    let (page, sources) = (architecture(), sources());
    let mut missing = Vec::new();
    for heading in ["Background loops", "How to add an overlay call"] {
        for word in words(section(&page, heading)) {
            let exists = match &word {
                path if is_path(path) => find(path).is_some(),
                name if is_constant(name) || is_function(name) => is_declared(name, &sources),
                _ => true,
            };
            if !exists {
                missing.push(word);
            }
        }
    }
    check_none_missing("loops and instructions", &missing);
}

#[test]
fn the_graph_of_crates_is_that_of_cargo() {
    let page = architecture();
    let arrows = section(&page, "Crates").lines().filter_map(|line| {
        let (from, to) = line
            .split_once(" --> ")
            .or_else(|| line.split_once(" -. "))?;
        let (is_optional, to) = match to.split_once(".-> ") {
            Some((_, to)) => (true, to),
            None => (false, to),
        };
        let from = from.trim().split('[').next().unwrap_or_default().to_owned();
        Some(
            to.split(" & ")
                .map(move |to| (from.clone(), to.trim().to_owned(), is_optional)),
        )
    });
    let drawn: BTreeSet<_> = arrows.flatten().collect();

    let crates = fs::read_dir(root().join("host")).expect("host/ is a folder");
    let mut manifests: Vec<(String, PathBuf)> = crates
        .map(|entry| entry.expect("host/ can be listed"))
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                entry.path().join("Cargo.toml"),
            )
        })
        .filter(|(_, manifest)| manifest.exists())
        .collect();
    manifests.push(("dataverse".to_owned(), root().join("Cargo.toml")));
    let mut used = BTreeSet::new();
    for (from, manifest) in manifests {
        let manifest = read(&manifest);
        let lines = manifest
            .lines()
            .skip_while(|line| *line != "[dependencies]")
            .skip(1);
        for line in lines.take_while(|line| !line.starts_with('[')) {
            if let Some(line) = line.strip_prefix("dataverse-") {
                let to = line.split(['.', ' ', '=']).next().unwrap_or_default();
                used.insert((
                    from.clone(),
                    to.to_owned(),
                    line.contains("optional = true"),
                ));
            }
        }
    }
    let differ: Vec<_> = drawn
        .symmetric_difference(&used)
        .map(|(from, to, _)| format!("{from} -> {to}"))
        .collect();
    assert!(
        differ.is_empty(),
        "drawn otherwise than in Cargo.toml: {differ:#?}"
    );
}

#[test]
fn every_link_to_a_file_leads_somewhere() {
    let mut pages = vec![];
    files_in(&root().join("docs"), "md", &mut pages);
    pages.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|page| root().join(page)));
    let mut missing = Vec::new();
    for page in pages {
        let text = read(&page);
        let folder = page.parent().expect("a file is in a folder");
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', ' ', '#']).next());
        let local = targets.filter(|target| !target.is_empty() && !target.contains(':'));
        let broken = local.filter(|target| !folder.join(target).exists());
        missing.extend(broken.map(|target| format!("{target}, linked in {}", page.display())));
    }
    check_none_missing("the links", &missing);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &Path) -> String {
    fs::read_to_string(file)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()))
}

fn architecture() -> String {
    read(&root().join("docs/ARCHITECTURE.md"))
}

fn check_none_missing(wanted_by: &str, missing: &[String]) {
    assert!(
        missing.is_empty(),
        "named by {wanted_by} and not there: {missing:#?}"
    );
}

/// The text under a heading of the second level.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let start = format!("\n## {heading}\n");
    let (_, text) = page
        .split_once(&start)
        .unwrap_or_else(|| panic!("no section {heading:?}"));
    text.split("\n## ").next().unwrap_or_default()
}

/// The rows of the tables in a text, each as its cells, without their headers.
fn rows(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        line.split('|')
            .skip(1)
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    let lines: Vec<&str> = text.lines().collect();
    let is_row = |line: &str| line.starts_with('|') && !line.starts_with("|---");
    let rows = lines.iter().enumerate().filter(|&(at, line)| {
        let is_header = lines
            .get(at + 1)
            .is_some_and(|next| next.starts_with("|---"));
        is_row(line) && !is_header
    });
    rows.map(|(_, line)| cells(line)).collect()
}

/// The texts in backticks.
fn words(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn is_path(word: &str) -> bool {
    let is_one_word = !word.contains(' ') && !word.starts_with('/');
    is_one_word && (word.contains('/') || word.ends_with(".rs"))
}

/// A name in snake_case with at least three underscores.
fn is_test(word: &str) -> bool {
    is_function(word) && word.matches('_').count() >= 3
}

fn is_function(word: &str) -> bool {
    word.contains('_') && consists_of(word, |c| c.is_ascii_lowercase())
}

fn is_constant(word: &str) -> bool {
    consists_of(word, |c| c.is_ascii_uppercase())
}

fn consists_of(word: &str, is_letter: impl Fn(char) -> bool) -> bool {
    word.chars()
        .all(|c| is_letter(c) || c.is_ascii_digit() || c == '_')
}

/// The file or folder of this path, which may be relative to several places.
fn find(path: &str) -> Option<PathBuf> {
    let mut places = PATHS_BEGIN_IN
        .iter()
        .map(|base| root().join(base).join(path));
    places.find(|place| place.exists())
}

fn is_declared(name: &str, sources: &str) -> bool {
    let forms = [
        format!("fn {name}("),
        format!("fn {name}<"),
        format!("const {name}:"),
    ];
    forms.iter().any(|form| sources.contains(form))
}

/// All Rust sources, one after the other.
fn sources() -> String {
    let mut files = Vec::new();
    for folder in ["host", "tests", "policies", "sdk"] {
        files_in(&root().join(folder), "rs", &mut files);
    }
    files.iter().map(|file| read(file)).collect()
}

fn files_in(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() && !path.ends_with("target") {
            files_in(&path, extension, found);
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
}
