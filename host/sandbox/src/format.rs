//! Which of the two formats of WebAssembly a file has, by its first bytes.

use wasmparser::{BinaryReaderError, Encoding, Parser};

use crate::limits;
use crate::refusal::{Refusal, cut};

/// Refuses files that are too large, or whose first bytes are not WebAssembly.
pub(crate) fn begins_well(bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.len() > limits::POLICY_FILE_BYTES_MAX {
        return Err(Refusal::TooLarge {
            bytes: bytes.len(),
            most: limits::POLICY_FILE_BYTES_MAX,
        });
    }
    encoding(bytes).map(drop)
}

/// Which of the two formats it is, by its first bytes.
pub(crate) fn encoding(bytes: &[u8]) -> Result<Encoding, Refusal> {
    if Parser::is_component(bytes) {
        Ok(Encoding::Component)
    } else if Parser::is_core_wasm(bytes) {
        Ok(Encoding::Module)
    } else if bytes.trim_ascii_start().starts_with(b"(") {
        Err(Refusal::NotWasm(
            "it looks like the text format; convert it with `wasm-tools parse`".to_owned(),
        ))
    } else {
        Err(Refusal::NotWasm(
            "it does not begin with the magic bytes of WebAssembly".to_owned(),
        ))
    }
}

/// The refusal of a file that cannot be parsed.
pub(crate) fn broken(error: BinaryReaderError) -> Refusal {
    Refusal::NotWasm(format!(
        "it is broken or cut off: {}",
        cut(&error.to_string())
    ))
}
