//! A node with its files in memory and a network of three invented members.
//!
//! Some keys of the user `trouble` fail in the way that their name says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::holdings::{Role, Total};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::{Layout, Record};
use dataverse_core::version::{Stamp, Version};
use dataverse_node::driver::{
    Body, BodyError, Busy, Condition, ConditionFailed, Consistency, Counts, DeleteError,
    DrainError, DrainStatus, FoundHit, Kind, LinkError, LinkState, LinkView, NodeSeen, NodeStatus,
    Query, ReadError, RepairStatus, ScrubStatus, SearchOptions, SearchReport, Silent, SilentNode,
    WriteError, WriteOptions, Written,
};
use dataverse_node::media_type::Guess;
use dataverse_node::metrics::Metrics;
use dataverse_store::StoreError;
use futures_util::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::http::node_api::{NodeApi, Opened};

/// When every file in memory was written: Sun, 06 Nov 1994 08:49:37 GMT.
const WRITTEN_MS: u64 = 784_111_777_000;

type Files = BTreeMap<Key, (Arc<Record>, Bytes)>;

#[derive(Default)]
pub(super) struct Memory {
    files: Mutex<Files>,
    calls: Mutex<Vec<String>>,
    metrics: Metrics,
    /// Notified when a write of `trouble/waits` has begun.
    pub(super) begun: Notify,
    /// Lets a write of `trouble/waits` continue.
    pub(super) go_on: Notify,
    /// Notified when an upload broke off.
    pub(super) broken: Notify,
}

impl Memory {
    fn files(&self) -> parking_lot::MutexGuard<'_, Files> {
        self.files.lock()
    }

    fn called(&self, call: String) {
        self.calls.lock().push(call);
    }

    /// The calls to the network so far, and how files were read.
    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.lock().clone()
    }

    pub(super) fn holds(&self, key: &str) -> bool {
        self.files().contains_key(key)
    }

    fn check(&self, key: &Key, condition: &Condition) -> Result<(), ConditionFailed> {
        let files = self.files();
        let judged = condition.judge(files.get(key).map(|(record, _)| &**record));
        judged.map_err(|unmet| ConditionFailed {
            key: key.clone(),
            unmet,
        })
    }
}

fn record(key: &Key, options: &WriteOptions, content: &[u8]) -> Arc<Record> {
    let node = NodeId::from(1);
    Arc::new(Record {
        version: Version {
            stamp: Stamp::at(WRITTEN_MS),
            writer: node,
        },
        layout: Layout {
            counter: 0,
            author: node,
            holders: vec![node, NodeId::from(2)],
        },
        deleted: false,
        size: content.len() as u64,
        digest: Digest::of(content),
        content_type: options
            .content_type
            .clone()
            .unwrap_or_else(|| {
                let mut guess = Guess::of(key.name());
                guess.see(content);
                guess.settled()
            })
            .into(),
        factor: options.factor.unwrap_or(2),
        key: key.clone(),
    })
}

fn link_view(address: &str) -> LinkView {
    LinkView {
        name: "B".into(),
        id: NodeId::from(2),
        address: address.into(),
        up: true,
        state: LinkState::Up,
        silent_for: None,
        attempts: 0,
        last_error: None,
    }
}

fn silent(name: &str, address: &str) -> SilentNode {
    SilentNode {
        name: name.into(),
        id: Some(NodeId::from(9)),
        address: address.into(),
        state: "down",
        silent_for: Some(Duration::from_secs(9)),
        last_error: Some("nobody listens there".into()),
    }
}

#[async_trait]
impl NodeApi for Memory {
    async fn write(
        &self,
        key: &Key,
        options: WriteOptions,
        body: Body,
    ) -> Result<Written, WriteError> {
        match key.as_str() {
            "trouble/full" => return Err(WriteError::NoSpace("there is no room".into())),
            "trouble/waits" => {
                self.begun.notify_one();
                self.go_on.notified().await;
            }
            _ => {}
        }
        let checked = self.check(key, &options.condition);
        checked.map_err(WriteError::Condition)?;
        let collected = body.try_fold(Vec::new(), |mut all, chunk| async move {
            all.extend(chunk);
            Ok(all)
        });
        let content = collected.await.inspect_err(|_| self.broken.notify_one())?;
        let record = record(key, &options, &content);
        let before = self
            .files()
            .insert(key.clone(), (Arc::clone(&record), content.into()));
        let replicas = vec!["A".to_owned(), "C".to_owned()];
        let unchanged = before
            .as_ref()
            .is_some_and(|(before, _)| before.digest == record.digest);
        Ok(Written {
            record,
            replicas,
            replaced: before.is_some(),
            unchanged,
        })
    }

    async fn open(
        self: Arc<Self>,
        key: &Key,
        consistency: Consistency,
    ) -> Result<Opened, ReadError> {
        self.called(format!("open {key} {consistency:?}"));
        if key.as_str() == "trouble/unknown" {
            return Err(ReadError::Unknown {
                key: key.clone(),
                outcome: "partial",
                silent: Silent(vec![silent("B", "127.0.0.1:3")]),
            });
        }
        let found = self.files().get(key).cloned();
        let (record, content) = found.ok_or_else(|| ReadError::NotFound { key: key.clone() })?;
        let breaks = key.as_str() == "trouble/breaks";
        Ok(Opened {
            record,
            source: "Zoë".into(),
            hops: 3,
            stale: key.user() == "trouble",
            content: Box::new(move |offset, length| {
                let bytes = |at: u64| usize::try_from(at).expect("it fits");
                let part = content.slice(bytes(offset)..bytes(offset + length));
                let mut chunks: Vec<_> = part
                    .chunks(3)
                    .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
                    .collect();
                if breaks {
                    chunks.truncate(1);
                    chunks.push(Err(BodyError::Source("every holder failed".into())));
                }
                Box::pin(async move { Ok(stream::iter(chunks).boxed()) })
            }),
        })
    }

