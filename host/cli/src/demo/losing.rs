//! Demo step: kills a node that holds a replica; nothing is lost.

use anyhow::{bail, ensure};

use super::shape::distances;
use super::story::{Story, counted, millis};
use super::world::{DemoNetwork, TRIES, name};

pub(super) async fn lose_a_node(
    story: &mut Story,
    world: &mut DemoNetwork,
    reader: usize,
) -> anyhow::Result<()> {
    story.step("Kill a node that holds a replica");
    let content = b"nobody has read this yet".to_vec();
    let (key, victim, other) = upload_for_loss(world, reader, &content).await?;
    story.tell(&format!(
        "{key} has two replicas, on {} and {}, and has not been read yet",
        name(victim),
        name(other)
    ));
    let node = world.take(victim)?;
    node.kill().await;
    story.tell(&format!("killed {}", name(victim)));
    let read = world.voice(reader).read(&key).await?;
    ensure!(read.body == content, "other bytes were read");
    ensure!(
        read.source == name(other),
        "the read came from {}",
        read.source
    );
    story.tell(&format!(
        "{} reads it from {}, {} away ({}); nothing was lost",
        name(reader),
        read.source,
        counted(u64::from(read.hops), "hop"),
        millis(read.took)
    ));
    Ok(())
}

/// Uploads a file with two replicas, one of which the reader can still reach after the node with the other has
/// died. The file enters at one of its holders, so that no node has a further copy.
async fn upload_for_loss(
    world: &DemoNetwork,
    reader: usize,
    content: &[u8],
) -> anyhow::Result<(String, usize, usize)> {
    let entry = world.farthest_from(reader);
    for tried in 1..=TRIES {
        let key = format!("demo/{}/unread-{tried}.txt", world.run());
        let holders = world.voice(entry).upload(&key, content.to_vec(), 2).await?;
        let holders: Vec<usize> = (0..world.len())
            .filter(|at| holders.contains(&name(*at)))
            .collect();
        let [a, b] = holders[..] else {
            bail!("{key} has {} replicas", holders.len());
        };
        // With two nodes, the survivor is the only possible reader.
        let is_afar = |other: usize| other != reader || world.len() == 2;
        for (victim, other) in [(b, a), (a, b)] {
            let reached = distances(world.edges(), reader, Some(victim));
            let survives = victim != reader && reached.contains_key(&other) && is_afar(other);
            if survives && holders.contains(&entry) {
                return Ok((key, victim, other));
            }
        }
    }
    bail!("none of {TRIES} files was placed so that a holder can be killed and the other reached")
}
