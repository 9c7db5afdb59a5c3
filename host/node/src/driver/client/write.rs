//! The write flow at the entry node: spool, prepare, stamp, commit, announce.
//!
//! The body is spooled to disk once, hashed as it arrives, and streamed to the replicas at the same time. Nothing
//! is visible anywhere until the commit, and a client that disconnects before the end of the body leaves nothing
//! behind. From the end of the body on, the write runs to completion whether or not the client waits, so no commit
//! is left half-done.

use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::limits;
use dataverse_core::plural::plural;
use dataverse_core::policy::{FileView, PlacementRequest};
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_core::version::Version;
use dataverse_overlay::limits::CONTENT_TYPE_BYTES_MAX;
use dataverse_replication::protocol::{TooFew, Write};
use dataverse_store::crash;
use dataverse_store::{Prepared, Spool, StoreError};
use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::conditional::Granted;
use super::least_rate::{CLIENT_ALLOWANCE, LeastRate};
use super::preparing::{PrepareSource, Preparing, Readied, Ready};
use crate::driver::Driver;
use crate::driver::client::api::{Body, BodyError, Condition, WriteError, WriteOptions, Written};
use crate::driver::replication::commit::Held;
use crate::driver::replication::perform::Means;
use crate::media_type::Guess;
use crate::recorder::{Op, RequestOutcome};

/// A write whose body has arrived.
struct Arrived {
    key: Key,
    content: Prepared,
    content_type: Arc<str>,
    factor: u32,
    condition: Condition,
    /// The version found when the condition was checked before the body.
    present: Option<Arc<Record>>,
    readied: Readied,
}

impl Driver {
    /// Stores a file.
    ///
    /// # Errors
    /// [`WriteError`]; nothing was acknowledged and nothing half-written is visible.
    pub async fn write(
        &self,
        key: &Key,
        options: WriteOptions,
        body: Body,
    ) -> Result<Written, WriteError> {
        let written = self.take_and_commit(key, options, body).await;
        let (size, outcome) = match &written {
            Ok(written) => (written.record.size, RequestOutcome::Done),
            Err(_) => (0, RequestOutcome::Failed),
        };
        self.take_down(Op::Write, key, size, outcome, 0);
        written
    }

    async fn take_and_commit(
        &self,
        key: &Key,
        options: WriteOptions,
        body: Body,
    ) -> Result<Written, WriteError> {
        self.load.count();
        self.refuse_unfit()?;
        let turn = self.admission.upload()?;
        // Checked after the permit is taken: a node that is about to leave checks the two in the opposite order, so one
        // of the checks sees the other.
        self.refuse_leaving()?;
        self.refuse_with_many_pending()?;
        let factor = self.wanted_factor(options.factor)?;
        let mut media_type = MediaType::of(key, options.content_type)?;
        too_large(options.size.unwrap_or(0))?;
        let present = self
            .check_condition(key, &options.condition, options.size)
            .await?;

        let mut spool = self.spool_for_upload(options.size)?;
        let ranked = self
            .place(key, factor, options.size.unwrap_or(0), present.as_deref())
            .await;
        let preparing = Preparing::begin(
            self.shared(),
            key.clone(),
            options.size,
            factor as usize,
            ranked,
            PrepareSource::Spool(spool.tail()),
        );
        self.take_in(&mut spool, body, options.size, &mut media_type)
            .await?;
        let content_type = media_type.settled();

        let driver = self.shared();
        let key = key.clone();
        let rest = self.spawn(async move {
            let content = spool.seal().await?;
            crash::point("write.spooled");
            let deadline = Instant::now() + driver.settings.write_deadline;
            let readied = preparing.finish(content.digest(), deadline).await;
            crash::point("write.prepared");
            let arrived = Arrived {
                key,
                content,
                content_type,
                factor,
                condition: options.condition,
                present,
                readied,
            };
            let written = driver.commit_write(arrived).await;
            drop(turn);
            written
        });
        rest.await
            .map_err(|_| WriteError::Unavailable("the node is stopping".to_owned()))?
    }

