//! Clients: what they do, what they observe, and what is immediately recognisable as wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dataverse_core::content::{ContentHasher, Digest};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::version::Version;
use dataverse_node::driver::{
    Body, Condition, Consistency, DeleteError, Driver, ReadError, WriteError, WriteOptions, Written,
};
use futures_util::{StreamExt, stream};
use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use crate::findings::Findings;
use crate::history::{Deletion, History, Observation, Put};
use crate::log::Log;
use crate::profile::{Profile, settings};
use crate::snapshot::Read;
use crate::world::Disks;

/// The maximum duration of any client's request.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Bytes per chunk of an upload.
const CHUNK_BYTES: usize = 100_000;

/// The node that a client talks to.
#[derive(Clone)]
pub struct Door {
    /// The node.
    pub driver: Arc<Driver>,
    /// Cancelled when it crashes.
    pub died: CancellationToken,
    /// Which of its lifetimes this is.
    pub lifetime: u64,
}

/// A write that a client will try.
pub struct Upload {
    /// The number of the operation, which determines the content.
    pub number: u64,
    /// Which file.
    pub key: Key,
    /// The size of the content.
    pub size: u64,
    /// The factor.
    pub factor: u32,
    /// The condition of the write.
    pub condition: Condition,
    /// The pause between two chunks.
    pub pause: Duration,
    /// The client disconnects after this time.
    pub patience: Duration,
}

/// All clients of a run.
pub struct Clients {
    log: Arc<Log>,
    findings: Arc<Findings>,
    disks: Arc<Disks>,
    history: Mutex<History>,
    /// The greatest version of a file that readers got from a node in one of its lifetimes.
    served: Mutex<BTreeMap<(NodeId, u64, Key), Version>>,
    /// How long a node may serve its own copy after it has gone bad, because it was checked recently (design, rule
    /// 3). A node whose clock is set back does not know how long ago that was.
    unchecked: Duration,
    /// The node that lies: what only it has, it may deny.
    liar: Option<NodeId>,
}

impl Clients {
    /// Clients that have done nothing yet.
    #[must_use]
    pub fn new(
        log: Arc<Log>,
        findings: Arc<Findings>,
        disks: Arc<Disks>,
        profile: &Profile,
        liar: Option<NodeId>,
    ) -> Self {
        Self {
            log,
            findings,
            disks,
            history: Mutex::default(),
            served: Mutex::default(),
            unchecked: match profile.jumps {
                0 => settings().verify_every,
                _ => Duration::MAX,
            },
            liar,
        }
    }

