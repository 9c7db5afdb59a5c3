//! A store under observation: every operation is logged and immediately checked against rules that hold at every
//! moment.
//!
//! A replica is released only when a greater record is durable on every node that it names (design, rules 2 and
//! 8). A store never uses more bytes than its capacity. No good copy is quarantined as a bad one.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::version::Stamp;
use dataverse_store::{
    Applied, Change, Content, Lifetime, MemoryStore, Observer, Opened, SavedLinks, Spool, Store,
    StoreError, Usage,
};
use parking_lot::{Mutex, MutexGuard};

use crate::findings::Findings;
use crate::log::Log;
use crate::world::Disks;

/// The store of one node in one of its lifetimes.
pub struct Watched {
    /// The node.
    pub node: NodeId,
    /// The node's name.
    pub name: String,
    /// The store itself.
    pub inner: Arc<MemoryStore>,
    /// What is durable anywhere.
    pub disks: Arc<Disks>,
    /// Where every operation is logged.
    pub log: Arc<Log>,
    /// Where violations are noted.
    pub findings: Arc<Findings>,
    /// Bad copies that are being quarantined.
    pub putting_aside: Arc<Mutex<BTreeSet<Key>>>,
}

/// Observes every change before the node itself does.
struct Listening {
    node: NodeId,
    name: String,
    disks: Arc<Disks>,
    log: Arc<Log>,
    findings: Arc<Findings>,
    putting_aside: Arc<Mutex<BTreeSet<Key>>>,
    observer: Arc<dyn Observer>,
}

impl Listening {
    fn is_put_aside(&self, key: &Key) -> bool {
        let aside = &self.putting_aside;
        aside.lock().contains(key)
    }
}

impl Observer for Listening {
    fn changed(&self, key: &Key, after: Option<&Holding>) {
        let before = self.disks.changed(self.node, key, after);
        if let Some(before) = before
            && is_released(&before, after)
            && !self.disks.is_superseded(&before.record)
            && !self.is_put_aside(key)
        {
            let wrong = format!(
                "{}: a replica of {key} is released while nothing greater is durable: {}",
                self.name,
                brief(&before.record)
            );
            self.findings.add(&self.log, wrong);
        }
        self.observer.changed(key, after);
    }
}

/// Whether a content replica is dropped or demoted without a newer version in its place.
fn is_released(before: &Holding, after: Option<&Holding>) -> bool {
    let replaced = after.is_some_and(|after| {
        after.role == Role::Replica || after.record.version > before.record.version
    });
    before.role == Role::Replica && !before.record.deleted && !replaced
}

impl Watched {
    fn putting_aside(&self) -> MutexGuard<'_, BTreeSet<Key>> {
        let aside = &self.putting_aside;
        aside.lock()
    }

    fn check_capacity(&self) {
        if let Some(wrong) = beyond_capacity(self.inner.usage()) {
            self.wrong(wrong);
        }
    }

    fn wrong(&self, what: String) {
        self.findings
            .add(&self.log, format!("{}: {what}", self.name));
    }
}

/// What is wrong with this usage.
#[must_use]
pub fn beyond_capacity(usage: Usage) -> Option<String> {
    let used = usage.replicas + usage.cached + usage.reserved;
    (used > usage.capacity).then(|| format!("{used} bytes are used of {}", usage.capacity))
}

/// A record in brief.
#[must_use]
pub fn brief(record: &Record) -> String {
    let holders = record.layout.holders.iter().map(|id| id.default_name());
    format!(
        "{}{} layout {} of {} on [{}]",
        if record.deleted { "deletion " } else { "" },
        record.version,
        record.layout.counter,
        record.layout.author.default_name(),
        holders.collect::<Vec<_>>().join(" ")
    )
}

fn describe(change: &Change) -> (&'static str, String) {
    match change {
        Change::Put { record, role, .. } => {
            ("put", format!("as {} {}", role.as_str(), brief(record)))
        }
        Change::Drop { version, .. } => ("drop", format!("up to {version}")),
        Change::Demote { record } => ("demote", brief(record)),
        Change::Release { record } => ("release", brief(record)),
        Change::Verified { version, .. } => ("verified", version.to_string()),
        Change::Quarantine { version, .. } => ("quarantine", version.to_string()),
        Change::SetAside { version, .. } => ("set aside", version.to_string()),
    }
}

fn outcome(applied: &Result<Applied, StoreError>) -> &'static str {
    match applied {
        Ok(Applied::Done { .. }) => "done",
        Ok(Applied::Superseded(_)) => "superseded",
        Ok(Applied::Nothing) => "nothing",
        Err(StoreError::Closed) => "closed",
        Err(_) => "failed",
    }
}

#[async_trait]
impl Store for Watched {
    fn start(&self, observer: Arc<dyn Observer>) -> Opened {
        let listening = Listening {
            node: self.node,
            name: self.name.clone(),
            disks: Arc::clone(&self.disks),
            log: Arc::clone(&self.log),
            findings: Arc::clone(&self.findings),
            putting_aside: Arc::clone(&self.putting_aside),
            observer,
        };
        let opened = self.inner.start(Arc::new(listening));
        self.disks.opened(self.node, &opened.holdings);
        opened
    }

    fn spool(&self, size: Option<u64>) -> Result<Spool, StoreError> {
        let spool = self.inner.spool(size);
        self.check_capacity();
        spool
    }

    async fn apply(&self, change: Change) -> Result<Applied, StoreError> {
        let key = change.key().clone();
        let (word, what) = describe(&change);
        let coming = match &change {
            Change::Put { record, .. } => Some(Arc::clone(record)),
            _ => None,
        };
        let is_bad = word == "quarantine" && self.disks.is_bad(self.node, &key);
        if is_bad {
            self.putting_aside().insert(key.clone());
        }
        let applied = self.inner.apply(change).await;
        if is_bad {
            self.putting_aside().remove(&key);
        }
        self.log.note(format_args!(
            "{} {word} {key} {what}: {}",
            self.name,
            outcome(&applied)
        ));
        if let (Some(record), Ok(Applied::Superseded(_))) = (coming, &applied) {
            self.disks.refused(&record);
        }
        if word == "quarantine" && !is_bad && matches!(applied, Ok(Applied::Done { .. })) {
            self.wrong(format!("a good copy of {key} is quarantined"));
        }
        self.check_capacity();
        applied
    }

    async fn open(&self, record: &Record) -> Result<Content, StoreError> {
        self.inner.open(record).await
    }

    async fn save_links(&self, links: SavedLinks) -> Result<(), StoreError> {
        self.inner.save_links(links).await
    }

    async fn save_ceiling(&self, ceiling: Stamp) -> Result<(), StoreError> {
        self.inner.save_ceiling(ceiling).await
    }

    async fn save_lifetime(&self, lifetime: Lifetime) -> Result<(), StoreError> {
        self.inner.save_lifetime(lifetime).await
    }

    fn usage(&self) -> Usage {
        self.inner.usage()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
