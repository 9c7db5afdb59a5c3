//! The demonstration: real nodes on real sockets in one process, that tell the story of the network as it
//! happens. Every step checks that what it tells is true; one that does not hold ends the story with an
//! error.

mod client;
mod losing;
mod reading;
mod shape;
mod story;
mod swapping;
mod traffic;
mod world;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use self::shape::Shape;
use self::story::{Story, say};
use self::world::DemoNetwork;

/// Where the nodes of a demonstration keep their data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DemoPlace {
    /// In a folder that is removed at the end.
    Temporary,
    /// In this folder, which stays.
    Folder(PathBuf),
    /// In memory.
    Ephemeral,
}

/// What to demonstrate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DemoOptions {
    /// How many nodes.
    pub nodes: usize,
    /// How they are linked.
    pub shape: Shape,
    /// Where the first node answers HTTP.
    pub http: SocketAddr,
    /// Where data is kept.
    pub place: DemoPlace,
    /// Leave after the story instead of staying up.
    pub exit: bool,
}

/// Tells the story; an error if any step did not hold.
///
/// # Errors
/// The first step that did not hold.
pub(crate) async fn run(options: DemoOptions) -> anyhow::Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let temporary = TempDir::new().context("making a temporary folder")?;
    let mut world = DemoNetwork::new();
    let told = tokio::select! {
        told = tell(&options, &temporary, &mut world) => told,
        _ = interrupted.recv() => Err(anyhow::anyhow!("interrupted before the story was told")),
        _ = terminated.recv() => Err(anyhow::anyhow!("told to stop before the story was told")),
    };
    if told.is_ok() && !options.exit && !world.is_empty() {
        stay(&world);
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    }
    world.stop().await;
    told
}

async fn tell(
    options: &DemoOptions,
    temporary: &TempDir,
    world: &mut DemoNetwork,
) -> anyhow::Result<()> {
    let mut story = Story::default();
    world.begin(options, temporary, &mut story).await?;
    let reader = 0;
    let far = world.farthest_from(reader);
    let key = reading::upload_far(&mut story, world, far).await?;
    reading::search(&mut story, world, reader, far, &key).await?;
    reading::read_twice(&mut story, world, reader, far, &key).await?;
    swapping::swap_under_traffic(&mut story, world).await?;
    losing::lose_a_node(&mut story, world, reader).await?;
    say("\nEvery step held.");
    Ok(())
}

fn stay(world: &DemoNetwork) {
    say("\nThe nodes stay up. Try:");
    for node in world.lifetime() {
        say(&format!(
            "   http://{}/   node {}",
            node.http(),
            node.name()
        ));
    }
    if let Some(node) = world.lifetime().next() {
        let http = node.http();
        say(&format!(
            "   curl -T README.md http://{http}/v1/files/me/README.md"
        ));
        say(&format!("   curl 'http://{http}/v1/search?q=**'"));
    }
    say("Ctrl-C ends them.");
}
