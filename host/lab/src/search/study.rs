//! `Study`: runs many searches and averages their cost.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::methods::{Floods, Method, search};
use super::replication::Replication;
use crate::limits;
use crate::sample::Draw;
use crate::seed::derive;
use crate::topology::{Network, TopologyError};
use crate::workload::Law;
use crate::world::{Routes, SearchPlans};

/// The average number of copies of a file, as a number or a share of the nodes: `4` or `1%`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Copies {
    /// This many.
    Count(u32),
    /// This share of the nodes.
    Share(f64),
}

/// Text that is not a number of copies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a number of copies; give a whole number of at least 1, or a share of the nodes like `1%`"
)]
pub struct CopiesError(String);

impl FromStr for Copies {
    type Err = CopiesError;

    fn from_str(text: &str) -> Result<Self, CopiesError> {
        let count = |text: &str| text.parse().ok().filter(|&it| it > 0).map(Self::Count);
        let share = |text: &str| {
            let percent: f64 = text.strip_suffix('%')?.parse().ok()?;
            (percent > 0.0 && percent <= 100.0).then_some(Self::Share(percent / 100.0))
        };
        count(text)
            .or_else(|| share(text))
            .ok_or_else(|| CopiesError(text.to_owned()))
    }
}

impl fmt::Display for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Share(share) => write!(f, "{}%", share * 100.0),
        }
    }
}

/// What to study.
#[derive(Clone, Debug)]
pub struct Study {
    /// The network.
    pub network: Arc<Network>,
    /// Average numbers of copies of a file, each studied separately.
    pub copies: Vec<Copies>,
    /// How the copies are divided among the files.
    pub replication: Replication,
    /// The number of files.
    pub files: u32,
    /// The skew of the requests: the exponent of Zipf's law.
    pub exponent: f64,
    /// The search methods.
    pub methods: Vec<Method>,
    /// Searches per number of copies and method; all methods run the same ones.
    pub searches: u32,
    /// The seed from which everything random derives.
    pub seed: u64,
}

/// The average cost of the searches of one kind.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Found {
    /// The average number of copies of a file.
    pub copies: f64,
    /// How they were divided among the files.
    pub replication: Replication,
    /// The search method.
    #[serde(flatten)]
    pub method: Method,
    /// Share of the searches that found the file.
    pub found: f64,
    /// Hops to the file, over the searches that found it; none if none did.
    pub hops: Option<f64>,
    /// Messages sent from node to node.
    pub messages: f64,
    /// Nodes asked, each counted once.
    pub visited: f64,
}

/// Why the study can't be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StudyError {
    /// The network can't be generated.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// A file would have more copies than there are nodes.
    #[error("{copies} copies of a file don't fit on {}", dataverse_core::plural::plural(*nodes as u64, "node", "nodes"))]
    Copies {
        /// Copies.
        copies: u64,
        /// Nodes.
        nodes: usize,
    },
    /// A number is out of bounds.
    #[error("{what} must be between 1 and {max}")]
    Bounds {
        /// Which number.
        what: &'static str,
        /// Its maximum.
        max: u64,
    },
}

