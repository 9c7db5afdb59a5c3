//! The demonstration: real nodes on real sockets in one process, that tell the story of the network as it
//! happens. Every step checks that what it tells is true; one that does not hold ends the story with an
//! error.

mod client;
mod shape;
mod story;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use self::client::{Voice, until};
pub use self::shape::Shape;
use self::shape::{Edge, distances};
use self::story::{Story, counted, millis, say};
use crate::config::NodeConfig;
use crate::node::{Keeping, RunningNode};

/// Files tried until placement puts one where the story needs it.
const TRIES: usize = 200;
/// Bytes of the file that is read from afar.
const FAR_BYTES: usize = 4 << 20;

/// Where the nodes of a demonstration keep their data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a folder that is removed at the end.
    Temporary,
    /// In this folder, which stays.
    Folder(PathBuf),
    /// In memory.
    Ephemeral,
}

/// What to demonstrate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoOptions {
    /// How many nodes.
    pub nodes: usize,
    /// How they are linked.
    pub shape: Shape,
    /// Where the first node answers HTTP.
    pub http: SocketAddr,
    /// Where data is kept.
    pub place: Place,
    /// Leave after the story instead of staying up.
    pub exit: bool,
}

/// Tells the story; an error if any step did not hold.
///
/// # Errors
/// The first step that did not hold.
pub async fn run(options: DemoOptions) -> anyhow::Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let temporary = TempDir::new().context("making a temporary folder")?;
    let mut world = World {
        run: format!("{:08x}", rand::random::<u32>()),
        ..World::default()
    };
    let told = tokio::select! {
        told = tell(&options, &temporary, &mut world) => told,
        _ = interrupted.recv() => Err(anyhow::anyhow!("interrupted before the story was told")),
        _ = terminated.recv() => Err(anyhow::anyhow!("told to stop before the story was told")),
    };
    if told.is_ok() && !options.exit && !world.nodes.is_empty() {
        stay(&world);
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    }
    world.stop().await;
    told
}

/// The nodes of the story; a killed one leaves its place empty.
#[derive(Default)]
struct World {
    nodes: Vec<Option<RunningNode>>,
    edges: Vec<Edge>,
    /// Names this telling, so that files of an earlier one in the same folder are not in its way.
    run: String,
}

async fn tell(options: &DemoOptions, temporary: &TempDir, world: &mut World) -> anyhow::Result<()> {
    let mut story = Story::default();
    world.begin(options, temporary, &mut story).await?;
    let reader = 0;
    let far = world.farthest_from(reader);
    let key = upload_far(&mut story, world, far).await?;
    search(&mut story, world, reader, far, &key).await?;
    read_twice(&mut story, world, reader, far, &key).await?;
    lose_a_node(&mut story, world, reader).await?;
    say("\nEvery step held.");
    Ok(())
}

