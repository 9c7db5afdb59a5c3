//! The way back by hand: file and table are written so that the policy before is what is wished.
//!
//! It goes to the policy that decided before the one that does now, so done twice it ends where it began.
//! That policy was good already and needs no probation.

use bytes::Bytes;
use dataverse_core::policy::Kind;

use super::super::desk::PolicyError;
use super::super::pick::Pick;
use super::super::view::{KindView, Origin};
use super::super::wish::KindWish;
use super::super::workshop::blocking;
use super::errands::failed;
use super::swap::supposed;
use super::{Steward, source};

impl Steward {
    /// Goes back to the policy that decided before this one.
    pub(super) async fn go_to_previous(&mut self, kind: Kind) -> Result<KindView, PolicyError> {
        self.look_at_folder().await;
        let seen = self.revision(kind);
        let (pick, wasm) = self.previous(kind).await?;
        let shadow = self.table(kind).shadow;
        let wish = pick.wish(shadow.filter(|shadow| pick.name.as_str() != shadow));
        let there = self.as_wished(kind, &pick, &wish);
        let returning = there.clone().unwrap_or_else(|| Pick {
            origin: Origin::Folder,
            ..pick.clone()
        });
        self.rehearse_bytes(kind, returning.clone(), &wasm).await?;
        {
            let _lock = self.lock().await?;
            self.look_at_folder().await;
            self.must_be(kind, &seen)?;
            if there.is_none() {
                self.may_be_replaced(&pick.name, kind)?;
                let (folder, name) = (self.folder.clone(), pick.name.clone());
                let written = blocking(move || folder.put(&name, &wasm)).await;
                written.map_err(|error| failed(&pick.name.file(), &error))?;
            }
            self.write_table(kind, &wish).await?;
        }
        tracing::info!(decision = kind.as_str(), policy = %pick, "the policy before is gone back to");
        self.offices[kind as usize].returning = Some(returning);
        let settled = self.settle(kind, &wish).await;
        self.offices[kind as usize].returning = None;
        settled
    }

    /// The last good one but for the one that decides now, and its file.
    async fn previous(&self, kind: Kind) -> Result<(Pick, Bytes), PolicyError> {
        let now = self.offices[kind as usize].active.clone();
        let previous = self
            .kept(move |kept| {
                let now = now.as_ref().map(|running| &running.pick);
                let previous = kept.before(kind, now).next();
                previous.map(|past| (past.pick.clone(), kept.get(past.pick.digest)))
            })
            .await;
        let (pick, wasm) = previous.ok_or_else(|| {
            PolicyError::NotFound(format!("there is no {kind} policy to go back to"))
        })?;
        let wasm = wasm.map_err(|error| failed(&pick.to_string(), &error))?;
        Ok((pick, wasm))
    }

    /// What this wish finds as things are, if that is the policy that is meant.
    fn as_wished(&self, kind: Kind, meant: &Pick, wish: &KindWish) -> Option<Pick> {
        let found = source::find(&self.listing, &self.workshop, kind, &meant.name).ok()?;
        let found = supposed(&meant.name, found, wish);
        (found.digest == meant.digest).then_some(found)
    }
}
