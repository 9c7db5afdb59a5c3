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
pub const ALL: &[Measure] = &[
    measure(
        "reads",
        "",
        Better::Neither,
        "reads of files that there are, after the warm-up, by nodes that are there; what the ratios below are of",
    ),
    measure(
        "hit_ratio",
        "",
        Better::Higher,
        "reads answered by a copy at the node that was asked, replica or cached, of all reads after the warm-up",
    ),
    measure(
        "byte_hit_ratio",
        "",
        Better::Higher,
        "the same, weighed by the bytes of the files",
    ),
    measure(
        "compulsory_ratio",
        "",
        Better::Neither,
        "reads that no caching could have answered: the first of a file at a node that held no copy of it, of all reads",
    ),
    measure(
        "hit_ratio_without_compulsory",
        "",
        Better::Higher,
        "hits of those reads that were no compulsory misses",
    ),
    measure(
        "cached_ratio",
        "",
        Better::Neither,
        "reads answered by a cached copy, at the node itself or at another, of all reads; replicas answered the others",
    ),
    measure(
        "unavailable_ratio",
        "",
        Better::Lower,
        "reads of files that there are which found no copy in reach, of all reads",
    ),
    measure(
        "outdated_ratio",
        "",
        Better::Lower,
        "reads answered with an older version than the newest acknowledged, as a network in parts can, of all reads",
    ),
    measure(
        "hops_mean",
        "hops",
        Better::Lower,
        "links between the node that was asked and the copy that answered, 0 for its own; mean",
    ),
    measure(
        "hops_p50",
        "hops",
        Better::Lower,
        "the same; half of the reads need no more",
    ),
    measure(
        "hops_p99",
        "hops",
        Better::Lower,
        "the same; 99 of 100 reads need no more",
    ),
    measure(
        "stretch",
        "",
        Better::Lower,
        "links to the copies that answered, of the links to the nearest replicas at those times: 1 when cached copies bring nothing nearer, 0 when every read is local; absent when every read met a replica at once",
    ),
    measure(
        "latency_ms_mean",
        "ms",
        Better::Lower,
        "from the question to the last byte: search, asking a replica whether a cached copy is the newest, the way of the request, and the content over the path at the pace of its slowest link; links are never busy; mean",
    ),
    measure(
        "latency_ms_p50",
        "ms",
        Better::Lower,
        "the same; half of the reads take no longer, to a thousandth",
    ),
    measure(
        "latency_ms_p99",
        "ms",
        Better::Lower,
        "the same; 99 of 100 reads take no longer, to a thousandth",
    ),
    measure(
        "probes_per_search",
        "probes",
        Better::Lower,
        "nodes asked over the network by a search of a read; mean over the reads that searched",
    ),
    measure(
        "search_ms_mean",
        "ms",
        Better::Lower,
        "how long such a search took",
    ),
    measure(
        "link_bytes",
        "bytes",
        Better::Lower,
        "content over links, each link counted: reads, copies, moves, repair and writes",
    ),
    measure(
        "link_bytes_per_read",
        "bytes",
        Better::Lower,
        "the same, for each read",
    ),
    measure(
        "busiest_link_bytes",
        "bytes",
        Better::Lower,
        "content over the link that carried most, both ways",
    ),
    measure(
        "relocated_bytes",
        "bytes",
        Better::Lower,
        "content copied because relocation said so: copies fetched by nodes on the path other than the reader, and replicas that moved; each copy counted once, whatever its path; the reader's own copy comes along with the read",
    ),
    measure(
        "copies_made",
        "copies",
        Better::Neither,
        "cached copies that came about because relocation said so and eviction admitted them",
    ),
    measure(
        "evictions",
        "copies",
        Better::Neither,
        "cached copies that made room, or made way for a newer version",
    ),
    measure(
        "moves",
        "moves",
        Better::Neither,
        "replicas that moved towards a reader",
    ),
    measure(
        "repaired_bytes",
        "bytes",
        Better::Lower,
        "content copied to make up replicas of nodes that failed, or to empty nodes that leave; only in runs in which a node or link went away",
    ),
    measure(
        "writes_refused_ratio",
        "",
        Better::Lower,
        "writes refused because the node that was asked had no room, of all writes after the warm-up; only where there are writes",
    ),
    measure(
        "writes_degraded_ratio",
        "",
        Better::Lower,
        "writes with fewer replicas than the factor, of all writes; only where there are writes",
    ),
    measure(
        "passed_over",
        "requests",
        Better::Neither,
        "requests that nothing could come of: reads and deletions of files that were deleted, and requests at nodes that were not there",
    ),
    measure(
        "events_missed",
        "events",
        Better::Neither,
        "events that did not happen, because the run ended before they were due; only where there are events",
    ),
    measure(
        "served_max_over_mean",
        "",
        Better::Lower,
        "reads answered by the busiest node, over the mean of the nodes that are there at the end; the asked node answers a hit, the holder of the copy any other read",
    ),
    measure(
        "served_cv",
        "",
        Better::Lower,
        "standard deviation of the reads answered by each node, over their mean",
    ),
    measure(
        "stored_max_over_mean",
        "",
        Better::Lower,
        "bytes of replicas on the fullest node at the end, over the mean",
    ),
    measure(
        "stored_cv",
        "",
        Better::Lower,
        "standard deviation of the bytes of replicas on each node at the end, over their mean",
    ),
    measure(
        "replicas_per_file",
        "copies",
        Better::Neither,
        "replicas of a file at the end, on nodes that are there; mean",
    ),
    measure(
        "cached_per_file",
        "copies",
        Better::Neither,
        "cached copies of a file at the end, on nodes that are there; mean",
    ),
    measure(
        "files_lost",
        "files",
        Better::Lower,
        "files without any copy on a node that is there at the end; only in runs in which a node or link went away",
    ),
    measure(
        "files_degraded",
        "files",
        Better::Lower,
        "files with fewer replicas than the factor on nodes that are there at the end; only in such runs",
    ),
    measure(
        "search_size_over_even",
        "",
        Better::Lower,
        "nodes that random probing would ask for a file with the copies there are at the end, over what as many copies spread evenly over the files would need; 1 for even, below 1 when the copies follow the reads well (Cohen, Shenker 2002)",
    ),
    measure(
        "search_size_over_best",
        "",
        Better::Lower,
        "the same, over what as many copies spread by the square root of the reads would need: 1 is the least possible, much more when copies of the favourites have driven out those of the rest",
    ),
    measure(
        "placement_decisions",
        "decisions",
        Better::Neither,
        "questions to placement policies, in the whole run, the first placement of the files included",
    ),
    measure(
        "eviction_decisions",
        "decisions",
        Better::Neither,
        "questions to eviction policies, in the whole run",
    ),
    measure(
        "relocation_decisions",
        "decisions",
        Better::Neither,
        "questions to relocation policies, in the whole run",
    ),
    measure("decisions", "decisions", Better::Neither, "all of these"),
    measure(
        "faults",
        "faults",
        Better::Lower,
        "decisions at which a policy failed and the baseline answered, in the whole run",
    ),
    measure(
        "fuel_per_decision",
        "fuel",
        Better::Lower,
        "fuel of policies for each decision, in the whole run; 0 for native ones",
    ),
];

/// The number of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Measure> {
    ALL.iter().find(|measure| measure.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_given_once_and_can_be_found() {
        let names: BTreeSet<_> = ALL.iter().map(|measure| measure.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(
            ALL.iter()
                .all(|it| find(it.name).is_some_and(|found| found.meaning == it.meaning))
        );
        assert!(find("no_such").is_none());
    }
}