    async fn delete(&self, key: &Key, condition: Condition) -> Result<(), DeleteError> {
        let checked = self.check(key, &condition);
        checked.map_err(DeleteError::Condition)?;
        let gone = self.files().remove(key);
        gone.map(drop)
            .ok_or_else(|| ReadError::NotFound { key: key.clone() }.into())
    }

    async fn search(&self, query: Query, options: SearchOptions) -> Result<SearchReport, Busy> {
        if self.holds("trouble/busy") {
            return Err(Busy("too many searches".into()));
        }
        self.called(format!("search {:?} {:?}", options.hops, options.limit));
        let mut hits = self
            .files()
            .values()
            .filter(|(record, _)| match &query {
                Query::Exact(key) => record.key == *key,
                Query::Pattern(_) => true,
            })
            .map(|(record, _)| FoundHit {
                record: Arc::clone(record),
                node: "D".into(),
                hops: 2,
                role: Role::Replica,
            })
            .collect::<Vec<_>>();
        let limit = options.limit.map_or(usize::MAX, |limit| limit as usize);
        let truncated = hits.len() > limit;
        hits.truncate(limit);
        let unanswered = silent("X", "127.0.0.1:9");
        Ok(SearchReport {
            outcome: if hits.is_empty() { "partial" } else { "found" },
            exact: !hits.is_empty(),
            path: vec!["A".into(), "B".into(), "D".into()],
            hits,
            truncated,
            probes: 3,
            levels: 2,
            unanswered: vec![unanswered],
            elapsed_ms: 1.5,
        })
    }

    async fn link(&self, address: &str) -> Result<LinkView, LinkError> {
        self.called(format!("link {address}"));
        match address {
            "self:1" => Err(LinkError::Refused("that is this node itself".into())),
            "away:1" => Err(LinkError::Unreachable("nobody listens there".into())),
            "wrong" => Err(LinkError::Invalid("that is no address".into())),
            _ => Ok(link_view(address)),
        }
    }

    async fn link_pair(&self, a: &str, b: &str) -> Result<(), LinkError> {
        self.called(format!("pair {a} {b}"));
        if a == b {
            return Err(LinkError::Refused("that is one node twice".into()));
        }
        Ok(())
    }

    async fn unlink(&self, node: &str) -> Result<(), LinkError> {
        self.called(format!("unlink {node}"));
        if node == "B b" {
            return Ok(());
        }
        Err(LinkError::Unknown(format!("there is no link with {node}")))
    }

    fn links(&self) -> Vec<LinkView> {
        vec![
            link_view("127.0.0.1:2"),
            LinkView {
                up: false,
                state: LinkState::Down,
                silent_for: Some(Duration::from_secs(9)),
                attempts: 4,
                last_error: Some("nobody listens there".into()),
                ..link_view("127.0.0.1:3")
            },
        ]
    }

    fn nodes(&self) -> Vec<NodeSeen> {
        let node = |name: &str, hops| NodeSeen {
            name: name.into(),
            id: NodeId::from(7),
            address: "127.0.0.1:1".into(),
            http: "127.0.0.1:2".into(),
            zone: "z".into(),
            hops,
            capacity: 10,
            free: 4,
            load: 1,
            state: "alive",
            silent_for: None,
        };
        vec![node("A", Some(0)), node("Q", None)]
    }

    fn status(&self) -> NodeStatus {
        NodeStatus {
            name: "A".into(),
            id: NodeId::from(7),
            network: "main".into(),
            uptime_s: 5,
            capacity: 10_000_000,
            free: 4_000_000,
            replicas: Total { files: 1, bytes: 2 },
            cached: Total { files: 3, bytes: 4 },
            links: 2,
            silent: vec![silent("B", "127.0.0.1:3")],
            problems: Vec::new(),
            repair: RepairStatus {
                waiting: Total { files: 5, bytes: 6 },
                active: 1,
                releasing: 2,
                copies: 7,
                bytes: 8,
                failed: 9,
            },
            upkeep: vec![(
                Kind::Heal,
                Counts {
                    waiting: 3,
                    active: 1,
                    outcomes: [4, 5, 0, 0, 0],
                },
            )],
            drain: drained(false),
            scrub: self.scrub_status(),
        }
    }

    async fn drain(&self) -> Result<DrainStatus, DrainError> {
        if self.holds("trouble/drain") {
            return Err(DrainError::Refused("5 bytes are missing".into()));
        }
        Ok(drained(true))
    }

    async fn undrain(&self) -> Result<DrainStatus, DrainError> {
        Ok(drained(false))
    }

    fn scrub_status(&self) -> ScrubStatus {
        ScrubStatus {
            running: self.calls().contains(&"scrub".to_owned()),
            began: 7,
            done: Total { files: 1, bytes: 2 },
            total: Total { files: 3, bytes: 4 },
            bad: 5,
            healed: 4,
            lost: 1,
            lost_keys: vec![Key::parse("ada/lost").expect("a valid key")],
            bytes_per_second: Some(9),
            ..ScrubStatus::default()
        }
    }

    async fn begin_scrub(&self) -> Result<bool, StoreError> {
        let begun = !self.scrub_status().running;
        self.called("scrub".to_owned());
        Ok(begun)
    }

    fn not_ready(&self) -> Option<String> {
        self.holds("trouble/stopping")
            .then(|| "the node is starting or stopping".into())
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

fn drained(draining: bool) -> DrainStatus {
    DrainStatus {
        draining,
        drained: false,
        left: Total { files: 1, bytes: 2 },
    }
}
