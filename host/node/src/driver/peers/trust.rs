//! What the authorities of the network have stated: passed on over links, and obeyed.
//!
//! Two neighbours compare the digests of what they know when a link comes up, whenever one of them learns something, and
//! once in a while. Where the digests differ, each tells the other everything. So a statement floods over the links, and a
//! node that was away hears of it from its first neighbour.
//!
//! A revoked node is cut off at once: its connections close by themselves (see `grpc::tls` in the overlay), its link is
//! removed, it is no member any more, and it counts as gone, so that its replicas are made again elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dataverse_core::id::NodeId;
use dataverse_core::search::Peer;
use dataverse_identity::credentials::Credentials;
use dataverse_identity::fingerprint::Fingerprint;
use dataverse_identity::statement::Statement;
use dataverse_overlay::transport::{CallError, Refusal, TransportExt, TrustAnswer, TrustAsk};
use futures_util::StreamExt;
use tokio::time::Instant;

use crate::driver::Driver;
use crate::driver::problems::AGAIN;
use crate::limits;

/// How often to look for neighbours that have not been asked yet.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Neighbours that know the same are asked again after this long.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// With whom this node agreed on what, and when.
type Agreed = BTreeMap<NodeId, (Fingerprint, Instant)>;

impl Driver {
    /// Takes part in what these credentials need: statements are exchanged with neighbours, and revoked nodes cut off.
    pub fn trust_by(&self, credentials: Arc<Credentials>) {
        if self.credentials.set(Arc::clone(&credentials)).is_ok() {
            self.spawn(self.shared().keep_trust(credentials));
        }
    }

    /// Whether this node was revoked in the network.
    pub(in crate::driver) fn is_revoked(&self, id: NodeId) -> bool {
        let credentials = self.credentials.get();
        credentials.is_some_and(|credentials| credentials.is_revoked(id))
    }

    async fn keep_trust(self: Arc<Self>, credentials: Arc<Credentials>) {
        let mut revision = credentials.revision();
        let mut agreed = Agreed::new();
        loop {
            self.cut_revoked(&credentials).await;
            self.agree(&credentials, &mut agreed).await;
            let woken = self.still_runs(async {
                tokio::select! {
                    changed = revision.changed() => changed.is_ok(),
                    () = tokio::time::sleep(LOOK_EVERY) => true,
                }
            });
            if woken.await != Some(true) {
                return;
            }
        }
    }

    /// Exchanges statements with the neighbours that may know other ones.
    async fn agree(&self, credentials: &Credentials, agreed: &mut Agreed) {
        let Some(digest) = credentials.digest() else {
            return;
        };
        let neighbours = self.links.up_peers();
        agreed.retain(|id, _| neighbours.iter().any(|peer| peer.id == *id));
        let knows = |peer: &Peer| match agreed.get(&peer.id) {
            Some((known, at)) => *known == digest && at.elapsed() < ASK_AGAIN,
            None => false,
        };
        let others: Vec<Peer> = neighbours.into_iter().filter(|it| !knows(it)).collect();
        let asked = others.into_iter().map(|peer| async move {
            let told = self.agree_with(credentials, &peer).await;
            (peer, told)
        });
        let mut asked = futures_util::stream::iter(asked).buffer_unordered(limits::TRUST_ASKS_MAX);
        while let Some(Some((peer, told))) = self.still_runs(asked.next()).await {
            match told {
                Ok(known) => {
                    agreed.insert(peer.id, (known, Instant::now()));
                }
                Err(error) => {
                    tracing::debug!(node = %peer.name, %error, "statements could not be exchanged; trying again");
                }
            }
        }
    }

    /// Exchanges statements with this node. Returns the digest of what it knows now.
    async fn agree_with(
        &self,
        credentials: &Credentials,
        peer: &Peer,
    ) -> Result<Fingerprint, CallError> {
        let ask = |statements| {
            let digest = credentials.digest().map(|it| *it.as_bytes());
            self.message(TrustAsk {
                digest: digest.unwrap_or_default(),
                statements,
            })
        };
        let answer = self.transport.ask(peer, ask(Vec::new())).await?;
        let TrustAnswer { digest, statements } = self.answer_of(peer, answer)?;
        self.learn_statements(statements)
            .await
            .map_err(CallError::Refused)?;
        let known = Fingerprint::from_bytes(digest);
        if credentials.digest() == Some(known) {
            return Ok(known);
        }
        let own = statements_of(credentials);
        let answer = self.transport.ask(peer, ask(own)).await?;
        let answer = self.answer_of(peer, answer)?;
        Ok(Fingerprint::from_bytes(answer.digest))
    }

    /// Answers a neighbour that tells and asks what the authorities have stated.
    pub(in crate::driver) async fn exchange_trust(
        &self,
        ask: TrustAsk,
    ) -> Result<TrustAnswer, Refusal> {
        self.learn_statements(ask.statements).await?;
        let digest = self.credentials.get().and_then(|it| it.digest());
        let (Some(credentials), Some(digest)) = (self.credentials.get(), digest) else {
            return Err(Refusal::Absent(format!(
                "node {} belongs to no network with an authority",
                self.me.name
            )));
        };
        let is_same = *digest.as_bytes() == ask.digest;
        Ok(TrustAnswer {
            digest: *digest.as_bytes(),
            statements: match is_same {
                true => Vec::new(),
                false => statements_of(credentials),
            },
        })
    }

    async fn learn_statements(&self, statements: Vec<Bytes>) -> Result<(), Refusal> {
        let Some(credentials) = self.credentials.get().cloned() else {
            return Ok(());
        };
        if statements.is_empty() {
            return Ok(());
        }
        let read: Result<Vec<_>, _> = statements
            .iter()
            .map(|it| Statement::from_bytes(it))
            .collect();
        let read = read.map_err(|error| Refusal::Invalid(error.to_string()))?;
        let now = self.now() / 1000;
        // Many signatures take a while.
        let learnt = tokio::task::spawn_blocking(move || credentials.learn(&read, now));
        match learnt.await {
            Ok(true) => {
                tracing::info!("the authority of the network revoked a node or was rotated")
            }
            Ok(false) => {}
            Err(error) => return Err(Refusal::Failed(error.to_string())),
        }
        Ok(())
    }

    /// Removes the links with revoked nodes, and has their replicas made again.
    async fn cut_revoked(&self, credentials: &Credentials) {
        let revoked = |peer: &Peer| credentials.is_revoked(peer.id);
        for peer in self.links.peers().into_iter().filter(revoked) {
            tracing::warn!(node = %peer.name, id = %peer.id, "a node was revoked in this network; cutting the link with it");
            if let Err(error) = self.forget_link(peer.id).await {
                tracing::error!(%error, "the link with a revoked node could not be removed from the data folder");
            }
        }
        if credentials.is_revoked(self.me.id)
            && !self
                .told_revoked
                .swap(true, std::sync::atomic::Ordering::AcqRel)
        {
            tracing::error!(
                "this node was revoked in its network, and no other node talks to it any more; {AGAIN}"
            );
        }
    }
}

fn statements_of(credentials: &Credentials) -> Vec<Bytes> {
    let trust = credentials.trust();
    let statements = trust.iter().flat_map(|trust| trust.statements());
    statements.map(|it| Bytes::from(it.to_bytes())).collect()
}
