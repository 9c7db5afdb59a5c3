//! Acts on a difference between two nodes, as `dataverse_replication::anti_entropy` decides.

use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{Announcement, TransportExt};
use dataverse_replication::anti_entropy::{Act, Acted, Decision, Difference, View, about_greater};
use dataverse_replication::protocol::{Word, word_of};
use dataverse_replication::upkeep::{Added, Rank, Task};
use futures_util::future::join_all;

use crate::driver::Driver;
use crate::metrics::MadeUp;

impl Driver {
    /// Acts on a difference between this node and another.
    pub(super) async fn act_on(&self, peer: &Peer, difference: &Difference) -> Acted {
        if let Difference::Theirs(record) = difference
            && let Err(error) = self.check_stamp(record)
        {
            tracing::debug!(node = %peer.name, %error, "a record with an implausible stamp was ignored");
            return Acted::Nothing;
        }
        let view = View::of(&self.state.node(), self.me.id, peer, difference);
        let decision = view.decide(difference, |record| self.may_be_in_flight(record));
        let made_up = match decision.act {
            Act::Copy(_) => Some(MadeUp::Copied),
            Act::TakeIn { .. } => Some(MadeUp::Learned),
            Act::CommitDeletion { .. } | Act::Tell { .. } => Some(MadeUp::Told),
            Act::Nothing | Act::Later | Act::Trust(_) => None,
        };
        let acted = self.perform_decision(decision).await;
        if let Some(made_up) = made_up.filter(|_| acted == Acted::Done) {
            self.metrics.made_up(made_up);
        }
        acted
    }

    /// Takes in a record greater than what is held here.
    pub(in crate::driver) async fn take_greater(&self, record: &Arc<Record>, from: Option<&Peer>) {
        let held = self.state.node().holding(&record.key).cloned();
        let held = held.as_ref().map(|held| &*held.record);
        let is_in_flight = |record: &Record| self.may_be_in_flight(record);
        let decision = about_greater(self.me.id, held, record, from, is_in_flight);
        self.perform_decision(decision).await;
    }

    async fn perform_decision(&self, decision: Decision) -> Acted {
        if let Some(newer) = decision.outdated_by {
            self.state.node().hear(&newer.key, Heard::of(&newer));
            self.release_soon(&newer);
        }
        let is_done = match decision.act {
            Act::Nothing => return Acted::Nothing,
            Act::Trust(record) => {
                self.state.node().trust(&record.key, record.version);
                return Acted::Nothing;
            }
            Act::Later => false,
            Act::Copy(task) => self.copy_soon(task),
            Act::TakeIn {
                record,
                announces,
                from,
            } => {
                let hops_left = match announces {
                    true => self.settings.announce_hops,
                    false => 0,
                };
                self.learn(&record, hops_left, from).await;
                true
            }
            Act::CommitDeletion { record, to } => {
                let held = self.commit_at(to.id, &record).await;
                if let Err(error) = &held {
                    tracing::debug!(node = %to.name, key = %record.key, error, "another node did not store a missed deletion");
                }
                held.is_ok()
            }
            Act::Tell {
                record,
                to,
                once_settled,
            } => {
                let may_tell = !once_settled || self.is_settled(&record).await;
                may_tell && self.tell_greater(&to, record).await
            }
        };
        match is_done {
            true => Acted::Done,
            false => Acted::Later,
        }
    }

    /// Tells one node, and no others, of a record.
    async fn tell_greater(&self, peer: &Peer, record: Arc<Record>) -> bool {
        let announcement = Announcement {
            record,
            hops_left: 0,
        };
        let answer = self.transport.ask(peer, self.message(announcement)).await;
        let heard = answer.and_then(|answer| self.answer_of(peer, answer));
        heard.is_ok()
    }

    /// Whether the version's write may not have reached all its holders yet.
    fn may_be_in_flight(&self, record: &Record) -> bool {
        let (wall, running) = (self.now(), self.running());
        let mut memory = self.reconciling.memory.lock();
        memory.in_flight.may_be_in_flight(record, wall, running)
    }

    /// Whether every other holder named by the record has it, or something greater.
    pub(in crate::driver) async fn is_settled(&self, record: &Arc<Record>) -> bool {
        let holders = record.layout.holders.iter().copied();
        let holders = holders.filter(|id| *id != self.me.id);
        let holds = holders.map(|id| async move {
            let Some(peer) = self.peer_of(id) else {
                return false;
            };
            let Some(answer) = self.ask_version(peer, &record.key).await else {
                return false;
            };
            word_of(&answer, record) == Word::Has
        });
        join_all(holds).await.into_iter().all(|holds| holds)
    }

    /// Has a missing replica copied in the background. Returns whether that was not known yet.
    fn copy_soon(&self, task: Task) -> bool {
        let (Task::Fetch { record, .. } | Task::Send { record, .. }) = &task else {
            return false;
        };
        let others = record.layout.holders.len().saturating_sub(1);
        let rank = Rank::of(others, record.size);
        self.state.backlog.add(task, rank) == Added::Waiting
    }
}
