//! `lab search`: compares search methods and numbers of copies by what it costs to find a file.

use std::path::Path;
use std::sync::Arc;

use dataverse_lab::search::{Copies, Found, Method, Replication, Study};
use dataverse_lab::topology::{Network, Spec};

use super::steps::Steps;
use crate::commands::failure::Failure;
use crate::commands::screen::Screen;

/// Compare search methods by hops, messages and nodes asked
///
/// Compares the node's own search with flooding, expanding rings and random walks, each with the same queries on
/// the same network. Queries follow Zipf's law, and copies are placed on random nodes.
#[derive(Debug, clap::Args)]
pub(super) struct Search {
    /// The network: `ring:100`, `erdos-renyi:1000,probability=0.01`, `barabasi-albert:1000,links=2`, or a file
    /// (GraphML, or a list of links)
    #[arg(long, value_name = "SHAPE[:N,KEY=VALUE]|FILE")]
    topology: Spec,
    /// Copies of a file on average: numbers, or shares of the nodes such as `1%`; a comma-separated list
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "1,2,4,8,16"
    )]
    copies: Vec<Copies>,
    /// How copies are spread over the files: uniform, proportional or square-root
    #[arg(long, value_name = "WORD", default_value = "uniform")]
    replication: Replication,
    /// Number of files
    #[arg(long, value_name = "N", default_value_t = 1000)]
    files: u32,
    /// How skewed the queries are: the exponent of Zipf's law
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = exponent)]
    exponent: f64,
    /// Searches for each search method and number of copies
    #[arg(long, value_name = "N", default_value_t = 2000)]
    searches: u32,
    /// Maximum hops of a flood
    #[arg(long, value_name = "N", default_value_t = 7)]
    ttl: u32,
    /// Walkers of a random-walk search
    #[arg(long, value_name = "N", default_value_t = 32)]
    walkers: u32,
    /// The seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print the results as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Search {
    pub(super) fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let network = Network::open(&self.topology, Path::new("."));
        let network = network.map_err(|wrong| Failure::Usage(wrong.to_string()))?;
        let study = Study {
            network: Arc::new(network),
            copies: self.copies,
            replication: self.replication,
            files: self.files,
            exponent: self.exponent,
            methods: vec![
                Method::BreadthFirst,
                Method::Flooding { ttl: self.ttl },
                Method::ExpandingRing,
                Method::RandomWalks {
                    walkers: self.walkers,
                },
            ],
            searches: self.searches,
            seed: self.seed,
        };
        let found = {
            let searches = study.copies.len() as u64 * u64::from(study.searches);
            let steps = Steps::of("searching", Some(searches), screen.bars);
            study.run(&mut |done, _| steps.reach(done))
        };
        let found = found.map_err(|error| Failure::Usage(error.to_string()))?;
        if self.json {
            let json = serde_json::to_string(&found).map_err(Failure::refused)?;
            return screen.line(&json);
        }
        let head = [
            "copies",
            "search",
            "found",
            "hops",
            "messages",
            "nodes asked",
        ];
        screen.table(&head, found.iter().map(row).collect())
    }
}

fn row(found: &Found) -> Vec<String> {
    vec![
        format!("{:.1}", found.copies),
        found.method.to_string(),
        format!("{:.1} %", found.found * 100.0),
        found
            .hops
            .map_or_else(String::new, |hops| format!("{hops:.2}")),
        format!("{:.1}", found.messages),
        format!("{:.1}", found.visited),
    ]
}

fn exponent(text: &str) -> Result<f64, String> {
    let exponent = text
        .parse::<f64>()
        .ok()
        .filter(|it| (0.0..=10.0).contains(it));
    exponent.ok_or_else(|| format!("`{text}` is not a number from 0 to 10"))
}
