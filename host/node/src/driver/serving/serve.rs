//! The receiving end of the transport: what this node does when another node calls.
//!
//! Nothing a peer says is believed before its sender is checked, and no call can do more than the core's rules
//! allow: a commit needs its content, a fetch gets exactly one version, a probe gets no less than the floor.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::limits::GROUP_BYTES;
use dataverse_core::record::Record;
use dataverse_core::search::{Answer, Question};
use dataverse_overlay::transport::{
    Announcement, Call, CallError, CommitAnswer, CommitAsk, FetchAsk, Fetched, GossipPacket,
    IntroduceAsk, LinkAnswer, LinkAsk, Message, MoveAsk, PrepareAnswer, PrepareAsk, PullAsk,
    ReconcileAnswer, ReconcileAsk, Refusal, Reply, Sender, Serve, TrustAnswer, TrustAsk,
};
use dataverse_store::crash;
use dataverse_store::{Applied, Change, Prepared, StoreError};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::time::Instant;

use crate::driver::Driver;
use crate::driver::client::api::{BodyError, LinkError, WriteError};
use crate::driver::client::least_rate::{CLIENT_ALLOWANCE, LeastRate};
use crate::driver::client::space::Occasion;
use crate::driver::client::transfer::Wanted;
use crate::metrics::{Copied, Direction};

fn refusal(error: &StoreError) -> Refusal {
    let reason = error.to_string();
    match error {
        StoreError::NoSpace { .. } | StoreError::DiskFull(_) => Refusal::NoSpace(reason),
        StoreError::Absent(_) => Refusal::Absent(reason),
        StoreError::Corrupt(_) => Refusal::Corrupt(reason),
        StoreError::Closed => Refusal::Busy(reason),
        StoreError::Unfit(_) | StoreError::Failed { .. } => Refusal::Failed(reason),
    }
}

fn write_refusal(error: WriteError) -> Refusal {
    match error {
        WriteError::NoSpace(reason) => Refusal::NoSpace(reason),
        other => Refusal::Failed(other.to_string()),
    }
}

#[async_trait]
impl Serve for Driver {
    async fn call(&self, call: Message<Call>) -> Result<Message<Reply>, Refusal> {
        let sender = &call.sender;
        let reply = match call.body {
            Call::Link(ask) => Reply::Link(self.on_link(sender, ask).await?),
            Call::Introduce(ask) => Reply::Introduce(self.on_introduce(sender, ask).await?),
            Call::Unlink(_) => Reply::Unlink(self.on_unlink(sender).await?),
            Call::Probe(ask) => Reply::Probe(self.on_probe(sender, ask).await?),
            Call::Commit(ask) => Reply::Commit(self.on_commit(sender, ask).await?),
            Call::Pull(ask) => Reply::Pull(self.on_pull(sender, ask).await?),
            Call::Move(ask) => Reply::Move(self.on_move_replica(sender, ask).await?),
            Call::Reconcile(ask) => Reply::Reconcile(self.on_reconcile(sender, ask).await?),
            Call::Announce(ask) => Reply::Announce(self.on_announce(sender, ask).await?),
            Call::Trust(ask) => Reply::Trust(self.on_trust(sender, ask).await?),
            Call::Gossip(ask) => Reply::Gossip(self.on_gossip(sender, ask).await?),
        };
        Ok(self.message(reply))
    }

