//! `Turns`: when each other member is due for a round or a survey. Soon after it appears, then at the configured
//! intervals; rounds that lead to nothing become rarer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dataverse_core::backoff::Backoff;
use dataverse_core::id::NodeId;
use dataverse_core::search::Peer;

use crate::upkeep::At;

/// Members compared with in turn; where there are more, the others have to wait until one is gone.
pub const PEERS_MAX: usize = 1024;
/// The pause after a fruitless round doubles with each such round in a row, up to this many times the usual one.
pub const FRUITLESS_FACTOR_MAX: u32 = 8;
/// After a member appears, the first comparison comes within `every` divided by this.
const SOON_DIVISOR: u32 = 20;

/// What a survey of a member saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastSurvey {
    /// The tag of its filter.
    pub tag: u128,
    /// How often this node's index had changed.
    pub changes: u64,
}

/// What to do with a member whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Compare the files that both should hold.
    Round,
    /// Look for other files that both hold.
    Survey {
        /// The last survey, if it left nothing open.
        last: Option<LastSurvey>,
    },
}

/// Result of a round or a survey.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct TurnOutcome {
    /// Something differed.
    pub differed: bool,
    /// Buckets that were compared because their sums differed.
    pub buckets: usize,
    /// Records learned or sent, and copies begun.
    pub acted: usize,
    /// Differences that have to wait.
    pub left: usize,
    /// What a survey has seen.
    pub surveyed: Option<LastSurvey>,
}

impl TurnOutcome {
    /// Of a comparison that failed, and so is due again.
    #[must_use]
    pub fn failed() -> Self {
        Self {
            left: 1,
            ..Self::default()
        }
    }
}

#[derive(Debug)]
struct PeerTurn {
    peer: Peer,
    here: bool,
    /// A comparison with it is under way.
    busy: bool,
    round: At,
    survey: At,
    /// The pauses after rounds that lead to nothing.
    backoff: Backoff,
    last_survey: Option<LastSurvey>,
}

/// The turns of all members.
#[derive(Debug)]
pub struct Turns {
    every: Duration,
    survey_every: Duration,
    of: BTreeMap<NodeId, PeerTurn>,
}

impl Turns {
    /// No member is known yet. Each is due for a round every `every` and for a survey every `survey_every`.
    #[must_use]
    pub const fn new(every: Duration, survey_every: Duration) -> Self {
        Self {
            every,
            survey_every,
            of: BTreeMap::new(),
        }
    }

