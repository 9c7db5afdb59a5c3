//! Requested rollbacks: writes file and table of an earlier policy, so that it becomes the desired one.
//!
//! Each rollback goes one step further back: to the policy that was active before the current one. The order in which
//! policies became active does not change by it, and a later one is reached by name. The target was good before and
//! needs no probation. After an automatic rollback, a requested one leads to what runs: that is written down as
//! desired, and nothing is swapped.
//!
//! A file of which there is no other copy is never overwritten.

use bytes::Bytes;
use dataverse_core::policy::Kind;

use super::super::compiler::blocking;
use super::super::folder::Found;
use super::super::view::{KindView, Origin};
use super::swap::expected;
use super::{Controller, source};
use crate::policies::api::PolicyError;
use crate::policies::controller::commands::failed;
use crate::policies::reference::{PolicyRef, short};
use crate::policies::spec::KindSpec;

/// Fewest digits by which a digest can be named.
const DIGITS_MIN: usize = 4;

impl Controller {
    /// Rolls back to the policy that was active before the current one, or to the named one.
    pub(super) async fn roll_back_to(
        &mut self,
        kind: Kind,
        to: Option<&str>,
    ) -> Result<KindView, PolicyError> {
        self.reconcile().await;
        let seen = self.revision(kind);
        let (policy_ref, wasm) = self.destination(kind, to).await?;
        let shadow = self.table(kind).shadow;
        let spec = policy_ref.spec(shadow.filter(|shadow| policy_ref.name.as_str() != shadow));
        let there = self.as_desired(kind, &policy_ref, &spec);
        let returning = there.unwrap_or_else(|| PolicyRef {
            origin: Origin::Folder,
            ..policy_ref.clone()
        });
        self.run_canary_of(kind, returning.clone(), &wasm).await?;
        {
            let _lock = self.lock().await?;
            self.read_folder().await;
            self.must_still_be(kind, &seen)?;
            if self.as_desired(kind, &policy_ref, &spec).is_none() {
                self.bring_back(kind, &policy_ref, wasm).await?;
            }
            self.write_table(kind, &spec).await?;
        }
        tracing::info!(decision = kind.as_str(), policy = %policy_ref, "rolling back to an earlier policy");
        self.kinds[kind as usize].returning = Some(returning);
        let settled = self.settle(kind, &spec).await;
        self.kinds[kind as usize].returning = None;
        settled
    }

    /// The target of the rollback and its file. That is what runs, if it is not what is desired: the rollback has
    /// happened already and only has to be written down.
    async fn destination(
        &self,
        kind: Kind,
        to: Option<&str>,
    ) -> Result<(PolicyRef, Bytes), PolicyError> {
        let kind_state = &self.kinds[kind as usize];
        let running = kind_state
            .active
            .as_ref()
            .map(|running| running.policy_ref.clone());
        let runs = running
            .clone()
            .filter(|_| kind_state.is_unmet() && to.is_none());
        let policy_ref = match (runs, to) {
            (Some(runs), _) => runs,
            (None, None) => self.earlier(kind, running).await?,
            (None, Some(to)) => self.named(kind, running, to).await?,
        };
        let digest = policy_ref.digest;
        let wasm = self.history(move |history| history.get(digest)).await;
        let wasm = wasm.map_err(|error| failed(&policy_ref.to_string(), &error))?;
        Ok((policy_ref, wasm))
    }

    /// The last good policy that was active before this one.
    async fn earlier(&self, kind: Kind, now: Option<PolicyRef>) -> Result<PolicyRef, PolicyError> {
        let (earlier, others) = self
            .history(move |history| {
                let earlier = history.earlier(kind, now.as_ref()).next();
                let others = history.before(kind, now.as_ref());
                let others: Vec<_> = others.map(|past| past.policy_ref.to_string()).collect();
                (
                    earlier.map(|past| past.policy_ref.clone()),
                    others.join(", "),
                )
            })
            .await;
        earlier.ok_or_else(|| {
            PolicyError::NotFound(match others.as_str() {
                "" => format!("there is no {kind} policy to roll back to"),
                later => format!(
                    "there is no earlier {kind} policy to roll back to; name one of the later ones: {later}"
                ),
            })
        })
    }

    /// The good policy that is named: see [`meant`].
    async fn named(
        &self,
        kind: Kind,
        now: Option<PolicyRef>,
        to: &str,
    ) -> Result<PolicyRef, PolicyError> {
        let policy_refs = self
            .history(move |history| {
                let policy_refs = history.before(kind, now.as_ref());
                policy_refs
                    .map(|past| past.policy_ref.clone())
                    .collect::<Vec<_>>()
            })
            .await;
        let to_shown: String = to.chars().take(80).collect();
        match meant(&policy_refs, to).as_slice() {
            [] if policy_refs.is_empty() => Err(PolicyError::NotFound(format!(
                "there is no {kind} policy to roll back to"
            ))),
            [] => Err(PolicyError::NotFound(format!(
                "{to_shown:?} is none of the {kind} policies to roll back to, by its name or the first {DIGITS_MIN} or more digits \
                 of its digest: {}",
                listed(policy_refs.iter())
            ))),
            [only] => Ok((*only).clone()),
            several => Err(PolicyError::Refused(format!(
                "{to_shown:?} fits several {kind} policies: {}; give more digits of the digest",
                listed(several.iter().copied())
            ))),
        }
    }

