//! Inquiries: what a file in the folder is, so that it can be told before anybody wishes for it. One file at a time,
//! by the way.

use std::future::pending;
use std::sync::Arc;

use dataverse_core::content::Digest;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::super::folder::Found;
use super::super::name::PolicyName;
use super::super::workshop::blocking;
use super::Steward;

/// A file that is being looked into.
pub(super) struct Inquiry {
    name: PolicyName,
    found: oneshot::Receiver<Answer>,
    task: AbortHandle,
}

/// What the file was that was looked into.
type Answer = Result<Found, String>;

impl Drop for Inquiry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Inquiry {
    /// Waits until one is answered: for ever, if there is none.
    pub(super) async fn answered(inquiry: &mut Option<Self>) -> (PolicyName, Answer) {
        let Some(under_way) = inquiry else {
            return pending().await;
        };
        let found = (&mut under_way.found).await;
        let name = under_way.name.clone();
        *inquiry = None;
        let broke_off = |_| Err("looking into it broke off; the log has more".to_owned());
        (name, found.unwrap_or_else(broke_off))
    }
}

impl Steward {
    /// Begins to look into a file of which is not known yet what it is.
    pub(super) fn inquire(&mut self) {
        if self.inquiry.is_some() {
            return;
        }
        let Some(name) = self.next_unknown() else {
            return;
        };
        let (folder, file, called) = (self.folder.clone(), name.clone(), name.clone());
        let workshop = Arc::clone(&self.workshop);
        let (tell, found) = oneshot::channel();
        let task = tokio::spawn(async move {
            let found = match blocking(move || folder.read(&file)).await {
                Err(error) => Err(format!("it can't be read: {error}")),
                Ok(wasm) => {
                    workshop.inspect(&called, &wasm).await;
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
        self.inquiry = Some(Inquiry { name, found, task });
    }

    /// A file of which is not known yet what it is.
    fn next_unknown(&self) -> Option<PolicyName> {
        let unknown = self.listing.files.iter().find(|(_, found)| {
            let Ok(found) = found else {
                return false;
            };
            let finding = self.workshop.finding(found.digest);
            finding.is_none_or(|finding| finding.about.is_none())
        });
        unknown.map(|(name, _)| name.clone())
    }

    /// Takes note of what was found.
    pub(super) fn take_note_of(&mut self, (name, found): (PolicyName, Answer)) {
        if self.listing.files.contains_key(&name) && self.listing.files.get(&name) != Some(&found) {
            // It has changed since, which the system may not tell.
            self.listing = Arc::new(self.listing.with(&name, found));
            self.look.notify_one();
        }
    }
}
