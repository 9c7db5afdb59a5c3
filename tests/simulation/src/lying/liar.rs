//! A member that lies about its subjects in the answers that it gives.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::id::{FileId, NodeId};
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::search::{Answer, Question};
use dataverse_overlay::transport::{
    Call, CallError, CommitAsk, FetchAsk, Fetched, Message, PrepareAnswer, PrepareAsk,
    ReconcileAsk, Refusal, Reply, Sender, Serve,
};
use futures_util::stream::{BoxStream, StreamExt};
use parking_lot::Mutex;

use super::confirmations::Discarded;
use super::inventions::Inventions;
use super::{Subject, clocks, confirmations, digests, floors, holdings, neighbours};
use crate::chance::Chance;

/// What a member lies about, how often, and for how long.
pub struct Lies {
    subjects: Vec<Subject>,
    rate: u64,
    chance: Mutex<Chance>,
    goes_on: Arc<AtomicBool>,
    inventions: Mutex<Inventions>,
    discarded: Discarded,
}

impl Lies {
    /// Lies about these subjects in this many of 1000 messages, as long as the flag is set.
    #[must_use]
    pub fn new(subjects: &[Subject], rate: u64, chance: Chance, goes_on: Arc<AtomicBool>) -> Self {
        Self {
            subjects: subjects.to_vec(),
            rate,
            chance: Mutex::new(chance),
            goes_on,
            inventions: Mutex::default(),
            discarded: Discarded::default(),
        }
    }

    /// Tells this lie now, or not.
    pub(super) fn about<T>(
        &self,
        subject: Subject,
        truth: T,
        lie: impl FnOnce(&mut Chance, T) -> T,
    ) -> T {
        let mut chance = self.chance.lock();
        let lies = self.subjects.contains(&subject) && self.goes_on.load(Ordering::Relaxed);
        match lies && chance.permille(self.rate) {
            true => lie(&mut chance, truth),
            false => truth,
        }
    }

    fn invented(
        &self,
        chance: &mut Chance,
        key: &Key,
        truth: Option<&Record>,
        liar: &Sender,
        asker: NodeId,
    ) -> Arc<Record> {
        let mut inventions = self.inventions.lock();
        inventions.of(chance, key, truth, liar, asker)
    }

    fn any_invented(
        &self,
        chance: &mut Chance,
        liar: &Sender,
        asker: NodeId,
    ) -> Option<Arc<Record>> {
        self.inventions.lock().any(chance, liar, asker)
    }

    fn note_key_in(&self, call: &Call) {
        let key = match call {
            Call::Probe(Question::Exact { key, .. }) => key,
            Call::Commit(CommitAsk::Commit { record, .. }) => &record.key,
            Call::Announce(announcement) => &announcement.record.key,
            _ => return,
        };
        self.inventions.lock().note(key);
    }
}

/// The real node, and what it lies about.
pub struct Liar {
    /// The node itself, which may send wrong bytes.
    pub serves: Arc<dyn Serve>,
    /// Its lies.
    pub lies: Arc<Lies>,
}

impl Liar {
    /// The node as it introduces itself in its answers: it gets a call that changes nothing.
    async fn introduced_to(&self, asker: &Sender) -> Result<Sender, Refusal> {
        let nothing = Call::Commit(CommitAsk::Abandon { preparation: 0 });
        let call = Message {
            sender: asker.clone(),
            body: nothing,
        };
        Ok(self.serves.call(call).await?.sender)
    }

    fn lies_about_the_time<T>(&self, message: Message<T>) -> Message<T> {
        let Message { sender, body } = message;
        let sender = self.lies.about(Subject::Clocks, sender, clocks::lie);
        Message { sender, body }
    }

    fn answer(&self, key: &Key, asker: &Sender, liar: &Sender, truth: Answer) -> Answer {
        let lies = &self.lies;
        let held = truth.hits.first().map(|hit| Arc::clone(&hit.record));
        let invented =
            |chance: &mut Chance| lies.invented(chance, key, held.as_deref(), liar, asker.node.id);
        let answer = lies.about(Subject::Holdings, truth, |chance, truth| {
            let invented = invented(chance);
            holdings::lie(chance, truth, invented)
        });
        let answer = lies.about(Subject::Floors, answer, |chance, truth| {
            let invented = invented(chance);
            floors::lie(chance, truth, &invented)
        });
        lies.about(Subject::Neighbours, answer, |chance, truth| {
            neighbours::lie(chance, truth, &asker.node)
        })
    }

