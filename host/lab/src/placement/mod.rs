//! The placement study: what a placement policy does to a whole network, file by file.
//!
//! The study asks the policy about many files, as a node would, and measures its answers: how evenly the copies
//! are spread, how many would move once a node has joined or left, over how many zones a file is spread, how many
//! different sets of nodes hold a file, and how likely a file is lost when several nodes fail together.
//!
//! Only the filling of the nodes is simulated. All nodes are one hop away and without load, and the files together
//! take up one hundredth of their space, so no node is ever full. After each change of the nodes, a fresh instance
//! with its own seed, as on another node, is asked about all files again: an answer that depends on the instance's
//! history or seed counts as a move.

mod ask;
mod balance;
mod exact;
mod loss;
mod moves;
mod nodes;
mod sets;
mod simulate;

use dataverse_core::limits::FACTOR_MAX;
use dataverse_sandbox::Refusal;
use rayon::prelude::*;
use serde::Serialize;

use crate::limits;

pub use balance::Balance;
pub use loss::{Loss, Method, closed_form};
pub use moves::{Change, Moves};
pub use nodes::{Weights, WeightsError};
pub use sets::{ReplicaSets, copysets, random_sets};
pub use simulate::{Estimate, simulate};

use crate::library::Chosen;
use ask::Placed;
use nodes::Nodes;

/// What to study.
#[derive(Clone, Debug)]
pub struct Study {
    /// Nodes in the network.
    pub nodes: u32,
    /// Zones, to which nodes are assigned in turn; 0 when no node names one.
    pub zones: u32,
    /// The relative sizes of the nodes.
    pub weights: Weights,
    /// Copies of each file.
    pub factor: u32,
    /// Files that are asked about.
    pub files: u32,
    /// Numbers of nodes that fail together; the probability of a loss is computed for each.
    pub fail: Vec<u32>,
    /// Changes of the nodes to study; each takes as long as everything else.
    pub changes: Vec<Change>,
    /// The seed from which the ids of nodes and files and the policies' seeds derive.
    pub seed: u64,
}

/// Why a study can't be run.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// A number is out of bounds.
    #[error("`{what}` is {value}; it has to be from {least} to {most}")]
    OutOfBounds {
        /// Which number.
        what: &'static str,
        /// What it is.
        value: u32,
        /// At least.
        least: u32,
        /// At most.
        most: u32,
    },
    /// A policy does not start.
    #[error("{name}: {refusal}")]
    Refused {
        /// Its name.
        name: String,
        /// Why.
        refusal: Refusal,
    },
}

/// The results for one policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Its name.
    pub policy: String,
    /// Its configuration, as JSON; empty without one.
    pub config: String,
    /// BLAKE3 of its file; none for the native baseline.
    pub digest: Option<String>,
    /// Nodes in the network.
    pub nodes: u32,
    /// The nodes that the policy could choose from: the nearest, as in every node.
    pub candidates: u32,
    /// Zones.
    pub zones: u32,
    /// Copies of each file, at most the number of candidates.
    pub factor: u32,
    /// Files.
    pub files: u32,
    /// The study's seed.
    pub seed: u64,
    /// Decisions at which the policy failed and the baseline answered, in all passes.
    pub faults: u64,
    /// How evenly the copies are spread.
    pub balance: Balance,
    /// Copies that move after a change, one entry per kind of change.
    pub moves: Vec<Moves>,
    /// How the copies of a file are spread over zones; none without zones.
    pub zones_per_file: Option<ZonesPerFile>,
    /// The number of different sets of nodes that hold all copies of some file.
    pub replica_sets: u64,
    /// The probability of losing a file, one entry per number of failures.
    pub loss: Vec<Loss>,
}

/// How the copies of a file are spread over zones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ZonesPerFile {
    /// Zones per file, on average.
    pub mean: f64,
    /// Zones of the file that is in the fewest.
    pub min: u32,
    /// Share of the files that are in as many zones as they could be.
    pub widest_share: f64,
}

impl Study {
    /// Default numbers of failures: the number of copies, and one node in a hundred.
    #[must_use]
    pub fn usual_failures(nodes: u32, factor: u32) -> Vec<u32> {
        let few = factor.min(nodes);
        let many = (nodes / 100).max(few);
        if few == many {
            vec![few]
        } else {
            vec![few, many]
        }
    }

    /// The default number of files: fewer where a question takes longer.
    #[must_use]
    pub fn usual_files(nodes: u32) -> u32 {
        const SHOWN_IN_ALL: u32 = 10_000_000;
        (SHOWN_IN_ALL / nodes.max(1)).clamp(10_000, 100_000)
    }

    /// Asks these policies, several in parallel.
    ///
    /// # Errors
    /// [`StudyError`] when a number is out of bounds or a policy does not start.
    pub fn run(&self, policies: &[Chosen]) -> Result<Vec<Finding>, StudyError> {
        self.run_watched(policies, &|_| {})
    }

