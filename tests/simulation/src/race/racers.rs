//! Racers: clients whose every operation on a file is recorded with when it began and what it observed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::content::Digest;
use dataverse_core::key::Key;
use dataverse_node::driver::{
    Condition, Consistency, DeleteError, ReadError, WriteError, WriteOptions,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::check::linearizable::{Operation, Outcome, Request, Requires};
use crate::client::{Door, PATIENCE, body_of, content_of};
use crate::findings::Findings;
use crate::history::Moment;
use crate::log::Log;
use crate::world::{Clocks, SimulatedCluster};

/// The content that a racer writes, and how.
#[derive(Debug, Clone, Copy)]
pub struct Upload {
    /// Determines the content. A write that is repeated has the same number again.
    pub number: u64,
    /// The size, at least 16: shorter contents might be equal.
    pub size: u64,
    /// The factor.
    pub factor: u32,
    /// The pause between two chunks, and before the first one.
    pub pause: Duration,
    /// The client disconnects after this time.
    pub patience: Duration,
}

/// All racers of a run.
pub struct Racers {
    log: Arc<Log>,
    findings: Arc<Findings>,
    clocks: Arc<Clocks>,
    record: Mutex<Record>,
}

/// What they did.
#[derive(Default)]
struct Record {
    moments: Moment,
    operations: u64,
    histories: BTreeMap<Key, Vec<Operation>>,
}

impl Record {
    fn moment(&mut self) -> Moment {
        self.moments += 1;
        self.moments
    }
}

impl Racers {
    /// Racers that have done nothing yet.
    #[must_use]
    pub fn new(world: &SimulatedCluster) -> Self {
        Self {
            log: Arc::clone(&world.log),
            findings: Arc::clone(&world.findings),
            clocks: Arc::clone(&world.clocks),
            record: Mutex::default(),
        }
    }

    /// What they did with each file, in the order in which they began.
    #[must_use]
    pub fn histories(&self) -> BTreeMap<Key, Vec<Operation>> {
        self.record.lock().histories.clone()
    }

    /// Writes a file.
    pub async fn write(
        &self,
        door: &Door,
        key: &Key,
        upload: Upload,
        requires: Requires,
    ) -> Outcome {
        let content = content_of(upload.number, upload.size);
        let options = WriteOptions {
            factor: Some(upload.factor),
            condition: condition_of(&requires),
            size: upload.number.is_multiple_of(2).then_some(upload.size),
            ..WriteOptions::default()
        };
        let request = Request::Write {
            content: Digest::of(&content),
            requires,
        };
        let work = async {
            match door
                .driver
                .write(key, options, body_of(content, upload.pause))
                .await
            {
                Ok(written) if written.unchanged => Some(Outcome::Unchanged),
                Ok(_) => Some(Outcome::Done),
                Err(WriteError::Condition(_)) => Some(Outcome::Refused),
                Err(WriteError::Invalid(_) | WriteError::TooLarge(_) | WriteError::Busy(_)) => None,
                Err(error) => {
                    self.log.note(format_args!("{key}: {error}"));
                    Some(Outcome::Unknown)
                }
            }
        };
        self.observe(door, key, request, upload.patience, work)
            .await
    }

    /// Deletes a file.
    pub async fn delete(&self, door: &Door, key: &Key, requires: Requires) -> Outcome {
        let condition = condition_of(&requires);
        let work = async {
            match door.driver.delete_if(key, condition).await {
                Ok(()) => Some(Outcome::Done),
                Err(DeleteError::Condition(_)) => Some(Outcome::Refused),
                Err(DeleteError::Read(ReadError::NotFound { .. })) => Some(Outcome::Missing),
                Err(error) => {
                    self.log.note(format_args!("{key}: {error}"));
                    Some(Outcome::Unknown)
                }
            }
        };
        self.observe(door, key, Request::Delete { requires }, PATIENCE, work)
            .await
    }

    /// Reads the newest version of a file. What may be stale is not an observation.
    pub async fn read(&self, door: &Door, key: &Key) -> Outcome {
        let work = async {
            match door.driver.locate(key, Consistency::Newest).await {
                Ok(located) if located.stale => None,
                Ok(located) => Some(Outcome::Found(located.record.digest)),
                Err(ReadError::NotFound { .. }) => Some(Outcome::Missing),
                Err(error) => {
                    self.log.note(format_args!("{key}: {error}"));
                    None
                }
            }
        };
        self.observe(door, key, Request::Read, PATIENCE, work).await
    }

    /// Records an operation. Its outcome is unknown if the node dies or the client disconnects; it is forgotten if
    /// it certainly did and observed nothing.
    async fn observe(
        &self,
        door: &Door,
        key: &Key,
        request: Request,
        patience: Duration,
        work: impl Future<Output = Option<Outcome>>,
    ) -> Outcome {
        let began = Instant::now();
        let mut operation = self.began(key, request);
        self.log
            .note(format_args!("{} {key} {operation}", door.driver.name()));
        let outcome = tokio::select! {
            biased;
            () = door.died.cancelled() => Some(Outcome::Unknown),
            done = tokio::time::timeout(patience.min(PATIENCE), work) => {
                done.unwrap_or_else(|_| {
                    if patience >= PATIENCE {
                        let what = format!("{operation} was not answered in {PATIENCE:?}");
                        self.findings.add(&self.log, what);
                    }
                    Some(Outcome::Unknown)
                })
            }
        };
        let mut record = self.record.lock();
        operation.returned = Some(record.moment());
        operation.outcome = outcome.unwrap_or(Outcome::Unknown);
        operation.may_be_overtaken =
            operation.is_unconditional() && self.clocks.may_be_ahead_since(began);
        let history = record.histories.entry(key.clone()).or_default();
        match outcome {
            Some(_) => {
                let its = history.iter_mut().rev();
                let mut its = its.filter(|it| it.number == operation.number);
                if let Some(recorded) = its.next() {
                    recorded.clone_from(&operation);
                }
            }
            None => history.retain(|it| it.number != operation.number),
        }
        self.log
            .note(format_args!("{} {key} {operation}", door.driver.name()));
        operation.outcome
    }

    fn began(&self, key: &Key, request: Request) -> Operation {
        let mut record = self.record.lock();
        record.operations += 1;
        let operation = Operation {
            number: record.operations,
            invoked: record.moment(),
            returned: None,
            request,
            outcome: Outcome::Unknown,
            may_be_overtaken: false,
        };
        let history = record.histories.entry(key.clone()).or_default();
        history.push(operation.clone());
        operation
    }
}

fn condition_of(requires: &Requires) -> Condition {
    match requires {
        Requires::Nothing => Condition::Always,
        Requires::Absence => Condition::Absent,
        Requires::Presence => Condition::Present,
        Requires::Content(digests) => Condition::Matches(digests.clone()),
    }
}
