//! Path: every node on the path keeps a copy ("leave copy everywhere").
//!
//! The default of content-centric networks: Jacobson et al., "Networking named content", CoNEXT 2009; compared
//! with others in Laoutaris, Che and Stavrakakis, "The LCD interconnection of LRU caches and its analysis",
//! Performance Evaluation, 2006. The next reader near any of these nodes is served from a nearby copy, at the
//! price of space in every cache on the path.

use dataverse_sdk::{About, NoConfig, Read, RelocationPolicy, VERDICT_ENTRIES_MAX, Verdict, about};

/// Every node on the path keeps a copy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path;

impl RelocationPolicy for Path {
    type Config = NoConfig;

    fn about() -> About {
        about!("every node on the way to the reader keeps a copy")
    }

    fn new(_: NoConfig, _: u64) -> Result<Self, String> {
        Ok(Self)
    }

    fn on_read(&mut self, read: &Read) -> Verdict {
        // All except the last, which has the file.
        let nodes = read.path.len().saturating_sub(1).min(VERDICT_ENTRIES_MAX);
        Verdict {
            copy_to: (0..nodes as u32).collect(),
            move_to: None,
        }
    }
}

dataverse_sdk::export!(relocation: Path);

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::testing::{check_relocation, file, path, relocation_storm};

    fn check(nodes: u32, copy_to: &[u32]) {
        let read = Read {
            file: file(1),
            reads: 1,
            path: path(nodes),
            now: 0,
        };
        let verdict = check_relocation(&mut Path, &read);
        assert_eq!(
            (verdict.copy_to.as_slice(), verdict.move_to),
            (copy_to, None)
        );
    }

    #[test]
    fn odd_questions_get_valid_answers() {
        relocation_storm(|| Path);
    }

    #[test]
    fn every_node_but_the_holder_keeps_a_copy() {
        check(4, &[0, 1, 2]);
        check(2, &[0]);
    }

    #[test]
    fn where_there_is_no_way_there_is_no_copy() {
        check(1, &[]);
        check(0, &[]);
    }
}
