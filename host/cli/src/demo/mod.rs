//! The demo: real nodes on real sockets in one process. `world` starts and links them (with the
//! tickets of `security`, if asked for), `reading`, `swapping` and
//! `losing` are the steps, and `story` prints them. Every step checks that what it prints is true; the first one
//! that fails ends the demo with an error.

mod client;
mod losing;
mod reading;
mod security;
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

/// Where the nodes of a demo keep their data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DemoPlace {
    /// In a folder that is removed at the end.
    Temporary,
    /// In this folder, which is kept.
    Folder(PathBuf),
    /// In memory.
    Ephemeral,
}

/// The options of a demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DemoOptions {
    /// The number of nodes.
    pub nodes: usize,
    /// How they are linked.
    pub shape: Shape,
    /// The HTTP address of the first node.
    pub http: SocketAddr,
    /// Where data is kept.
    pub place: DemoPlace,
    /// Whether the nodes have certificates.
    pub secure: bool,
    /// Exit after the last step instead of keeping the network running.
    pub exit: bool,
}

/// Runs the demo.
///
/// # Errors
/// The first step that failed.
pub(crate) async fn run(options: DemoOptions) -> anyhow::Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let temporary = TempDir::new().context("creating a temporary folder")?;
    let mut world = DemoNetwork::new();
    let result = tokio::select! {
        result = tell(&options, &temporary, &mut world) => result,
        _ = interrupted.recv() => Err(anyhow::anyhow!("interrupted before the demo was done")),
        _ = terminated.recv() => Err(anyhow::anyhow!("terminated before the demo was done")),
    };
    if result.is_ok() && !options.exit && !world.is_empty() {
        stay(&world);
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    }
    world.stop().await;
    result
}

async fn tell(
    options: &DemoOptions,
    temporary: &TempDir,
    world: &mut DemoNetwork,
) -> anyhow::Result<()> {
    let mut story = Story::default();
    if options.secure {
        world.secure(options, temporary, &mut story).await?;
    }
    world.begin(options, temporary, &mut story).await?;
    let reader = 0;
    let far = world.farthest_from(reader);
    let key = reading::upload_far(&mut story, world, far).await?;
    reading::search(&mut story, world, reader, far, &key).await?;
    reading::read_twice(&mut story, world, reader, far, &key).await?;
    swapping::swap_under_traffic(&mut story, world).await?;
    losing::lose_a_node(&mut story, world, reader).await?;
    say("\nEvery step succeeded.");
    Ok(())
}

fn stay(world: &DemoNetwork) {
    say("\nThe nodes keep running. Try:");
    for node in world.running() {
        say(&format!(
            "   http://{}/   node {}",
            node.http(),
            node.name()
        ));
    }
    if let Some(node) = world.running().next() {
        let http = node.http();
        say(&format!(
            "   curl -T README.md http://{http}/v1/files/me/README.md"
        ));
        say(&format!("   curl 'http://{http}/v1/search?q=**'"));
    }
    say("Press Ctrl-C to stop them.");
}
