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

use super::super::compiler::blocking;
use super::super::folder::Found;
use super::super::view::{KindView, Origin};
use super::swap::supposed;
use super::{Controller, source};
use crate::policies::api::PolicyError;
use crate::policies::controller::commands::failed;
use crate::policies::reference::{PolicyRef, short};
use crate::policies::spec::KindSpec;

/// Digits of a digest that say at least which one is meant.
const DIGITS_MIN: usize = 4;

impl Controller {
    /// Goes back to the policy that decided before this one, or to the one that is named.
    pub(super) async fn go_to_previous(
        &mut self,
        kind: Kind,
        to: Option<&str>,
    ) -> Result<KindView, PolicyError> {
        self.reconcile().await;
        let seen = self.revision(kind);
        let (reference, wasm) = self.destination(kind, to).await?;
        let shadow = self.table(kind).shadow;
        let spec = reference.spec(shadow.filter(|shadow| reference.name.as_str() != shadow));
        let there = self.as_desired(kind, &reference, &spec);
        let returning = there.unwrap_or_else(|| PolicyRef {
            origin: Origin::Folder,
            ..reference.clone()
        });
        self.rehearse_bytes(kind, returning.clone(), &wasm).await?;
        {
            let _lock = self.lock().await?;
            self.look_at_folder().await;
            self.must_be(kind, &seen)?;
            if self.as_desired(kind, &reference, &spec).is_none() {
                self.bring_back(kind, &reference, wasm).await?;
            }
            self.write_table(kind, &spec).await?;
        }
        tracing::info!(decision = kind.as_str(), policy = %reference, "the policy before is gone back to");
        self.kinds[kind as usize].returning = Some(returning);
        let settled = self.settle(kind, &spec).await;
        self.kinds[kind as usize].returning = None;
        settled
    }

    /// What is gone back to, and its file: what runs, when that is not what is wished, for then the way back
    /// was gone already and is only to be written down.
    async fn destination(
        &self,
        kind: Kind,
        to: Option<&str>,
    ) -> Result<(PolicyRef, Bytes), PolicyError> {
        let kind_state = &self.kinds[kind as usize];
        let running = kind_state
            .active
            .as_ref()
            .map(|running| running.reference.clone());
        let runs = running
            .clone()
            .filter(|_| kind_state.is_unmet() && to.is_none());
        let reference = match (runs, to) {
            (Some(runs), _) => runs,
            (None, None) => self.earlier(kind, running).await?,
            (None, Some(to)) => self.named(kind, running, to).await?,
        };
        let digest = reference.digest;
        let wasm = self.history(move |history| history.get(digest)).await;
        let wasm = wasm.map_err(|error| failed(&reference.to_string(), &error))?;
        Ok((reference, wasm))
    }