    /// These members are alive now. One that was not alive before is due soon. `jittered` varies a pause, so that nodes
    /// started together don't stay in step.
    pub fn follow(
        &mut self,
        living: Vec<Peer>,
        now: At,
        mut jittered: impl FnMut(Duration) -> Duration,
    ) {
        let mut gone: BTreeSet<NodeId> = self.of.keys().copied().collect();
        for peer in living {
            gone.remove(&peer.id);
            let soon = now + jittered(self.every / SOON_DIVISOR);
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
                    backoff: Backoff::new(self.every * 2, self.every * FRUITLESS_FACTOR_MAX),
                    last_survey: None,
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
        if self.of.len() < PEERS_MAX {
            return true;
        }
        let gone = self.of.iter().find(|(_, turn)| !turn.here);
        let gone = gone.map(|(id, _)| *id);
        gone.is_some_and(|id| self.of.remove(&id).is_some())
    }

    /// The next comparison that is due with a member that none is under way with: rounds before surveys, the longest
    /// overdue first. It is under way until [`Turns::taken`].
    pub fn next(&mut self, now: At) -> Option<(Peer, Turn)> {
        let free = || {
            let all = self.of.iter();
            all.filter(|(_, turn)| turn.here && !turn.busy)
        };
        let round = free().min_by_key(|(_, turn)| turn.round);
        let survey = free().min_by_key(|(_, turn)| turn.survey);
        let (id, next) = match (round, survey) {
            (Some((id, turn)), _) if turn.round <= now => (*id, Turn::Round),
            (_, Some((id, turn))) if turn.survey <= now => {
                let last = turn.last_survey;
                (*id, Turn::Survey { last })
            }
            _ => return None,
        };
        let turn = self.of.get_mut(&id)?;
        turn.busy = true;
        Some((turn.peer.clone(), next))
    }

    /// Records that a turn was taken and sets the next. Differences that had to wait are looked at again soon;
    /// rounds that lead to nothing become rarer. For `jittered` see [`Turns::follow`].
    pub fn taken(
        &mut self,
        id: NodeId,
        taken: Turn,
        outcome: &TurnOutcome,
        now: At,
        jittered: impl FnOnce(Duration) -> Duration,
    ) {
        let Some(turn) = self.of.get_mut(&id) else {
            return;
        };
        turn.busy = false;
        turn.last_survey = match outcome.left {
            0 => outcome.surveyed.or(turn.last_survey),
            _ => None,
        };
        match taken {
            Turn::Round => {
                let fruitless = outcome.differed && outcome.acted == 0 && outcome.left == 0;
                let pause = if fruitless {
                    turn.backoff.next_pause()
                } else {
                    turn.backoff.reset();
                    self.every
                };
                turn.round = now + jittered(pause);
            }
            Turn::Survey { .. } if outcome.left > 0 => {
                turn.survey = now + jittered(self.every.min(self.survey_every));
            }
            Turn::Survey { .. } => turn.survey = now + jittered(self.survey_every),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::peer;

    /// The members follow one another, and nothing is jittered.
    struct World {
        turns: Turns,
        now: At,
    }

    impl World {
        fn new() -> Self {
            let hour = Duration::from_secs(3600);
            Self {
                turns: Turns::new(Duration::from_secs(60), hour),
                now: At::from_secs(1),
            }
        }

        fn follow(&mut self, living: impl IntoIterator<Item = u128>) {
            let living = living.into_iter().map(peer).collect();
            self.turns.follow(living, self.now, |pause| pause);
        }

        fn next(&mut self) -> Option<(Peer, Turn)> {
            self.turns.next(self.now)
        }

        fn taken(&mut self, id: NodeId, taken: Turn, outcome: TurnOutcome) {
            self.turns
                .taken(id, taken, &outcome, self.now, |pause| pause);
        }

        fn pass(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }
    }

    const SURVEY: Turn = Turn::Survey { last: None };

    fn differed(acted: usize, left: usize) -> TurnOutcome {
        TurnOutcome {
            differed: true,
            acted,
            left,
            ..TurnOutcome::default()
        }
    }

    #[test]
    fn a_node_that_appears_or_returns_is_due_soon_and_then_at_the_usual_pace() {
        let mut world = World::new();
        for _ in 0..2 {
            world.follow([2]);
            assert_eq!(world.next(), None);
            world.pass(3);
            assert_eq!(world.next(), Some((peer(2), Turn::Round)));
            world.taken(peer(2).id, Turn::Round, TurnOutcome::default());
            assert_eq!(world.next(), Some((peer(2), SURVEY)));
            world.taken(peer(2).id, SURVEY, TurnOutcome::default());
            world.pass(59);
            assert_eq!(world.next(), None);
            world.follow([]);
            world.pass(9999);
            assert_eq!(world.next(), None);
        }
    }

    #[test]
    fn one_member_that_takes_long_holds_up_no_other() {
        let mut world = World::new();
        world.follow([2, 3]);
        world.pass(3);
        let (slow, _) = world.next().expect("one is due");
        let (other, turn) = world.next().expect("the other one is due");
        assert_ne!(slow, other);
        assert_eq!(world.next(), None, "one comparison with each at a time");
        world.taken(other.id, turn, TurnOutcome::default());
        assert_eq!(world.next(), Some((other, SURVEY)));
    }

    #[test]
    fn a_survey_begins_where_the_last_one_left_nothing_open() {
        let mut world = World::new();
        world.follow([2]);
        let last = Some(LastSurvey { tag: 7, changes: 1 });
        let mut next = |left| {
            let outcome = TurnOutcome {
                surveyed: last,
                ..differed(1, left)
            };
            world.taken(peer(2).id, Turn::Round, TurnOutcome::default());
            world.taken(peer(2).id, SURVEY, outcome);
            let turn = &world.turns.of[&peer(2).id];
            (turn.last_survey, turn.survey - world.now)
        };
        assert_eq!(next(0), (last, Duration::from_secs(3600)));
        assert_eq!(next(1), (None, Duration::from_secs(60)));
    }

    #[test]
    fn rounds_that_lead_to_nothing_become_rarer_until_one_does() {
        let mut world = World::new();
        world.follow([2]);
        let mut pause = |outcome| {
            world.taken(peer(2).id, Turn::Round, outcome);
            (world.turns.of[&peer(2).id].round - world.now).as_secs()
        };
        assert_eq!(
            [(); 4].map(|()| pause(differed(0, 0))),
            [120, 240, 480, 480]
        );
        assert_eq!(pause(differed(1, 0)), 60);
        assert_eq!(pause(differed(0, 0)), 120);
        assert_eq!(pause(differed(0, 1)), 60);
    }

    #[test]
    fn every_pause_is_jittered() {
        let mut world = World::new();
        world
            .turns
            .follow(vec![peer(2)], world.now, |pause| pause / 2);
        world.pass(1);
        assert_eq!(world.next(), None);
        world.now += Duration::from_millis(500);
        let (_, turn) = world.next().expect("it is due");
        let (now, outcome) = (world.now, TurnOutcome::default());
        world
            .turns
            .taken(peer(2).id, turn, &outcome, now, |pause| pause / 2);
        assert_eq!(
            world.turns.of[&peer(2).id].round - now,
            Duration::from_secs(30)
        );
    }

    #[test]
    fn more_nodes_than_there_is_room_for_push_out_only_those_that_are_gone() {
        let mut world = World::new();
        let max = PEERS_MAX as u128;
        world.follow(0..max);
        world.follow(0..=max);
        assert_eq!(world.turns.of.len() as u128, max);
        world.follow(1..=max);
        world.follow(1..=max);
        assert!(world.turns.of.contains_key(&peer(max).id));
        assert_eq!(world.turns.of.len() as u128, max);
    }
}