    /// Writes the file of the policy that is rolled back to.
    async fn bring_back(
        &self,
        kind: Kind,
        policy_ref: &PolicyRef,
        wasm: Bytes,
    ) -> Result<(), PolicyError> {
        self.may_be_replaced(&policy_ref.name, kind)?;
        let in_the_way = self.listing.files.get(&policy_ref.name).cloned();
        let is_new = in_the_way.is_none();
        if let Some(found) = in_the_way {
            self.must_be_in_history(kind, policy_ref, found).await?;
        }
        let (folder, name) = (self.folder.clone(), policy_ref.name.clone());
        let written = blocking(move || match is_new {
            true => folder.put_new(&name, &wasm),
            false => folder.put(&name, &wasm),
        });
        written
            .await
            .map_err(|error| failed(&policy_ref.name.file(), &error))
    }

    /// Refuses to overwrite a file of which there is no other copy: one that is neither the active policy nor in the
    /// history.
    async fn must_be_in_history(
        &self,
        kind: Kind,
        policy_ref: &PolicyRef,
        found: Result<Found, String>,
    ) -> Result<(), PolicyError> {
        let file = policy_ref.name.file();
        let found = found.map_err(|problem| {
            PolicyError::Conflict(format!(
                "{file} would be overwritten, and {problem}: rename it first"
            ))
        })?;
        let active = self.kinds[kind as usize].active.as_ref();
        let runs = active.is_some_and(|running| running.policy_ref.digest == found.digest);
        let (folder, name) = (self.folder.clone(), policy_ref.name.clone());
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
        let (digest, back) = (short(found.digest), short(policy_ref.digest));
        Err(PolicyError::Conflict(format!(
            "{file} (digest {digest}) would be overwritten by the policy that is rolled back to (digest {back}), and there is no other copy of it: rename it first"
        )))
    }

    /// The policy that this spec finds in the folder now, if it is the one that is meant.
    fn as_desired(&self, kind: Kind, meant: &PolicyRef, spec: &KindSpec) -> Option<PolicyRef> {
        let found = source::find(&self.listing, &self.compiler, kind, &meant.name).ok()?;
        let found = expected(&meant.name, found, spec);
        (found.digest == meant.digest).then_some(found)
    }
}

/// The policies that `to` may mean: a name, the first digits of a digest ([`DIGITS_MIN`] at least), or both joined by
/// `@`. A name takes precedence over digits. Of several policies with one name, or with one file, the first is meant,
/// which the next rollback would reach first. If several remain, they are different files.
fn meant<'a>(policy_refs: &'a [PolicyRef], to: &str) -> Vec<&'a PolicyRef> {
    let begins_so = |policy_ref: &PolicyRef, digits: &str| {
        digits.len() >= DIGITS_MIN && policy_ref.digest.to_string().starts_with(digits)
    };
    if let Some(named) = policy_refs
        .iter()
        .find(|policy_ref| policy_ref.name.as_str() == to)
    {
        return vec![named];
    }
    let fits = |policy_ref: &&PolicyRef| match to.split_once('@') {
        Some((name, digits)) => policy_ref.name.as_str() == name && begins_so(policy_ref, digits),
        None => begins_so(policy_ref, to),
    };
    let mut found: Vec<&PolicyRef> = Vec::new();
    for policy_ref in policy_refs.iter().filter(fits) {
        if found.iter().all(|other| other.digest != policy_ref.digest) {
            found.push(policy_ref);
        }
    }
    found
}

fn listed<'a>(policy_refs: impl Iterator<Item = &'a PolicyRef>) -> String {
    let shown: Vec<_> = policy_refs.map(ToString::to_string).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use dataverse_core::content::Digest;

    use super::*;

    fn policy_ref(name: &str, digest: [u8; 2], config: u64) -> PolicyRef {
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
        let policy_refs = [
            policy_ref("one", [0xab, 0xcd], 1),
            policy_ref("two", [0xab, 0xce], 1),
            policy_ref("two", [0xab, 0xce], 2),
            policy_ref("two", [0x12, 0x34], 3),
            policy_ref("abcd", [0x56, 0x78], 4),
        ];
        let check = |to: &str, expected: &[usize]| {
            let expected: Vec<_> = expected.iter().map(|&index| &policy_refs[index]).collect();
            assert_eq!(meant(&policy_refs, to), expected, "{to}");
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
        let policy_refs = [
            policy_ref("one", [0xab, 0xcd], 1),
            policy_ref("two", [0xab, 0xcd], 1),
        ];
        assert_eq!(meant(&policy_refs, "abcd"), [&policy_refs[0]]);
        let mut other = policy_ref("two", [0xab, 0xcd], 1);
        other.digest.0[31] = 1;
        let policy_refs = [policy_refs[0].clone(), other];
        assert_eq!(
            meant(&policy_refs, "abcd"),
            [&policy_refs[0], &policy_refs[1]]
        );
    }
}
