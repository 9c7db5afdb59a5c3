//! The demo's nodes: starts, links, queries and stops them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use tempfile::TempDir;

use super::client::{Voice, until};
use super::security::DemoAuthority;
use super::shape::{Edge, distances};
use super::story::{Story, millis};
use super::{DemoOptions, DemoPlace};
use crate::config::NodeConfig;
use crate::node::{Keeping, RunningNode};

/// Files to try until placement puts one where a step needs it.
pub(super) const TRIES: usize = 200;

/// The demo's nodes; a killed one leaves an empty slot.
#[derive(Default)]
pub(super) struct DemoNetwork {
    nodes: Vec<Option<RunningNode>>,
    edges: Vec<Edge>,
    /// Who belongs to the network, if the nodes have certificates.
    authority: Option<DemoAuthority>,
    /// The policies folder that all nodes share.
    policies: PathBuf,
    /// Distinguishes this run from earlier ones in the same folder, whose files would be in the way.
    run: String,
}

impl DemoNetwork {
    /// No nodes yet.
    pub(super) fn new() -> Self {
        Self {
            run: format!("{:08x}", rand::random::<u32>()),
            ..Self::default()
        }
    }

    /// Gives the nodes certificates.
    pub(super) async fn secure(
        &mut self,
        options: &DemoOptions,
        temporary: &TempDir,
        story: &mut Story,
    ) -> anyhow::Result<()> {
        let folder = root(options, temporary).join("authority");
        self.authority = Some(DemoAuthority::create(folder, story).await?);
        Ok(())
    }

    /// Starts the nodes and links them.
    pub(super) async fn begin(
        &mut self,
        options: &DemoOptions,
        temporary: &TempDir,
        story: &mut Story,
    ) -> anyhow::Result<()> {
        story.step(&format!("Start and link {} nodes", options.nodes));
        self.edges = options.shape.edges(options.nodes);
        self.policies = root(options, temporary).join("policies");
        for at in 0..options.nodes {
            let node = self.start(options, temporary, at).await?;
            story.tell(&node.ready_line());
            self.nodes.push(Some(node));
        }
        self.cut_other_links().await?;
        let began = Instant::now();
        for &(a, b) in &self.edges {
            self.voice(a).link(self.node(b).address()).await?;
        }
        let links: Vec<String> = self
            .edges
            .iter()
            .map(|(a, b)| format!("{}–{}", name(*a), name(*b)))
            .collect();
        story.tell(&format!(
            "linked as {}: {} ({})",
            options.shape.word(),
            links.join(" "),
            millis(began.elapsed())
        ));
        let took = self.know_each_other().await?;
        story.tell(&format!(
            "by gossip, every node knew every other after {}",
            millis(took)
        ));
        Ok(())
    }

    async fn start(
        &self,
        options: &DemoOptions,
        temporary: &TempDir,
        at: usize,
    ) -> anyhow::Result<RunningNode> {
        let keeping = match options.place {
            DemoPlace::Ephemeral => Keeping::InMemory,
            DemoPlace::Folder(_) | DemoPlace::Temporary => Keeping::OnDisk,
        };
        let mut config = NodeConfig::new(root(options, temporary).join(name(at)));
        config.name = Some(name(at));
        config.network = "demo".to_owned();
        // A step may go from one end of the network to the other.
        config.settings.search_hops = options.nodes as u32;
        config.settings.placement_radius = options.nodes as u32;
        config.policies = Some(self.policies.clone());
        config.listen.set_port(0);
        config.http = options.http;
        if at > 0 {
            config.http.set_port(0);
        }
        match &self.authority {
            Some(authority) if at == 0 => config.authority = Some(authority.folder()),
            Some(authority) => {
                config.join = Some(authority.ticket(self.node(0).address()).await?);
                let earlier = self.edges.iter().filter(|(_, later)| *later == at);
                let earlier = earlier.map(|(other, _)| self.node(*other).address().to_owned());
                config.links = earlier.collect();
            }
            None => {}
        }
        RunningNode::start(config, keeping).await
    }

    /// Cuts links of an earlier run with another shape in the same folder.
    async fn cut_other_links(&self) -> anyhow::Result<()> {
        for at in 0..self.nodes.len() {
            let links = self.voice(at).json("/v1/links").await?;
            let links = links.as_array().context("links are a list")?;
            for other in links.iter().filter_map(|link| link["node"].as_str()) {
                let place = (0..self.nodes.len()).find(|place| name(*place) == other);
                let wanted = place.is_some_and(|place| {
                    self.edges.contains(&(at, place)) || self.edges.contains(&(place, at))
                });
                if !wanted {
                    self.voice(at).unlink(other).await?;
                }
            }
        }
        Ok(())
    }

    async fn know_each_other(&self) -> anyhow::Result<Duration> {
        let count = self.nodes.len();
        until("all nodes to know each other", async || {
            for at in 0..count {
                let members = self.voice(at).json("/v1/nodes").await?;
                let members = members.as_array().context("nodes are a list")?;
                let ready = members
                    .iter()
                    .filter(|node| node["state"] == "alive" && node["capacity"] != 0);
                if ready.count() != count {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
    }

    pub(super) fn node(&self, at: usize) -> &RunningNode {
        let node = self.nodes.get(at).and_then(Option::as_ref);
        node.expect("the demo only asks running nodes")
    }

    pub(super) fn voice(&self, at: usize) -> Voice {
        Voice::of(self.node(at).http())
    }

    pub(super) fn farthest_from(&self, at: usize) -> usize {
        let distances = distances(&self.edges, at, None);
        let farthest = distances.into_iter().max_by_key(|(_, distance)| *distance);
        farthest.map_or(at, |(node, _)| node)
    }

    /// The links.
    pub(super) fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// Distinguishes this run from earlier ones.
    pub(super) fn run(&self) -> &str {
        &self.run
    }

    /// The policies folder that all nodes share.
    pub(super) fn policies(&self) -> &Path {
        &self.policies
    }

    /// The number of nodes, killed ones included.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &RunningNode> {
        self.nodes.iter().flatten()
    }

    /// Takes a node out of the demo.
    pub(super) fn take(&mut self, at: usize) -> anyhow::Result<RunningNode> {
        self.nodes[at].take().context("the node is running")
    }

    pub(super) async fn stop(&mut self) {
        for node in self.nodes.drain(..).flatten() {
            node.stop().await;
        }
    }
}

/// The folder that contains everything.
fn root(options: &DemoOptions, temporary: &TempDir) -> PathBuf {
    match &options.place {
        DemoPlace::Folder(folder) => folder.clone(),
        DemoPlace::Temporary | DemoPlace::Ephemeral => temporary.path().to_owned(),
    }
}

/// `A`, `B`, …, `Z`, `AA`, `AB`, …
pub(super) fn name(at: usize) -> String {
    let letter = char::from(b'A' + (at % 26) as u8);
    match at / 26 {
        0 => letter.to_string(),
        round => format!("{}{letter}", name(round - 1)),
    }
}