    /// The last good one that decided before this.
    async fn earlier(&self, kind: Kind, now: Option<PolicyRef>) -> Result<PolicyRef, PolicyError> {
        let (earlier, others) = self
            .history(move |history| {
                let earlier = history.earlier(kind, now.as_ref()).next();
                let others = history.before(kind, now.as_ref());
                let others: Vec<_> = others.map(|past| past.reference.to_string()).collect();
                (
                    earlier.map(|past| past.reference.clone()),
                    others.join(", "),
                )
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
    async fn named(
        &self,
        kind: Kind,
        now: Option<PolicyRef>,
        to: &str,
    ) -> Result<PolicyRef, PolicyError> {
        let references = self
            .history(move |history| {
                let references = history.before(kind, now.as_ref());
                references
                    .map(|past| past.reference.clone())
                    .collect::<Vec<_>>()
            })
            .await;
        let to_shown: String = to.chars().take(80).collect();
        match meant(&references, to).as_slice() {
            [] if references.is_empty() => Err(PolicyError::NotFound(format!(
                "there is no {kind} policy to go back to"
            ))),
            [] => Err(PolicyError::NotFound(format!(
                "{to_shown:?} is none of the {kind} policies to go back to, by its name or at least {DIGITS_MIN} digits \
                 of its digest: {}",
                listed(references.iter())
            ))),
            [only] => Ok((*only).clone()),
            several => Err(PolicyError::Refused(format!(
                "{to_shown:?} may be any of these {kind} policies: {}; say which by more of its digest",
                listed(several.iter().copied())
            ))),
        }
    }

    /// Writes the file of a policy that is gone back to.
    async fn bring_back(
        &self,
        kind: Kind,
        reference: &PolicyRef,
        wasm: Bytes,
    ) -> Result<(), PolicyError> {
        self.may_be_replaced(&reference.name, kind)?;
        let in_the_way = self.listing.files.get(&reference.name).cloned();
        let is_new = in_the_way.is_none();
        if let Some(found) = in_the_way {
            self.must_be_in_history(kind, reference, found).await?;
        }
        let (folder, name) = (self.folder.clone(), reference.name.clone());
        let written = blocking(move || match is_new {
            true => folder.put_new(&name, &wasm),
            false => folder.put(&name, &wasm),
        });
        written
            .await
            .map_err(|error| failed(&reference.name.file(), &error))
    }

    /// Refuses to overwrite a file of which there is no other copy: one that is neither what runs of this kind
    /// nor one that can be gone back to.
    async fn must_be_in_history(
        &self,
        kind: Kind,
        reference: &PolicyRef,
        found: Result<Found, String>,
    ) -> Result<(), PolicyError> {
        let file = reference.name.file();
        let found = found.map_err(|problem| {
            PolicyError::Conflict(format!(
                "{file} is in the way, and {problem}: rename it first"
            ))
        })?;
        let active = self.kinds[kind as usize].active.as_ref();
        let runs = active.is_some_and(|running| running.reference.digest == found.digest);
        let (folder, name) = (self.folder.clone(), reference.name.clone());
        let is_kept = self
            .history(move |history| {
                let keep = || {
                    let wasm = folder.read(&name)?;
                    history.put(found.digest, &wasm)
                };
                history.has(kind, found.digest)
                    || runs && (history.get(found.digest).is_ok() || keep().is_ok())
            })
            .await;
        if is_kept {
            return Ok(());
        }
        let (digest, back) = (short(found.digest), short(reference.digest));
        Err(PolicyError::Conflict(format!(
            "{file} is another file (digest {digest}) than the one that is gone back to ({back}), and there is no copy of it: rename it first"
        )))
    }

    /// What this wish finds as things are, if that is the policy that is meant.
    fn as_desired(&self, kind: Kind, meant: &PolicyRef, spec: &KindSpec) -> Option<PolicyRef> {
        let found = source::find(&self.listing, &self.compiler, kind, &meant.name).ok()?;
        let found = supposed(&meant.name, found, spec);
        (found.digest == meant.digest).then_some(found)
    }
}

/// Those that may be meant by this: a name, the first digits of a digest ([`DIGITS_MIN`] at least), or both with an `@`
/// between them. A name goes before digits. Of several with one name, or with one file, the first is meant, which is the
/// next on the way back; what is left to choose from are different files.
fn meant<'a>(references: &'a [PolicyRef], to: &str) -> Vec<&'a PolicyRef> {
    let begins_so = |reference: &PolicyRef, digits: &str| {
        digits.len() >= DIGITS_MIN && reference.digest.to_string().starts_with(digits)
    };
    if let Some(named) = references
        .iter()
        .find(|reference| reference.name.as_str() == to)
    {
        return vec![named];
    }
    let fits = |reference: &&PolicyRef| match to.split_once('@') {
        Some((name, digits)) => reference.name.as_str() == name && begins_so(reference, digits),
        None => begins_so(reference, to),
    };
    let mut found: Vec<&PolicyRef> = Vec::new();
    for reference in references.iter().filter(fits) {
        if found.iter().all(|other| other.digest != reference.digest) {
            found.push(reference);
        }
    }
    found
}

fn listed<'a>(references: impl Iterator<Item = &'a PolicyRef>) -> String {
    let shown: Vec<_> = references.map(ToString::to_string).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use dataverse_core::content::Digest;

    use super::*;

    fn reference(name: &str, digest: [u8; 2], config: u64) -> PolicyRef {
        let table = KindSpec {
            config: serde_json::json!({ "of": config }),
            ..KindSpec::plain(name)
        };
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&digest);
        let name = name.parse().unwrap();
        PolicyRef::new(&name, Origin::Folder, Digest(bytes), &table)
    }

    #[test]
    fn a_name_goes_before_digits_and_digits_that_fit_several_choose_none() {
        let references = [
            reference("one", [0xab, 0xcd], 1),
            reference("two", [0xab, 0xce], 1),
            reference("two", [0xab, 0xce], 2),
            reference("two", [0x12, 0x34], 3),
            reference("abcd", [0x56, 0x78], 4),
        ];
        let check = |to: &str, expected: &[usize]| {
            let expected: Vec<_> = expected.iter().map(|&index| &references[index]).collect();
            assert_eq!(meant(&references, to), expected, "{to}");
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
        let references = [
            reference("one", [0xab, 0xcd], 1),
            reference("two", [0xab, 0xcd], 1),
        ];
        assert_eq!(meant(&references, "abcd"), [&references[0]]);
        let mut other = reference("two", [0xab, 0xcd], 1);
        other.digest.0[31] = 1;
        let references = [references[0].clone(), other];
        assert_eq!(meant(&references, "abcd"), [&references[0], &references[1]]);
    }
}