impl Study {
    /// Runs the searches and returns their cost. Reports to `progress` how many searches of how many are done.
    ///
    /// # Errors
    /// [`StudyError`].
    pub fn run(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<Vec<Found>, StudyError> {
        self.check()?;
        let topology = self.network.topology(derive(self.seed, &["network"]))?;
        let nodes = topology.nodes.len();
        // Refuse impossible numbers before any search runs.
        let counts = self.copies.iter().map(|copies| self.counts(*copies, nodes));
        let counts: Vec<Vec<usize>> = counts.collect::<Result<_, _>>()?;
        let mut ranks: Vec<u32> = (0..nodes as u32).collect();
        Draw::new(derive(self.seed, &["ids"])).shuffle(&mut ranks);
        let routes = Routes::new(topology.links, ranks, nodes);
        let mut search_plans = SearchPlans::new(nodes);
        let all = self.copies.len() as u64 * u64::from(self.searches);
        let mut rows = Vec::new();
        for (number, counts) in (0..).zip(&counts) {
            let done = |searches: u32| number * u64::from(self.searches) + u64::from(searches);
            let mut report = |searches| progress(done(searches), all);
            rows.extend(self.search_all(&routes, &mut search_plans, counts, &mut report));
        }
        Ok(rows)
    }

    fn check(&self) -> Result<(), StudyError> {
        let within = |what, number: u64, max: u64| match (1..=max).contains(&number) {
            true => Ok(()),
            false => Err(StudyError::Bounds { what, max }),
        };
        let max = limits::LAB_SEARCHES_MAX;
        within("the number of searches", u64::from(self.searches), max)?;
        let max = limits::LAB_FILES_MAX as u64;
        within("the number of files", u64::from(self.files), max)?;
        for method in &self.methods {
            if let Method::RandomWalks { walkers } = method {
                let max = limits::LAB_WALKERS_MAX;
                within("the number of walkers", u64::from(*walkers), max)?;
            }
        }
        Ok(())
    }

    /// Copies of each file.
    fn counts(&self, copies: Copies, nodes: usize) -> Result<Vec<usize>, StudyError> {
        let mean = match copies {
            Copies::Count(count) => f64::from(count),
            Copies::Share(share) => share * nodes as f64,
        };
        if mean > nodes as f64 {
            let copies = mean as u64;
            return Err(StudyError::Copies { copies, nodes });
        }
        let law = Law::zipf(self.files as usize, self.exponent);
        let all = libm::round(mean * f64::from(self.files)) as u64;
        Ok(self.replication.copies(&law, all, nodes))
    }

    fn search_all(
        &self,
        routes: &Routes,
        search_plans: &mut SearchPlans,
        counts: &[usize],
        report: &mut dyn FnMut(u32),
    ) -> Vec<Found> {
        let stream = |name| Draw::new(derive(self.seed, &["search", name]));
        let (mut files, mut places, mut askers) =
            (stream("files"), stream("places"), stream("askers"));
        let mut steps = stream("steps");
        let law = Law::zipf(counts.len(), self.exponent);
        let nodes = routes.ranks().len();
        let mut order: Vec<u32> = (0..nodes as u32).collect();
        let mut sums = vec![Sum::default(); self.methods.len()];
        for done in 0..self.searches {
            let count = counts[law.choose(&mut files)];
            // The copies move for each search, so that no single placement influences the result.
            for at in 0..count {
                order.swap(at, at + places.below(nodes - at));
            }
            let mut holders = order[..count].to_vec();
            holders.sort_unstable();
            let search_plan = search_plans.of(routes, askers.below(nodes) as u32);
            let floods = Floods::from(routes, &search_plan);
            for (method, sum) in self.methods.iter().zip(&mut sums) {
                let taken = search(*method, routes, &search_plan, &floods, &holders, &mut steps);
                sum.found += u64::from(taken.hops.is_some());
                sum.hops += u64::from(taken.hops.unwrap_or(0));
                sum.messages += taken.messages;
                sum.visited += taken.visited;
            }
            if done.is_multiple_of(64) {
                report(done);
            }
        }
        let copies = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
        let mean = |sum: u64| sum as f64 / f64::from(self.searches);
        let rows = self.methods.iter().zip(sums);
        rows.map(|(&method, sum)| Found {
            copies,
            replication: self.replication,
            method,
            found: mean(sum.found),
            hops: (sum.found > 0).then(|| sum.hops as f64 / sum.found as f64),
            messages: mean(sum.messages),
            visited: mean(sum.visited),
        })
        .collect()
    }
}

/// The total cost of several searches.
#[derive(Clone, Copy, Default)]
struct Sum {
    found: u64,
    hops: u64,
    messages: u64,
    visited: u64,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn study(topology: &str, copies: &[Copies]) -> Study {
        let spec = toml::from_str(topology).expect("it can be read");
        let network = Network::open(&spec, Path::new(".")).expect("the network is valid");
        Study {
            network: Arc::new(network),
            copies: copies.to_vec(),
            replication: Replication::Uniform,
            files: 100,
            exponent: 1.0,
            methods: vec![
                Method::BreadthFirst,
                Method::Flooding { ttl: 7 },
                Method::ExpandingRing,
                Method::RandomWalks { walkers: 16 },
            ],
            searches: 400,
            seed: 3,
        }
    }

    const RANDOM: &str = "kind = 'erdos-renyi'\nnodes = 600\nprobability = 0.012";

    #[test]
    fn the_classic_order_shows_on_a_random_graph() {
        let study = study(RANDOM, &[Copies::Count(6), Copies::Count(24)]);
        let rows = study.run(&mut |_, _| {}).expect("the study is valid");
        assert_eq!(rows.len(), 8);
        for rows in rows.chunks(4) {
            let [ours, flood, ring, walks] = rows else {
                panic!("there are four ways of searching");
            };
            assert!(rows.iter().all(|row| row.found > 0.99), "{rows:#?}");
            // Lv et al., section 5: floods cost most, rings less; walkers take more hops.
            assert!(flood.messages > 2.0 * ring.messages, "{rows:#?}");
            assert!(walks.hops > flood.hops, "{rows:#?}");
            // Each node is asked exactly once.
            assert_eq!(ours.messages, ours.visited);
            assert!(ours.messages < ring.messages, "{rows:#?}");
            assert_eq!((ours.hops, flood.hops), (ring.hops, ring.hops));
        }
        assert!(
            rows[4].messages < rows[0].messages,
            "more copies are found sooner"
        );
    }

    #[test]
    fn the_square_root_saves_walkers_messages() {
        let messages = |replication| {
            let study = Study {
                replication,
                files: 1_000,
                methods: vec![Method::RandomWalks { walkers: 1 }],
                searches: 3_000,
                ..study(RANDOM, &[Copies::Count(12)])
            };
            study.run(&mut |_, _| {}).expect("the study is valid")[0].messages
        };
        let even = messages(Replication::Uniform);
        assert!(messages(Replication::SquareRoot) < 0.8 * even);
    }

    #[test]
    fn a_study_is_the_same_under_the_same_seed() {
        let study = study(RANDOM, &[Copies::Share(0.02)]);
        let run = || study.run(&mut |_, _| {}).expect("the study is valid");
        assert_eq!(run(), run());
        assert_eq!(run()[0].copies, 12.0);
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let line = "kind = 'line'\nnodes = 4";
        let refused = |study: Study| study.run(&mut |_, _| {}).expect_err("the study is refused");
        let crowded = refused(study(line, &[Copies::Count(5)]));
        assert_eq!(
            crowded,
            StudyError::Copies {
                copies: 5,
                nodes: 4
            }
        );
        let idle = Study {
            searches: 0,
            ..study(line, &[Copies::Count(1)])
        };
        assert!(matches!(refused(idle), StudyError::Bounds { .. }));
        for text in ["0", "x", "0%", "101%", "-1", ""] {
            assert!(text.parse::<Copies>().is_err(), "{text}");
        }
        assert_eq!("1.5%".parse(), Ok(Copies::Share(0.015)));
    }
}