    /// What they did and observed.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock()
    }

    /// Stores a file.
    pub async fn put(&self, door: Door, upload: Upload) {
        let Upload { number, key, .. } = &upload;
        let (number, key) = (*number, key.clone());
        let content = content_of(number, upload.size);
        let digest = Digest::of(&content);
        self.log.note(format_args!(
            "{} put {number} {key} {} bytes, factor {}, {:?}",
            door.driver.name(),
            upload.size,
            upload.factor,
            upload.condition
        ));
        {
            let mut history = self.history();
            let put = Put {
                key: key.clone(),
                digest,
                size: upload.size,
                factor: upload.factor,
                entry: door.driver.id(),
                began: history.moment(),
                ended: None,
                told: Observation::Nothing,
            };
            history.puts.insert(number, put);
        }
        let options = WriteOptions {
            factor: Some(upload.factor),
            condition: upload.condition,
            size: number.is_multiple_of(2).then_some(upload.size),
            ..WriteOptions::default()
        };
        let body = body_of(content, upload.pause);
        let patience = upload.patience.min(PATIENCE);
        let work = door.driver.write(&key, options, body);
        let written = self.waits(&door, patience, "put", work).await;
        let told = match written {
            Some(Ok(written)) => self.acknowledged(number, &key, digest, &written),
            Some(Err(error)) => {
                self.log.note(format_args!("put {number}: {error}"));
                match error {
                    WriteError::Condition(_) => Observation::Refused,
                    _ => Observation::Nothing,
                }
            }
            None => Observation::Nothing,
        };
        let mut history = self.history();
        let ended = history.moment();
        if let Some(put) = history.puts.get_mut(&number) {
            put.ended = Some(ended);
            put.told = told;
        }
    }

    fn acknowledged(
        &self,
        number: u64,
        key: &Key,
        digest: Digest,
        written: &Written,
    ) -> Observation {
        let record = &written.record;
        let holders = record.layout.holders.clone();
        self.log.note(format_args!(
            "put {number}: {} on {}",
            record.version,
            written.replicas.join(" ")
        ));
        if record.digest != digest || record.key != *key {
            self.wrong(format!(
                "put {number} of {key} is answered with another file"
            ));
        }
        if holders.is_empty() {
            self.wrong(format!("put {number} of {key} is acknowledged on no node"));
        }
        let lost = self.disks.lost();
        let untrusted = self.disks.untrusted();
        let is_excused = |id: &NodeId| lost.contains(id) || untrusted == Some(*id);
        for holder in holders.iter().filter(|holder| !is_excused(holder)) {
            let held = self.disks.holding(*holder, key);
            let has = held.is_some_and(|held| held.record.version >= record.version);
            // It may have had the copy and found it bad by now.
            let rotted = self.disks.has_rotted(*holder, key, self.unchecked);
            if !has && !rotted && !self.disks.is_superseded(record) {
                self.wrong(format!(
                    "put {number} of {key} is acknowledged on {}, which does not hold it",
                    holder.default_name()
                ));
            }
        }
        Observation::Acknowledged {
            version: record.version,
            holders,
        }
    }

    /// Deletes a file.
    pub async fn delete(&self, door: Door, number: u64, key: Key) {
        self.log
            .note(format_args!("{} delete {number} {key}", door.driver.name()));
        {
            let mut history = self.history();
            let deletion = Deletion {
                key: key.clone(),
                entry: door.driver.id(),
                began: history.moment(),
                ended: None,
                acknowledged: false,
            };
            history.deletions.insert(number, deletion);
        }
        let work = door.driver.delete(&key);
        let deleted = self.waits(&door, PATIENCE, "delete", work).await;
        match &deleted {
            Some(Ok(())) => self.log.note(format_args!("delete {number}: done")),
            Some(Err(DeleteError::Read(error))) => {
                self.log.note(format_args!("delete {number}: {error}"));
            }
            Some(Err(error)) => self.log.note(format_args!("delete {number}: {error}")),
            None => {}
        }
        let mut history = self.history();
        let ended = history.moment();
        if let Some(Err(DeleteError::Read(ReadError::NotFound { .. }))) = &deleted {
            // There was nothing to delete, and nothing was written.
            history.deletions.remove(&number);
        }
        if let Some(deletion) = history.deletions.get_mut(&number) {
            deletion.ended = Some(ended);
            deletion.acknowledged = matches!(deleted, Some(Ok(())));
        }
    }

    /// Reads a file and checks the result.
    pub async fn get(&self, door: Door, key: Key, consistency: Consistency) -> Read {
        let name = (door.driver.id(), door.lifetime, key.clone());
        let before = self.served().get(&name).copied();
        let reachable_before = reachable(&door.driver);
        let work = read(&door.driver, &key, consistency);
        let Some(came) = self.waits(&door, PATIENCE, "get", work).await else {
            return Read::Failed("nobody waited for it".to_owned());
        };
        self.log
            .note(format_args!("{} get {key}: {came:?}", door.driver.name()));
        if let Read::Content {
            version,
            promised,
            came,
            stale,
        } = &came
        {
            let node = door.driver.id();
            let rotted = self.disks.has_rotted(node, &key, self.unchecked);
            let is_right = promised == came && self.history().put_of(&key, *came).is_some();
            if !is_right && !rotted {
                self.wrong(format!("{}: wrong bytes of {key}", door.driver.name()));
            }
            // If no node that is up all the time and that links reach has the newer version, an older one is all there is,
            // and the reader is told.
            let reachable_after = reachable(&door.driver);
            let is_away = |id: &NodeId| {
                let is_there = reachable_before.contains(id) && reachable_after.contains(id);
                !is_there || self.liar == Some(*id)
            };
            let mut there =
                before.map_or_else(Vec::new, |before| self.disks.holders_from(&key, before));
            there.retain(|holder| !is_away(holder));
            if Some(*version) < before && !(*stale && there.is_empty()) {
                self.wrong(format!(
                    "{}: {key} went back from a version that it has served, which is on {there:?}, to {version}",
                    door.driver.name()
                ));
            }
            let mut served = self.served();
            let greatest = served.entry(name).or_insert(*version);
            *greatest = (*greatest).max(*version);
        }
        came
    }

    fn served(&self) -> MutexGuard<'_, BTreeMap<(NodeId, u64, Key), Version>> {
        self.served.lock()
    }

    /// The result of the work, unless the node dies or the client disconnects.
    async fn waits<T>(
        &self,
        door: &Door,
        patience: Duration,
        what: &str,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            () = door.died.cancelled() => None,
            done = tokio::time::timeout(patience, work) => match done {
                Ok(done) => Some(done),
                Err(_) if patience < PATIENCE => None,
                Err(_) => {
                    self.wrong(format!("{}: a {what} was not answered in {PATIENCE:?}", door.driver.name()));
                    None
                }
            },
        }
    }

    fn wrong(&self, what: String) {
        self.findings.add(&self.log, what);
    }
}