    /// Moves the body into the spool and makes space as it grows.
    async fn take_in(
        &self,
        spool: &mut Spool,
        mut body: Body,
        declared: Option<u64>,
        media_type: &mut MediaType,
    ) -> Result<(), WriteError> {
        let stall = self.settings.write_stall;
        let bytes_per_second = self.settings.limit_upload_rate;
        let mut rate = LeastRate::begin(bytes_per_second, CLIENT_ALLOWANCE);
        let mut arrived = 0u64;
        loop {
            let next = tokio::time::timeout(stall, body.next()).await;
            let next = next.map_err(|_| BodyError::Stalled {
                seconds: stall.as_secs(),
            })?;
            let Some(chunk) = next else { break };
            let chunk = chunk?;
            if !rate.arrived(chunk.len()) {
                return Err(BodyError::TooSlow { bytes_per_second }.into());
            }
            arrived += chunk.len() as u64;
            too_large(arrived)?;
            media_type.see(&chunk);
            self.spool_in(spool, chunk).await?;
            rate.go_on();
        }
        match declared {
            Some(declared) if declared != arrived => Err(BodyError::Client(format!(
                "{} announced, but {arrived} arrived",
                plural(declared, "byte was", "bytes were")
            ))
            .into()),
            _ => Ok(()),
        }
    }

    async fn commit_write(&self, arrived: Arrived) -> Result<Written, WriteError> {
        let mut arrived = arrived;
        let pending = self.begin_write(&arrived.key);
        let mut asked = None;
        let (key, readied) = (arrived.key.clone(), &arrived.readied);
        let (version, replaced) = if arrived.condition == Condition::Always {
            let known = self.known_of_all(&key, readied);
            if let Some(record) = self.unchanged(&arrived, known) {
                let record = self.confirm_unchanged(record, &readied.others).await?;
                return Ok(self.written(record, true, true));
            }
            let version = self.version_above(&key, known).await;
            let version = version.inspect_err(|_| self.abandon_all(readied))?;
            pending.stamped(version);
            (version, known.is_some_and(|heard| !heard.is_deletion()))
        } else {
            let same = arrived.present.as_ref();
            let same = same.filter(|it| it.digest == arrived.content.digest());
            let same_before = same.map(|it| it.version);
            let granted = self
                .decide(&key, &arrived.condition, same_before, &pending)
                .await;
            match granted.inspect_err(|_| self.abandon_all(readied))? {
                Granted::Commit {
                    version,
                    replaces,
                    asked: nodes,
                } => {
                    asked = Some(nodes);
                    (version, replaces.is_some())
                }
                Granted::Unchanged(record) => {
                    self.abandon_all(readied);
                    return self.confirm_written(record).await;
                }
            }
        };
        if let Some(asked) = asked {
            // What a node knows that links do not reach was not taken into account.
            let others = &mut arrived.readied.others;
            for ready in others.extract_if(.., |ready| !asked.contains(&ready.peer.id)) {
                self.abandon_ready(&ready);
            }
        }
        let readied = &arrived.readied;
        let too_few = readied.others.len() < arrived.factor as usize;
        // A node that is being drained keeps a replica only if no other node can.
        let may_keep = self.may_hold(self.me.id) || readied.others.is_empty();
        let keeps_own = readied.own || too_few && may_keep;
        let durable = readied.others.len() + usize::from(keeps_own);
        if durable < self.min_replicas() {
            self.abandon_all(readied);
            return Err(WriteError::Unavailable(format!(
                "{key} could be made durable on only {}, and {} required; nothing was kept, try again when more nodes are up",
                plural(durable as u64, "node", "nodes"),
                plural(self.min_replicas() as u64, "is", "are")
            )));
        }
        let others = readied.others.iter().map(|ready| ready.peer.id);
        // Allocated exactly, because it lives as long as the file.
        let mut holders = Vec::with_capacity(durable);
        holders.extend(keeps_own.then_some(self.me.id));
        holders.extend(others);
        let record = Arc::new(Record {
            version,
            layout: self.state.node().first_layout(holders),
            deleted: false,
            size: arrived.content.size(),
            digest: arrived.content.digest(),
            content_type: arrived.content_type,
            factor: arrived.factor,
            key: arrived.key,
        });
        crash::point("write.stamped");
        let readied = arrived.readied;
        let others = readied.others.clone();
        let mut means = Means::of(&key);
        means.content = Some(arrived.content);
        means.ready = readied
            .others
            .into_iter()
            .map(|it| (it.peer.id, it))
            .collect();
        let write = Write::new(self.me.id, record, self.min_replicas());
        let committed = self.run(write, &mut means).await;
        let committed = committed.map_err(|error| self.not_durable(&key, error, means.store_error));
        if let (Ok(record), Some(content)) = (&committed, means.content) {
            self.keep_cached(record, content).await;
        }
        crash::point("write.committed");
        if let Ok(record) = &committed {
            self.announce(record).await;
            crash::point("write.announced");
        }
        if committed.is_err() {
            self.leave_pending(pending, others);
        }
        Ok(self.written(committed?, replaced, false))
    }

