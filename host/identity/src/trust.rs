//! `Trust`: which authorities count at a time, and which nodes are revoked.
//!
//! It begins with one authority and grows with statements. A rotation by an authority that counts makes another one
//! count; each authority names one successor. A revocation by any authority of that line counts. Merging is commutative,
//! associative and idempotent, so nodes that have heard the same statements, in whatever order, agree.
//!
//! Authorities that were rotated out still count until the time in the rotation. After that nothing new that they signed
//! is taken in, so a key that leaks later is of no use. What was taken in before stays, and [`Trust::resigned`] signs it
//! again with the new key, for nodes that know only that one.

use std::collections::BTreeMap;

use dataverse_core::id::NodeId;
use rustls::pki_types::CertificateDer;

use crate::Seconds;
use crate::authority::{Authority, AuthorityCertificate};
use crate::certificate::CertificateError;
use crate::fingerprint::Fingerprint;
use crate::limits;
use crate::statement::{Content, Statement};

/// The authorities of a network, and its revoked nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    root: AuthorityCertificate,
    /// By the authority that is replaced.
    rotations: BTreeMap<Fingerprint, Statement>,
    revocations: BTreeMap<NodeId, Statement>,
}

/// An authority, and until when it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing<'a> {
    /// The authority.
    pub certificate: &'a AuthorityCertificate,
    /// When it ceases to count, if it was rotated out.
    pub until: Option<Seconds>,
}

