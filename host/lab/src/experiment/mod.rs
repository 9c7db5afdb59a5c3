//! Experiments: what to compare, over which sweep, how often, and what to assert about the results.
//!
//! An experiment is a TOML file. [`Experiment::read`] checks all of it before anything runs and refuses it with
//! file, line and reason; [`Experiment::run`] runs every repetition of every cell and summarises them. Neither
//! prints anything, and only [`ResultsFolder`] writes files.

mod document;
mod expect;
mod folder;
mod notes;
mod opened;
mod plan;
mod read;
mod reading;
mod runner;
mod sections;
mod settings;
mod shown;
mod sweep;
mod table;

use std::path::PathBuf;

use crate::results::{Digests, ExperimentFile, Plan, Point, Versions};
use crate::world::Scenario;

pub use document::{DocumentPlace, Malformed};
pub use folder::{NoResultsFolder, ResultsFolder, to_csv};
pub use reading::Reading;
pub use runner::{EndedRun, NoThreads, RunCell, Running, Unwatched, Watch};
pub use shown::{TableShown, table};

/// A complete, commented experiment to start from; it runs as it is.
pub const TEMPLATE: &str = include_str!("template.toml");

/// A valid experiment: every file exists, every policy starts.
#[derive(Debug)]
pub struct Experiment {
    file: PathBuf,
    written: ExperimentFile,
    versions: Versions,
    seed: u64,
    plan: Plan,
    digests: Digests,
    notes: Vec<String>,
    cells: Vec<PlannedCell>,
    expects: Vec<expect::Expect>,
}

/// One compare entry at one point of the sweep: what to run.
#[derive(Debug)]
struct PlannedCell {
    compare: String,
    point: Point,
    point_shown: String,
    scenario: Scenario,
}

impl Experiment {
    /// The name of its file without the extension, for naming its results.
    #[must_use]
    pub fn stem(&self) -> String {
        let stem = self.file.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    /// What will be compared.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The number of runs: cells times repetitions.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.cells.len() * self.plan.repetitions as usize
    }

    /// Requests in all runs, the sum of what is reported to [`Watch`].
    #[must_use]
    pub fn requests(&self) -> u64 {
        let cells = self.cells.iter().map(|cell| cell.scenario.requests);
        cells.sum::<u64>() * u64::from(self.plan.repetitions)
    }
}

#[cfg(test)]
mod tests;