    /// The total number of steps that [`Study::run_watched`] reports for `policies` policies.
    #[must_use]
    pub fn steps(&self, policies: usize) -> u64 {
        let passes = 1 + self.changes.len() + self.fail.len();
        policies as u64 * passes as u64 * u64::from(self.files)
    }

    /// As [`Study::run`], with progress: now and then reports to `watch`, on any thread, how many more steps are
    /// done. A step is one file; one number of failures takes as many steps as there are files.
    ///
    /// # Errors
    /// See [`Study::run`]. See [`Study::run`].
    pub fn run_watched(
        &self,
        policies: &[Chosen],
        watch: &(dyn Fn(u64) + Sync),
    ) -> Result<Vec<Finding>, StudyError> {
        self.check()?;
        let before = Nodes::new(self);
        let changes = || std::iter::once(None).chain(self.changes.iter().copied().map(Some));
        let passes: Vec<(&Chosen, Option<Change>)> = policies
            .iter()
            .flat_map(|chosen| changes().map(move |change| (chosen, change)))
            .collect();
        let mut placed = passes
            .par_iter()
            .map(|&(chosen, change)| self.pass(chosen, change, &before, watch))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter();
        let mut findings = Vec::with_capacity(policies.len());
        for chosen in policies {
            let of_policy: Vec<Placed> = placed.by_ref().take(changes().count()).collect();
            findings.push(self.finding(chosen, &before, &of_policy, watch));
        }
        Ok(findings)
    }

    /// Whether a study can be run with these numbers; [`Study::run`] checks it too.
    ///
    /// # Errors
    /// [`StudyError::OutOfBounds`] that names the first wrong one.
    pub fn check(&self) -> Result<(), StudyError> {
        let bounded = |what, value, least, most| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(StudyError::OutOfBounds {
                what,
                value,
                least,
                most,
            })
        };
        bounded("nodes", self.nodes, 2, limits::PLACEMENT_STUDY_NODES_MAX)?;
        bounded("zones", self.zones, 0, self.nodes)?;
        bounded("factor", self.factor, 1, FACTOR_MAX)?;
        bounded("files", self.files, 1, limits::PLACEMENT_STUDY_FILES_MAX)?;
        for &fail in &self.fail {
            bounded("fail", fail, 1, self.nodes)?;
        }
        Ok(())
    }

    /// Asks about all files once, with the nodes before or after a change.
    fn pass(
        &self,
        chosen: &Chosen,
        change: Option<Change>,
        before: &Nodes,
        watch: &(dyn Fn(u64) + Sync),
    ) -> Result<Placed, StudyError> {
        let name = change.map_or("first", Change::as_str);
        let seed = crate::seed::derive(self.seed, &["policy", name]);
        let after = change.map(|change| before.after(change, self));
        let nodes = after.as_ref().unwrap_or(before);
        let mut policy = chosen
            .placement(seed)
            .map_err(|refusal| StudyError::Refused {
                name: chosen.name.clone(),
                refusal,
            })?;
        Ok(ask::ask(policy.as_mut(), nodes, self, watch))
    }

    /// `placed` holds the copies of the first pass, and then those after each change.
    fn finding(
        &self,
        chosen: &Chosen,
        before: &Nodes,
        placed: &[Placed],
        watch: &(dyn Fn(u64) + Sync),
    ) -> Finding {
        let (first, later) = placed.split_first().expect("the first pass always runs");
        let sets = ReplicaSets::new(first.factor, self.nodes, &first.nodes);
        Finding {
            policy: chosen.name.clone(),
            config: chosen.config.clone(),
            digest: chosen.digest().map(|digest| digest.to_string()),
            nodes: self.nodes,
            candidates: before.candidates().len() as u32,
            zones: self.zones,
            factor: first.factor as u32,
            files: self.files,
            seed: self.seed,
            faults: placed.iter().map(|it| it.faults).sum(),
            balance: balance::balance(before, first),
            moves: (self.changes.iter().zip(later))
                .map(|(&change, after)| moves::moves(change, before, self, first, after))
                .collect(),
            zones_per_file: (self.zones > 0).then(|| zones_per_file(before, first)),
            replica_sets: sets.len() as u64,
            loss: (self.fail.iter())
                .map(|&fail| {
                    let loss = loss::loss(&sets, fail, self.files, self.seed);
                    watch(u64::from(self.files));
                    loss
                })
                .collect(),
        }
    }
}

fn zones_per_file(nodes: &Nodes, placed: &Placed) -> ZonesPerFile {
    let widest = (placed.factor as u32).min(nodes.zones);
    let (mut sum, mut min, mut widely) = (0u64, u32::MAX, 0u64);
    for holders in placed.files() {
        let mut zones: Vec<u32> = holders.iter().map(|&node| node % nodes.zones).collect();
        zones.sort_unstable();
        zones.dedup();
        let count = zones.len() as u32;
        sum += u64::from(count);
        min = min.min(count);
        widely += u64::from(count == widest);
    }
    let files = placed.files().len() as f64;
    ZonesPerFile {
        mean: sum as f64 / files,
        min,
        widest_share: widely as f64 / files,
    }
}

#[cfg(test)]
mod tests;