    fn confirms_falsely(&self) -> bool {
        let lies = &self.lies;
        lies.about(Subject::Confirmations, false, |_, _| true)
    }

    /// Whether it answers this call without carrying it out. Whoever confirms an empty file has shown all of it.
    fn pretends(&self, call: &Call) -> bool {
        match call {
            Call::Commit(ask) if self.lies.discarded.includes(ask) => true,
            Call::Commit(CommitAsk::Commit { record, .. }) => {
                self.confirms_falsely() && (record.size > 0 || record.deleted)
            }
            Call::Pull(_) | Call::Move(_) => self.confirms_falsely(),
            _ => false,
        }
    }

    /// The answer to a call that it does not carry out.
    fn pretence(&self, call: &Call, liar: &Sender, asker: NodeId) -> Reply {
        match call {
            Call::Pull(_) => Reply::Pull(()),
            Call::Move(_) => Reply::Move(()),
            _ => {
                let mut chance = self.lies.chance.lock();
                let invented = self.lies.any_invented(&mut chance, liar, asker);
                Reply::Commit(confirmations::committed(&mut chance, invented))
            }
        }
    }
}

/// What the answer must be about.
enum Asked {
    File(Key),
    Comparison(Vec<FileId>),
    Other,
}

impl Asked {
    fn of(call: &Call) -> Self {
        match call {
            Call::Probe(Question::Exact { key, .. }) => Self::File(key.clone()),
            Call::Reconcile(ReconcileAsk::Compare { entries, .. }) => {
                Self::Comparison(entries.iter().map(|entry| entry.file).collect())
            }
            Call::Reconcile(_) => Self::Comparison(Vec::new()),
            _ => Self::Other,
        }
    }
}

#[async_trait]
impl Serve for Liar {
    async fn call(&self, call: Message<Call>) -> Result<Message<Reply>, Refusal> {
        self.lies.note_key_in(&call.body);
        if self.pretends(&call.body) {
            let sender = self.introduced_to(&call.sender).await?;
            let body = self.pretence(&call.body, &sender, call.sender.node.id);
            return Ok(self.lies_about_the_time(Message { sender, body }));
        }
        let (asker, asked) = (call.sender.clone(), Asked::of(&call.body));
        let Message { sender, body } = self.serves.call(call).await?;
        let body = match (body, asked) {
            (Reply::Probe(truth), Asked::File(key)) => {
                Reply::Probe(self.answer(&key, &asker, &sender, truth))
            }
            (Reply::Reconcile(truth), Asked::Comparison(files)) => {
                let answer = self.lies.about(Subject::Digests, truth, |chance, truth| {
                    let invented = self.lies.any_invented(chance, &sender, asker.node.id);
                    digests::lie(chance, truth, &files, invented)
                });
                Reply::Reconcile(answer)
            }
            (other, _) => other,
        };
        Ok(self.lies_about_the_time(Message { sender, body }))
    }

    async fn fetch(&self, ask: Message<FetchAsk>) -> Result<Message<Fetched>, Refusal> {
        let key = ask.body.key.clone();
        let asker = ask.sender.node.id;
        let Message { sender, body } = self.serves.fetch(ask).await?;
        let body = self.lies.about(Subject::Holdings, body, |chance, body| {
            let held = Some(&*body.record);
            let record = self.lies.invented(chance, &key, held, &sender, asker);
            Fetched { record, ..body }
        });
        Ok(self.lies_about_the_time(Message { sender, body }))
    }

    async fn prepare(
        &self,
        ask: Message<PrepareAsk>,
        chunks: BoxStream<'static, Result<Bytes, CallError>>,
    ) -> Result<Message<PrepareAnswer>, Refusal> {
        let (key, asker) = (ask.body.key.clone(), ask.sender.node.id);
        let mut chunks = chunks.peekable();
        let is_empty = Pin::new(&mut chunks).peek().await.is_none();
        let chunks = chunks.boxed();
        let discards = self.confirms_falsely() && !is_empty;
        let answer = match discards {
            true => {
                let sender = self.introduced_to(&ask.sender).await?;
                let body = self.lies.discarded.prepare(&ask.body, chunks).await?;
                Message { sender, body }
            }
            false => self.serves.prepare(ask, chunks).await?,
        };
        let Message { sender, body } = answer;
        let body = self.lies.about(Subject::Floors, body, |chance, body| {
            let invented = self.lies.invented(chance, &key, None, &sender, asker);
            let known = Some(floors::heard(chance, &invented));
            PrepareAnswer { known, ..body }
        });
        Ok(self.lies_about_the_time(Message { sender, body }))
    }
}