    fn not_durable(&self, key: &Key, error: TooFew, own: Option<StoreError>) -> WriteError {
        match (error, own) {
            (TooFew::Durable(0), Some(error)) => error.into(),
            (TooFew::Durable(durable), _) => WriteError::Unavailable(format!(
                "{key} was made durable on only {}, and {} required; try again",
                plural(durable as u64, "node", "nodes"),
                plural(self.min_replicas() as u64, "is", "are")
            )),
            (TooFew::Unnumbered(_), Some(error)) => error.into(),
            (TooFew::Unnumbered(error), None) => WriteError::Failed(error),
        }
    }

    pub(in crate::driver) fn min_replicas(&self) -> usize {
        self.settings.write_min_replicas.max(1) as usize
    }

    /// The greatest version that this node and those that prepared the content have heard of.
    fn known_of_all(&self, key: &Key, readied: &Readied) -> Option<Heard> {
        let own = self.state.node().known(key);
        let others = readied.others.iter().map(|ready| ready.known);
        Heard::merged(others.chain([own]))
    }

    /// A version above all that were heard of, stamped by this node. What was only heard of and can't be surpassed is
    /// passed over: a holder that has it says so.
    pub(in crate::driver) async fn version_above(
        &self,
        key: &Key,
        known: Option<Heard>,
    ) -> Result<Version, WriteError> {
        if let Some(heard) = known
            && self.surpass(heard.version.stamp).is_err()
            && let Some(confirmed) = self.state.node().confirmed(key)
        {
            self.surpass(confirmed.version.stamp)?;
        }
        let stamp = self.stamp().await?;
        Ok(Version {
            stamp,
            writer: self.me.id,
        })
    }

    /// The existing record, if this write would change nothing: this node holds the same file, every holder is part
    /// of this write, and none of the nodes has heard of a newer version.
    fn unchanged(&self, arrived: &Arrived, known: Option<Heard>) -> Option<Arc<Record>> {
        let node = self.state.node();
        let holding = node.holding(&arrived.key)?;
        let record = &holding.record;
        let is_right_role = (holding.role == Role::Replica) == record.layout.names(self.me.id);
        let prepared = |holder: &NodeId| {
            *holder == self.me.id
                || (arrived.readied.others.iter()).any(|ready| ready.peer.id == *holder)
        };
        let same = is_right_role
            && !record.deleted
            && record.digest == arrived.content.digest()
            && record.content_type == arrived.content_type
            && record.factor == arrived.factor
            && !record.is_degraded()
            && known.is_some_and(|heard| heard.version == record.version)
            && record.layout.holders.iter().all(prepared);
        same.then(|| Arc::clone(record))
    }

    /// Confirms the existing record on every holder. What was prepared is committed under it: a no-op for a node
    /// that has the content, and a repair for one that lost it.
    async fn confirm_unchanged(
        &self,
        record: Arc<Record>,
        others: &[Ready],
    ) -> Result<Arc<Record>, WriteError> {
        let mut means = Means::of(&record.key);
        let (named, left): (Vec<_>, Vec<_>) = others
            .iter()
            .cloned()
            .partition(|ready| record.layout.names(ready.peer.id));
        left.iter().for_each(|ready| self.abandon_ready(ready));
        let on = named.iter().map(|ready| ready.peer.id).collect();
        means.ready = named.into_iter().map(|it| (it.peer.id, it)).collect();
        let (key, min) = (record.key.clone(), self.min_replicas());
        let write = Write::again(self.me.id, record, on, min);
        let written = self.run(write, &mut means).await;
        written.map_err(|error| self.not_durable(&key, error, means.store_error))
    }

