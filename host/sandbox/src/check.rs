//! Checks a policy file before any of it is compiled: it must be a component that imports and exports exactly what
//! one kind of policy does, for the contract version of this host, and must not be too costly to compile.
//!
//! Only names are checked here. Types are compared when the component is linked.

use std::borrow::Cow;

use dataverse_core::policy::Kind;
use wasmparser::{Encoding, Parser, Payload};

use crate::contract;
use crate::cost::Cost;
use crate::format::{broken, encoding};
use crate::imports::{component_import, contract_version};
use crate::limits;
use crate::refusal::{Refusal, cut};
use crate::wrap::componentize;

/// What is known about a policy before it is compiled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) kind: Kind,
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

/// The component in these bytes, or the one made from the core module in them, with what is known about it.
pub(crate) fn check(bytes: &[u8]) -> Result<(Cow<'_, [u8]>, Checked), Refusal> {
    let component = match encoding(bytes)? {
        Encoding::Component => Cow::Borrowed(bytes),
        Encoding::Module => Cow::Owned(componentize(bytes)?),
    };
    let checked = component_names(&component)?;
    Ok((component, checked))
}

fn component_names(component: &[u8]) -> Result<Checked, Refusal> {
    let mut cost = Cost::default();
    let mut depth = 0usize;
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(broken)?;
        cost.count(&payload)?;
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let name = import.map_err(broken)?.name.name;
                    component_import(name)?;
                    note(&mut imports, name);
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let name = export.map_err(broken)?.name.name;
                    contract_version(name)?;
                    note(&mut exports, name);
                }
            }
            _ => {}
        }
    }
    let kind = kind_of(&exports)?;
    Ok(Checked {
        kind,
        imports,
        exports,
    })
}

/// Names of the contract are always listed, others only up to the limit.
fn note(names: &mut Vec<String>, name: &str) {
    if names.len() < limits::POLICY_NAMES_MAX || name.starts_with(contract::PACKAGE) {
        names.push(cut(name));
    }
}

fn kind_of(exports: &[String]) -> Result<Kind, Refusal> {
    let exported = |name: &str| exports.iter().any(|export| export == name);
    let kinds: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|&kind| exported(contract::interface(kind)))
        .collect();
    match kinds[..] {
        [] => Err(Refusal::NoKind),
        [_] if !exported(contract::POLICY) => Err(Refusal::NoIntroduction),
        [kind] => Ok(kind),
        _ => {
            let names = kinds.into_iter().map(contract::interface);
            Err(Refusal::SeveralKinds(names.map(str::to_owned).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(wat: &str) -> Refusal {
        check(&wat::parse_str(wat).expect("the text is right")).expect_err("it is refused")
    }

    fn message(wat: &str) -> String {
        refused(wat).to_string()
    }

    #[test]
    fn other_bytes_are_refused_with_what_they_look_like() {
        for bytes in [&b""[..], b"GIF89a", b"\0asm"] {
            assert!(
                matches!(check(bytes), Err(Refusal::NotWasm(_))),
                "{bytes:?}"
            );
        }
        let text = check(b"\n(component)")
            .expect_err("it is refused")
            .to_string();
        assert!(text.contains("wasm-tools parse"), "{text}");
    }

    #[test]
    fn a_file_that_was_cut_off_is_refused() {
        let whole =
            wat::parse_str("(component (core module (func) (func)))").expect("the text is right");
        for end in 8..whole.len() {
            assert!(check(&whole[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_core_module_without_a_component_type_is_told_what_to_do() {
        let message = message("(module)");
        assert!(message.contains("dataverse_sdk::export!"), "{message}");
    }

    #[test]
    fn imports_of_other_toolchains_are_named_with_advice() {
        let wasi = r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)))"#;
        assert!(message(wasi).contains("build it for wasm32-unknown-unknown"));
        let bindgen = r#"(module (import "__wbindgen_placeholder__" "f" (func)))"#;
        assert!(message(bindgen).contains("wasm-bindgen"));
        let wasip2 = r#"(component (import "wasi:cli/environment@0.2.3" (instance)))"#;
        assert!(message(wasip2).contains("`wasi:cli/environment@0.2.3`"));
        let other = r#"(component (import "phone-home" (func)))"#;
        assert!(message(other).contains("dataverse:policy/host"));
    }

    #[test]
    fn another_version_is_refused_naming_both() {
        for wat in [
            r#"(component (import "dataverse:policy/host@0.2.0" (instance)))"#,
            r#"(component (instance $i) (export "dataverse:policy/eviction@0.2.0" (instance $i)))"#,
            r#"(module (import "dataverse:policy/host@0.2.0" "log" (func)))"#,
        ] {
            let message = message(wat);
            assert!(
                message.contains("version 0.2.0") && message.contains("0.1.0"),
                "{message}"
            );
        }
    }

    #[test]
    fn exports_tell_the_kind() {
        let exporting = |names: &[&str]| {
            let export = |name| format!("(export \"dataverse:policy/{name}@0.1.0\" (instance $i))");
            let exports: String = names.iter().map(export).collect();
            let bytes = wat::parse_str(format!("(component (instance $i) {exports})"))
                .expect("the text is right");
            check(&bytes).map(|(_, checked)| checked.kind)
        };
        assert_eq!(exporting(&["policy", "placement"]), Ok(Kind::Placement));
        assert_eq!(exporting(&["eviction", "policy"]), Ok(Kind::Eviction));
        assert_eq!(exporting(&["policy"]), Err(Refusal::NoKind));
        assert_eq!(exporting(&["relocation"]), Err(Refusal::NoIntroduction));
        let both = exporting(&["policy", "placement", "eviction"])
            .expect_err("it is refused")
            .to_string();
        assert!(
            both.contains("placement@0.1.0 and dataverse:policy/eviction@0.1.0"),
            "{both}"
        );
    }

    #[test]
    fn what_a_nested_component_imports_is_its_own_business() {
        let wat = r#"(component (component (import "x" (func))))"#;
        assert_eq!(refused(wat), Refusal::NoKind);
    }
}