impl Standing<'_> {
    fn counts(&self, now: Seconds) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Trust {
    /// Trusts this authority, with no statements yet.
    #[must_use]
    pub const fn new(root: AuthorityCertificate) -> Self {
        Self {
            root,
            rotations: BTreeMap::new(),
            revocations: BTreeMap::new(),
        }
    }

    /// The name of the network.
    #[must_use]
    pub fn network(&self) -> &str {
        self.root.network()
    }

    /// The authority that it begins with.
    #[must_use]
    pub const fn root(&self) -> &AuthorityCertificate {
        &self.root
    }

    /// All authorities in the order in which they followed each other.
    fn line(&self) -> Vec<Standing<'_>> {
        let mut line = Vec::new();
        let mut at = &self.root;
        // An authority never follows one of a later generation, so this ends.
        while let Some((to, until)) = self.successor(at) {
            line.push(Standing {
                certificate: at,
                until: Some(until),
            });
            at = to;
        }
        line.push(Standing {
            certificate: at,
            until: None,
        });
        line
    }

    fn successor(&self, of: &AuthorityCertificate) -> Option<(&AuthorityCertificate, Seconds)> {
        match self.rotations.get(&of.fingerprint())?.content() {
            Content::Rotation { to, until, .. } => Some((to, *until)),
            Content::Revocation { .. } => None,
        }
    }

    /// The authorities that count now, the oldest first.
    #[must_use]
    pub fn authorities(&self, now: Seconds) -> Vec<Standing<'_>> {
        let mut line = self.line();
        line.retain(|authority| authority.counts(now));
        line
    }

    /// The authority that signs from now on.
    #[must_use]
    pub fn newest(&self) -> &AuthorityCertificate {
        let mut at = &self.root;
        while let Some((to, _)) = self.successor(at) {
            at = to;
        }
        at
    }

    /// The keys that followed each other, each certified by the one before, the newest first. A node presents those that
    /// still count, for nodes that have not heard of the rotation.
    #[must_use]
    pub fn crossings(&self, now: Seconds) -> Vec<&CertificateDer<'static>> {
        let line = self.line();
        let counting = line.iter().filter(|authority| authority.counts(now));
        let crossing = |authority: &Standing<'_>| {
            let rotation = self.rotations.get(&authority.certificate.fingerprint())?;
            match rotation.content() {
                Content::Rotation { cross, .. } => Some(cross),
                Content::Revocation { .. } => None,
            }
        };
        counting.rev().filter_map(crossing).collect()
    }

    /// Whether this node does not belong to the network any more.
    #[must_use]
    pub fn is_revoked(&self, node: NodeId) -> bool {
        self.revocations.contains_key(&node)
    }

    /// The revoked nodes.
    pub fn revoked(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.revocations.keys().copied()
    }

    /// Every statement: rotations first, in order.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        let line = self.line();
        let rotations = line
            .into_iter()
            .filter_map(|authority| self.rotations.get(&authority.certificate.fingerprint()));
        rotations.chain(self.revocations.values())
    }

    /// The SHA-256 of all statements. Nodes with the same one know the same.
    #[must_use]
    pub fn digest(&self) -> Fingerprint {
        let bytes: Vec<u8> = self.statements().flat_map(Statement::to_bytes).collect();
        Fingerprint::of(&bytes)
    }

    /// Takes in what others say. Ignores what is not signed by an authority that counts now. True if anything is new.
    pub fn learn(&mut self, statements: &[Statement], now: Seconds) -> bool {
        self.take_in(statements, |authority| authority.counts(now))
    }

    /// Takes in what this machine has kept itself, however old its signer is. True if anything is new.
    pub fn restore(&mut self, statements: &[Statement]) -> bool {
        self.take_in(statements, |_| true)
    }

    fn take_in(
        &mut self,
        statements: &[Statement],
        counts: impl Fn(&Standing<'_>) -> bool,
    ) -> bool {
        let is_rotation =
            |statement: &&Statement| matches!(statement.content(), Content::Rotation { .. });
        let (rotations, revocations): (Vec<_>, Vec<_>) = statements.iter().partition(is_rotation);
        let mut learnt = false;
        // Each may be by an authority that another one introduces.
        while rotations
            .iter()
            .any(|rotation| self.take_in_rotation(rotation, &counts))
        {
            learnt = true;
        }
        for revocation in revocations {
            learnt |= self.take_in_revocation(revocation, &counts);
        }
        learnt
    }

    fn take_in_rotation(
        &mut self,
        rotation: &Statement,
        counts: impl Fn(&Standing<'_>) -> bool,
    ) -> bool {
        let Content::Rotation { to, .. } = rotation.content() else {
            return false;
        };
        let line = self.line();
        let Some(by) = line.iter().find(|by| rotation.is_by(by.certificate)) else {
            return false;
        };
        let follows = to.network() == by.certificate.network()
            && to.generation() == by.certificate.generation().saturating_add(1);
        let known = self.rotations.get(&rotation.signer());
        // Of two successors, which an authority should never name, the same one wins everywhere.
        let wins = known.is_none_or(|known| rotation.to_bytes() > known.to_bytes());
        let has_room = known.is_some() || self.rotations.len() < limits::ROTATIONS_MAX;
        if !(follows && wins && has_room && counts(by)) {
            return false;
        }
        self.rotations.insert(rotation.signer(), rotation.clone());
        true
    }

    fn take_in_revocation(
        &mut self,
        revocation: &Statement,
        counts: impl Fn(&Standing<'_>) -> bool,
    ) -> bool {
        let Content::Revocation { node, .. } = revocation.content() else {
            return false;
        };
        let rank = |statement: &Statement| {
            let line = self.line();
            let by = line.iter().find(|by| statement.is_by(by.certificate))?;
            Some((by.certificate.generation(), statement.to_bytes()))
        };
        let known = self.revocations.get(node);
        if known == Some(revocation) {
            return false;
        }
        let line = self.line();
        let by = line.iter().find(|by| revocation.is_by(by.certificate));
        let has_room = known.is_some() || self.revocations.len() < limits::REVOCATIONS_MAX;
        // That of the latest authority, which those that join later know, is kept.
        let wins = known.is_none_or(|known| rank(revocation) > rank(known));
        if !(has_room && wins && by.is_some_and(counts)) {
            return false;
        }
        self.revocations.insert(*node, revocation.clone());
        true
    }

    /// The revocations that this authority has not signed, signed by it.
    ///
    /// # Errors
    /// If the library fails.
    pub fn resigned(&self, by: &Authority) -> Result<Vec<Statement>, CertificateError> {
        let own = by.certificate().fingerprint();
        let others = self.revocations.values().filter(|it| it.signer() != own);
        others
            .map(|statement| Statement::sign(statement.content().clone(), by))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Seconds = 1_000_000;
    const LATER: Seconds = NOW + limits::ROTATION_OVERLAP_S;

    fn authority(generation: u32) -> Authority {
        Authority::create("home", generation, NOW).expect("an authority")
    }

    fn revocation(node: u128, by: &Authority) -> Statement {
        let node = NodeId::from(node);
        Statement::sign(Content::Revocation { node, at: NOW }, by).expect("it is signed")
    }

    fn rotation(to: &Authority, by: &Authority) -> Statement {
        Statement::rotation(by, to, NOW, LATER).expect("it is signed")
    }

    fn generations(trust: &Trust, now: Seconds) -> Vec<u32> {
        let authorities = trust.authorities(now);
        authorities
            .iter()
            .map(|it| it.certificate.generation())
            .collect()
    }

    #[test]
    fn only_the_authority_revokes() {
        let (ours, theirs) = (authority(1), authority(1));
        let mut trust = Trust::new(ours.certificate().clone());
        assert!(!trust.learn(&[revocation(7, &theirs)], NOW));
        assert!(!trust.is_revoked(NodeId::from(7)));
        assert!(trust.learn(&[revocation(7, &ours)], NOW));
        assert!(trust.is_revoked(NodeId::from(7)));
        assert!(!trust.learn(&[revocation(7, &ours)], NOW), "it is known");
    }

    #[test]
    fn after_a_rotation_both_authorities_count_until_the_overlap_ends() {
        let (first, second) = (authority(1), authority(2));
        let mut trust = Trust::new(first.certificate().clone());
        assert!(!trust.learn(&[revocation(7, &second)], NOW));
        assert!(trust.learn(&[revocation(7, &second), rotation(&second, &first)], NOW));
        assert!(trust.is_revoked(NodeId::from(7)));
        assert_eq!(trust.newest(), second.certificate());
        assert_eq!(generations(&trust, LATER - 1), [1, 2]);
        assert_eq!(generations(&trust, LATER), [2]);
        assert!(trust.learn(&[revocation(8, &first)], LATER - 1));
        assert!(
            !trust.learn(&[revocation(9, &first)], LATER),
            "its time is over"
        );
        assert!(trust.is_revoked(NodeId::from(8)), "what was learnt stays");
    }

    #[test]
    fn who_joins_after_a_rotation_learns_what_was_revoked_before() {
        let (first, second) = (authority(1), authority(2));
        let mut old = Trust::new(first.certificate().clone());
        old.learn(&[revocation(7, &first), rotation(&second, &first)], NOW);
        let again = old.resigned(&second).expect("they are signed");
        assert!(old.learn(&again, NOW));
        assert_eq!(old.resigned(&second).expect("nothing is left"), []);
        let mut new = Trust::new(second.certificate().clone());
        let told: Vec<Statement> = old.statements().cloned().collect();
        assert!(new.learn(&told, LATER));
        assert!(new.is_revoked(NodeId::from(7)));
    }

    #[test]
    fn an_authority_can_only_be_followed_by_the_next_of_the_same_network() {
        let first = authority(1);
        let foreign = Authority::create("work", 2, NOW).expect("an authority");
        let mut trust = Trust::new(first.certificate().clone());
        for to in [authority(1), authority(3), foreign] {
            assert!(!trust.learn(&[rotation(&to, &first)], NOW));
        }
        assert!(trust.learn(&[rotation(&authority(2), &first)], NOW));
    }

    #[test]
    fn the_number_of_revocations_is_bounded() {
        let signer = authority(1);
        let mut trust = Trust::new(signer.certificate().clone());
        let one = revocation(0, &signer);
        for node in 0..limits::REVOCATIONS_MAX as u128 {
            trust.revocations.insert(NodeId::from(node), one.clone());
        }
        assert!(!trust.learn(&[revocation(1 << 100, &signer)], NOW));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_order_of_statements_does_not_matter(
            order in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle(),
            cut in 0..6_usize,
        ) {
            let (first, second, third, rival) = (authority(1), authority(2), authority(3), authority(2));
            let all = [
                rotation(&second, &first),
                rotation(&rival, &first),
                revocation(7, &first),
                revocation(8, &first),
                revocation(8, &first),
                rotation(&third, &first),
            ];
            let mut expected = Trust::new(first.certificate().clone());
            expected.learn(&all, NOW);
            let shuffled: Vec<Statement> = order.iter().map(|at| all[*at].clone()).collect();
            let mut trust = Trust::new(first.certificate().clone());
            let (early, late) = shuffled.split_at(cut);
            trust.learn(early, NOW);
            trust.learn(late, NOW);
            trust.learn(&shuffled, NOW);
            prop_assert_eq!(trust.digest(), expected.digest());
            prop_assert_eq!(trust, expected);
        }
    }
}
