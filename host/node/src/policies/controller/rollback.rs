//! The way back by hand: file and table are written so that the policy before is what is wished.
//!
//! It goes to the policy that decided before the one that does now, and done again to the one before that; which
//! one began to decide before which stays as it was, and a later one is gone to by name. That policy was good already
//! and needs no probation. After a policy was rolled back by itself, the way back
//! by hand leads to what runs: it is written down, and no more.
//!
//! No file is overwritten of which there is no other copy.

use bytes::Bytes;
use dataverse_core::policy::Kind;

use super::super::folder::Found;
use super::super::view::{KindView, Origin};
use super::super::workshop::blocking;
use super::swap::supposed;
use super::{Steward, source};
use crate::policies::api::PolicyError;
use crate::policies::controller::commands::failed;
use crate::policies::reference::{Pick, short};
use crate::policies::spec::KindWish;

/// Digits of a digest that say at least which one is meant.
const DIGITS_MIN: usize = 4;

impl Steward {
    /// Goes back to the policy that decided before this one, or to the one that is named.
    pub(super) async fn go_to_previous(
        &mut self,
        kind: Kind,
        to: Option<&str>,
    ) -> Result<KindView, PolicyError> {
        self.reconcile().await;
        let seen = self.revision(kind);
        let (pick, wasm) = self.destination(kind, to).await?;
        let shadow = self.table(kind).shadow;
        let wish = pick.wish(shadow.filter(|shadow| pick.name.as_str() != shadow));
        let there = self.as_wished(kind, &pick, &wish);
        let returning = there.unwrap_or_else(|| Pick {
            origin: Origin::Folder,
            ..pick.clone()
        });
        self.rehearse_bytes(kind, returning.clone(), &wasm).await?;
        {
            let _lock = self.lock().await?;
            self.look_at_folder().await;
            self.must_be(kind, &seen)?;
            if self.as_wished(kind, &pick, &wish).is_none() {
                self.bring_back(kind, &pick, wasm).await?;
            }
            self.write_table(kind, &wish).await?;
        }
        tracing::info!(decision = kind.as_str(), policy = %pick, "the policy before is gone back to");
        self.offices[kind as usize].returning = Some(returning);
        let settled = self.settle(kind, &wish).await;
        self.offices[kind as usize].returning = None;
        settled
    }

    /// What is gone back to, and its file: what runs, when that is not what is wished, for then the way back
    /// was gone already and is only to be written down.
    async fn destination(
        &self,
        kind: Kind,
        to: Option<&str>,
    ) -> Result<(Pick, Bytes), PolicyError> {
        let office = &self.offices[kind as usize];
        let running = office.active.as_ref().map(|running| running.pick.clone());
        let runs = running
            .clone()
            .filter(|_| office.is_unmet() && to.is_none());
        let pick = match (runs, to) {
            (Some(runs), _) => runs,
            (None, None) => self.earlier(kind, running).await?,
            (None, Some(to)) => self.named(kind, running, to).await?,
        };
        let digest = pick.digest;
        let wasm = self.kept(move |kept| kept.get(digest)).await;
        let wasm = wasm.map_err(|error| failed(&pick.to_string(), &error))?;
        Ok((pick, wasm))
    }

    /// The last good one that decided before this.
    async fn earlier(&self, kind: Kind, now: Option<Pick>) -> Result<Pick, PolicyError> {
        let (earlier, others) = self
            .kept(move |kept| {
                let earlier = kept.earlier(kind, now.as_ref()).next();
                let others = kept.before(kind, now.as_ref());
                let others: Vec<_> = others.map(|past| past.pick.to_string()).collect();
                (earlier.map(|past| past.pick.clone()), others.join(", "))
            })
            .await;
        earlier.ok_or_else(|| {
            PolicyError::NotFound(match others.as_str() {
                "" => format!("there is no {kind} policy to go back to"),
                later => format!(
                    "there is no {kind} policy from before this one to go back to; name one of those that came later: {later}"
                ),
            })
        })
    }

    /// The one of the good ones that is meant: see [`meant`].
    async fn named(&self, kind: Kind, now: Option<Pick>, to: &str) -> Result<Pick, PolicyError> {
        let picks = self
            .kept(move |kept| {
                let picks = kept.before(kind, now.as_ref());
                picks.map(|past| past.pick.clone()).collect::<Vec<_>>()
            })
            .await;
        let to_shown: String = to.chars().take(80).collect();
        match meant(&picks, to).as_slice() {
            [] if picks.is_empty() => Err(PolicyError::NotFound(format!(
                "there is no {kind} policy to go back to"
            ))),
            [] => Err(PolicyError::NotFound(format!(
                "{to_shown:?} is none of the {kind} policies to go back to, by its name or at least {DIGITS_MIN} digits \
                 of its digest: {}",
                listed(picks.iter())
            ))),
            [only] => Ok((*only).clone()),
            several => Err(PolicyError::Refused(format!(
                "{to_shown:?} may be any of these {kind} policies: {}; say which by more of its digest",
                listed(several.iter().copied())
            ))),
        }
    }

