//! Scrub: which holdings a pass over all content still has to check.
//!
//! A pass goes through the holdings in order of their keys, which needs no list: its position is one key, and
//! after a restart the time at which each holding was last checked tells what the pass has already done. Checking
//! the oldest first would mean sorting a million holdings to the same end, since a pass leaves none out.

use crate::holdings::{Holding, Holdings, Page};
use crate::key::Key;
use crate::version::Millis;

/// Looks for holdings whose content was not checked since the pass `began`, in the next page. Content that was
/// checked after `now`, by a clock that was wrong, counts as unchecked. Tombstones have no content.
#[must_use]
pub fn unchecked(
    holdings: &Holdings,
    began: Millis,
    now: Millis,
    after: Option<&Key>,
) -> Page<Holding> {
    holdings.page(after, |holding| {
        let is_checked = holding.verified > began && holding.verified <= now.max(began + 1);
        (!holding.record.deleted && !is_checked).then(|| holding.clone())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::content::Digest;
    use crate::holdings::Role;
    use crate::id::NodeId;
    use crate::limits;
    use crate::record::{Layout, Record};
    use crate::version::{Stamp, Version};

    fn holding(name: &str, verified: Millis, deleted: bool) -> Holding {
        let record = Record {
            version: Version {
                stamp: Stamp(1),
                writer: NodeId::from(1),
            },
            layout: Layout {
                counter: 0,
                author: NodeId::from(1),
                holders: vec![NodeId::from(1)],
            },
            deleted,
            size: 3,
            digest: Digest::of(b"abc"),
            content_type: "text/plain".into(),
            factor: 1,
            key: Key::parse(name).expect("it is a key"),
        };
        Holding {
            record: Arc::new(record),
            role: Role::Cached,
            validated: 0,
            verified,
        }
    }

    fn names(page: &Page<Holding>) -> Vec<&str> {
        let due = page.items.iter();
        due.map(|holding| holding.record.key.as_str()).collect()
    }

    #[test]
    fn what_was_checked_since_the_pass_began_is_done_and_a_tombstone_has_nothing_to_check() {
        let mut holdings = Holdings::default();
        for (name, verified, deleted) in [
            ("a/before", 99, false),
            ("a/as-it-began", 100, false),
            ("a/since", 101, false),
            ("a/just-now", 200, false),
            ("a/by-a-wrong-clock", 201, false),
            ("a/gone", 5, true),
        ] {
            holdings.put(holding(name, verified, deleted));
        }
        let page = unchecked(&holdings, 100, 200, None);
        let due = ["a/as-it-began", "a/before", "a/by-a-wrong-clock"];
        assert_eq!(names(&page), due);
        assert_eq!(page.resume_after, None);
        // The clock was set back after the pass began.
        let page = unchecked(&holdings, 100, 50, None);
        assert_eq!(page.items.len(), 4);
    }

    #[test]
    fn a_long_list_is_seen_in_pages_and_nothing_twice() {
        let mut holdings = Holdings::default();
        let total = limits::SCAN_KEYS_MAX * 2 + 7;
        for number in 0..total {
            holdings.put(holding(&format!("a/{number:06}"), 0, false));
        }
        let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = unchecked(&holdings, 1, 1, after.as_ref());
            seen.extend(names(&page).into_iter().map(str::to_owned));
            pages += 1;
            after = page.resume_after;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((seen.len(), pages), (total, 3));
        assert!(seen.is_sorted_by(|one, next| one < next));
    }
}
