//! The table `[topology]` of an experiment.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::quantity::{NotNegative, Positive, Share};

/// The shape of a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Each node is linked with the next.
    Line,
    /// A line whose ends are linked.
    Ring,
    /// Each node is linked with the first.
    Star,
    /// `width` × `height` nodes, each linked with those left, right, above and below.
    Grid,
    /// Each node is linked with `branching` nodes below it, level by level.
    Tree,
    /// Each node is linked with every other.
    Complete,
    /// Each pair is linked with `probability` (Erdős, Rényi 1959; Gilbert's G(n, p)).
    ErdosRenyi,
    /// Nodes join one by one and link to `links` others; nodes with many links are more likely to be chosen
    /// (Barabási, Albert 1999).
    BarabasiAlbert,
    /// A ring on which each node has `neighbours`, and whose links are rewired at random with probability `rewire`
    /// (Watts, Strogatz 1998).
    WattsStrogatz,
    /// The four nodes of the demo: A, B, C, D in a line.
    Demo,
    /// A GraphML file (`.graphml`, `.xml`, such as those of the Internet Topology Zoo) or an edge list.
    File,
}

impl Shape {
    /// Its name in a file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Ring => "ring",
            Self::Star => "star",
            Self::Grid => "grid",
            Self::Tree => "tree",
            Self::Complete => "complete",
            Self::ErdosRenyi => "erdos-renyi",
            Self::BarabasiAlbert => "barabasi-albert",
            Self::WattsStrogatz => "watts-strogatz",
            Self::Demo => "demo",
            Self::File => "file",
        }
    }
}

/// The table `[topology]`. Opening the network checks which keys belong to which shape.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The shape.
    pub kind: Shape,
    /// The number of nodes; for all shapes except `grid`, `demo` and `file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u32>,
    /// `grid`: nodes in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// `grid`: rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// `tree`: nodes below each node (default 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branching: Option<u32>,
    /// `erdos-renyi`: probability of each link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<Share>,
    /// `barabasi-albert`: links that each new node makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<u32>,
    /// `watts-strogatz`: neighbours of each node on the ring, an even number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<u32>,
    /// `watts-strogatz`: probability that a link is rewired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewire: Option<Share>,
    /// `file`: its path, relative to the experiment's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Whether a network that is not connected is refused (default `true`). A random one is generated again until
    /// it is connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
    /// One-way delay of a link that the file does not give (default 10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<NotNegative>,
    /// Bandwidth of a link in millions of bits per second, if the file does not give it (default 1000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_mbit: Option<Positive>,
}

/// Text that is not a topology.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a topology: {reason}")]
pub struct SpecError {
    text: String,
    reason: String,
}

/// Parses a command-line argument: `ring:100`, `erdos-renyi:1000,probability=0.01`, `grid:width=8,height=5`, or
/// the path of a file.
impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let mut table = toml::Table::new();
        let is_file = text.contains(['/', '.']) && !text.contains('=');
        let kind = if is_file { "file" } else { kind };
        table.insert("kind".to_owned(), kind.into());
        if is_file {
            table.insert("path".to_owned(), text.into());
        }
        let wrong = |reason: String| SpecError {
            text: text.to_owned(),
            reason: reason.trim().to_owned(),
        };
        for part in rest.split(',').filter(|part| !is_file && !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or(("nodes", part));
            // A word that is not a number stays text: "5%".
            let value = toml::from_str::<toml::Table>(&format!("it = {value}"));
            let value = value.ok().and_then(|mut table| table.remove("it"));
            let value = value.unwrap_or_else(|| part.rsplit('=').next().unwrap_or(part).into());
            if table.insert(key.to_owned(), value).is_some() {
                return Err(wrong(format!("`{key}` is given twice")));
            }
        }
        table
            .try_into()
            .map_err(|error: toml::de::Error| wrong(error.message().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_names_its_line() {
        let error = toml::from_str::<Spec>("kind = \"ring\"\nnodes = 4\nnoodles = 5\n")
            .expect_err("`noodles` is unknown")
            .to_string();
        assert!(error.contains("line 3"), "{error}");
        assert!(error.contains("noodles"), "{error}");
    }

    #[test]
    fn a_share_beyond_one_names_its_line() {
        let text = "kind = \"erdos-renyi\"\nnodes = 4\nprobability = 2\n";
        let error = toml::from_str::<Spec>(text)
            .expect_err("2 is not a probability")
            .to_string();
        assert!(error.contains("line 3"), "{error}");
    }

    #[test]
    fn a_command_line_names_a_topology() {
        for (text, expected) in [
            ("ring:100", "kind = 'ring'\nnodes = 100"),
            ("demo", "kind = 'demo'"),
            (
                "grid:width=8,height=5",
                "kind = 'grid'\nwidth = 8\nheight = 5",
            ),
            (
                "erdos-renyi:1000,probability=5%,latency_ms=2.5",
                "kind = 'erdos-renyi'\nnodes = 1000\nprobability = 0.05\nlatency_ms = 2.5",
            ),
            (
                "nets/Abilene.graphml",
                "kind = 'file'\npath = 'nets/Abilene.graphml'",
            ),
        ] {
            let expected: Spec = toml::from_str(expected).expect("it can be read");
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for (text, reason) in [
            ("rind:4", "unknown variant `rind`"),
            ("ring:4,noodles=5", "unknown field `noodles`"),
            ("ring:4,nodes=5", "`nodes` is given twice"),
            ("ring:many", "invalid type"),
        ] {
            let error = text.parse::<Spec>().expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
