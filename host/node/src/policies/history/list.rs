//! The list of good and barred policies as it is written. Whatever is read back is checked like a wish.

use dataverse_core::content::Digest;
use dataverse_core::limits::POLICY_REASON_BYTES_MAX;
use dataverse_core::policy::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::name::PolicyName;
use super::super::view::Origin;
use super::{Barred, OfKind, Past};
use crate::limits;
use crate::policies::reference::Pick;
use crate::policies::spec::LimitsWish;

/// The list as it is written.
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

/// A policy in the list; with when it took over if it is good, with why if it is barred.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    origin: Origin,
    digest: String,
    config: Value,
    limits: LimitsWish,
    note: String,
}

impl List {
    /// What is to be written.
    pub(super) fn of(kinds: &[OfKind; Kind::ALL.len()]) -> Self {
        let of = |kind: Kind| {
            let OfKind { good, barred } = &kinds[kind as usize];
            let good = good
                .iter()
                .map(|past| Entry::of(&past.pick, &past.loaded_at));
            let barred = barred.as_ref();
            ListOfKind {
                good: good.collect(),
                barred: barred.map(|barred| Entry::of(&barred.pick, &barred.reason)),
            }
        };
        Self {
            placement: of(Kind::Placement),
            eviction: of(Kind::Eviction),
            relocation: of(Kind::Relocation),
        }
    }

    /// What was written.
    ///
    /// # Errors
    /// What makes no sense in it.
    pub(super) fn kinds(self) -> Result<[OfKind; Kind::ALL.len()], String> {
        let mut kinds: [OfKind; Kind::ALL.len()] = Default::default();
        let lists = [self.placement, self.eviction, self.relocation];
        for (kind, list) in kinds.iter_mut().zip(lists) {
            for entry in list.good.into_iter().take(limits::POLICIES_KEPT + 1) {
                let (pick, loaded_at) = entry.read()?;
                kind.good.push(Past { pick, loaded_at });
            }
            if let Some(entry) = list.barred {
                let (pick, reason) = entry.read()?;
                kind.barred = Some(Barred { pick, reason });
            }
        }
        Ok(kinds)
    }
}

impl Entry {
    fn of(pick: &Pick, note: &str) -> Self {
        Self {
            name: pick.name.to_string(),
            origin: pick.origin,
            digest: pick.digest.to_string(),
            config: pick.config.clone(),
            limits: pick.limits,
            note: note[..note.floor_char_boundary(POLICY_REASON_BYTES_MAX)].to_owned(),
        }
    }

    fn read(self) -> Result<(Pick, String), String> {
        let name: PolicyName = self.name.parse().map_err(|bad| format!("{bad}"))?;
        let digest: Digest = self.digest.parse().map_err(|bad| format!("{bad}"))?;
        let pick = Pick {
            name,
            origin: self.origin,
            digest,
            config: self.config,
            limits: self.limits,
        };
        pick.wish(None).check()?;
        Ok((pick, self.note))
    }
}
