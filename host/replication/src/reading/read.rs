//! `Read`: finds the copy that a reader gets: the node's own if it is known to be the newest, otherwise the nearest
//! one.

use std::sync::Arc;

use dataverse_core::holdings::{Holding, Role};
use dataverse_core::node::LocalRead;
use dataverse_core::record::Record;
use dataverse_core::version::Version;

use super::{Consistency, Missed, Unavailable, Word};

/// How often a search is repeated above a version that turned out to be newer than the copy found. Writers could go on
/// forever.
const SEARCHES_MAX: u32 = 3;

/// What to do next for a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// See what this node has: [`Event::Seen`].
    Look,
    /// Verify the copy here, since the node was away for long, and see again what this node has: [`Event::Seen`].
    Verify(Arc<Record>),
    /// Ask the replicas whether this is the newest version: [`Event::Confirmed`].
    Confirm {
        /// The record of the copy.
        record: Arc<Record>,
        /// The copy is a replica.
        is_replica: bool,
    },
    /// Search the other nodes for a copy of this version or a greater one: [`Event::Found`] or [`Event::Missed`].
    Search {
        /// The version.
        floor: Option<Version>,
    },
    /// Have the nodes that were found show content of this record: [`Event::Shown`].
    Show(Arc<Record>),
    /// Forget what was heard of versions that no node has, up to this one: [`Event::Done`].
    Forget(Version),
}

/// Result of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nothing was done yet, or there is nothing to say about it.
    Done,
    /// What this node has.
    Seen(Local),
    /// What the replicas say.
    Confirmed(Word),
    /// The nearest copy.
    Found {
        /// Its record.
        record: Arc<Record>,
        /// Its role.
        role: Role,
        /// How long ago it was known to be the newest, in milliseconds.
        validated_age_ms: u64,
    },
    /// There is none.
    Missed(Missed),
    /// Whether one of the nodes that were found has the content.
    Shown(bool),
}

/// What a node has of a file, and what that is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// What it would do by itself.
    pub read: LocalRead,
    /// Its replica may have been overwritten while it was down.
    pub slept_through: bool,
    /// It was away for long and has not verified its copy yet.
    pub is_unverified: bool,
    /// No other node is up.
    pub is_alone: bool,
    /// It has run long enough to know which members are up.
    pub knows_members: bool,
}

/// What a reader gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The node's own copy.
    Here {
        /// The copy.
        holding: Holding,
        /// Nobody confirmed that it is the newest.
        stale: bool,
    },
    /// The nearest copy that the last search found.
    Found {
        /// Nobody confirmed that it is the newest.
        stale: bool,
        /// How long ago it was known to be the newest, in milliseconds; `None` if never.
        validated_age_ms: Option<u64>,
    },
    /// The copy that the last search found below what others have heard of. It is stale.
    Below,
    /// The older version that the last search found, of which the newer one is nowhere. It is stale.
    Overtaken,
    /// Nothing.
    No(Unavailable),
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Do this, and step again with the result.
    Do(Action),
    /// This is what the reader gets.
    End(Reading),
}

/// One read of one file.
#[derive(Debug)]
pub struct Read {
    consistency: Consistency,
    /// A cached copy is served for so long after a replica confirmed it.
    revalidate_after_ms: u64,
    searches_left: u32,
    /// The replica of this node than which another node knows a newer version.
    overwritten: Option<Holding>,
    doing: Doing,
}

#[derive(Debug)]
enum Doing {
    Beginning,
    Looking,
    Verifying,
    ConfirmingOwn(Holding),
    Searching,
    /// A node shows that it has the newer version, in a copy that was known to be the newest so long ago.
    Showing {
        record: Arc<Record>,
        role: Role,
        validated_age_ms: u64,
    },
    /// The copy found was known to be the newest so long ago.
    ConfirmingFound(u64),
    Ending(Reading),
}

impl Read {
    /// A read that must be so fresh. Cached copies are confirmed again after `revalidate_after_ms`.
    #[must_use]
    pub const fn new(consistency: Consistency, revalidate_after_ms: u64) -> Self {
        Self {
            consistency,
            revalidate_after_ms,
            searches_left: SEARCHES_MAX,
            overwritten: None,
            doing: Doing::Beginning,
        }
    }

    /// The next step, from the result of the last action. The first event is [`Event::Done`].
    ///
    /// # Panics
    /// The event does not answer the last action.
    pub fn step(&mut self, event: Event) -> Step {
        let doing = std::mem::replace(&mut self.doing, Doing::Beginning);
        match (doing, event) {
            (Doing::Beginning, Event::Done) => self.then(Doing::Looking, Action::Look),
            (Doing::Looking, Event::Seen(local)) => self.looked(local),
            (Doing::Verifying, Event::Seen(local)) => self.verified(local),
            (Doing::ConfirmingOwn(holding), Event::Confirmed(word)) => {
                self.own_confirmed(holding, word)
            }
            (
                Doing::Searching,
                Event::Found {
                    record,
                    role,
                    validated_age_ms,
                },
            ) => self.found(record, role, validated_age_ms),
            (
                Doing::Showing {
                    record,
                    role,
                    validated_age_ms,
                },
                Event::Shown(is_shown),
            ) => match self.overwritten.take() {
                Some(own) if !is_shown => self.not_shown(own),
                _ => self.found(record, role, validated_age_ms),
            },
            (Doing::Searching, Event::Missed(missed)) => self.missed(&missed),
            (Doing::ConfirmingFound(age_ms), Event::Confirmed(word)) => {
                self.found_confirmed(age_ms, word)
            }
            (Doing::Ending(reading), Event::Done) => Step::End(reading),
            (doing, event) => unreachable!("{event:?} does not answer {doing:?}"),
        }
    }

