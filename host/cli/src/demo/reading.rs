//! Demo steps: upload a file at one end, find it from the other, and see it copied to its reader.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Context, bail, ensure};

use super::client::until;
use super::shape::distances;
use super::story::{Story, counted, millis};
use super::world::{DemoNetwork, TRIES, name};

/// The size of the file that is read from far away.
const FAR_BYTES: usize = 4 << 20;

/// Uploads a file whose only replica is at the far end, so that the search has to cross the network.
pub(super) async fn upload_far(
    story: &mut Story,
    world: &DemoNetwork,
    far: usize,
) -> anyhow::Result<String> {
    story.step(&format!("Upload a file at the far end, {}", name(far)));
    let content = vec![b'~'; FAR_BYTES];
    for tried in 1..=TRIES {
        let key = format!("demo/{}/far-{tried}.txt", world.run());
        let began = Instant::now();
        let holders = world.voice(far).upload(&key, content.clone(), 1).await?;
        if holders == [name(far)] {
            story.tell(&format!(
                "{key}, {} MiB, one replica on {} ({})",
                FAR_BYTES >> 20,
                name(far),
                millis(began.elapsed())
            ));
            if tried > 1 {
                story.tell(&format!(
                    "placement spreads files by the hash of their names; {} before it went to other nodes",
                    counted(tried as u64 - 1, "name")
                ));
            }
            return Ok(key);
        }
    }
    bail!("none of {TRIES} files was placed on {}", name(far))
}

pub(super) async fn search(
    story: &mut Story,
    world: &DemoNetwork,
    from: usize,
    far: usize,
    key: &str,
) -> anyhow::Result<()> {
    story.step(&format!("Search for it from {}, hop by hop", name(from)));
    let report = world
        .voice(from)
        .json(&format!("/v1/search?key={key}"))
        .await?;
    ensure!(
        report["outcome"] == "found",
        "the search did not find it: {report}"
    );
    ensure!(
        report["hits"][0]["node"] == name(far).as_str(),
        "another node has it: {report}"
    );
    ensure!(report["exact"] == true, "the hit is not exact: {report}");
    let distances = distances(world.edges(), from, None);
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
        "path: {} ({}, {:.1} ms)",
        path.join(" → "),
        counted(report["probes"].as_u64().unwrap_or_default(), "probe"),
        report["elapsed_ms"].as_f64().unwrap_or_default()
    ));
    Ok(())
}

pub(super) async fn read_twice(
    story: &mut Story,
    world: &DemoNetwork,
    reader: usize,
    far: usize,
    key: &str,
) -> anyhow::Result<()> {
    story.step(&format!(
        "Read it at {}, first from far away, then from a local copy",
        name(reader)
    ));
    let voice = world.voice(reader);
    let first = voice.read(key).await?;
    ensure!(
        first.body.len() == FAR_BYTES,
        "{} bytes were read",
        first.body.len()
    );
    ensure!(
        first.source == name(far),
        "the read came from {}",
        first.source
    );
    story.tell(&format!(
        "first read: from {}, {} away ({})",
        first.source,
        counted(u64::from(first.hops), "hop"),
        millis(first.took)
    ));
    let mut again = voice.read(key).await?;
    until("a local copy", async || {
        again = voice.read(key).await?;
        Ok(again.hops == 0)
    })
    .await?;
    ensure!(
        again.source == name(reader),
        "the read came from {}",
        again.source
    );
    ensure!(again.body == first.body, "the copy differs");
    story.tell(&format!(
        "second read: from {} itself ({}); relocation placed a copy at the reader",
        again.source,
        millis(again.took)
    ));
    Ok(())
}
