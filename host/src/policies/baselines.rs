//! The desk of a node that runs the native baselines and nothing else.

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::policy::Kind;

use super::desk::{Desk, PolicyError};
use super::view::{ActiveView, Available, KindView, Origin, PoliciesView, Spread};
use super::wish::KindWish;

/// Tells of the baselines, and changes nothing.
#[derive(Debug)]
pub struct Baselines {
    /// The folder of policies, which is not read.
    pub folder: String,
    /// When the node started, RFC 3339.
    pub since: String,
}

impl Baselines {
    fn kind(&self) -> KindView {
        KindView {
            active: ActiveView {
                name: "baseline".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                summary: "the native stand-in".to_owned(),
                digest: String::new(),
                origin: Origin::Baseline,
                state: "active".to_owned(),
                config: serde_json::Value::Object(serde_json::Map::new()),
                loaded_at: self.since.clone(),
                decisions: 0,
                faults: std::collections::BTreeMap::new(),
                fuel: Spread::default(),
                latency_us: Spread::default(),
            },
            shadow: None,
            previous: Vec::new(),
            last_error: None,
        }
    }
}

fn fixed<T>() -> Result<T, PolicyError> {
    let reason = "this node decides by its baselines, which can't be changed";
    Err(PolicyError::Refused(reason.to_owned()))
}

#[async_trait]
impl Desk for Baselines {
    fn view(&self) -> PoliciesView {
        PoliciesView {
            placement: self.kind(),
            eviction: self.kind(),
            relocation: self.kind(),
            available: Vec::new(),
            last_error: None,
            folder: self.folder.clone(),
        }
    }

    async fn install(&self, _: &str, _: Bytes) -> Result<Available, PolicyError> {
        fixed()
    }

    async fn remove(&self, _: &str) -> Result<(), PolicyError> {
        fixed()
    }

    async fn wish(&self, _: Kind, _: KindWish) -> Result<KindView, PolicyError> {
        fixed()
    }

    async fn promote(&self, _: Kind) -> Result<KindView, PolicyError> {
        fixed()
    }

    async fn rollback(&self, _: Kind) -> Result<KindView, PolicyError> {
        fixed()
    }
}
