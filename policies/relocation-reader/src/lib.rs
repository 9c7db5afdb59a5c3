//! Reader: the node that was asked keeps a copy. The default, and what the first version of Dataverse did.
//!
//! The behaviour of web caches at the edge of a network: "leave copy everywhere" restricted to the last node
//! (Laoutaris, Che and Stavrakakis, "The LCD interconnection of LRU caches and its analysis", Performance
//! Evaluation, 2006). It never moves a replica. The verdict is the same as that of the node's own baseline.

use dataverse_sdk::{About, NoConfig, Read, RelocationPolicy, Verdict, about};

/// The reader's node keeps a copy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reader;

impl RelocationPolicy for Reader {
    type Config = NoConfig;

    fn about() -> About {
        about!("the node that was asked keeps a copy")
    }

    fn new(_: NoConfig, _: u64) -> Result<Self, String> {
        Ok(Self)
    }

    fn on_read(&mut self, read: &Read) -> Verdict {
        let asked = (!read.path.is_empty()).then_some(0);
        Verdict {
            copy_to: asked.into_iter().collect(),
            move_to: None,
        }
    }
}

dataverse_sdk::export!(relocation: Reader);

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
        let verdict = check_relocation(&mut Reader, &read);
        assert_eq!(
            (verdict.copy_to.as_slice(), verdict.move_to),
            (copy_to, None)
        );
    }

    #[test]
    fn odd_questions_get_valid_answers() {
        relocation_storm(|| Reader);
    }

    #[test]
    fn the_node_that_was_asked_keeps_a_copy() {
        check(5, &[0]);
        check(2, &[0]);
    }

    #[test]
    fn a_path_of_nobody_copies_to_nobody() {
        check(0, &[]);
    }
}
