//! `Network`: a valid topology, with its file read.

use std::path::Path;

use dataverse_core::content::Digest;
use dataverse_core::limits::LINKS_MAX;

use super::graph::{Edge, Link, Topology};
use super::{Shape, Spec, edges, graphml, random, shapes};
use crate::limits;
use crate::sample::Draw;
use crate::seed::derive;
use crate::wrong::Wrong;

/// A valid topology. A random one is generated anew for each seed.
#[derive(Clone, Debug)]
pub struct Network {
    spec: Spec,
    /// Latency and bandwidth of a link that specifies neither.
    like: Link,
    from_file: Option<(Topology, Digest)>,
}

/// Why no topology can be generated for a seed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// No attempt generated a connected random network.
    #[error(
        "no connected network was generated in {draws} tries; raise `probability` or the number of links, or set `connected = false`"
    )]
    Apart {
        /// The number of attempts.
        draws: u32,
    },
    /// The network is not connected, and is not a random one that could be generated again.
    #[error(
        "it has {parts} parts without a link between them; set `connected = false` if that is intended"
    )]
    InParts {
        /// The number of parts.
        parts: usize,
    },
    /// A node has too many links.
    #[error("{node} has {links} links; a node can have at most {max}", max = LINKS_MAX)]
    Crowded {
        /// The node.
        node: String,
        /// Its number of links.
        links: usize,
    },
    /// There are too many links.
    #[error("it has more than {max} links", max = limits::LAB_LINKS_MAX)]
    Large,
}

impl Network {
    /// Validates a table, reads its file relative to the folder `base`, and generates the topology once.
    ///
    /// # Errors
    /// The key with an impossible value.
    pub fn open(spec: &Spec, base: &Path) -> Result<Self, Wrong> {
        check(spec)?;
        let like = Link {
            ends: (0, 0),
            latency_us: spec.latency_ms.map_or(10_000, |ms| whole(ms.value() * 1e3)),
            bits_per_second: spec
                .bandwidth_mbit
                .map_or(1_000_000_000, |mbit| whole(mbit.value() * 1e6).max(1)),
        };
        let from_file = match (&spec.path, spec.kind) {
            (Some(path), Shape::File) => {
                let read = read(&base.join(path), like);
                Some(read.map_err(|reason| Wrong::new("topology.path", reason))?)
            }
            _ => None,
        };
        let network = Self {
            spec: spec.clone(),
            like,
            from_file,
        };
        let drawn = network.topology(0);
        drawn.map_err(|error| Wrong::new("topology.kind", error.to_string()))?;
        Ok(network)
    }

    /// The spec that it was opened with.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Latency and bandwidth of a link that specifies neither.
    pub(crate) const fn like(&self) -> Link {
        self.like
    }

