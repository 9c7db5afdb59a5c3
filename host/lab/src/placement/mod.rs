//! The placement study: what a placement policy does to a whole network, file by file.
//!
//! The policy is asked about many files, as a node would ask it, and what it says is counted: how evenly the
//! copies lie, how many would lie elsewhere once a node has come or gone, how many zones a file is in, how many
//! different sets of nodes there are, and how likely it is that a file is lost when several nodes fail at once.
//!
//! Nothing is simulated but the filling of the nodes. All nodes are one hop away and without load, and the
//! files together fill one hundredth of them, so that no node is ever full. Each time the nodes have changed, all
//! files are asked about again, by a fresh instance with a seed of its own, as another node's would be: an
//! answer that depends on the instance's history or seed counts as a move.

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

/// What is studied.
#[derive(Clone, Debug)]
pub struct Study {
    /// Nodes in the network.
    pub nodes: u32,
    /// Zones that they are in, by turns; 0 when no node names one.
    pub zones: u32,
    /// How large they are.
    pub weights: Weights,
    /// Copies of each file.
    pub factor: u32,
    /// Files that are asked about.
    pub files: u32,
    /// Nodes that fail at once: the chance of a loss is told for each of these.
    pub fail: Vec<u32>,
    /// Changes of the nodes that are looked at; each takes as long as all else.
    pub changes: Vec<Change>,
    /// What ids of nodes and files and the policies' seeds derive from.
    pub seed: u64,
}

/// Why a study can't be made.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// A number that is out of bounds.
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

/// What was found of one policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Its name.
    pub policy: String,
    /// Its configuration, as JSON; empty when it was given none.
    pub config: String,
    /// BLAKE3 of its file; none for the native baseline.
    pub digest: Option<String>,
    /// Nodes in the network.
    pub nodes: u32,
    /// Of these, the policy was asked about so many: the nearest, as in every node.
    pub candidates: u32,
    /// Zones.
    pub zones: u32,
    /// Copies of each file, no more than there are candidates.
    pub factor: u32,
    /// Files.
    pub files: u32,
    /// The study's seed.
    pub seed: u64,
    /// Answers in which the policy failed and the baseline answered instead, in all passes.
    pub faults: u64,
    /// How evenly the copies lie.
    pub balance: Balance,
    /// What lies elsewhere after a change, one entry a kind of change.
    pub moves: Vec<Moves>,
    /// How the copies of a file are spread over zones; none without zones.
    pub zones_per_file: Option<ZonesPerFile>,
    /// Different sets of nodes that hold all copies of some file.
    pub replica_sets: u64,
    /// The chance of losing a file, one entry a number of failures.
    pub loss: Vec<Loss>,
}

/// How the copies of a file are spread over zones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ZonesPerFile {
    /// Zones of a file, on average.
    pub mean: f64,
    /// Zones of the file that is in the fewest.
    pub min: u32,
    /// Share of the files that are in as many zones as they could be.
    pub widest_share: f64,
}

impl Study {
    /// Failures that are worth a look when none are named: as many as there are copies, and one node in a
    /// hundred.
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

    /// Files that are asked about when nobody says how many: fewer where a question takes longer.
    #[must_use]
    pub fn usual_files(nodes: u32) -> u32 {
        const SHOWN_IN_ALL: u32 = 10_000_000;
        (SHOWN_IN_ALL / nodes.max(1)).clamp(10_000, 100_000)
    }

    /// Asks these policies, several at a time.
    ///
    /// # Errors
    /// [`StudyError`] when a number is out of bounds or a policy does not start.
    pub fn run(&self, policies: &[Chosen]) -> Result<Vec<Finding>, StudyError> {
        self.run_watched(policies, &|_| {})
    }

    /// What [`Study::run_watched`] tells of, taken together, for so many policies.
    #[must_use]
    pub fn steps(&self, policies: usize) -> u64 {
        let passes = 1 + self.changes.len() + self.fail.len();
        policies as u64 * passes as u64 * u64::from(self.files)
    }

    /// The same. `watch` is told now and then, on any thread, how many steps more are done: a step is a file asked
    /// about, and a number of failures takes as many as there are files.
    ///
    /// # Errors
    /// See [`Study::run`].
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

    /// Whether a study can be made of these numbers; [`Study::run`] checks it too.
    ///
    /// # Errors
    /// [`StudyError::OutOfBounds`] that names the first one that is wrong.
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

    /// All files once, as the nodes are `before` or after a change.
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

    /// `placed` is where the copies lie at first, and then after each change.
    fn finding(
        &self,
        chosen: &Chosen,
        before: &Nodes,
        placed: &[Placed],
        watch: &(dyn Fn(u64) + Sync),
    ) -> Finding {
        let (first, later) = placed.split_first().expect("the first pass is always made");
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
