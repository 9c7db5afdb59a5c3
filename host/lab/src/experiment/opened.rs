//! Opens what an experiment names: networks, workloads, policies. Keeps each, because a sweep names the same ones
//! many times, and notes its digest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::policy::Kind;

use super::document::{Document, Malformed, Table};
use super::reading::Reading;
use super::sections::{list, section};
use super::settings::Compare;
use crate::library::Chosen;
use crate::limits;
use crate::results::Digests;
use crate::topology::{self, Network};
use crate::workload::{self, Workload};
use crate::world::{ChosenPolicies, Event, EventSpec};

/// What has been opened so far.
pub(super) struct Opened<'a> {
    document: &'a Document,
    folder: PathBuf,
    reading: &'a Reading<'a>,
    policies: BTreeMap<(Kind, String, String), Chosen>,
    networks: Vec<(topology::Spec, Arc<Network>)>,
    workloads: Vec<(workload::Spec, Arc<Workload>)>,
    digests: Digests,
}

impl<'a> Opened<'a> {
    pub(super) fn new(document: &'a Document, reading: &'a Reading<'a>) -> Self {
        Self {
            folder: document.folder().to_owned(),
            document,
            reading,
            policies: BTreeMap::new(),
            networks: Vec::new(),
            workloads: Vec::new(),
            digests: Digests::default(),
        }
    }

    /// The digests of everything that was opened.
    pub(super) fn into_digests(self) -> Digests {
        self.digests
    }

    pub(super) fn network(&mut self, tree: &Table<'_>) -> Result<Arc<Network>, Malformed> {
        let spec: topology::Spec = section(self.document, tree, "topology")?.ok_or_else(|| {
            self.document
                .incomplete("there is no [topology]; add one with at least `kind = \"demo\"`")
        })?;
        if let Some((_, network)) = self.networks.iter().find(|(known, _)| *known == spec) {
            return Ok(Arc::clone(network));
        }
        let network = Network::open(&spec, &self.folder)
            .map_err(|wrong| self.document.wrong(tree, &wrong))?;
        self.note_file(spec.path.as_deref(), network.digest());
        let network = Arc::new(network);
        self.networks.push((spec, Arc::clone(&network)));
        Ok(network)
    }

    pub(super) fn workload(&mut self, tree: &Table<'_>) -> Result<Arc<Workload>, Malformed> {
        let spec: workload::Spec = section(self.document, tree, "workload")?.unwrap_or_default();
        if let Some((_, workload)) = self.workloads.iter().find(|(known, _)| *known == spec) {
            return Ok(Arc::clone(workload));
        }
        let workload = Workload::open(&spec, &self.folder)
            .map_err(|wrong| self.document.wrong(tree, &wrong))?;
        self.note_file(spec.trace.as_deref(), workload.digest());
        if let Some(sizes) = &spec.sizes_file {
            let content = crate::file::bytes(&self.folder.join(sizes), limits::LAB_FILE_BYTES_MAX);
            self.note_file(
                Some(sizes),
                content.ok().map(|content| Digest::of(&content)),
            );
        }
        let workload = Arc::new(workload);
        self.workloads.push((spec, Arc::clone(&workload)));
        Ok(workload)
    }

    fn note_file(&mut self, path: Option<&Path>, digest: Option<Digest>) {
        if let (Some(path), Some(digest)) = (path, digest) {
            let name = path.display().to_string();
            self.digests.files.insert(name, digest.to_string());
        }
    }

    pub(super) fn events(&mut self, tree: &Table<'_>) -> Result<Vec<Event>, Malformed> {
        let document = self.document;
        let tables = list(document, tree.get("event").cloned(), "event")?;
        if tables.len() > limits::LAB_EVENTS_MAX {
            return Err(document.incomplete(format!(
                "an experiment has at most {} events",
                limits::LAB_EVENTS_MAX
            )));
        }
        let mut events = Vec::new();
        for (index, table) in tables.into_iter().enumerate() {
            let spec: EventSpec = document.section(table)?;
            let mut choose = |kind, policy: &str, config: &str| self.choose(kind, policy, config);
            let event = Event::resolve(index, &spec, &mut choose)
                .map_err(|wrong| document.wrong(tree, &wrong))?;
            events.push(event);
        }
        Ok(events)
    }

    /// The policies of this entry, or everything that is wrong with them.
    pub(super) fn policies(&mut self, entry: &Compare) -> Result<ChosenPolicies, Vec<Malformed>> {
        let placement = self.policy(entry, Kind::Placement);
        let eviction = self.policy(entry, Kind::Eviction);
        let relocation = self.policy(entry, Kind::Relocation);
        match (placement, eviction, relocation) {
            (Ok(placement), Ok(eviction), Ok(relocation)) => Ok(ChosenPolicies {
                placement,
                eviction,
                relocation,
            }),
            (placement, eviction, relocation) => {
                let policies = [placement, eviction, relocation];
                Err(policies.into_iter().filter_map(Result::err).collect())
            }
        }
    }

    fn policy(&mut self, entry: &Compare, kind: Kind) -> Result<Chosen, Malformed> {
        let document = self.document;
        let Some(policy_spec) = entry.policy_spec(kind) else {
            let policy = (self.reading.default_policy)(kind);
            return self
                .choose(kind, policy, "")
                .map_err(|reason| document.malformed(&entry.name.span(), reason));
        };
        let refused = |reason: String| document.malformed(&policy_spec.span(), reason);
        let config = policy_spec.get_ref().config().map_err(refused)?;
        self.choose(kind, policy_spec.get_ref().policy(), &config)
            .map_err(refused)
    }

    /// The policy of this name, or of this file relative to the experiment's folder.
    fn choose(&mut self, kind: Kind, policy: &str, config: &str) -> Result<Chosen, String> {
        let key = (kind, policy.to_owned(), config.to_owned());
        if let Some(chosen) = self.policies.get(&key) {
            return Ok(chosen.clone());
        }
        let policy_library = self.reading.policy_library;
        let is_file = policy.ends_with(".wasm");
        let chosen = match is_file {
            true => {
                policy_library.choose(kind, &self.folder.join(policy).to_string_lossy(), config)
            }
            false => policy_library.choose(kind, policy, config),
        }
        .map_err(|error| error.to_string())?;
        let digest = chosen.digest().map(|digest| digest.to_string());
        self.digests
            .policies
            .insert(format!("{kind}/{policy}"), digest.unwrap_or_default());
        self.policies.insert(key, chosen.clone());
        Ok(chosen)
    }
}