    /// BLAKE3 of its file, if it has one.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.from_file.as_ref().map(|(_, digest)| *digest)
    }

    /// Whether each seed yields a different topology.
    #[must_use]
    pub const fn is_random(&self) -> bool {
        matches!(
            self.spec.kind,
            Shape::ErdosRenyi | Shape::BarabasiAlbert | Shape::WattsStrogatz
        )
    }

    /// The topology for this seed.
    ///
    /// # Errors
    /// [`TopologyError`].
    pub fn topology(&self, seed: u64) -> Result<Topology, TopologyError> {
        let may_be_apart = self.spec.connected == Some(false);
        for draw in 0..limits::LAB_DRAWS_MAX {
            let topology = self.drawn(derive(seed, &["topology", &draw.to_string()]))?;
            if let Some((links, node)) = topology.most_links()
                && links > LINKS_MAX
            {
                let node = topology.nodes[node as usize].name.clone();
                return Err(TopologyError::Crowded { node, links });
            }
            match topology.parts() {
                0 | 1 => return Ok(topology),
                _ if may_be_apart => return Ok(topology),
                parts if !self.is_random() => return Err(TopologyError::InParts { parts }),
                _ => {}
            }
        }
        Err(TopologyError::Apart {
            draws: limits::LAB_DRAWS_MAX,
        })
    }

    fn drawn(&self, seed: u64) -> Result<Topology, TopologyError> {
        if let Some((topology, _)) = &self.from_file {
            return Ok(topology.clone());
        }
        let spec = &self.spec;
        let nodes = nodes_of(spec);
        let mut draw = Draw::new(seed);
        let edges = match spec.kind {
            Shape::Line | Shape::Demo | Shape::File => shapes::line(nodes),
            Shape::Ring => shapes::ring(nodes),
            Shape::Star => shapes::star(nodes),
            Shape::Grid => shapes::grid(spec.width.unwrap_or(1), spec.height.unwrap_or(1)),
            Shape::Tree => shapes::tree(nodes, spec.branching.unwrap_or(2)),
            Shape::Complete => shapes::complete(nodes),
            Shape::ErdosRenyi => {
                let probability = spec.probability.map_or(0.0, |share| share.value());
                let max = limits::LAB_LINKS_MAX;
                let drawn = random::erdos_renyi(nodes, probability, max, &mut draw);
                drawn.ok_or(TopologyError::Large)?
            }
            Shape::BarabasiAlbert => {
                random::barabasi_albert(nodes, spec.links.unwrap_or(1), &mut draw)
            }
            Shape::WattsStrogatz => {
                let rewire = spec.rewire.map_or(0.0, |share| share.value());
                random::watts_strogatz(nodes, spec.neighbours.unwrap_or(2), rewire, &mut draw)
            }
        };
        if edges.len() > limits::LAB_LINKS_MAX {
            return Err(TopologyError::Large);
        }
        Ok(self.named(nodes, edges))
    }

    fn named(&self, nodes: u32, edges: std::collections::BTreeSet<Edge>) -> Topology {
        let mut topology = Topology::plain(nodes, edges, self.like);
        if self.spec.kind == Shape::Demo {
            for (place, name) in topology.nodes.iter_mut().zip(["A", "B", "C", "D"]) {
                place.name = name.to_owned();
            }
        }
        topology
    }
}

fn whole(number: f64) -> u64 {
    libm::round(number).clamp(0.0, 1e15) as u64
}

fn nodes_of(spec: &Spec) -> u32 {
    match spec.kind {
        Shape::Demo => 4,
        Shape::Grid => spec.width.unwrap_or(1) * spec.height.unwrap_or(1),
        _ => spec.nodes.unwrap_or(0),
    }
}

fn read(path: &Path, like: Link) -> Result<(Topology, Digest), String> {
    let shown = path.display();
    let text = crate::file::text(path)?;
    let is_xml = path
        .extension()
        .is_some_and(|it| it.eq_ignore_ascii_case("graphml") || it.eq_ignore_ascii_case("xml"));
    let topology = match is_xml {
        true => graphml::read(&text, like),
        false => edges::read(&text, like),
    };
    let topology = topology.map_err(|reason| format!("{shown}: {reason}"))?;
    match topology.nodes.len() {
        0 => Err(format!("{shown} has no nodes")),
        many if many > limits::LAB_NODES_MAX => {
            let max = limits::LAB_NODES_MAX;
            Err(format!(
                "{shown} has {many} nodes; at most {max} can be simulated"
            ))
        }
        _ if topology.links.len() > limits::LAB_LINKS_MAX => {
            let max = limits::LAB_LINKS_MAX;
            Err(format!("{shown} has more than {max} links"))
        }
        _ => Ok((topology, Digest::of(text.as_bytes()))),
    }
}

