//! Validates the answers of a search.
//!
//! A node can claim anything. An answer that is visibly wrong is *unsound*: its hits are ignored and the node
//! counts as unanswered, so that no search is called exact because of it. Its neighbours are still asked, and a
//! version that it has heard of still raises the floor: neither can make a search claim more than it knows. A
//! false "no", or an invented file that fits the question, cannot be detected here; the reader's digest check
//! catches the latter.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::floors::Heard;
use crate::limits;
use crate::record::Record;
use crate::search::{Answer, Hit, Peer, Question};

/// A validated answer.
pub(super) struct Judged {
    /// Hits that fit the question; none when the answer is unsound.
    pub(super) hits: Vec<Hit>,
    /// Whether the node may have more hits than it returned.
    pub(super) may_have_more: bool,
    /// The highest version that it has heard of; `None` for patterns.
    pub(super) known: Option<Heard>,
    /// A copy that fits the question except for its version; none when the answer is unsound.
    pub(super) overtaken: Option<Hit>,
    /// Whether the node serves that copy.
    pub(super) serves_overtaken: bool,
    /// The tombstone that the node holds; none when the answer is unsound.
    pub(super) deletion: Option<Arc<Record>>,
    /// Its neighbours: only well-formed ones, at most as many as a node may have links.
    pub(super) neighbours: Vec<Peer>,
    /// Whether the answer can be relied on.
    pub(super) is_sound: bool,
}

/// Checks an answer against the question as that node was asked it.
pub(super) fn judge(question: &Question, answer: Answer) -> Judged {
    let known = match question {
        Question::Exact { .. } => answer.known,
        Question::Pattern { .. } => None,
    };
    let hits_fit = match question {
        Question::Exact { .. } => {
            answer.hits.len() <= 1 && answer.hits.iter().all(|hit| fits(question, known, hit))
        }
        Question::Pattern { limit, .. } => {
            let keys: BTreeSet<_> = answer.hits.iter().map(|hit| &hit.record.key).collect();
            answer.hits.len() <= *limit as usize
                && keys.len() == answer.hits.len()
                && answer.hits.iter().all(|hit| fits(question, known, hit))
        }
    };
    let links_fit = answer.neighbours.len() <= limits::LINKS_MAX
        && answer.neighbours.iter().all(is_well_formed);
    let is_sound = hits_fit && links_fit;
    let may_have_more = match question {
        Question::Exact { .. } => false,
        Question::Pattern { limit, .. } => {
            is_sound && !answer.hits_are_all && answer.hits.len() >= *limit as usize
        }
    };
    let overtaken = answer
        .overtaken
        .filter(|hit| is_sound && was_overtaken(question, known, hit));
    let serves = |hit: &Hit| known.is_none_or(|known| known.version <= hit.record.version);
    let deletion = answer.deletion.held().filter(|record| match question {
        Question::Exact { key, .. } => is_sound && record.deleted && record.key == *key,
        Question::Pattern { .. } => false,
    });
    let mut neighbours = answer.neighbours;
    neighbours.truncate(limits::LINKS_MAX);
    neighbours.retain(is_well_formed);
    Judged {
        hits: if is_sound { answer.hits } else { Vec::new() },
        may_have_more,
        known,
        serves_overtaken: overtaken.as_ref().is_some_and(serves),
        overtaken,
        deletion: deletion.cloned(),
        neighbours,
        is_sound,
    }
}

/// Whether a hit is one of the requested files, is not deleted, and is not below the floor in the question or what
/// its holder has heard of.
fn fits(question: &Question, known: Option<Heard>, hit: &Hit) -> bool {
    let record = &hit.record;
    let of_the_question = match question {
        Question::Exact { key, floor, .. } => {
            let known = known.map(|heard| heard.version);
            record.key == *key && Some(record.version) >= (*floor).max(known)
        }
        Question::Pattern { pattern, .. } => pattern.matches(&record.key),
    };
    of_the_question && !record.deleted
}

/// Whether this is a copy of the requested file, not deleted, and below what its holder has heard of or the
/// floor in the question.
fn was_overtaken(question: &Question, known: Option<Heard>, hit: &Hit) -> bool {
    let record = &hit.record;
    let Question::Exact { key, floor, .. } = question else {
        return false;
    };
    let highest = known.map(|heard| heard.version).max(*floor);
    let is_below = record.key == *key && Some(record.version) < highest;
    is_below && !record.deleted && !hit.is_unverified()
}

fn is_well_formed(peer: &Peer) -> bool {
    peer.name.len() <= limits::NAME_BYTES_MAX && peer.address.len() <= limits::ADDRESS_BYTES_MAX
}
