//! The results of a run: numbers by name, and the distributions behind them.
//!
//! [`ALL`] lists every number that a table, a file, an assertion or a plot can name, with its unit, whether more or
//! less is better, and its meaning, which docs/lab.md quotes word for word. A number that does not apply to a run
//! (nothing was written, nothing failed) is absent, not 0.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Whether more or less of a number is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// Neither: it only describes.
    Neither,
}

/// A number that describes a run.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Its name in files, tables and assertions.
    pub name: &'static str,
    /// Its unit, empty for a ratio or a count.
    pub unit: &'static str,
    /// Whether more or less is better.
    pub better: Better,
    /// Its meaning, in a sentence.
    pub meaning: &'static str,
}

/// The results of one run: one scenario with one seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// By name.
    pub numbers: BTreeMap<String, f64>,
    /// Distributions and series by name.
    pub series: BTreeMap<String, Series>,
    /// Load of the network's parts, for its drawing.
    pub network: NetworkLoad,
}

/// Points of a curve, and the labels of its axes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The label of the `x` axis, with its unit.
    pub x_axis: String,
    /// The label of the `y` axis, with its unit.
    pub y_axis: String,
    /// The points, `x` ascending.
    pub points: Vec<(f64, f64)>,
}

/// The load of each node and link.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkLoad {
    /// By node, in the topology's order.
    pub nodes: Vec<NodeLoad>,
    /// By link, in the topology's order.
    pub links: Vec<LinkLoad>,
}

/// The load of one node.
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

/// The load of one link.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkLoad {
    /// Its ends, as indices into the nodes.
    pub ends: (u32, u32),
    /// Bytes of content over it, in both directions.
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
        "reads of existing files, after the warm-up, by nodes that are up; the ratios below refer to these",
    ),
    measure(
        "hit_ratio",
        "",
        Better::Higher,
        "reads answered by a copy on the node that was asked, replica or cached, of all reads after the warm-up",
    ),
    measure(
        "byte_hit_ratio",
        "",
        Better::Higher,
        "the same, weighted by the bytes of the files",
    ),
    measure(
        "compulsory_ratio",
        "",
        Better::Neither,
        "reads that no caching could have answered: the first read of a file at a node that held no copy of it, of all reads",
    ),
    measure(
        "hit_ratio_without_compulsory",
        "",
        Better::Higher,
        "hits, of the reads that were not compulsory misses",
    ),
    measure(
        "cached_ratio",
        "",
        Better::Neither,
        "reads answered by a cached copy, on the node itself or on another, of all reads; replicas answered the others",
    ),
    measure(
        "unavailable_ratio",
        "",
        Better::Lower,
        "reads of existing files that found no reachable copy, of all reads",
    ),
    measure(
        "outdated_ratio",
        "",
        Better::Lower,
        "reads answered with an older version than the newest acknowledged one, as a split network can, of all reads",
    ),
    measure(
        "hops_mean",
        "hops",
        Better::Lower,
        "links between the node that was asked and the copy that answered, 0 for its own copy; mean",
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
        "links to the copies that answered, divided by the links to the nearest replicas at those times: 1 when cached copies bring nothing nearer, 0 when every read is local; absent when every read found a replica at once",
    ),
    measure(
        "latency_ms_mean",
        "ms",
        Better::Lower,
        "from the request to the last byte: search, asking a replica whether a cached copy is the newest, the path of the request, and the content over the path at the speed of its slowest link; links are never busy; mean",
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
        "nodes that the search of a read asks over the network; mean over the reads that searched",
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
        "content over links, counted on each link: reads, copies, moves, re-replication and writes",
    ),
    measure(
        "link_bytes_per_read",
        "bytes",
        Better::Lower,
        "the same, per read",
    ),
    measure(
        "busiest_link_bytes",
        "bytes",
        Better::Lower,
        "content over the link that carried the most, in both directions",
    ),
    measure(
        "relocated_bytes",
        "bytes",
        Better::Lower,
        "content copied because relocation said so: copies fetched by nodes on the path other than the reader, and replicas that moved; each copy counts once, whatever its path; the reader's own copy comes with the read",
    ),
    measure(
        "copies_made",
        "copies",
        Better::Neither,
        "cached copies that relocation asked for and eviction admitted",
    ),
    measure(
        "evictions",
        "copies",
        Better::Neither,
        "cached copies that were evicted, or replaced by a newer version",
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
        "content copied to re-replicate the files of failed nodes, or to drain nodes that leave; only in runs in which a node or link went away",
    ),
    measure(
        "writes_refused_ratio",
        "",
        Better::Lower,
        "writes refused because the node that was asked had no space, of all writes after the warm-up; only where there are writes",
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
        "requests that could have no effect: reads and deletions of deleted files, and requests to nodes that were down",
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
        "reads answered by the busiest node, divided by the mean of the nodes that are up at the end; the node that was asked answers a hit, the holder of the copy any other read",
    ),
    measure(
        "served_cv",
        "",
        Better::Lower,
        "standard deviation of the reads answered by each node, divided by their mean",
    ),
    measure(
        "stored_max_over_mean",
        "",
        Better::Lower,
        "bytes of replicas on the fullest node at the end, divided by the mean",
    ),
    measure(
        "stored_cv",
        "",
        Better::Lower,
        "standard deviation of the bytes of replicas on each node at the end, divided by their mean",
    ),
    measure(
        "replicas_per_file",
        "copies",
        Better::Neither,
        "replicas of a file at the end, on nodes that are up; mean",
    ),
    measure(
        "cached_per_file",
        "copies",
        Better::Neither,
        "cached copies of a file at the end, on nodes that are up; mean",
    ),
    measure(
        "files_lost",
        "files",
        Better::Lower,
        "files without any copy on a node that is up at the end; only in runs in which a node or link went away",
    ),
    measure(
        "files_degraded",
        "files",
        Better::Lower,
        "files with fewer replicas than the factor on nodes that are up at the end; only in such runs",
    ),
    measure(
        "search_size_over_even",
        "",
        Better::Lower,
        "nodes that random probing would ask for a file with the copies left at the end, divided by what the same number of copies spread evenly over the files would need; 1 for even, below 1 when the copies follow the reads well (Cohen, Shenker 2002)",
    ),
    measure(
        "search_size_over_best",
        "",
        Better::Lower,
        "the same, divided by what the same number of copies spread by the square root of the reads would need: 1 is the least possible, much more when copies of the favourites have pushed out those of the rest",
    ),
    measure(
        "placement_decisions",
        "decisions",
        Better::Neither,
        "questions to placement policies, in the whole run, including the first placement of the files",
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
        "fuel that policies used per decision, in the whole run; 0 for native ones",
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
