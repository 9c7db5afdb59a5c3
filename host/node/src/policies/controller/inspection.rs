//! Inspections: finds out in the background what each file in the folder is, so that `available` can show it before
//! anyone asks for it. One file at a time.

use std::future::pending;
use std::sync::Arc;

use dataverse_core::content::Digest;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::super::compiler::blocking;
use super::super::folder::Found;
use super::super::name::PolicyName;
use super::Controller;

/// An inspection in progress.
pub(super) struct Inspection {
    name: PolicyName,
    /// The digest of the file when the folder was last read.
    digest: Digest,
    found: oneshot::Receiver<Result<Found, String>>,
    task: AbortHandle,
}

/// The outcome of an inspection.
pub(super) struct Answer {
    name: PolicyName,
    digest: Digest,
    /// The file that was inspected; `None` if the inspection panicked.
    found: Option<Result<Found, String>>,
}

impl Drop for Inspection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Inspection {
    /// Waits for the outcome; for ever, if there is no inspection.
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
    /// Starts to inspect the next file that is not known yet, unless an inspection is in progress.
    pub(super) fn inspect(&mut self) {
        if self.inspection.is_some() {
            return;
        }
        let Some((name, digest)) = self.next_unknown() else {
            return;
        };
        let (folder, file, policy) = (self.folder.clone(), name.clone(), name.clone());
        let compiler = Arc::clone(&self.compiler);
        let (tell, found) = oneshot::channel();
        let task = tokio::spawn(async move {
            let found = match blocking(move || folder.read(&file)).await {
                Err(error) => Err(format!("it can't be read: {error}")),
                Ok(wasm) => {
                    compiler.inspect(&policy, &wasm).await;
                    Ok(Found {
                        digest: Digest::of(&wasm),
                        size: wasm.len() as u64,
                    })
                }
            };
            // The controller may have ended.
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

    /// The next file that has not been inspected.
    fn next_unknown(&self) -> Option<(PolicyName, Digest)> {
        self.listing.files.iter().find_map(|(name, found)| {
            let digest = found.as_ref().ok()?.digest;
            let finding = self.compiler.finding(digest);
            let is_known = finding.is_some_and(|finding| finding.about.is_some());
            (!is_known).then(|| (name.clone(), digest))
        })
    }

    /// Processes the outcome of an inspection.
    pub(super) fn take_note_of(&mut self, answer: Answer) {
        let Answer {
            name,
            digest,
            found,
        } = answer;
        let Some(found) = found else {
            // It would panic again, so the file is inspected again only after it has changed.
            self.compiler.note_broken_off(digest);
            return;
        };
        if self.listing.files.contains_key(&name) && self.listing.files.get(&name) != Some(&found) {
            // It has changed since, and the system may not report that.
            self.listing = Arc::new(self.listing.with(&name, found));
            self.look.notify_one();
        }
    }
}
