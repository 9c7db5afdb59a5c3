//! The list of good and barred policies as it is stored. What is read back is checked like a spec in `policies.toml`.

use dataverse_core::content::Digest;
use dataverse_core::limits::POLICY_REASON_BYTES_MAX;
use dataverse_core::policy::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::name::PolicyName;
use super::super::view::Origin;
use super::{Barred, OfKind, Past};
use crate::limits;
use crate::policies::reference::PolicyRef;
use crate::policies::spec::LimitsSpec;

/// The list as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    placement: ListOfKind,
    eviction: ListOfKind,
    relocation: ListOfKind,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListOfKind {
    good: Vec<Entry>,
    barred: Option<Entry>,
}

/// A policy in the list. `note` says when it became active if it is good, and why it is barred if it is.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    origin: Origin,
    digest: String,
    config: Value,
    limits: LimitsSpec,
    note: String,
}

impl List {
    /// The list to be stored.
    pub(super) fn of(kinds: &[OfKind; Kind::ALL.len()]) -> Self {
        let of = |kind: Kind| {
            let OfKind { good, barred } = &kinds[kind as usize];
            let good = good
                .iter()
                .map(|past| Entry::of(&past.policy_ref, &past.loaded_at));
            let barred = barred.as_ref();
            ListOfKind {
                good: good.collect(),
                barred: barred.map(|barred| Entry::of(&barred.policy_ref, &barred.reason)),
            }
        };
        Self {
            placement: of(Kind::Placement),
            eviction: of(Kind::Eviction),
            relocation: of(Kind::Relocation),
        }
    }

    /// The policies in the list.
    ///
    /// # Errors
    /// What is invalid in it.
    pub(super) fn kinds(self) -> Result<[OfKind; Kind::ALL.len()], String> {
        let mut kinds: [OfKind; Kind::ALL.len()] = Default::default();
        let lists = [self.placement, self.eviction, self.relocation];
        for (kind, list) in kinds.iter_mut().zip(lists) {
            for entry in list.good.into_iter().take(limits::POLICY_HISTORY_MAX + 1) {
                let (policy_ref, loaded_at) = entry.read()?;
                kind.good.push(Past {
                    policy_ref,
                    loaded_at,
                });
            }
            if let Some(entry) = list.barred {
                let (policy_ref, reason) = entry.read()?;
                kind.barred = Some(Barred { policy_ref, reason });
            }
        }
        Ok(kinds)
    }
}

impl Entry {
    fn of(policy_ref: &PolicyRef, note: &str) -> Self {
        Self {
            name: policy_ref.name.to_string(),
            origin: policy_ref.origin,
            digest: policy_ref.digest.to_string(),
            config: policy_ref.config.clone(),
            limits: policy_ref.limits,
            note: note[..note.floor_char_boundary(POLICY_REASON_BYTES_MAX)].to_owned(),
        }
    }

    fn read(self) -> Result<(PolicyRef, String), String> {
        let name: PolicyName = self.name.parse().map_err(|bad| format!("{bad}"))?;
        let digest: Digest = self.digest.parse().map_err(|bad| format!("{bad}"))?;
        let policy_ref = PolicyRef {
            name,
            origin: self.origin,
            digest,
            config: self.config,
            limits: self.limits,
        };
        policy_ref.spec(None).check()?;
        Ok((policy_ref, self.note))
    }
}
