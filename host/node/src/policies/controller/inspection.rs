//! Inquiries: what a file in the folder is, so that it can be told before anybody wishes for it. One file at a time,
//! by the way.

use std::future::pending;
use std::sync::Arc;

use dataverse_core::content::Digest;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::super::compiler::blocking;
use super::super::folder::Found;
use super::super::name::PolicyName;
use super::Controller;

/// A file that is being looked into.
pub(super) struct Inspection {
    name: PolicyName,
    /// What the file was when it was last looked at.
    digest: Digest,
    found: oneshot::Receiver<Result<Found, String>>,
    task: AbortHandle,
}

/// What became of an inquiry.
pub(super) struct Answer {
    name: PolicyName,
    digest: Digest,
    /// What the file was that was looked into; nothing if looking into it broke off.
    found: Option<Result<Found, String>>,
}

impl Drop for Inspection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Inspection {
    /// Waits until one is answered: for ever, if there is none.
    pub(super) async fn answered(inspection: &mut Option<Self>) -> Answer {
        let Some(under_way) = inspection else {
            return pending().await;
        };
        let found = (&mut under_way.found).await.ok();
        let (name, digest) = (under_way.name.clone(), under_way.digest);
        *inspection = None;
        Answer {
            name,
            digest,
            found,
        }
    }
}

impl Controller {
    /// Begins to look into a file of which is not known yet what it is.
    pub(super) fn inspect(&mut self) {
        if self.inspection.is_some() {
            return;
        }
        let Some((name, digest)) = self.next_unknown() else {
            return;
        };
        let (folder, file, called) = (self.folder.clone(), name.clone(), name.clone());
        let compiler = Arc::clone(&self.compiler);
        let (tell, found) = oneshot::channel();
        let task = tokio::spawn(async move {
            let found = match blocking(move || folder.read(&file)).await {
                Err(error) => Err(format!("it can't be read: {error}")),
                Ok(wasm) => {
                    compiler.inspect(&called, &wasm).await;
                    Ok(Found {
                        digest: Digest::of(&wasm),
                        size: wasm.len() as u64,
                    })
                }
            };
            // The steward may have ended.
            let _ = tell.send(found);
        });
        let task = task.abort_handle();
        self.inspection = Some(Inspection {
            name,
            digest,
            found,
            task,
        });
    }

    /// A file of which is not known yet what it is.
    fn next_unknown(&self) -> Option<(PolicyName, Digest)> {
        self.listing.files.iter().find_map(|(name, found)| {
            let digest = found.as_ref().ok()?.digest;
            let finding = self.compiler.finding(digest);
            let is_known = finding.is_some_and(|finding| finding.about.is_some());
            (!is_known).then(|| (name.clone(), digest))
        })
    }

    /// Takes note of what was found.
    pub(super) fn take_note_of(&mut self, answer: Answer) {
        let Answer {
            name,
            digest,
            found,
        } = answer;
        let Some(found) = found else {
            // It would break off again, so it is looked into again when it has changed.
            self.compiler.note_broken_off(digest);
            return;
        };
        if self.listing.files.contains_key(&name) && self.listing.files.get(&name) != Some(&found) {
            // It has changed since, which the system may not tell.
            self.listing = Arc::new(self.listing.with(&name, found));
            self.look.notify_one();
        }
    }
}
