//! Never: leaves everything where it is, so every read of a remote file crosses the network.
//!
//! No copies, no space used, nothing to evict. Meant for nodes that only forward, and as the baseline for
//! measuring other policies (the case without in-network caching in Psaras, Chai and Pavlou, "Probabilistic
//! in-network caching for information-centric networks", ICN 2012).

use dataverse_sdk::{About, NoConfig, Read, RelocationPolicy, Verdict, about};

/// Nothing moves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Never;

impl RelocationPolicy for Never {
    type Config = NoConfig;

    fn about() -> About {
        about!("nothing moves towards its readers")
    }

    fn new(_: NoConfig, _: u64) -> Result<Self, String> {
        Ok(Self)
    }

    fn on_read(&mut self, _: &Read) -> Verdict {
        Verdict::default()
    }
}

dataverse_sdk::export!(relocation: Never);

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::testing::{check_relocation, file, path, relocation_storm};

    #[test]
    fn odd_questions_get_valid_answers() {
        relocation_storm(|| Never);
    }

    #[test]
    fn however_often_a_file_is_read_nothing_moves() {
        for nodes in 0..5 {
            let read = Read {
                file: file(1),
                reads: u32::MAX,
                path: path(nodes),
                now: 0,
            };
            assert_eq!(check_relocation(&mut Never, &read), Verdict::default());
        }
    }
}