/// The nodes that are up and that links reach, as far as a node knows. Others may not have heard yet that it has cut its
/// last link.
fn reachable(driver: &Driver) -> BTreeSet<NodeId> {
    if driver.links().is_empty() {
        return BTreeSet::new();
    }
    let nodes = driver.nodes().into_iter();
    let reachable = nodes.filter(|seen| seen.state != "gone" && seen.hops.is_some());
    reachable.map(|seen| seen.id).collect()
}

/// Reads a file to its end.
async fn read(driver: &Driver, key: &Key, consistency: Consistency) -> Read {
    let located = match driver.locate(key, consistency).await {
        Ok(located) => located,
        Err(ReadError::NotFound { .. }) => return Read::Missing,
        Err(error) => return Read::Failed(error.to_string()),
    };
    let (record, stale) = (Arc::clone(&located.record), located.stale);
    let mut body = match driver.body(located, 0, record.size).await {
        Ok(body) => body,
        Err(error) => return Read::Failed(error.to_string()),
    };
    let mut hasher = ContentHasher::default();
    while let Some(bytes) = body.next().await {
        match bytes {
            Ok(bytes) => hasher.update(&bytes),
            Err(error) => return Read::Failed(error.to_string()),
        }
    }
    Read::Content {
        version: record.version,
        promised: record.digest,
        came: hasher.finish().0,
        stale,
    }
}

/// The content of one operation. No other operation has the same, not even one of size 0, since the content
/// includes the number.
pub(crate) fn content_of(number: u64, size: u64) -> Bytes {
    let mut content = vec![0; usize::try_from(size).expect("files are small")];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&number.to_be_bytes());
    hasher.finalize_xof().fill(&mut content);
    content.into()
}

pub(crate) fn body_of(mut content: Bytes, pause: Duration) -> Body {
    let mut chunks = Vec::new();
    while !content.is_empty() {
        let chunk = content.split_to(content.len().min(CHUNK_BYTES));
        chunks.push(chunk);
    }
    let chunks = stream::iter(chunks).then(move |chunk| async move {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        Ok(chunk)
    });
    chunks.boxed()
}