    /// The answer to a write whose content the file already has, once enough holders confirm that it is durable.
    async fn confirm_written(&self, record: Arc<Record>) -> Result<Written, WriteError> {
        let holders = record.layout.holders.iter();
        let confirmed = holders.map(|id| async {
            let held = self.commit_at(*id, &record).await;
            matches!(held, Ok(Held::Here | Held::Greater(_))).then(|| self.name_of(*id))
        });
        let replicas: Vec<String> = join_all(confirmed).await.into_iter().flatten().collect();
        if replicas.len() < self.min_replicas() {
            return Err(WriteError::Unavailable(format!(
                "{} already has this content, and too few of its holders confirm it; try again",
                record.key
            )));
        }
        Ok(Written {
            replicas,
            ..self.written(record, true, true)
        })
    }

    fn written(&self, record: Arc<Record>, replaced: bool, unchanged: bool) -> Written {
        self.metrics.written(record.is_degraded());
        let replicas = record.layout.holders.iter().map(|id| self.name_of(*id));
        Written {
            replicas: replicas.collect(),
            record,
            replaced,
            unchanged,
        }
    }

    /// The nodes for a file, best first, as this node's placement ranks the candidates.
    /// Holders of the file come first, where this node or the check of a condition knows them.
    async fn place(
        &self,
        key: &Key,
        factor: u32,
        size: u64,
        present: Option<&Record>,
    ) -> Vec<Peer> {
        let own = self.state.node().holding(key).cloned();
        let held = present.or(own.as_ref().map(|holding| &*holding.record));
        let held = held.filter(|record| !record.deleted);
        let first = held.map_or_else(Vec::new, |record| record.layout.holders.clone());
        let first: Vec<NodeId> = first.into_iter().filter(|id| self.may_hold(*id)).collect();
        let request = PlacementRequest {
            file: FileView::of(key, size),
            factor,
            now: self.now(),
        };
        self.ranked_peers(request, size, first).await
    }

    fn wanted_factor(&self, factor: Option<u32>) -> Result<u32, WriteError> {
        let factor = factor.unwrap_or(self.factor);
        if (factor as usize) < self.min_replicas() {
            return Err(WriteError::Invalid(format!(
                "a factor of {factor} is less than the {} that this node requires (write.min_replicas); ask for more, or lower write.min_replicas",
                plural(self.min_replicas() as u64, "replica", "replicas")
            )));
        }
        if (1..=limits::FACTOR_MAX).contains(&factor) {
            return Ok(factor);
        }
        Err(WriteError::Invalid(format!(
            "a factor is between 1 and {}, not {factor}",
            limits::FACTOR_MAX
        )))
    }
}

/// The media type of an upload.
enum MediaType {
    /// Given by the client.
    Stated(Arc<str>),
    /// To be guessed from the name and the content.
    Guessed(Guess),
}

impl MediaType {
    fn of(key: &Key, stated: Option<String>) -> Result<Self, WriteError> {
        let Some(stated) = stated else {
            return Ok(Self::Guessed(Guess::of(key.name())));
        };
        let printable = stated
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if !printable || stated.is_empty() || stated.len() > CONTENT_TYPE_BYTES_MAX {
            return Err(WriteError::Invalid(format!(
                "a content type is 1 to {} printable ASCII characters",
                CONTENT_TYPE_BYTES_MAX
            )));
        }
        Ok(Self::Stated(stated.into()))
    }

    fn see(&mut self, chunk: &[u8]) {
        if let Self::Guessed(guess) = self {
            guess.see(chunk);
        }
    }

    fn settled(self) -> Arc<str> {
        match self {
            Self::Stated(stated) => stated,
            Self::Guessed(guess) => guess.settled().into(),
        }
    }
}

fn too_large(bytes: u64) -> Result<(), WriteError> {
    if bytes <= limits::FILE_BYTES_MAX {
        return Ok(());
    }
    Err(WriteError::TooLarge(format!(
        "a file has at most {} bytes",
        limits::FILE_BYTES_MAX
    )))
}
