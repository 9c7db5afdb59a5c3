//! `Turns`: when each other member is due for a round or a survey. Soon after it appears, then at the configured
//! intervals; rounds that lead to nothing become rarer.

use std::collections::BTreeMap;
use std::time::Duration;

use dataverse_core::backoff::Backoff;
use dataverse_core::id::NodeId;
use dataverse_core::search::Peer;
use tokio::time::Instant;

use super::RoundOutcome;
use crate::entropy::Entropy;
use crate::limits;

/// After a member appears, the first comparison comes within `every` divided by this.
const SOON_DIVISOR: u32 = 20;

/// State of the last survey of a member: the tag of its filter, and this node's count of index changes at that
/// time.
pub(super) type Surveyed = (u128, u64);

/// Kind of comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Compare the files that both should hold.
    Round,
    /// Look for other files that both hold.
    Survey {
        /// The state of the last survey, if it left nothing open.
        seen: Option<Surveyed>,
    },
}

#[derive(Debug)]
struct PeerTurn {
    peer: Peer,
    here: bool,
    /// A comparison with it is under way.
    busy: bool,
    round: Instant,
    survey: Instant,
    /// The pauses after rounds that lead to nothing.
    backoff: Backoff,
    surveyed: Option<Surveyed>,
}

/// The turns of all members.
pub(super) struct Turns {
    every: Duration,
    survey_every: Duration,
    /// Adds jitter, so that nodes started together don't stay in step.
    entropy: Entropy,
    of: BTreeMap<NodeId, PeerTurn>,
}

impl Turns {
    pub(super) fn new(every: Duration, survey_every: Duration, entropy: Entropy) -> Self {
        Self {
            every,
            survey_every,
            entropy,
            of: BTreeMap::new(),
        }
    }

    /// These members are alive now. One that was not alive before is due soon.
    pub(super) fn follow(&mut self, living: Vec<Peer>, now: Instant) {
        let before: Vec<NodeId> = self.of.keys().copied().collect();
        let mut gone: std::collections::BTreeSet<NodeId> = before.into_iter().collect();
        for peer in living {
            gone.remove(&peer.id);
            let soon = now + self.entropy.jittered(self.every / SOON_DIVISOR);
            if let Some(turn) = self.of.get_mut(&peer.id) {
                turn.peer = peer;
                if !turn.here {
                    turn.here = true;
                    turn.backoff.reset();
                    (turn.round, turn.survey) = (soon, soon);
                }
            } else if self.has_space() {
                let turn = PeerTurn {
                    here: true,
                    busy: false,
                    round: soon,
                    survey: soon,
                    backoff: Backoff::new(
                        self.every * 2,
                        self.every * limits::RECONCILE_FRUITLESS_FACTOR_MAX,
                    ),
                    surveyed: None,
                    peer,
                };
                self.of.insert(turn.peer.id, turn);
            }
        }
        for id in gone {
            self.of.entry(id).and_modify(|turn| turn.here = false);
        }
    }

    /// Whether there is space for one more member; replaces one that is gone if necessary.
    fn has_space(&mut self) -> bool {
        if self.of.len() < limits::RECONCILE_PEERS_MAX {
            return true;
        }
        let gone = self.of.iter().find(|(_, turn)| !turn.here);
        let gone = gone.map(|(id, _)| *id);
        gone.is_some_and(|id| self.of.remove(&id).is_some())
    }

    /// The next comparison that is due with a member that none is under way with: rounds before surveys, the longest
    /// overdue first. It is under way until [`Turns::taken`].
    pub(super) fn next(&mut self, now: Instant) -> Option<(Peer, Kind)> {
        let free = || {
            let all = self.of.iter();
            all.filter(|(_, turn)| turn.here && !turn.busy)
        };
        let round = free().min_by_key(|(_, turn)| turn.round);
        let survey = free().min_by_key(|(_, turn)| turn.survey);
        let (id, kind) = match (round, survey) {
            (Some((id, turn)), _) if turn.round <= now => (*id, Kind::Round),
            (_, Some((id, turn))) if turn.survey <= now => {
                let seen = turn.surveyed;
                (*id, Kind::Survey { seen })
            }
            _ => return None,
        };
        let turn = self.of.get_mut(&id)?;
        turn.busy = true;
        Some((turn.peer.clone(), kind))
    }