    fn then(&mut self, doing: Doing, action: Action) -> Step {
        self.doing = doing;
        Step::Do(action)
    }

    fn looked(&mut self, local: Local) -> Step {
        match &local.read {
            LocalRead::Confirm(holding) if local.is_unverified && local.is_alone => {
                // Nobody could know better.
                Step::End(Reading::Here {
                    holding: holding.clone(),
                    stale: !local.knows_members,
                })
            }
            LocalRead::Confirm(holding) if local.is_unverified => {
                let record = Arc::clone(&holding.record);
                self.then(Doing::Verifying, Action::Verify(record))
            }
            _ => self.verified(local),
        }
    }

    fn verified(&mut self, local: Local) -> Step {
        let is_usual = self.consistency == Consistency::Usual;
        match local.read {
            LocalRead::Serve(holding) if is_usual && !local.slept_through => {
                let stale = false;
                Step::End(Reading::Here { holding, stale })
            }
            LocalRead::Serve(holding) | LocalRead::Confirm(holding) => {
                let confirm = Action::Confirm {
                    record: Arc::clone(&holding.record),
                    is_replica: holding.role == Role::Replica,
                };
                self.then(Doing::ConfirmingOwn(holding), confirm)
            }
            LocalRead::Search { floor } => self.search(floor),
        }
    }

    fn own_confirmed(&mut self, holding: Holding, word: Word) -> Step {
        match self.staleness(word) {
            Ok(stale) => Step::End(Reading::Here { holding, stale }),
            Err(Some(newer)) => {
                self.overwritten = Some(holding).filter(|own| own.role == Role::Replica);
                self.search(Some(newer))
            }
            Err(None) => Step::End(Reading::No(Unavailable::Unconfirmed)),
        }
    }

    /// The newer version is one that a node claims to have and can't send. It does not hide the replica here.
    fn not_shown(&self, own: Holding) -> Step {
        Step::End(match self.consistency {
            Consistency::Usual => Reading::Here {
                holding: own,
                stale: true,
            },
            Consistency::Newest => Reading::No(Unavailable::Unconfirmed),
        })
    }

    fn search(&mut self, floor: Option<Version>) -> Step {
        if self.searches_left == 0 {
            return Step::End(Reading::No(Unavailable::Unsettled));
        }
        self.searches_left -= 1;
        self.then(Doing::Searching, Action::Search { floor })
    }

    /// A replica counts as current without asking, a cached copy only if it was confirmed recently.
    fn found(&mut self, record: Arc<Record>, role: Role, validated_age_ms: u64) -> Step {
        if self.overwritten.is_some() {
            let show = Action::Show(Arc::clone(&record));
            let showing = Doing::Showing {
                record,
                role,
                validated_age_ms,
            };
            return self.then(showing, show);
        }
        let is_replica = role == Role::Replica;
        let is_fresh = is_replica || validated_age_ms <= self.revalidate_after_ms;
        if is_fresh && self.consistency == Consistency::Usual {
            return self.found_confirmed(validated_age_ms, Word::Newest { by_all: false });
        }
        let confirm = Action::Confirm { record, is_replica };
        self.then(Doing::ConfirmingFound(validated_age_ms), confirm)
    }

    fn found_confirmed(&mut self, age_ms: u64, word: Word) -> Step {
        let stale = match self.staleness(word) {
            Ok(stale) => stale,
            Err(Some(newer)) => return self.search(Some(newer)),
            Err(None) => return Step::End(Reading::No(Unavailable::Unconfirmed)),
        };
        // A copy that was confirmed too long ago was confirmed again just now.
        let age_ms = match age_ms > self.revalidate_after_ms {
            true => 0,
            false => age_ms,
        };
        Step::End(Reading::Found {
            stale,
            validated_age_ms: (!stale).then_some(age_ms),
        })
    }

    /// Whether a copy about which the replicas say this is stale; or the newer version to look for; or none, if it
    /// can't be read.
    fn staleness(&self, word: Word) -> Result<bool, Option<Version>> {
        let wants_newest = self.consistency == Consistency::Newest;
        match word {
            Word::Newest { by_all } => Ok(wants_newest && !by_all),
            Word::Newer(heard) => Err(Some(heard.version)),
            Word::Unknown if wants_newest => Err(None),
            Word::Unknown => Ok(true),
        }
    }

    fn missed(&mut self, missed: &Missed) -> Step {
        let reading = missed.reading(self.consistency);
        match missed.disproved() {
            Some(version) => self.then(Doing::Ending(reading), Action::Forget(version)),
            None => Step::End(reading),
        }
    }
}
