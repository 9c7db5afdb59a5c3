//! Demo step: swap policies while clients read and write; no request fails.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::client::until;
use super::story::{Story, counted, millis};
use super::traffic::{Request, Traffic};
use super::world::{DemoNetwork, name};

/// How long traffic is observed before and after the swaps.
const WATCHED: Duration = Duration::from_millis(1500);
/// Files whose holders are printed.
const SHOWN: usize = 3;

/// Swaps the eviction and the placement policy on every node, and rolls both back.
pub(super) async fn swap_under_traffic(
    story: &mut Story,
    world: &DemoNetwork,
) -> anyhow::Result<()> {
    story.step("Swap policies while clients read and write");
    story.tell(&format!(
        "the nodes share the policies folder {}",
        world.policies().display()
    ));
    let voices: Vec<_> = (0..world.len()).map(|at| world.voice(at)).collect();
    let traffic = Traffic::start(&voices, &format!("demo/{}/traffic", world.run()));
    tokio::time::sleep(WATCHED).await;

    let began = Instant::now();
    let before = [
        world.kind("eviction").await?,
        world.kind("placement").await?,
    ];
    place_some(story, world, "before").await?;
    world.use_policy("eviction", "sieve").await?;
    world.use_policy("placement", "near").await?;
    place_some(story, world, "after").await?;
    tokio::time::sleep(WATCHED).await;
    let after = [
        world.kind("eviction").await?,
        world.kind("placement").await?,
    ];
    for at in 0..2 {
        tell_swap(story, &before[at], &after[at])?;
    }
    for kind in ["placement", "eviction"] {
        world
            .voice(0)
            .post(&format!("/v1/policies/{kind}/rollback"))
            .await?;
    }
    world.all_use("eviction", name_of(&before[0])?).await?;
    world.all_use("placement", name_of(&before[1])?).await?;
    story.tell("rolled back: every node runs its previous policies again");
    let ended = Instant::now();
    tell_traffic(story, &traffic.stop().await, began, ended)
}

impl DemoNetwork {
    /// A kind of policy, as the first node reports it.
    async fn kind(&self, kind: &str) -> anyhow::Result<Value> {
        let mut policies = self.voice(0).json("/v1/policies").await?;
        Ok(policies[kind].take())
    }

    /// Changes the shared folder through the first node, and waits for all nodes.
    async fn use_policy(&self, kind: &str, policy: &str) -> anyhow::Result<()> {
        let spec = json!({ "policy": policy });
        let path = format!("/v1/policies/{kind}");
        self.voice(0).put_json(&path, &spec).await?;
        self.all_use(kind, policy).await
    }

    async fn all_use(&self, kind: &str, policy: &str) -> anyhow::Result<()> {
        until(&format!("every node to run {policy}"), async || {
            for at in 0..self.len() {
                let policies = self.voice(at).json("/v1/policies").await?;
                if policies[kind]["active"]["name"] != policy {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
        .map(|_| ())
    }
}

/// Uploads a few files at the first node and prints where their replicas went.
async fn place_some(story: &Story, world: &DemoNetwork, when: &str) -> anyhow::Result<()> {
    let mut placed = Vec::new();
    for file in 0..SHOWN {
        let key = format!("demo/{}/{when}-{file}.txt", world.run());
        let holders = world.voice(0).upload(&key, b"placed".to_vec(), 2).await?;
        placed.push(holders.join("+"));
    }
    let policy = world.kind("placement").await?;
    story.tell(&format!(
        "{} placed {} uploaded at {} on {}",
        name_of(&policy)?,
        counted(SHOWN as u64, "file"),
        name(0),
        placed.join(", ")
    ));
    Ok(())
}

fn tell_swap(story: &Story, before: &Value, after: &Value) -> anyhow::Result<()> {
    let (old, new) = (&before["active"], &after["active"]);
    ensure!(old["name"] != new["name"], "the policy is still {old}");
    ensure!(new["state"] != "suspended", "it is suspended: {new}");
    let decisions = |of: &Value| counted(of["decisions"].as_u64().unwrap_or_default(), "decision");
    story.tell(&format!(
        "{} ({}) was replaced by {} ({} since, no fault)",
        name_of(before)?,
        decisions(old),
        name_of(after)?,
        decisions(new),
    ));
    let faults = new["faults"]
        .as_object()
        .is_some_and(|faults| !faults.is_empty());
    ensure!(!faults, "it failed: {new}");
    Ok(())
}

fn tell_traffic(
    story: &Story,
    requests: &[Request],
    began: Instant,
    ended: Instant,
) -> anyhow::Result<()> {
    let failed = requests.iter().filter_map(|request| request.error.as_ref());
    let failed: Vec<&String> = failed.collect();
    let (before, during): (Vec<_>, Vec<_>) = requests
        .iter()
        .filter(|request| request.at < ended)
        .partition(|request| request.at < began);
    for (when, part) in [("before the swaps", before), ("during the swaps", during)] {
        let mut took: Vec<Duration> = part.iter().map(|request| request.took).collect();
        took.sort_unstable();
        ensure!(!took.is_empty(), "there was no traffic {when}");
        let at = |share: usize| millis(took[(took.len() - 1) * share / 100]);
        let count = counted(took.len() as u64, "request");
        story.tell(&format!(
            "{when}: {count}, median {}, 99th percentile {}",
            at(50),
            at(99)
        ));
    }
    ensure!(
        failed.is_empty(),
        "{} requests failed, the first: {}",
        failed.len(),
        failed[0]
    );
    story.tell("failed requests: 0");
    Ok(())
}

fn name_of(kind: &Value) -> anyhow::Result<&str> {
    kind["active"]["name"]
        .as_str()
        .context("a policy has a name")
}
