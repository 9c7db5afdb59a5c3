//! Events: nodes and links that come and go, and policies that are swapped.
//!
//! The other nodes notice immediately; a live network takes seconds. A node that was away learns what it missed
//! when it returns, or when a cut link is restored.

use std::sync::Arc;

use dataverse_core::policy::Kind;

use super::event::What;
use super::simulation::SimulatedNetwork;
use crate::library::Chosen;
use crate::topology::Link;
use crate::wrong::Wrong;

impl SimulatedNetwork<'_> {
    /// Carries out the event with this index.
    pub(super) fn happen(&mut self, number: usize) -> Result<(), Wrong> {
        let scenario = self.scenario;
        match &scenario.events[number].what {
            What::Join { node, links } => {
                let node = self.known(number, "node", node)?;
                self.routes.set_alive(node, true);
                for other in links {
                    let other = self.known(number, "links", other)?;
                    self.link(node, other);
                }
                self.scan();
            }
            What::Leave(node) => {
                let node = self.known(number, "node", node)?;
                if self.routes.is_alive(node) {
                    self.was_apart = true;
                    self.leaving.insert(node);
                    self.scan();
                    if self.sites[node as usize].core.replicas().files == 0 {
                        self.leaving.remove(&node);
                        self.goes(node);
                    }
                }
            }
            What::Fail(node) => {
                let node = self.known(number, "node", node)?;
                if self.routes.is_alive(node) {
                    self.fail(node);
                }
            }
            What::Return(node) => {
                let node = self.known(number, "node", node)?;
                self.routes.set_alive(node, true);
                Arc::make_mut(&mut self.down_since).remove(&node);
                self.catch_up(node);
                self.scan();
            }
            What::Cut(a, b) => {
                let (from, to) = (
                    self.known(number, "link", a)?,
                    self.known(number, "link", b)?,
                );
                if !self.routes.cut(from, to) {
                    let reason = format!("there is no link between {a} and {b} to cut");
                    return Err(Wrong::new(format!("event.{number}.link"), reason));
                }
                self.was_apart = true;
            }
            What::Link(a, b) => {
                let (from, to) = (
                    self.known(number, "link", a)?,
                    self.known(number, "link", b)?,
                );
                self.link(from, to);
                self.catch_up(from);
                self.scan();
            }
            What::Swap(chosen) => {
                for (kind, chosen) in chosen {
                    self.swap(*kind, chosen);
                }
            }
        }
        Ok(())
    }

    fn known(&self, number: usize, key: &str, name: &str) -> Result<u32, Wrong> {
        let unknown = || {
            let reason = format!("there is no node `{name}`");
            Wrong::new(format!("event.{number}.{key}"), reason)
        };
        self.named(name).ok_or_else(unknown)
    }

    fn fail(&mut self, node: u32) {
        self.was_apart = true;
        self.goes(node);
        let patience_s = self.scenario.nodes.repair_after.value();
        let patience_us = libm::round(patience_s * 1e6) as u64;
        self.scans.insert(self.now_us.saturating_add(patience_us));
    }

    /// A node is down from now on.
    pub(super) fn goes(&mut self, node: u32) {
        self.routes.set_alive(node, false);
        Arc::make_mut(&mut self.down_since).insert(node, self.now_us);
    }

    fn link(&mut self, a: u32, b: u32) {
        self.routes.add(Link {
            ends: (a.min(b), a.max(b)),
            ..self.scenario.network.like()
        });
    }

    /// Nodes within reach of this node learn of the newest versions of what it holds.
    fn catch_up(&mut self, node: u32) {
        let search_plan = self.search_plan(node);
        for file in 0..self.files.len() as u32 {
            let known = &self.files[file as usize];
            let Some(newest) = known.record.clone() else {
                continue;
            };
            let holders = known.copies.iter().chain(&known.buried).copied();
            let in_reach: Vec<u32> = holders
                .filter(|&it| search_plan.hops(it).is_some())
                .collect();
            for holder in in_reach {
                let held = self.sites[holder as usize].core.holding(&newest.key);
                let is_behind = held.is_some_and(|held| *held.record < *newest);
                if is_behind {
                    self.learn(holder, file, &Arc::clone(&newest));
                }
            }
        }
    }

    fn swap(&mut self, kind: Kind, chosen: &Chosen) {
        let now = self.now();
        for site in &mut self.sites {
            match kind {
                Kind::Placement => site.placement.swap(chosen.clone(), now),
                Kind::Eviction => site.eviction.swap_at(&mut site.cache, chosen.clone(), now),
                Kind::Relocation => site.relocation.swap(chosen.clone(), now),
            }
        }
    }
}
