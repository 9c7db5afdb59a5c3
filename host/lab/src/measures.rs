//! What a run yields: numbers by name, and the distributions behind them.
//!
//! Every number that a table, a file, an assertion or a plot can name is listed in [`ALL`], with its unit and
//! which way is better. A number that a run can't have (no search, nothing moved) is absent, not zero.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which way a number is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// It describes; it does not judge.
    Neither,
}

/// A number that runs yield.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// As it is called in files, tables and assertions.
    pub name: &'static str,
    /// Its unit, empty for a ratio or a count.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// What it says, in a sentence.
    pub meaning: &'static str,
}

/// What one run yielded: one scenario under one seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// By name.
    pub numbers: BTreeMap<String, f64>,
    /// Distributions and series by name.
    pub series: BTreeMap<String, Series>,
    /// Load of the network's parts, for its drawing.
    pub network: NetworkLoad,
}

/// Points of a curve, with what its axes mean.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What `x` is, with its unit.
    pub x_axis: String,
    /// What `y` is, with its unit.
    pub y_axis: String,
    /// The points, `x` ascending.
    pub points: Vec<(f64, f64)>,
}

/// How much each node and link had to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkLoad {
    /// By node, in the topology's order.
    pub nodes: Vec<NodeLoad>,
    /// By link, in the topology's order.
    pub links: Vec<LinkLoad>,
}

/// What one node had to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeLoad {
    /// Its name in the topology.
    pub name: String,
    /// Its failure domain.
    pub zone: String,
    /// Where to draw it, if the topology says: longitude and latitude, or x and y.
    pub position: Option<(f64, f64)>,
    /// Reads that it answered, for itself or another.
    pub served: u64,
    /// Bytes of replicas at the end.
    pub replica_bytes: u64,
}

/// What one link had to carry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkLoad {
    /// Its ends, as indices into the nodes.
    pub ends: (u32, u32),
    /// Bytes of content over it, both ways.
    pub bytes: u64,
}

const fn measure(
    name: &'static str,
    unit: &'static str,
    better: Better,
    meaning: &'static str,
) -> Measure {
    Measure {
        name,
        unit,
        better,
        meaning,
    }
}

/// Every number.
pub const ALL: &[Measure] = &[measure(
    "hit_ratio",
    "",
    Better::Higher,
    "reads answered by a copy at the node that was asked, of all reads after the warm-up",
)];

/// The number of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Measure> {
    ALL.iter().find(|measure| measure.name == name)
}