    async fn fetch(&self, ask: Message<FetchAsk>) -> Result<Message<Fetched>, Refusal> {
        self.admit_caller(&ask.sender)?;
        let permit = self.admission.peer_stream(ask.sender.node.id)?;
        self.load.count();
        let FetchAsk {
            key,
            version,
            offset,
            length,
        } = ask.body;
        let absent = || Refusal::Absent(format!("{key} is not held here in version {version}"));
        self.verify_copy_of(&key).await;
        if self.is_unverified(&key) {
            return Err(Refusal::Busy(format!(
                "node {} was away for long and has not verified yet that {key} still exists",
                self.me.name
            )));
        }
        let of_this_version = |holding: &&Holding| holding.record.version == version;
        let (holding, is_current) = {
            let node = self.state.node();
            match node.current(&key).filter(of_this_version) {
                Some(holding) => (Some(holding.clone()), true),
                // An overtaken replica is sent to a node that asks for just that version: it knows that nobody has
                // the greater one.
                None => {
                    let overtaken = node.overtaken(&key, None);
                    (overtaken.filter(of_this_version).cloned(), false)
                }
            }
        };
        let holding = holding.ok_or_else(absent)?;
        if is_current && self.slept_through(&holding) && self.is_replaced(&holding.record).await {
            return Err(absent());
        }
        let record = Arc::clone(&holding.record);
        if !offset.is_multiple_of(GROUP_BYTES) || offset > record.size {
            return Err(Refusal::Invalid(format!(
                "a fetch of {key} must start at the beginning of a group within it, not at byte {offset}"
            )));
        }
        // Whole groups, because the other side verifies whole groups.
        let end = offset.saturating_add(length).min(record.size);
        let end = end.next_multiple_of(GROUP_BYTES).min(record.size);
        // Verified here as well as there, so that a bad copy is quarantined where it is.
        let opened = async {
            let content = self.store.open(&record).await?;
            let tree = content.tree().await?;
            let stream = self
                .checked_stream_of(&holding, content, offset, end - offset)
                .await?;
            Ok((tree, stream))
        };
        let (tree, stream) = match opened.await {
            Ok(opened) => opened,
            Err(error) => {
                self.content_failed(&holding, &error).await;
                return Err(refusal(&error));
            }
        };
        if holding.role == Role::Cached {
            let now = self.now();
            self.state.cache().hit(&key, now);
            self.policy_slots.cached_was_sent(&key, now);
        }
        let sent = self.metrics.peer_bytes(Direction::Out);
        let chunks = self.noting_failure(holding, stream);
        let chunks = chunks.map(move |chunk| {
            // The permit is held until the last byte is sent.
            let _permit = &permit;
            if let Ok(bytes) = &chunk {
                sent.increment(bytes.len() as u64);
            }
            chunk.map_err(|error| CallError::Refused(refusal(&error)))
        });
        Ok(self.message(Fetched {
            record,
            tree: tree.to_bytes(),
            chunks: chunks.boxed(),
        }))
    }

    async fn prepare(
        &self,
        ask: Message<PrepareAsk>,
        mut chunks: BoxStream<'static, Result<Bytes, CallError>>,
    ) -> Result<Message<PrepareAnswer>, Refusal> {
        self.admit_caller(&ask.sender)?;
        let _permit = self.admission.peer_stream(ask.sender.node.id)?;
        self.load.count();
        let PrepareAsk {
            preparation,
            key,
            size,
        } = ask.body;
        self.refuse_while_drained()?;
        let mut spool = self.spool_for_upload(size).map_err(write_refusal)?;
        let received = self.metrics.peer_bytes(Direction::In);
        let bytes_per_second = self.settings.limit_upload_rate;
        // A little more than the entry node allows its client, so that the entry node is the one to report it.
        let allowance = CLIENT_ALLOWANCE + self.settings.call_deadline;
        let mut rate = LeastRate::begin(bytes_per_second, allowance);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| Refusal::Invalid(error.to_string()))?;
            if !rate.arrived(chunk.len()) {
                let error = BodyError::TooSlow { bytes_per_second };
                return Err(Refusal::Invalid(error.to_string()));
            }
            received.increment(chunk.len() as u64);
            let written = self.spool_in(&mut spool, chunk).await;
            written.map_err(write_refusal)?;
            rate.go_on();
        }
        let content = spool.seal().await.map_err(|error| refusal(&error))?;
        let answer = PrepareAnswer {
            digest: content.digest(),
            size: content.size(),
            known: self.state.node().known(&key),
        };
        let until = Instant::now() + self.settings.write_prepared;
        let from = ask.sender.node.id;
        self.preparations.keep(preparation, from, until, content)?;
        crash::point("prepare.sealed");
        Ok(self.message(answer))
    }
}

