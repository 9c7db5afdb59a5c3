//! The folder of an experiment's results: `results.json`, `results.csv`, `report.html`.
//!
//! It overwrites older results and nothing else. A folder with other files in it is refused before the experiment
//! runs, and so are files of these names that no experiment wrote.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;

use super::table::names;
use crate::results::{AssertionOutcome, Cell, Repetition, Results, shown};

const JSON: &str = "results.json";
const CSV: &str = "results.csv";
const REPORT: &str = "report.html";
/// The suffix of a file that is not yet complete.
const UNFINISHED: &str = ".unfinished";

/// A folder that results can be written to.
#[derive(Clone, Debug)]
pub struct ResultsFolder {
    path: PathBuf,
}

/// Why results can't be written.
#[derive(Debug, thiserror::Error)]
pub enum NoResultsFolder {
    /// It holds something other than results.
    #[error(
        "{folder} holds `{found}`, which is not a result of the lab; choose another folder with --out, or empty this one"
    )]
    Taken {
        /// The folder.
        folder: String,
        /// What was found in it.
        found: String,
    },
    /// The file system refused.
    #[error("can't write results to {path}: {reason}")]
    Unwritable {
        /// The folder or file.
        path: String,
        /// Why.
        reason: String,
    },
}

impl ResultsFolder {
    /// Creates the folder, or takes an existing one that is empty or holds results. Checks that it can be written
    /// to.
    ///
    /// # Errors
    /// [`NoResultsFolder`] when it holds something else, or can't be created or written to.
    pub fn claim(path: &Path) -> Result<Self, NoResultsFolder> {
        let unwritable = |error: io::Error| unwritable(path, &error);
        fs::create_dir_all(path).map_err(unwritable)?;
        // `results.json` is written first, so the other files never exist without it.
        let are_ours = is_of_an_experiment(&path.join(JSON));
        for entry in fs::read_dir(path).map_err(unwritable)? {
            let entry = entry.map_err(unwritable)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_result = match name.strip_suffix(UNFINISHED) {
                Some(plain) => [JSON, CSV, REPORT].contains(&plain),
                None => are_ours && [JSON, CSV, REPORT].contains(&&*name),
            };
            // A rename would replace a link or a device by a file.
            if !is_result || !entry.file_type().map_err(unwritable)?.is_file() {
                return Err(NoResultsFolder::Taken {
                    folder: path.display().to_string(),
                    found: name.into_owned(),
                });
            }
        }
        let folder = Self {
            path: path.to_owned(),
        };
        // Fail now, not after hours of work.
        let probe = path.join(format!("{JSON}{UNFINISHED}"));
        fs::write(&probe, "")
            .and_then(|()| fs::remove_file(&probe))
            .map_err(unwritable)?;
        Ok(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all results, each file atomically.
    ///
    /// # Errors
    /// [`NoResultsFolder::Unwritable`].
    pub fn write(&self, results: &Results, report: Option<&str>) -> Result<(), NoResultsFolder> {
        let json = serde_json::to_string_pretty(results)
            .map_err(|error| unwritable(&self.path.join(JSON), &error))?;
        self.put(JSON, &json)?;
        self.put(CSV, &to_csv(results))?;
        match report {
            Some(report) => self.put(REPORT, report),
            None => Ok(()),
        }
    }

    fn put(&self, name: &str, text: &str) -> Result<(), NoResultsFolder> {
        let path = self.path.join(name);
        let unfinished = self.path.join(format!("{name}{UNFINISHED}"));
        fs::write(&unfinished, text)
            .and_then(|()| fs::rename(&unfinished, &path))
            .map_err(|error| unwritable(&path, &error))
    }
}

/// Whether [`ResultsFolder::write`] wrote this file.
fn is_of_an_experiment(json: &Path) -> bool {
    #[derive(serde::Deserialize)]
    struct FolderNote {
        #[serde(rename = "experiment")]
        _experiment: IgnoredAny,
        #[serde(rename = "cells")]
        _cells: IgnoredAny,
    }
    // Opening a FIFO would block until it has a writer.
    if !json.symlink_metadata().is_ok_and(|json| json.is_file()) {
        return false;
    }
    let Ok(file) = fs::File::open(json) else {
        return false;
    };
    let told: Result<FolderNote, _> = serde_json::from_reader(io::BufReader::new(file));
    told.is_ok()
}

fn unwritable(path: &Path, reason: &dyn std::fmt::Display) -> NoResultsFolder {
    NoResultsFolder::Unwritable {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}

/// All runs as CSV, one line each: compare entry, the sweep's keys, repetition, seed, every measure that any run
/// has, and why a run failed.
#[must_use]
pub fn to_csv(results: &Results) -> String {
    let cells: Vec<&Cell> = results.cells.iter().collect();
    let measures = names(&cells);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let axes = || results.plan.sweep.iter().map(|axis| axis.key.as_str());
    let header: Vec<&str> = std::iter::once("compare")
        .chain(axes())
        .chain(["repetition", "seed"])
        .chain(measures.iter().copied())
        .chain(["error"])
        .collect();
    let mut written = writer.write_record(&header);
    for cell in &results.cells {
        for run in &cell.repetitions {
            written =
                written.and_then(|()| writer.write_record(line(cell, run, axes(), &measures)));
        }
    }
    let bytes = written
        .map_err(io::Error::from)
        .and_then(|()| writer.into_inner().map_err(|error| error.into_error()))
        .expect("writing to memory never fails");
    String::from_utf8(bytes).expect("all fields are UTF-8")
}

fn line<'a>(
    cell: &Cell,
    run: &Repetition,
    axes: impl Iterator<Item = &'a str>,
    measures: &BTreeSet<&str>,
) -> Vec<String> {
    let mut line = vec![cell.compare.clone()];
    line.extend(axes.map(|key| cell.point.get(key).map(shown).unwrap_or_default()));
    line.extend([run.repetition.to_string(), run.seed.to_string()]);
    let (numbers, error) = match &run.outcome {
        AssertionOutcome::Measures(found) => (Some(&found.numbers), ""),
        AssertionOutcome::Error(error) => (None, error.as_str()),
    };
    line.extend(measures.iter().map(|name| {
        let number = numbers.and_then(|numbers| numbers.get(*name));
        number.map(f64::to_string).unwrap_or_default()
    }));
    line.push(error.to_owned());
    line
}
