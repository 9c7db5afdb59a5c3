//! `WantedLinks`: links requested at start that are not made yet.
//!
//! The address may not answer, its host name may not resolve, or the node may refuse. Each is retried with growing
//! pauses for as long as the node runs, shown among the links, and logged when it first fails and rarely after
//! that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::backoff::Backoff;
use dataverse_core::id::NodeId;
use dataverse_core::limits;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::driver::Driver;
use crate::driver::client::api::{LinkError, LinkState, LinkView};

/// A link that still isn't made is logged again after this long.
const LOG_AGAIN_EVERY: Duration = Duration::from_secs(10 * 60);

/// The attempts so far, by the address given.
#[derive(Default)]
pub(in crate::driver) struct WantedLinks(Mutex<BTreeMap<String, Wanted>>);

struct Wanted {
    since: Instant,
    attempts: u32,
    last_error: Option<String>,
    logged: Option<Instant>,
}

impl WantedLinks {
    /// False when there are too many, or it is already wanted.
    fn add(&self, address: &str) -> bool {
        let mut wanted = self.0.lock();
        if wanted.len() >= limits::LINKS_MAX || wanted.contains_key(address) {
            return false;
        }
        let new = Wanted {
            since: Instant::now(),
            attempts: 0,
            last_error: None,
            logged: None,
        };
        wanted.insert(address.to_owned(), new);
        true
    }

    fn is_wanted(&self, address: &str) -> bool {
        self.0.lock().contains_key(address)
    }

    /// It was made, or is no longer wanted. False if it was not wanted.
    pub(in crate::driver) fn remove(&self, address: &str) -> bool {
        self.0.lock().remove(address).is_some()
    }

    /// Records a failed attempt. Returns the number of attempts and the time since the first if it should be
    /// logged.
    fn failed(&self, address: &str, error: &str) -> Option<(u32, Duration)> {
        let mut wanted = self.0.lock();
        let wanted = wanted.get_mut(address)?;
        wanted.attempts = wanted.attempts.saturating_add(1);
        let is_new_error = wanted.last_error.as_deref() != Some(error);
        wanted.last_error = Some(error.to_owned());
        let is_first = wanted.logged.is_none();
        let is_due = |logged: Instant| {
            logged.elapsed() >= LOG_AGAIN_EVERY
                || (is_new_error && logged.elapsed() >= LOG_AGAIN_EVERY / 10)
        };
        if !is_first && !wanted.logged.is_some_and(is_due) {
            return None;
        }
        wanted.logged = Some(Instant::now());
        Some((wanted.attempts, wanted.since.elapsed()))
    }

    /// The wanted links, for people.
    pub(in crate::driver) fn views(&self) -> Vec<LinkView> {
        let wanted = self.0.lock();
        let views = wanted.iter().map(|(address, wanted)| LinkView {
            name: String::new(),
            id: NodeId::from(0),
            address: address.clone(),
            up: false,
            state: LinkState::Connecting,
            silent_for: Some(wanted.since.elapsed()),
            attempts: wanted.attempts,
            last_error: wanted.last_error.clone(),
        });
        views.collect()
    }
}

impl Driver {
    /// Links with an address given at start, as soon as its node answers.
    pub(in crate::driver) async fn link_at_start(self: Arc<Self>, address: String) {
        if !self.links.wanted.add(&address) {
            return;
        }
        let longest = self.settings.link_retry_max;
        let mut backoff = Backoff::new(self.settings.link_retry_min, longest);
        while self.links.wanted.is_wanted(&address) {
            let error = match self.still_runs(self.link(&address)).await {
                None => return,
                Some(Ok(link)) => {
                    tracing::info!(node = %link.name, address, "linked");
                    self.links.wanted.remove(&address);
                    return;
                }
                Some(Err(error)) => error,
            };
            if !matches!(error, LinkError::Unreachable(_)) {
                // A retry won't fix this; someone has to.
                backoff = Backoff::new(longest, longest);
            }
            if let Some((attempts, waited)) = self.links.wanted.failed(&address, &error.to_string())
            {
                tracing::warn!(address, %error, attempts, waited_s = waited.as_secs(), "a link requested at start is not made yet; it is tried again");
            }
            let pausing = tokio::time::sleep(self.entropy.jittered(backoff.next_pause()));
            if self.still_runs(pausing).await.is_none() {
                return;
            }
        }
    }
}
