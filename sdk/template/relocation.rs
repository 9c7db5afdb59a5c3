//! A relocation policy to start from: a node keeps a copy of what is often read through it.

use dataverse_sdk::serde::Deserialize;
use dataverse_sdk::{About, Read, RelocationPolicy, Verdict, about, export};

/// The keys that `policies.toml` may set under `config`.
#[derive(Deserialize)]
#[serde(crate = "dataverse_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// The number of reads after which a copy is kept.
    #[serde(default = "two")]
    reads: u32,
}

const fn two() -> u32 {
    2
}

const CONFIG_SCHEMA: &str = r#"{
    "type": "object",
    "properties": { "reads": { "type": "integer", "minimum": 1, "default": 2 } },
    "additionalProperties": false
}"#;

/// Keeps a copy at the reader once it has read a file often enough.
pub struct Often {
    reads: u32,
}

impl RelocationPolicy for Often {
    type Config = Config;

    fn about() -> About {
        about!(
            "the node that was asked keeps a copy of what it is often asked for",
            CONFIG_SCHEMA
        )
    }

    fn new(config: Config, _seed: u64) -> Result<Self, String> {
        match config.reads {
            0 => Err("reads is 0, but must be at least 1".to_owned()),
            reads => Ok(Self { reads }),
        }
    }

    fn on_read(&mut self, read: &Read) -> Verdict {
        // The first node of the path is the one that was asked.
        let often = read.reads >= self.reads && !read.path.is_empty();
        Verdict {
            copy_to: if often { vec![0] } else { Vec::new() },
            move_to: None,
        }
    }
}

export!(relocation: Often);

#[cfg(test)]
mod tests {
    use dataverse_sdk::testing::{check_relocation, file, path, relocation_storm};

    use super::*;

    fn often() -> Often {
        Often::new(Config { reads: 2 }, 7).unwrap()
    }

    #[test]
    fn a_copy_is_kept_from_the_second_read_on() {
        let mut policy = often();
        let mut read = Read {
            file: file(1),
            reads: 1,
            path: path(3),
            now: 0,
        };
        assert_eq!(check_relocation(&mut policy, &read), Verdict::default());
        read.reads = 2;
        assert_eq!(check_relocation(&mut policy, &read).copy_to, [0]);
    }

    #[test]
    fn it_keeps_to_the_rules_whatever_is_asked() {
        relocation_storm(often);
    }
}