impl World {
    /// Starts the nodes and links them.
    async fn begin(
        &mut self,
        options: &DemoOptions,
        temporary: &TempDir,
        story: &mut Story,
    ) -> anyhow::Result<()> {
        story.step(&format!("{} nodes start and link", options.nodes));
        self.edges = options.shape.edges(options.nodes);
        for at in 0..options.nodes {
            let node = start(options, temporary, at).await?;
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
            "every node knows every other by gossip after {}",
            millis(took)
        ));
        Ok(())
    }

    /// Links that an earlier story of another shape left in the folder are cut.
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

    async fn know_each_other(&self) -> anyhow::Result<std::time::Duration> {
        let count = self.nodes.len();
        until("that all nodes know each other", async || {
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

    fn node(&self, at: usize) -> &RunningNode {
        let node = self.nodes.get(at).and_then(Option::as_ref);
        node.expect("the story only asks nodes that live")
    }

    fn voice(&self, at: usize) -> Voice {
        Voice::of(self.node(at).http())
    }

    fn farthest_from(&self, at: usize) -> usize {
        let distances = distances(&self.edges, at, None);
        let farthest = distances.into_iter().max_by_key(|(_, distance)| *distance);
        farthest.map_or(at, |(node, _)| node)
    }

    async fn stop(&mut self) {
        for node in self.nodes.drain(..).flatten() {
            node.stop().await;
        }
    }
}

async fn start(
    options: &DemoOptions,
    temporary: &TempDir,
    at: usize,
) -> anyhow::Result<RunningNode> {
    let folder = match &options.place {
        Place::Folder(folder) => folder.clone(),
        Place::Temporary | Place::Ephemeral => temporary.path().to_owned(),
    };
    let keeping = match options.place {
        Place::Ephemeral => Keeping::InMemory,
        Place::Folder(_) | Place::Temporary => Keeping::OnDisk,
    };
    let mut config = NodeConfig::new(folder.join(name(at)));
    config.name = Some(name(at));
    config.network = "demo".to_owned();
    // The story may go from one end of the network to the other.
    config.settings.search_hops = options.nodes as u32;
    config.settings.placement_radius = options.nodes as u32;
    config.listen.set_port(0);
    config.http = options.http;
    if at > 0 {
        config.http.set_port(0);
    }
    RunningNode::start(config, keeping).await
}

/// A file whose only replica is at the far end, so that the search has a way to go.
async fn upload_far(story: &mut Story, world: &World, far: usize) -> anyhow::Result<String> {
    story.step(&format!("A file is uploaded at the far end, {}", name(far)));
    let content = vec![b'~'; FAR_BYTES];
    for tried in 1..=TRIES {
        let key = format!("demo/{}/far-{tried}.txt", world.run);
        let began = Instant::now();
        let holders = world.voice(far).upload(&key, content.clone(), 1).await?;
        if holders == [name(far)] {
            story.tell(&format!(
                "{key}, {} MiB, one replica: on {} ({})",
                FAR_BYTES >> 20,
                name(far),
                millis(began.elapsed())
            ));
            if tried > 1 {
                story.tell(&format!(
                    "placement spreads files by the hash of their names; {} before it went elsewhere",
                    counted(tried as u64 - 1, "name")
                ));
            }
            return Ok(key);
        }
    }
    bail!("none of {TRIES} files was placed on {}", name(far))
}

async fn search(
    story: &mut Story,
    world: &World,
    from: usize,
    far: usize,
    key: &str,
) -> anyhow::Result<()> {
    story.step(&format!("{} searches for it, hop by hop", name(from)));
    let report = world
        .voice(from)
        .json(&format!("/v1/search?key={key}"))
        .await?;
    ensure!(report["outcome"] == "found", "the search ended: {report}");
    ensure!(
        report["hits"][0]["node"] == name(far).as_str(),
        "another node has it: {report}"
    );
    ensure!(report["exact"] == true, "the hit is not exact: {report}");
    let distances = distances(&world.edges, from, None);
    ensure!(
        report["hits"][0]["hops"] == distances[&far],
        "the distance is wrong: {report}"
    );
    for hop in 0..=distances[&far] {
        let level: BTreeSet<String> = distances
            .iter()
            .filter(|(_, distance)| **distance == hop)
            .map(|(at, _)| name(*at))
            .collect();
        let level: Vec<String> = level.into_iter().collect();
        let answer = if hop == distances[&far] {
            "found"
        } else {
            "not here"
        };
        story.tell(&format!("hop {hop}: {} – {answer}", level.join(", ")));
    }
    let path: Vec<&str> = report["path"]
        .as_array()
        .context("a path is a list")?
        .iter()
        .filter_map(|node| node.as_str())
        .collect();
    story.tell(&format!(
        "the way is {} ({} probes, {:.1} ms)",
        path.join(" → "),
        report["probes"],
        report["elapsed_ms"].as_f64().unwrap_or_default()
    ));
    Ok(())
}

async fn read_twice(
    story: &mut Story,
    world: &World,
    reader: usize,
    far: usize,
    key: &str,
) -> anyhow::Result<()> {
    story.step(&format!(
        "{} reads it, from afar and then from near",
        name(reader)
    ));
    let voice = world.voice(reader);
    let first = voice.read(key).await?;
    ensure!(
        first.body.len() == FAR_BYTES,
        "{} bytes were read",
        first.body.len()
    );
    ensure!(first.source == name(far), "it came from {}", first.source);
    story.tell(&format!(
        "first read: from {}, {} away ({})",
        first.source,
        counted(u64::from(first.hops), "hop"),
        millis(first.took)
    ));
    let mut again = voice.read(key).await?;
    until("that the copy is local", async || {
        again = voice.read(key).await?;
        Ok(again.hops == 0)
    })
    .await?;
    ensure!(
        again.source == name(reader),
        "it came from {}",
        again.source
    );
    ensure!(again.body == first.body, "the copy differs");
    story.tell(&format!(
        "read again: from {} itself ({}); relocation kept a copy at its reader",
        again.source,
        millis(again.took)
    ));
    Ok(())
}

async fn lose_a_node(story: &mut Story, world: &mut World, reader: usize) -> anyhow::Result<()> {
    story.step("A node that holds a replica is killed");
    let content = b"nobody has read this yet".to_vec();
    let (key, victim, other) = upload_for_loss(world, reader, &content).await?;
    story.tell(&format!(
        "{key} has two replicas, on {} and {}, and nobody has read it",
        name(victim),
        name(other)
    ));
    let node = world.nodes[victim].take().context("the victim lives")?;
    node.kill().await;
    story.tell(&format!("{} is killed", name(victim)));
    let read = world.voice(reader).read(&key).await?;
    ensure!(read.body == content, "other bytes were read");
    ensure!(read.source == name(other), "it came from {}", read.source);
    story.tell(&format!(
        "{} reads it: from {}, {} away ({}); nothing was lost",
        name(reader),
        read.source,
        counted(u64::from(read.hops), "hop"),
        millis(read.took)
    ));
    Ok(())
}

/// A file with two replicas, of which the reader can reach one after the other's node has died. It goes in
/// at a node that holds it, so that no node has a further copy.
async fn upload_for_loss(
    world: &World,
    reader: usize,
    content: &[u8],
) -> anyhow::Result<(String, usize, usize)> {
    let entry = world.farthest_from(reader);
    for tried in 1..=TRIES {
        let key = format!("demo/{}/unread-{tried}.txt", world.run);
        let holders = world.voice(entry).upload(&key, content.to_vec(), 2).await?;
        let holders: Vec<usize> = (0..world.nodes.len())
            .filter(|at| holders.contains(&name(*at)))
            .collect();
        let [a, b] = holders[..] else {
            bail!("{key} has {} replicas", holders.len());
        };
        // With two nodes there is nobody else to read it.
        let is_afar = |other: usize| other != reader || world.nodes.len() == 2;
        for (victim, other) in [(b, a), (a, b)] {
            let reached = distances(&world.edges, reader, Some(victim));
            let survives = victim != reader && reached.contains_key(&other) && is_afar(other);
            if survives && holders.contains(&entry) {
                return Ok((key, victim, other));
            }
        }
    }
    bail!("none of {TRIES} files was placed so that one of its nodes can be spared")
}

fn stay(world: &World) {
    say("\nThe nodes stay up. Try:");
    for node in world.nodes.iter().flatten() {
        say(&format!(
            "   http://{}/   node {}",
            node.http(),
            node.name()
        ));
    }
    if let Some(node) = world.nodes.iter().flatten().next() {
        let http = node.http();
        say(&format!(
            "   curl -T README.md http://{http}/v1/files/me/README.md"
        ));
        say(&format!("   curl 'http://{http}/v1/search?q=**'"));
    }
    say("Ctrl-C ends them.");
}

/// `A`, `B`, …, `Z`, `AA`, `AB`, …
fn name(at: usize) -> String {
    let letter = char::from(b'A' + (at % 26) as u8);
    match at / 26 {
        0 => letter.to_string(),
        round => format!("{}{letter}", name(round - 1)),
    }
}