/// What each unary call does.
impl Driver {
    async fn on_link(&self, sender: &Sender, ask: LinkAsk) -> Result<LinkAnswer, Refusal> {
        self.admit_sender(sender)?;
        let answer = self.accept_link(sender, &ask).await?;
        if answer == LinkAnswer::Linked && !ask.leaving {
            self.is_heard(sender);
        }
        Ok(answer)
    }

    async fn on_introduce(&self, sender: &Sender, ask: IntroduceAsk) -> Result<(), Refusal> {
        self.admit_sender(sender)?;
        match Driver::link(self, &ask.other).await {
            Ok(_) => Ok(()),
            Err(LinkError::Failed(reason)) => Err(Refusal::Failed(reason)),
            Err(LinkError::Unreachable(reason) | LinkError::Wrong(reason)) => {
                Err(Refusal::Absent(reason))
            }
            Err(error) => Err(Refusal::Invalid(error.to_string())),
        }
    }

    async fn on_unlink(&self, sender: &Sender) -> Result<(), Refusal> {
        self.admit_caller(sender)?;
        self.forget_link(sender.node.id).await?;
        Ok(())
    }

    async fn on_probe(&self, sender: &Sender, ask: Question) -> Result<Answer, Refusal> {
        self.admit_caller(sender)?;
        let _permit = self.admission.peer_call()?;
        self.load.count();
        let answer = match ask {
            Question::Exact {
                key,
                floor,
                pending_before,
            } => match pending_before {
                None => self.answer_locally(&key, floor),
                Some(version) => {
                    // A conditional write here that begins after this answer gets a greater version.
                    let surpassed = self.surpass(version.stamp);
                    surpassed.map_err(|error| Refusal::Invalid(error.to_string()))?;
                    self.answer_in_round(&key, version, None)
                }
            },
            Question::Pattern { pattern, limit } => self.answer_pattern(&pattern, limit).await,
        };
        Ok(answer)
    }

    async fn on_commit(&self, sender: &Sender, ask: CommitAsk) -> Result<CommitAnswer, Refusal> {
        self.admit_caller(sender)?;
        let _permit = self.admission.peer_call()?;
        let (preparation, record) = match ask {
            CommitAsk::Abandon { preparation } => {
                drop(self.preparations.take(preparation));
                return Ok(CommitAnswer::Done);
            }
            CommitAsk::Commit {
                preparation,
                record,
            } => (preparation, record),
        };
        self.check_commit(&record)?;
        crash::point("commit.asked");
        let content = match preparation {
            None => None,
            Some(preparation) => Some(self.prepared_for(preparation, &record)?),
        };
        let now = self.now();
        let change = Change::Put {
            record: Arc::clone(&record),
            role: Role::Replica,
            content,
            validated: now,
            verified: self.checked_now(&record),
        };
        // Conditional writes elsewhere wait until it is done, also if the sender gives up waiting.
        let pending = self.begin_write(&record.key);
        pending.stamped(record.version);
        let store = Arc::clone(&self.store);
        let applied = self.spawn(async move {
            let applied = store.apply(change).await;
            drop(pending);
            applied
        });
        let applied = applied.await;
        let applied = applied.map_err(|_| Refusal::Busy("the node is stopping".to_owned()))?;
        crash::point("commit.applied");
        match applied.map_err(|error| refusal(&error))? {
            Applied::Done { .. } => {
                self.metrics.copied(Copied::Replica);
                self.policy_slots
                    .file_is_replica(&record.key, record.version);
                self.state.backlog.has_heard(sender.node.id, &record);
                self.release_if_late(&record).await;
                Ok(CommitAnswer::Done)
            }
            Applied::Superseded(greater) => Ok(CommitAnswer::Superseded(greater)),
            Applied::Nothing => Err(Refusal::Absent(format!(
                "the content of {} in version {} is not held here",
                record.key, record.version
            ))),
        }
    }