/// Refuses missing keys, keys that don't belong to the shape, and impossible numbers.
fn check(spec: &Spec) -> Result<(), Wrong> {
    let keys = Keys(spec);
    keys.refuse_strangers()?;
    match spec.kind {
        Shape::Demo => {}
        Shape::File => {
            keys.wanted("path", spec.path.as_ref())?;
        }
        Shape::Grid => {
            let width = keys.at_least("width", spec.width, 1)?;
            let height = keys.at_least("height", spec.height, 1)?;
            let nodes = u64::from(width) * u64::from(height);
            keys.few_enough("width", nodes)?;
        }
        _ => {
            let nodes = keys.at_least("nodes", spec.nodes, 1)?;
            keys.few_enough("nodes", u64::from(nodes))?;
        }
    }
    let nodes = nodes_of(spec);
    match spec.kind {
        Shape::Tree if spec.branching == Some(0) => {
            Err(keys.wrong("branching", "it must be 1 or more"))
        }
        Shape::ErdosRenyi => keys.wanted("probability", spec.probability).map(|_| ()),
        Shape::BarabasiAlbert => {
            let links = keys.at_least("links", spec.links, 1)?;
            keys.fits(
                "links",
                links < nodes,
                "it must be less than the number of nodes",
            )
        }
        Shape::WattsStrogatz => {
            let neighbours = keys.at_least("neighbours", spec.neighbours, 2)?;
            keys.wanted("rewire", spec.rewire)?;
            keys.fits(
                "neighbours",
                neighbours % 2 == 0,
                "it must be even: half of the neighbours are on either side",
            )?;
            keys.fits(
                "neighbours",
                neighbours < nodes,
                "it must be less than the number of nodes",
            )
        }
        _ => Ok(()),
    }
}

struct Keys<'a>(&'a Spec);

impl Keys<'_> {
    fn wrong(&self, key: &str, reason: impl Into<String>) -> Wrong {
        Wrong::new(format!("topology.{key}"), reason)
    }

    fn shape(&self) -> &'static str {
        self.0.kind.as_str()
    }

    fn wanted<T>(&self, key: &str, value: Option<T>) -> Result<T, Wrong> {
        value.ok_or_else(|| {
            self.wrong(
                "kind",
                format!("a topology of kind `{}` needs `{key}`", self.shape()),
            )
        })
    }

    fn at_least(&self, key: &str, value: Option<u32>, least: u32) -> Result<u32, Wrong> {
        let value = self.wanted(key, value)?;
        self.fits(key, value >= least, &format!("it must be at least {least}"))?;
        Ok(value)
    }

    fn few_enough(&self, key: &str, nodes: u64) -> Result<(), Wrong> {
        let max = limits::LAB_NODES_MAX;
        let reason = format!("{nodes} nodes are too many; at most {max} can be simulated");
        self.fits(key, nodes <= max as u64, &reason)
    }

    fn fits(&self, key: &str, fits: bool, reason: &str) -> Result<(), Wrong> {
        match fits {
            true => Ok(()),
            false => Err(self.wrong(key, reason)),
        }
    }

    /// A key without a meaning for this shape is more likely a mistake than a comment.
    fn refuse_strangers(&self) -> Result<(), Wrong> {
        use Shape::{BarabasiAlbert, Demo, ErdosRenyi, File, Grid, Tree, WattsStrogatz};
        let (spec, kind) = (self.0, self.0.kind);
        let strangers = [
            (
                "nodes",
                spec.nodes.is_some() && matches!(kind, Grid | Demo | File),
            ),
            ("width", spec.width.is_some() && kind != Grid),
            ("height", spec.height.is_some() && kind != Grid),
            ("branching", spec.branching.is_some() && kind != Tree),
            (
                "probability",
                spec.probability.is_some() && kind != ErdosRenyi,
            ),
            ("links", spec.links.is_some() && kind != BarabasiAlbert),
            (
                "neighbours",
                spec.neighbours.is_some() && kind != WattsStrogatz,
            ),
            ("rewire", spec.rewire.is_some() && kind != WattsStrogatz),
            ("path", spec.path.is_some() && kind != File),
        ];
        match strangers.into_iter().find(|&(_, is)| is) {
            None => Ok(()),
            Some((key, _)) => Err(self.wrong(
                key,
                format!("a topology of kind `{}` has no `{key}`", self.shape()),
            )),
        }
    }
}

#[cfg(test)]
mod tests;
