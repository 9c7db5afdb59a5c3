//! `lab placement`: compares what placement policies do to a whole network.

use dataverse_core::policy::Kind;
use dataverse_lab::placement::{Change, Finding, Loss, Method, Moves, Study, StudyError, Weights};

use super::chosen::{choose, named};
use super::steps::Steps;
use crate::commands::failure::Failure;
use crate::commands::offered::{placements, policy_text};
use crate::commands::screen::Screen;

/// Compare how placement policies spread files over nodes, what moves and what is lost
///
/// Asks each policy about many files and reports how evenly the copies are spread; how many of them move when a
/// node joins, leaves or doubles its weight, compared with the minimum that such a change requires; and how likely
/// it is that a file is lost when several nodes fail at the same time. Each policy is asked about all files five
/// times.
#[derive(Debug, clap::Args)]
pub(super) struct Placement {
    /// A policy: the name of a built-in one, a .wasm file, or `baseline`; optionally followed by a colon and its
    /// configuration, as in `ring:{"points": 256}`
    #[arg(long = "policy", value_name = "NAME|FILE.wasm[:JSON]", required = true, num_args = 1.., value_parser = policy_text(placements), hide_possible_values = true)]
    policies: Vec<String>,
    /// Nodes in the network, all one hop away
    #[arg(long, value_name = "N")]
    nodes: u32,
    /// Zones to which the nodes are assigned in turn; 0 for none
    #[arg(long, value_name = "Z", default_value_t = 0)]
    zones: u32,
    /// Sizes of the nodes: `equal`, a list that is repeated such as `1,1,4` or `1x8,4x2`, or `zipf:EXPONENT`
    #[arg(long, value_name = "LIST|SPEC", default_value = "equal")]
    weights: Weights,
    /// Copies of each file
    #[arg(long, value_name = "R", default_value_t = dataverse_lab::limits::FACTOR_DEFAULT)]
    factor: u32,
    /// Number of files [default: 100000, down to 10000 with many nodes]
    #[arg(long, value_name = "N")]
    files: Option<u32>,
    /// Nodes that fail at the same time; a comma-separated list [default: the number of copies, and one node in a
    /// hundred]
    #[arg(long, value_name = "K", value_delimiter = ',')]
    fail: Vec<u32>,
    /// The seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print the results as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Placement {
    pub(super) fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let study = self.study();
        // Invalid numbers are reported before any policy is compiled.
        study.check().map_err(failed)?;
        let policy_library = super::policy_library()?;
        let asked = self.policies.iter().map(|policy| {
            let (name, config) = named(policy);
            (name, config.unwrap_or_default())
        });
        let chosen = choose(&policy_library, Kind::Placement, asked)?;
        let findings = {
            let steps = Steps::of("asking", Some(study.steps(chosen.len())), screen.bars);
            let watch = |more| steps.advance(more);
            study.run_watched(&chosen, &watch).map_err(failed)?
        };
        if self.json {
            let json = serde_json::to_string(&findings).map_err(Failure::refused)?;
            return screen.line(&json);
        }
        for finding in &findings {
            if finding.candidates < finding.nodes {
                screen.note(&format!(
                    "{} was asked about the nearest {} of {} nodes, as a node would ask it",
                    finding.policy, finding.candidates, finding.nodes
                ));
            }
        }
        let head: Vec<&str> = std::iter::once("")
            .chain(self.policies.iter().map(String::as_str))
            .collect();
        screen.table(&head, rows(&findings))
    }

    fn study(&self) -> Study {
        let usual_failures = || Study::usual_failures(self.nodes, self.factor);
        Study {
            nodes: self.nodes,
            zones: self.zones,
            weights: self.weights.clone(),
            factor: self.factor,
            files: self.files.unwrap_or_else(|| Study::usual_files(self.nodes)),
            fail: if self.fail.is_empty() {
                usual_failures()
            } else {
                self.fail.clone()
            },
            changes: Change::ALL.to_vec(),
            seed: self.seed,
        }
    }
}

fn failed(error: StudyError) -> Failure {
    match error {
        StudyError::OutOfBounds { .. } => Failure::Usage(error.to_string()),
        StudyError::Refused { .. } => Failure::refused(error),
    }
}

/// One row per measure, one column per policy.
fn rows(findings: &[Finding]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = |name: String, shown: &dyn Fn(&Finding) -> String| {
        let mut cells = vec![name];
        cells.extend(findings.iter().map(shown));
        rows.push(cells);
    };
    let named = str::to_owned;
    row(named("load, max over mean"), &|it| {
        ratio(it.balance.max_over_mean)
    });
    row(named("load, min over mean"), &|it| {
        ratio(it.balance.min_over_mean)
    });
    row(named("load, coefficient of variation"), &|it| {
        ratio(it.balance.coefficient_of_variation)
    });
    let Some(first) = findings.first() else {
        return rows;
    };
    for (place, change) in first.moves.iter().map(|it| it.change).enumerate() {
        let word = change.as_str();
        let cell =
            |number: fn(&Moves) -> f64| move |it: &Finding| percent(number(&it.moves[place]));
        row(format!("{word}: copies that move"), &cell(|it| it.copies));
        if change == Change::Again {
            // Nothing has changed, so nothing had to move, and every move is stray.
            continue;
        }
        row(
            format!("{word}: minimum for proportional load"),
            &cell(|it| it.least),
        );
        row(format!("{word}: stray"), &cell(|it| it.stray));
    }
    if first.zones_per_file.is_some() {
        let cell = |it: &Finding| {
            it.zones_per_file
                .map_or_else(String::new, |it| ratio(it.mean))
        };
        row(named("zones per file, mean"), &cell);
        let cell = |it: &Finding| {
            it.zones_per_file
                .map_or_else(String::new, |it| it.min.to_string())
        };
        row(named("zones per file, minimum"), &cell);
    }
    row(named("replica sets"), &|it| it.replica_sets.to_string());
    for (place, fail) in first.loss.iter().map(|it| it.fail).enumerate() {
        row(format!("{fail} fail: chance of a loss"), &|it| {
            chance(&it.loss[place])
        });
        let files = |it: &Finding| format!("{:.3}", it.loss[place].files_lost_mean);
        row(format!("{fail} fail: files lost, mean"), &files);
    }
    row(named("faults"), &|it| it.faults.to_string());
    rows
}

fn ratio(number: f64) -> String {
    format!("{number:.4}")
}

fn percent(share: f64) -> String {
    format!("{:.3} %", share * 100.0)
}

fn chance(loss: &Loss) -> String {
    match loss.method {
        Method::Exact => format!("{} (exact)", percent(loss.chance)),
        Method::MonteCarlo => format!(
            "{} ({} to {})",
            percent(loss.chance),
            percent(loss.low),
            percent(loss.high)
        ),
    }
}
