//! Leave copy down: with each read, the copy moves one hop closer to its reader.
//!
//! LCD of Laoutaris, Che and Stavrakakis, "The LCD interconnection of LRU caches and its analysis", Performance
//! Evaluation, 2006: after a hit, a copy is left on the node next to the one that had the file. A file must be
//! requested as many times as it is hops away before it takes space at its reader, so files that are read once
//! displace nothing there.

use dataverse_sdk::{About, NoConfig, Read, RelocationPolicy, Verdict, about};

/// One hop closer with each read.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeaveCopyDown;

impl RelocationPolicy for LeaveCopyDown {
    type Config = NoConfig;

    fn about() -> About {
        about!("a copy comes one hop closer to its reader with each read")
    }

    fn new(_: NoConfig, _: u64) -> Result<Self, String> {
        Ok(Self)
    }

    fn on_read(&mut self, read: &Read) -> Verdict {
        // The last node has the file; the one before it is one hop closer to the reader.
        let below = read.path.len().checked_sub(2);
        Verdict {
            copy_to: below.map(|index| index as u32).into_iter().collect(),
            move_to: None,
        }
    }
}

dataverse_sdk::export!(relocation: LeaveCopyDown);

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::testing::{check_relocation, file, path, relocation_storm};

    fn copies(path: Vec<dataverse_sdk::Node>) -> Vec<u32> {
        let read = Read {
            file: file(1),
            reads: 1,
            path,
            now: 0,
        };
        let verdict = check_relocation(&mut LeaveCopyDown, &read);
        assert_eq!(verdict.move_to, None);
        verdict.copy_to
    }

    #[test]
    fn odd_questions_get_valid_answers() {
        relocation_storm(|| LeaveCopyDown);
    }

    #[test]
    fn where_there_is_no_way_there_is_no_copy() {
        assert!(copies(path(1)).is_empty());
        assert!(copies(path(0)).is_empty());
    }

    #[test]
    fn a_file_four_hops_away_is_with_its_reader_after_four_reads() {
        let mut way = path(5);
        for expected in [3, 2, 1, 0] {
            assert_eq!(copies(way.clone()), [expected]);
            // The next read ends where the copy was left.
            way.truncate(expected as usize + 1);
        }
    }
}
