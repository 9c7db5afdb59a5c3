//! Lies about what the member has done: it confirms a copy and stores nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use dataverse_core::content::ContentHasher;
use dataverse_core::record::Record;
use dataverse_overlay::transport::{
    CallError, CommitAnswer, CommitAsk, PrepareAnswer, PrepareAsk, Refusal,
};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;

use crate::chance::Chance;

/// The preparations that were confirmed and not kept.
#[derive(Debug, Default)]
pub(super) struct Discarded(Mutex<BTreeSet<u128>>);

impl Discarded {
    /// Takes the content in, confirms it and forgets it.
    pub(super) async fn prepare(
        &self,
        ask: &PrepareAsk,
        mut chunks: BoxStream<'static, Result<Bytes, CallError>>,
    ) -> Result<PrepareAnswer, Refusal> {
        let (mut hasher, mut size) = (ContentHasher::default(), 0);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| Refusal::Failed(error.to_string()))?;
            size += chunk.len() as u64;
            hasher.update(&chunk);
        }
        self.0.lock().insert(ask.preparation);
        Ok(PrepareAnswer {
            digest: hasher.finish().0,
            size,
            known: None,
        })
    }

    /// Whether it has confirmed and forgotten the content of this commit.
    pub(super) fn includes(&self, ask: &CommitAsk) -> bool {
        match ask {
            CommitAsk::Commit {
                preparation: Some(preparation),
                ..
            }
            | CommitAsk::Abandon { preparation } => self.0.lock().remove(preparation),
            CommitAsk::Commit {
                preparation: None, ..
            } => false,
        }
    }
}

/// The answer to a commit that did not happen.
pub(super) fn committed(chance: &mut Chance, invented: Option<Arc<Record>>) -> CommitAnswer {
    match invented.filter(|_| chance.permille(200)) {
        Some(invented) => CommitAnswer::Superseded(invented),
        None => CommitAnswer::Done,
    }
}
