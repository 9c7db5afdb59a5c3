//! Turns core modules into components: `cargo build --target wasm32-unknown-unknown` produces a core module with
//! its component type in a custom section, and wit-component wraps it.

use wasmparser::{Encoding, Parser, Payload};
use wit_component::ComponentEncoder;

use crate::format::{broken, encoding};
use crate::imports::core_import;
use crate::refusal::{Refusal, cut};

/// The component of this core module, according to the component type that it carries.
///
/// # Errors
/// [`Refusal`] when it is not a core module, carries no component type, or imports what no policy may use.
pub fn componentize(core_module: &[u8]) -> Result<Vec<u8>, Refusal> {
    check_core_module(core_module)?;
    ComponentEncoder::default()
        .validate(false)
        .module(core_module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| Refusal::NotAComponent(cut(&format!("{error:#}"))))
}

/// Refuses anything but a core module with a component type, and modules with imports that other toolchains leave
/// behind.
fn check_core_module(bytes: &[u8]) -> Result<(), Refusal> {
    if encoding(bytes)? == Encoding::Component {
        return Err(Refusal::NotAComponent(
            "it is a component already".to_owned(),
        ));
    }
    let mut typed = false;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(broken)? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    core_import(import.map_err(broken)?.module)?;
                }
            }
            Payload::CustomSection(section) => {
                typed |= section.name().starts_with("component-type");
            }
            _ => {}
        }
    }
    if typed {
        return Ok(());
    }
    Err(Refusal::NotAComponent(
        "it does not carry a component type: export the policy with dataverse_sdk::export!, or wrap it with \
         `wasm-tools component embed` and `component new`"
            .to_owned(),
    ))
}
