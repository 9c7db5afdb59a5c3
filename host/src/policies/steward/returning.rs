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

use super::super::desk::PolicyError;
use super::super::folder::Found;
use super::super::pick::{Pick, short};
use super::super::view::{KindView, Origin};
use super::super::wish::KindWish;
use super::super::workshop::blocking;
use super::errands::failed;
use super::swap::supposed;
use super::{Steward, source};

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

    /// The one of the good ones that is called so, or whose digest begins so.
    async fn named(&self, kind: Kind, now: Option<Pick>, to: &str) -> Result<Pick, PolicyError> {
        let (name, digest) = to
            .split_once('@')
            .map_or((to, to), |(name, digest)| (name, digest));
        let is_both = to.contains('@');
        let (name, digest) = (name.to_owned(), digest.to_owned());
        let (found, others) = self
            .kept(move |kept| {
                let is_meant = |pick: &Pick| {
                    let is_named = pick.name.as_str() == name;
                    let begins_so =
                        !digest.is_empty() && pick.digest.to_string().starts_with(&digest);
                    match is_both {
                        true => is_named && begins_so,
                        false => is_named || begins_so,
                    }
                };
                let picks: Vec<_> = kept
                    .before(kind, now.as_ref())
                    .map(|past| &past.pick)
                    .collect();
                let found = picks
                    .iter()
                    .find(|pick| is_meant(pick))
                    .map(|&pick| pick.clone());
                let others: Vec<_> = picks.iter().map(ToString::to_string).collect();
                (found, others.join(", "))
            })
            .await;
        let to: String = to.chars().take(80).collect();
        found.ok_or_else(|| {
            PolicyError::NotFound(match others.as_str() {
                "" => format!("there is no {kind} policy to go back to"),
                others => format!("{to:?} is none of the {kind} policies to go back to: {others}"),
            })
        })
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
