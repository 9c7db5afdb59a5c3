//! Which imports a policy may have, and the advice for those that other toolchains leave behind.

use crate::contract;
use crate::refusal::{Refusal, cut};

const BUILT_FOR_WASI: &str = "it was built for wasm32-wasip1, wasm32-wasip2 or linked against WASI; build \
                              it for wasm32-unknown-unknown, or stub WASI out where the language's tools \
                              need it (componentize-py and componentize-qjs: --stub-wasi)";
const BUILT_WITH_BINDGEN: &str = "it was built with wasm-bindgen, for browsers; leave out that crate and \
                                  the features of others that pull it in (such as `js`)";
const ONLY_HOST: &str =
    "a policy may import dataverse:policy/host and dataverse:policy/types, nothing else";

/// Checks an import of a core module. Other imports are checked by wit-component against the component type.
pub(crate) fn core_import(module: &str) -> Result<(), Refusal> {
    contract_version(module)?;
    let advice = foreign_advice(module);
    let foreign = advice != ONLY_HOST || module == "env";
    foreign
        .then(|| refuse_import(module, advice))
        .map_or(Ok(()), Err)
}

/// Checks an import of a component.
pub(crate) fn component_import(name: &str) -> Result<(), Refusal> {
    contract_version(name)?;
    if name == contract::HOST || name == contract::TYPES {
        return Ok(());
    }
    Err(refuse_import(name, foreign_advice(name)))
}

/// Refuses a name of our package in another version.
pub(crate) fn contract_version(name: &str) -> Result<(), Refusal> {
    let Some(interface) = name.strip_prefix(contract::PACKAGE) else {
        return Ok(());
    };
    match interface.split_once('@') {
        Some((_, contract::VERSION)) => Ok(()),
        versioned => Err(Refusal::WrongContract {
            name: cut(name),
            version: cut(versioned.map_or("(none)", |(_, version)| version)),
        }),
    }
}

fn refuse_import(name: &str, advice: &'static str) -> Refusal {
    Refusal::ForeignImport {
        name: cut(name),
        advice,
    }
}

fn foreign_advice(name: &str) -> &'static str {
    if name.starts_with("wasi") {
        BUILT_FOR_WASI
    } else if name.starts_with("__wbindgen") || name == "wbg" {
        BUILT_WITH_BINDGEN
    } else {
        ONLY_HOST
    }
}