    /// Writes the file of a policy that is gone back to.
    async fn bring_back(&self, kind: Kind, pick: &Pick, wasm: Bytes) -> Result<(), PolicyError> {
        self.may_be_replaced(&pick.name, kind)?;
        let in_the_way = self.listing.files.get(&pick.name).cloned();
        let is_new = in_the_way.is_none();
        if let Some(found) = in_the_way {
            self.must_be_kept(kind, pick, found).await?;
        }
        let (folder, name) = (self.folder.clone(), pick.name.clone());
        let written = blocking(move || match is_new {
            true => folder.put_new(&name, &wasm),
            false => folder.put(&name, &wasm),
        });
        written
            .await
            .map_err(|error| failed(&pick.name.file(), &error))
    }

    /// Refuses to overwrite a file of which there is no other copy: one that is neither what runs of this kind
    /// nor one that can be gone back to.
    async fn must_be_kept(
        &self,
        kind: Kind,
        pick: &Pick,
        found: Result<Found, String>,
    ) -> Result<(), PolicyError> {
        let file = pick.name.file();
        let found = found.map_err(|problem| {
            PolicyError::Conflict(format!(
                "{file} is in the way, and {problem}: rename it first"
            ))
        })?;
        let active = self.offices[kind as usize].active.as_ref();
        let runs = active.is_some_and(|running| running.pick.digest == found.digest);
        let (folder, name) = (self.folder.clone(), pick.name.clone());
        let is_kept = self
            .kept(move |kept| {
                let keep = || {
                    let wasm = folder.read(&name)?;
                    kept.put(found.digest, &wasm)
                };
                kept.has(kind, found.digest)
                    || runs && (kept.get(found.digest).is_ok() || keep().is_ok())
            })
            .await;
        if is_kept {
            return Ok(());
        }
        let (digest, back) = (short(found.digest), short(pick.digest));
        Err(PolicyError::Conflict(format!(
            "{file} is another file (digest {digest}) than the one that is gone back to ({back}), and there is no copy of it: rename it first"
        )))
    }

    /// What this wish finds as things are, if that is the policy that is meant.
    fn as_wished(&self, kind: Kind, meant: &Pick, wish: &KindWish) -> Option<Pick> {
        let found = source::find(&self.listing, &self.workshop, kind, &meant.name).ok()?;
        let found = supposed(&meant.name, found, wish);
        (found.digest == meant.digest).then_some(found)
    }
}

/// Those that may be meant by this: a name, the first digits of a digest ([`DIGITS_MIN`] at least), or both with an `@`
/// between them. A name goes before digits. Of several with one name, or with one file, the first is meant, which is the
/// next on the way back; what is left to choose from are different files.
fn meant<'a>(picks: &'a [Pick], to: &str) -> Vec<&'a Pick> {
    let begins_so = |pick: &Pick, digits: &str| {
        digits.len() >= DIGITS_MIN && pick.digest.to_string().starts_with(digits)
    };
    if let Some(named) = picks.iter().find(|pick| pick.name.as_str() == to) {
        return vec![named];
    }
    let fits = |pick: &&Pick| match to.split_once('@') {
        Some((name, digits)) => pick.name.as_str() == name && begins_so(pick, digits),
        None => begins_so(pick, to),
    };
    let mut found: Vec<&Pick> = Vec::new();
    for pick in picks.iter().filter(fits) {
        if found.iter().all(|other| other.digest != pick.digest) {
            found.push(pick);
        }
    }
    found
}

fn listed<'a>(picks: impl Iterator<Item = &'a Pick>) -> String {
    let shown: Vec<_> = picks.map(ToString::to_string).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use dataverse_core::content::Digest;

    use super::*;

    fn pick(name: &str, digest: [u8; 2], config: u64) -> Pick {
        let table = KindWish {
            config: serde_json::json!({ "of": config }),
            ..KindWish::plain(name)
        };
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&digest);
        let name = name.parse().unwrap();
        Pick::new(&name, Origin::Folder, Digest(bytes), &table)
    }

    #[test]
    fn a_name_goes_before_digits_and_digits_that_fit_several_choose_none() {
        let picks = [
            pick("one", [0xab, 0xcd], 1),
            pick("two", [0xab, 0xce], 1),
            pick("two", [0xab, 0xce], 2),
            pick("two", [0x12, 0x34], 3),
            pick("abcd", [0x56, 0x78], 4),
        ];
        let check = |to: &str, expected: &[usize]| {
            let expected: Vec<_> = expected.iter().map(|&index| &picks[index]).collect();
            assert_eq!(meant(&picks, to), expected, "{to}");
        };
        check("two", &[1]);
        check("two@1234", &[3]);
        check("two@abce", &[1]);
        check("one@abce", &[]);
        check("abcd", &[4]);
        check("abcd0", &[0]);
        check("abce", &[1]);
        check("1234", &[3]);
        check("123", &[]);
        check("", &[]);
        check("two@", &[]);
        let picks = [pick("one", [0xab, 0xcd], 1), pick("two", [0xab, 0xcd], 1)];
        assert_eq!(meant(&picks, "abcd"), [&picks[0]]);
        let mut other = pick("two", [0xab, 0xcd], 1);
        other.digest.0[31] = 1;
        let picks = [picks[0].clone(), other];
        assert_eq!(meant(&picks, "abcd"), [&picks[0], &picks[1]]);
    }
}
