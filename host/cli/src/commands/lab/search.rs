//! `lab search`: what it takes to find a file, by ways of searching and numbers of copies.

use std::path::Path;
use std::sync::Arc;

use dataverse_lab::search::{Copies, Found, Method, Replication, Study};
use dataverse_lab::topology::{Network, Spec};

use super::steps::Steps;
use crate::commands::failure::Failure;
use crate::commands::screen::Screen;

/// Tell what searches take: hops, messages and nodes asked
///
/// The node's own search beside flooding, expanding rings and random walks, each with the same questions on the
/// same network. Files are asked for by Zipf's law, and their copies lie on nodes drawn at random.
#[derive(Debug, clap::Args)]
pub(super) struct Search {
    /// The network: `ring:100`, `erdos-renyi:1000,probability=0.01`, `barabasi-albert:1000,links=2`, or a file
    /// (GraphML, or a list of links)
    #[arg(long, value_name = "SHAPE[:N,KEY=VALUE]|FILE")]
    topology: Spec,
    /// Copies of a file on average: numbers, or shares of the nodes such as `1%`; several with commas
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
    /// Files
    #[arg(long, value_name = "N", default_value_t = 1000)]
    files: u32,
    /// How skewed the questions are: the exponent of Zipf's law
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = exponent)]
    exponent: f64,
    /// Searches for each number of copies and way of searching
    #[arg(long, value_name = "N", default_value_t = 2000)]
    searches: u32,
    /// Hops of a flood
    #[arg(long, value_name = "N", default_value_t = 7)]
    ttl: u32,
    /// Random walkers of a search
    #[arg(long, value_name = "N", default_value_t = 32)]
    walkers: u32,
    /// What is drawn at random derives from this number
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print what was found, as JSON
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
            let told = serde_json::to_string(&found).map_err(Failure::refused)?;
            return screen.line(&told);
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
    exponent.ok_or_else(|| format!("`{text}` is no number between 0 and 10"))
}