    /// Records that a turn was taken and sets the next. Differences that had to wait are looked at again soon;
    /// rounds that lead to nothing become rarer.
    pub(super) fn taken(&mut self, id: NodeId, kind: Kind, outcome: &RoundOutcome, now: Instant) {
        let Some(turn) = self.of.get_mut(&id) else {
            return;
        };
        turn.busy = false;
        match outcome.surveyed {
            _ if outcome.left > 0 => turn.surveyed = None,
            Some(seen) => turn.surveyed = Some(seen),
            None => {}
        }
        match kind {
            Kind::Round => {
                let fruitless = outcome.differed && outcome.acted == 0 && outcome.left == 0;
                let pause = if fruitless {
                    turn.backoff.next_pause()
                } else {
                    turn.backoff.reset();
                    self.every
                };
                turn.round = now + self.entropy.jittered(pause);
            }
            Kind::Survey { .. } if outcome.left > 0 => {
                turn.survey = now + self.entropy.jittered(self.every.min(self.survey_every));
            }
            Kind::Survey { .. } => turn.survey = now + self.entropy.jittered(self.survey_every),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u128) -> Peer {
        Peer {
            id: NodeId::from(number),
            name: "B".into(),
            address: "b.test:1".into(),
        }
    }

    fn turns() -> Turns {
        let hour = Duration::from_secs(3600);
        Turns::new(Duration::from_secs(60), hour, Entropy::seeded(7))
    }

    fn differed(acted: usize, left: usize) -> RoundOutcome {
        RoundOutcome {
            differed: true,
            acted,
            left,
            surveyed: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_appears_or_returns_is_due_soon_and_then_at_the_usual_pace() {
        let mut turns = turns();
        let mut now = Instant::now();
        let soon = Duration::from_secs(3);
        for _ in 0..2 {
            turns.follow(vec![peer(2)], now);
            assert_eq!(turns.next(now), None);
            now += soon;
            assert_eq!(turns.next(now), Some((peer(2), Kind::Round)));
            turns.taken(peer(2).id, Kind::Round, &RoundOutcome::default(), now);
            let survey = Kind::Survey { seen: None };
            assert_eq!(turns.next(now), Some((peer(2), survey)));
            turns.taken(peer(2).id, survey, &RoundOutcome::default(), now);
            assert_eq!(turns.next(now + Duration::from_secs(29)), None);
            turns.follow(Vec::new(), now);
            assert_eq!(turns.next(now + Duration::from_secs(9999)), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_member_that_takes_long_holds_up_no_other() {
        let mut turns = turns();
        let now = Instant::now() + Duration::from_secs(3);
        turns.follow(vec![peer(2), peer(3)], Instant::now());
        let (slow, _) = turns.next(now).expect("one is due");
        let (other, kind) = turns.next(now).expect("the other one is due");
        assert_ne!(slow, other);
        assert_eq!(turns.next(now), None, "one comparison with each at a time");
        turns.taken(other.id, kind, &RoundOutcome::default(), now);
        let (again, kind) = turns.next(now).expect("a survey is due");
        assert_eq!((&again, kind), (&other, Kind::Survey { seen: None }));
        let done = RoundOutcome {
            surveyed: Some((7, 1)),
            ..RoundOutcome::default()
        };
        turns.taken(again.id, kind, &done, now);
        assert_eq!(turns.of[&other.id].surveyed, Some((7, 1)));
        let open = RoundOutcome { left: 1, ..done };
        turns.taken(again.id, kind, &open, now);
        assert_eq!(turns.of[&other.id].surveyed, None);
    }

    #[tokio::test(start_paused = true)]
    async fn rounds_that_lead_to_nothing_become_rarer_until_one_does() {
        let mut turns = turns();
        let now = Instant::now();
        turns.follow(vec![peer(2)], now);
        let mut pause = |outcome| {
            turns.taken(peer(2).id, Kind::Round, &outcome, now);
            turns.of[&peer(2).id].round - now
        };
        let most = Duration::from_secs(60 * 8);
        for _ in 0..10 {
            assert!(pause(differed(0, 0)) <= most);
        }
        assert!(pause(differed(0, 0)) >= most / 2);
        assert!(pause(differed(1, 0)) <= Duration::from_secs(60));
        assert!(pause(differed(0, 1)) <= Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn more_nodes_than_there_is_room_for_push_out_only_those_that_are_gone() {
        let mut turns = turns();
        let now = Instant::now();
        let max = limits::RECONCILE_PEERS_MAX as u128;
        turns.follow((0..max).map(peer).collect(), now);
        turns.follow((0..=max).map(peer).collect(), now);
        assert_eq!(turns.of.len() as u128, max);
        turns.follow((1..=max).map(peer).collect(), now);
        turns.follow((1..=max).map(peer).collect(), now);
        assert!(turns.of.contains_key(&peer(max).id));
        assert_eq!(turns.of.len() as u128, max);
    }
}
