//! Turns core modules into components: `cargo build --target wasm32-unknown-unknown` produces a core module with
//! its component type in a custom section, and wit-component wraps it.

use wit_component::ComponentEncoder;

use crate::check;
use crate::refusal::{Refusal, cut};

/// The component of this core module, according to the component type that it carries.
///
/// # Errors
/// [`Refusal`] when it is not a core module, carries no component type, or imports what no policy may use.
pub fn componentize(core_module: &[u8]) -> Result<Vec<u8>, Refusal> {
    check::core_module(core_module)?;
    ComponentEncoder::default()
        .validate(false)
        .module(core_module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| Refusal::NotAComponent(cut(&format!("{error:#}"))))
}
