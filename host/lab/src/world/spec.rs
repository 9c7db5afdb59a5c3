//! The table `[nodes]` of an experiment.

use serde::{Deserialize, Serialize};

use crate::assignment::Dealt;
use crate::limits;
use crate::quantity::{Amount, NotNegative};

/// Failure domains: a number, to which nodes are assigned in turn, or `"country"`, as in the topology's file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number of zones, or \"country\"")]
pub enum Zones {
    /// This many, to which nodes are assigned in turn; 0 and 1 mean one for all.
    Count(u32),
    /// By a word.
    Named(ZonesFrom),
}

/// The source of the zones' names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZonesFrom {
    /// The country of each node in the topology's file.
    Country,
}

/// The table `[nodes]`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Nodes {
    /// Bytes of each node, for replicas and cached copies together; unlimited by default. A list is assigned to
    /// the nodes in turn, just as zones are: a list with as many values as there are zones gives each zone its
    /// own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Dealt<Amount>>,
    /// Maximum bytes of cached copies. The default is what replicas leave free of `capacity`, or, if that is not
    /// set either, one hundredth of the bytes of all files. A list is assigned likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Dealt<Amount>>,
    /// Failure domains (1).
    pub zones: Zones,
    /// Replicas of each file (2).
    pub factor: u32,
    /// Maximum number of links between the writing node and a replica (8, as in a live node).
    pub placement_radius: u32,
    /// Maximum number of links that a search crosses (16, as in a live node).
    pub search_hops: u32,
    /// Seconds for which a cached copy is served without asking a replica (3, as in a live node).
    pub revalidate_after: NotNegative,
    /// Seconds after which the replicas of a node that is down are re-replicated (600); never if the run ends
    /// before.
    pub repair_after: NotNegative,
}

impl Nodes {
    /// Whether any value is a share of the bytes of all files.
    pub(super) fn are_shares(&self) -> bool {
        let is_share = |amount: &Amount| matches!(amount, Amount::OfCatalogue(_));
        let said = || [&self.capacity, &self.cache].into_iter().flatten();
        said().next().is_none() || said().any(|dealt| dealt.values().iter().any(is_share))
    }
}

impl Default for Nodes {
    fn default() -> Self {
        let seconds = |number| NotNegative::try_from(number).expect("it is at least 0");
        Self {
            capacity: None,
            cache: None,
            zones: Zones::Count(1),
            factor: limits::FACTOR_DEFAULT,
            placement_radius: 8,
            search_hops: 16,
            revalidate_after: seconds(3.0),
            repair_after: seconds(600.0),
        }
    }
}