    async fn on_pull(&self, sender: &Sender, ask: PullAsk) -> Result<(), Refusal> {
        self.admit_caller(sender)?;
        let _permit = self.admission.peer_call()?;
        let PullAsk { record, from, hops } = ask;
        if record.deleted {
            return Err(Refusal::Invalid(
                "a deleted file has no content to copy".to_owned(),
            ));
        }
        let known = self.state.node().confirmed(&record.key);
        if known.is_some_and(|heard| heard.version > record.version) {
            return Err(Refusal::Absent(format!(
                "a newer version of {} is known here",
                record.key
            )));
        }
        self.check_stamp(&record)?;
        if record.layout.names(self.me.id) {
            self.refuse_while_drained()?;
        }
        let mut sources = vec![from];
        self.add_holders(&mut sources, &record);
        let wanted = Wanted {
            record,
            sources,
            hops,
            validated: 0,
            occasion: Occasion::Other,
        };
        let driver = self.shared();
        self.spawn(async move {
            driver.keep_copy(wanted).await;
        });
        Ok(())
    }

    async fn on_move_replica(&self, sender: &Sender, ask: MoveAsk) -> Result<(), Refusal> {
        self.admit_caller(sender)?;
        let _permit = self.admission.peer_call()?;
        let MoveAsk { key, relieves, to } = ask;
        let from = if relieves { sender.node.id } else { self.me.id };
        self.move_soon(key, from, to)?;
        Ok(())
    }

    async fn on_reconcile(
        &self,
        sender: &Sender,
        ask: ReconcileAsk,
    ) -> Result<ReconcileAnswer, Refusal> {
        self.admit_caller(sender)?;
        let _permit = self.admission.peer_call()?;
        let answer = self.compare_for(sender.node.id, ask).await?;
        Ok(answer)
    }

    async fn on_announce(&self, sender: &Sender, ask: Announcement) -> Result<(), Refusal> {
        self.admit_caller(sender)?;
        let _permit = self.admission.peer_call()?;
        let Announcement { record, hops_left } = ask;
        self.check_stamp(&record)?;
        let hops_left = hops_left.min(self.settings.announce_hops);
        self.learn(&record, hops_left, Some(sender.node.id)).await;
        Ok(())
    }

    async fn on_trust(&self, sender: &Sender, ask: TrustAsk) -> Result<TrustAnswer, Refusal> {
        self.admit_caller(sender)?;
        let _permit = self.admission.peer_call()?;
        self.exchange_trust(ask).await
    }

    async fn on_gossip(&self, sender: &Sender, ask: GossipPacket) -> Result<(), Refusal> {
        self.admit_caller(sender)?;
        self.members.packet(sender.node.id, ask.0);
        Ok(())
    }
}

impl Driver {
    /// Refuses content while this node is drained, also from a node that has not heard of the drain yet.
    fn refuse_while_drained(&self) -> Result<(), Refusal> {
        if self.lifetime.now().draining {
            return Err(Refusal::NoSpace(format!(
                "node {} is being drained",
                self.me.name
            )));
        }
        Ok(())
    }

    /// Refuses a commit unless its layout names this node and its stamp is believable. A tombstone needs no layout
    /// that names this node.
    fn check_commit(&self, record: &Record) -> Result<(), Refusal> {
        self.check_stamp(record)?;
        if !record.layout.names(self.me.id) && !record.deleted {
            return Err(Refusal::Invalid(format!(
                "the layout of {} does not name node {}",
                record.key, self.me.name
            )));
        }
        Ok(())
    }

    fn prepared_for(&self, preparation: u128, record: &Record) -> Result<Prepared, Refusal> {
        let content = self.preparations.take(preparation).ok_or_else(|| {
            Refusal::Absent(format!(
                "no content is prepared here for {}; it may have expired",
                record.key
            ))
        })?;
        if content.digest() == record.digest && content.size() == record.size {
            return Ok(content);
        }
        Err(Refusal::Corrupt(format!(
            "the content prepared for {} does not match the record being committed",
            record.key
        )))
    }
}
