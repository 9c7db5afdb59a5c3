//! A `PolicyApi` whose policies are names in memory.
//!
//! A file is a policy if it begins with the bytes of WebAssembly. Some names fail in the way that they say.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::policy::Kind;
use dataverse_node::policies::api::{PolicyApi, PolicyError};
use dataverse_node::policies::spec::KindSpec;
use dataverse_node::policies::view::{
    ActiveView, Available, Comparison, KindView, Origin, PoliciesView, PreviousView, ShadowView,
    Spread,
};
use parking_lot::{Mutex, MutexGuard};
use serde_json::json;
use tokio::sync::Notify;

/// The first bytes of a policy.
pub(super) const MAGIC: &[u8] = b"\0asm";

#[derive(Default)]
pub(super) struct Tray {
    files: Mutex<BTreeMap<String, Available>>,
    specs: Mutex<Vec<(Kind, KindSpec)>>,
    /// Notified when the policy `waits` has been installed and only the answer is missing.
    pub(super) begun: Notify,
    /// Lets that answer go.
    pub(super) go_on: Notify,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

impl Tray {
    pub(super) fn specs(&self) -> Vec<(Kind, KindSpec)> {
        locked(&self.specs).clone()
    }

    /// The previous spec, for kinds whose spec was set twice.
    fn kind(&self, kind: Kind) -> KindView {
        let specs = locked(&self.specs);
        let mut of_kind = specs.iter().rev().filter(|(of, _)| *of == kind);
        let now = of_kind
            .next()
            .map_or(KindSpec::plain("fifo"), |(_, it)| it.clone());
        let previous = of_kind.map(|(_, before)| PreviousView {
            name: before.policy.clone(),
            digest: "d".into(),
            origin: Origin::Folder,
            config: before.config.clone(),
            loaded_at: "2026-01-01T00:00:00Z".into(),
        });
        KindView {
            shadow: now.shadow.as_deref().map(shadow),
            pending: None,
            previous: previous.collect(),
            active: active(now),
            last_error: None,
            revision: specs.len().to_string(),
        }
    }
}

fn active(spec: KindSpec) -> ActiveView {
    ActiveView {
        name: spec.policy,
        version: "0.1.0".into(),
        summary: "the oldest goes first".into(),
        digest: "d".into(),
        origin: Origin::BuiltIn,
        state: "probation".into(),
        config: spec.config,
        loaded_at: "2026-01-01T00:00:00Z".into(),
        decisions: 7,
        faults: BTreeMap::from([("trap".into(), 2)]),
        last_fault: None,
        fuel: Spread { p50: 1.0, p99: 2.0 },
        latency_us: Spread { p50: 3.0, p99: 4.5 },
    }
}

fn shadow(name: &str) -> ShadowView {
    ShadowView {
        name: name.into(),
        version: "0.1.0".into(),
        summary: "the coldest goes first".into(),
        digest: "e".into(),
        origin: Origin::Folder,
        state: "active".into(),
        loaded_at: "2026-01-01T00:00:00Z".into(),
        decisions: 5,
        faults: BTreeMap::new(),
        last_fault: None,
        dropped: 1,
        comparison: Comparison::Eviction {
            hit_ratio: Some(0.5),
            active_hit_ratio: Some(0.25),
            byte_hit_ratio: None,
            active_byte_hit_ratio: None,
        },
    }
}

#[async_trait]
impl PolicyApi for Tray {
    fn view(&self) -> PoliciesView {
        PoliciesView {
            placement: self.kind(Kind::Placement),
            eviction: self.kind(Kind::Eviction),
            relocation: self.kind(Kind::Relocation),
            available: locked(&self.files).values().cloned().collect(),
            last_error: None,
            watch: None,
            folder: "/policies".into(),
        }
    }

    async fn install(
        &self,
        name: &str,
        wasm: Bytes,
        insists: bool,
    ) -> Result<Available, PolicyError> {
        if wasm.ends_with(b"answers badly") && !insists {
            return Err(PolicyError::Refused(
                "2 of 512 questions end in a fault".into(),
            ));
        }
        match name {
            "unwritable" => return Err(PolicyError::Failed("the disk is full".into())),
            "waits" => {
                self.begun.notify_one();
                self.go_on.notified().await;
            }
            _ => {}
        }
        if !wasm.starts_with(MAGIC) {
            return Err(PolicyError::Refused("this is not WebAssembly".into()));
        }
        let installed = Available {
            name: name.into(),
            kind: Some("eviction".into()),
            version: "0.1.0".into(),
            summary: "the oldest goes first".into(),
            digest: Digest::of(&wasm).to_string(),
            origin: Origin::Folder,
            size: wasm.len() as u64,
            warning: None,
            error: None,
        };
        locked(&self.files).insert(name.into(), installed.clone());
        Ok(installed)
    }

    async fn remove(&self, name: &str) -> Result<(), PolicyError> {
        if locked(&self.specs)
            .iter()
            .any(|(_, spec)| spec.policy == name)
        {
            return Err(PolicyError::InUse(format!("{name} decides eviction")));
        }
        let gone = locked(&self.files).remove(name);
        gone.map(drop)
            .ok_or_else(|| PolicyError::NotFound(format!("there is no {name}.wasm")))
    }

    async fn spec(&self, kind: Kind, spec: KindSpec) -> Result<KindView, PolicyError> {
        if spec.policy == "nobody" {
            return Err(PolicyError::Refused("there is no policy `nobody`".into()));
        }
        if spec.config != json!({}) && spec.policy == "takes-none" {
            return Err(PolicyError::Refused("it takes no configuration".into()));
        }
        locked(&self.specs).push((kind, spec));
        Ok(self.kind(kind))
    }

    async fn promote(&self, kind: Kind, seen: Option<String>) -> Result<KindView, PolicyError> {
        let now = self.kind(kind);
        if seen.is_some_and(|seen| seen != now.revision) {
            return Ok(now);
        }
        let name = self.kind(kind).shadow.map(|shadow| shadow.name);
        let name = name.ok_or_else(|| PolicyError::NotFound(format!("{kind} has no shadow")))?;
        self.spec(kind, KindSpec::plain(&name)).await
    }

    async fn rollback(
        &self,
        kind: Kind,
        _: Option<String>,
        seen: Option<String>,
    ) -> Result<KindView, PolicyError> {
        let now = self.kind(kind);
        if seen.is_some_and(|seen| seen != now.revision) {
            return Ok(now);
        }
        let mut specs = locked(&self.specs);
        let last = specs.iter().rposition(|(of, _)| *of == kind);
        let last = last.ok_or_else(|| PolicyError::NotFound(format!("{kind} had none before")))?;
        specs.remove(last);
        drop(specs);
        Ok(self.kind(kind))
    }
}
