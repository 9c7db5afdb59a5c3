//! Guests for tests: one honest policy of each kind, written in WAT, and evil ones derived from them.
//!
//! Each `.wat` file has places marked `(; evil: NAME ;)`, at the beginning of every export and of the module. An
//! evil guest is an honest one with other code in some of these places. The result is a core module with its
//! component type, exactly what a compiler produces. To share it with tests of other packages:
//!
//! ```ignore
//! #[path = "../../host/sandbox/tests/guests/mod.rs"]
//! mod guests;
//! ```
//!
//! It needs the crates `wat`, `wit-component`, `wit-parser` and `dataverse-core`.

use dataverse_core::policy::Kind;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const CONTRACT: &str = include_str!("../../../../sdk/wit/policy.wit");
const COMMON: &str = include_str!("common.wat");
const PLACEMENT: &str = include_str!("placement.wat");
const EVICTION: &str = include_str!("eviction.wat");
const RELOCATION: &str = include_str!("relocation.wat");

/// A guest with inserted code: pairs of a place and the code that is inserted there.
pub(crate) fn guest(kind: Kind, inserted: &[(&str, &str)]) -> Vec<u8> {
    typed(&text(kind, inserted), CONTRACT, &format!("{kind}-policy"))
}

/// A policy that keeps to the contract: candidates in the given order; first in, first out; the reader keeps a
/// copy.
pub(crate) fn honest(kind: Kind) -> Vec<u8> {
    guest(kind, &[])
}

/// The honest policy as a component.
pub(crate) fn component(kind: Kind) -> Vec<u8> {
    let encoder = wit_component::ComponentEncoder::default();
    encoder
        .module(&honest(kind))
        .expect("the guest is well-formed")
        .encode()
        .expect("the guest is well-formed")
}

/// An evil guest: its name, its kind, and the inserted code that makes it evil.
pub(crate) struct Evil {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) code: &'static [(&'static str, &'static str)],
}

impl Evil {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        guest(self.kind, self.code)
    }
}

/// The evil guest with this name.
pub(crate) fn evil(name: &str) -> Vec<u8> {
    let found = EVIL.iter().find(|evil| evil.name == name);
    found
        .unwrap_or_else(|| panic!("no evil guest is named {name}"))
        .bytes()
}

/// Guests that compile and misbehave when they are created or asked. Those whose name ends in `-later` do so from
/// the hundredth call on.
pub(crate) const EVIL: &[Evil] = &[
    eviction("endless-loop-later", &[("admit", LATER_LOOP)]),
    eviction("endless-loop", &[("admit", "(loop (br 0))")]),
    eviction("endless-loop-in-hit", &[("hit", "(loop (br 0))")]),
    eviction("endless-recursion", &[
        ("module", "(func $deep (param i64) (result i64) (i64.add (call $deep (local.get 0)) (i64.const 1)))"),
        ("hit", "(drop (call $deep (i64.const 1)))"),
    ]),
    eviction("memory-bomb", &[(
        "hit",
        "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)",
    )]),
    eviction("memory-hoard", &[("hit", "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))")]),
    eviction("memory-from-the-start", &[("module", "(memory 2000)")]),
    eviction("table-bomb", &[
        ("module", "(table $table 1 funcref)"),
        ("hit", "(loop (br_if 0 (i32.ne (table.grow $table (ref.null func) (i32.const 4096)) (i32.const -1))))
                 (unreachable)"),
    ]),
    eviction("table-from-the-start", &[("module", "(table 200000 funcref)")]),
    eviction("memory-copy", &[(
        "hit",
        "(loop (memory.copy (i32.const 0) (i32.const 0) (i32.const 1000000)) (br 0))",
    )]),
    eviction("trap-in-describe", &[("describe", "(unreachable)")]),
    eviction("trap-in-configure", &[("configure", "(unreachable)")]),
    eviction("trap-in-set-capacity", &[("set-capacity", "(unreachable)")]),
    eviction("trap-in-restore", &[("restore", "(unreachable)")]),
    eviction("trap-in-hit", &[("hit", "(unreachable)")]),
    eviction("trap-in-admit", &[("admit", "(unreachable)")]),
    eviction("trap-in-make-room", &[("make-room", "(unreachable)")]),
    eviction("trap-in-removed", &[("removed", "(unreachable)")]),
    placement("trap-in-place", &[("place", "(unreachable)")]),
    relocation("trap-in-on-read", &[("on-read", "(unreachable)")]),
    eviction("trap-later", &[(
        "admit",
        "(if (i32.ge_u (global.get $calls) (i32.const 100)) (then (unreachable)))",
    )]),
    placement("trap-on-the-hundredth-call", &[(
        "place",
        // The first call counted is that of configure.
        "(if (i32.eq (global.get $calls) (i32.const 100)) (then (unreachable)))",
    )]),
    eviction("panic", &[
        ("module", "(data (i32.const 512) \"index out of bounds at line 7\")"),
        ("hit", "(call $log (i32.const 3) (i32.const 512) (i32.const 29)) (unreachable)"),
    ]),
    eviction("a-million-slots", &[("make-room", MILLION)]),
    eviction("five-thousand-slots", &[("make-room", FIVE_THOUSAND)]),
    eviction("slots-out-of-bounds", &[("make-room", OUT_OF_BOUNDS)]),
    eviction("slot-that-is-not-cached", &[("make-room", UNKNOWN_SLOT)]),
    eviction("slot-named-twice", &[("make-room", SLOT_TWICE), ("admit", ADMIT_SLOT_TWICE)]),
    eviction("names-nothing", &[("make-room", NOTHING), ("admit", ADMIT_NOTHING)]),
    placement("index-out-of-range", &[("place", UNKNOWN_SLOT)]),
    placement("index-named-twice", &[("place", SLOT_TWICE)]),
    placement("a-million-indices", &[("place", MILLION)]),
    placement("answers-differently", &[("place", ROTATED)]),
    relocation("path-index-out-of-range", &[("on-read", "(i32.store8 (i32.const 8) (i32.const 0))
        (i32.store (i32.const 1024) (i32.const 60000)) (i32.store (i32.const 0) (i32.const 1024))
        (i32.store (i32.const 4) (i32.const 1)) (call $done) (return (i32.const 0))")]),
    relocation("endless-loop-in-on-read", &[("on-read", "(loop (br 0))")]),
    placement("endless-loop-in-place", &[("place", "(loop (br 0))")]),
    eviction("huge-log-line", &[(
        "hit",
        "(drop (memory.grow (i32.const 960)))
         (call $log (i32.const 1) (i32.const 0) (i32.mul (memory.size) (i32.const 65536)))",
    )]),
    eviction("long-log-line", &[("hit", "(call $log (i32.const 1) (i32.const 0) (i32.const 1000000))")]),
    eviction("log-that-is-not-text", &[
        ("module", "(data (i32.const 512) \"\\ff\\fe\")"),
        ("hit", "(call $log (i32.const 1) (i32.const 512) (i32.const 2))"),
    ]),
    eviction("log-flood", &[
        ("module", "(data (i32.const 512) \"again\")"),
        (
            "hit",
            "(local.set $count (i32.const 10000))
             (loop (call $log (i32.const 1) (i32.const 512) (i32.const 5))
               (local.set $count (i32.sub (local.get $count) (i32.const 1)))
               (br_if 0 (local.get $count)))",
        ),
    ]),
];

const LATER_LOOP: &str = "(if (i32.ge_u (global.get $calls) (i32.const 100)) (then (loop (br 0))))";
/// For a function that returns a list.
const MILLION: &str = "(drop (memory.grow (i32.const 64))) (i32.store (i32.const 0) (i32.const 0))
    (i32.store (i32.const 4) (i32.const 1000000)) (call $done) (return (i32.const 0))";
const FIVE_THOUSAND: &str = "(i32.store (i32.const 0) (i32.const 0))
    (i32.store (i32.const 4) (i32.const 5000)) (call $done) (return (i32.const 0))";
const OUT_OF_BOUNDS: &str = "(i32.store (i32.const 0) (i32.const -4096))
    (i32.store (i32.const 4) (i32.const 4000)) (call $done) (return (i32.const 0))";
const UNKNOWN_SLOT: &str =
    "(i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 1))
    (i32.store (i32.const 1024) (i32.const 60000)) (call $done) (return (i32.const 0))";
const SLOT_TWICE: &str =
    "(i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 2))
    (i64.store (i32.const 1024) (i64.const 0)) (call $done) (return (i32.const 0))";
const NOTHING: &str = "(i64.store (i32.const 0) (i64.const 0)) (call $done) (return (i32.const 0))";
const ADMIT_NOTHING: &str =
    "(i64.store (i32.const 0) (i64.const 0)) (i32.store (i32.const 8) (i32.const 0))
    (call $done) (return (i32.const 0))";
const ADMIT_SLOT_TWICE: &str = "(if (i64.ne (local.get $needed) (i64.const 0)) (then
    (i32.store8 (i32.const 0) (i32.const 0)) (i32.store (i32.const 4) (i32.const 1024))
    (i32.store (i32.const 8) (i32.const 2)) (i64.store (i32.const 1024) (i64.const 0))
    (call $done) (return (i32.const 0))))";
/// The number of calls, modulo the number of candidates: valid, and different each time.
const ROTATED: &str =
    "(i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 1))
    (i32.store (i32.const 1024) (i32.rem_u (global.get $calls) (local.get $count)))
    (call $done) (return (i32.const 0))";

const fn placement(name: &'static str, code: &'static [(&'static str, &'static str)]) -> Evil {
    Evil {
        name,
        kind: Kind::Placement,
        code,
    }
}

const fn eviction(name: &'static str, code: &'static [(&'static str, &'static str)]) -> Evil {
    Evil {
        name,
        kind: Kind::Eviction,
        code,
    }
}

const fn relocation(name: &'static str, code: &'static [(&'static str, &'static str)]) -> Evil {
    Evil {
        name,
        kind: Kind::Relocation,
        code,
    }
}

/// Files that no node accepts: their names, their bytes, and what the refusal must mention.
pub(crate) fn unacceptable() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let honest_text = text(Kind::Eviction, &[]);
    let two_kinds = format!(
        "{CONTRACT}\nworld two {{ import host; export policy; export placement; export relocation; }}"
    );
    // Both kinds in one module: the export of the second, inserted before the end of the first.
    let relocation = RELOCATION
        .split_once("(; common ;)")
        .expect("the guest is well-formed")
        .1;
    let both = text(
        Kind::Placement,
        &[(
            "module",
            &relocation[..relocation.rfind(')').expect("the guest is well-formed")],
        )],
    );
    vec![
        (
            "too-large",
            padded(honest(Kind::Eviction), 33 << 20),
            "at most 33554432",
        ),
        (
            "not-wasm",
            b"#!/bin/sh\nexit 0\n".to_vec(),
            "not WebAssembly",
        ),
        ("empty", Vec::new(), "not WebAssembly"),
        (
            "text-format",
            honest_text.clone().into_bytes(),
            "wasm-tools parse",
        ),
        (
            "cut-off",
            {
                let mut bytes = honest(Kind::Eviction);
                bytes.truncate(900);
                bytes
            },
            "cut off",
        ),
        (
            "no-component-type",
            wat::parse_str(&honest_text).expect("the guest is well-formed"),
            "component type",
        ),
        (
            "imports-wasi",
            wat::parse_str(IMPORTS_WASI).expect("the guest is well-formed"),
            "wasi:cli/environment@0.2.3",
        ),
        (
            "imports-wasi-core",
            wat::parse_str(IMPORTS_WASI_CORE).expect("the guest is well-formed"),
            "wasm32-unknown-unknown",
        ),
        (
            "two-kinds",
            typed(&both, &two_kinds, "two"),
            "dataverse:policy/relocation@0.1.0",
        ),
        ("no-kind", no_kind(), "exports none"),
        ("wrong-version", wrong_version(), "version 0.2.0"),
        ("wrong-types", wrong_types(), "set-capacity"),
        (
            "huge-compile",
            huge_compile(),
            "compilation would take too long",
        ),
    ]
}

const IMPORTS_WASI: &str = r#"(component (import "wasi:cli/environment@0.2.3" (instance)))"#;
const IMPORTS_WASI_CORE: &str =
    r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))))"#;

fn no_kind() -> Vec<u8> {
    let contract = format!("{CONTRACT}\nworld none {{ import host; export policy; }}");
    typed(&format!("(module {COMMON})"), &contract, "none")
}

fn wrong_version() -> Vec<u8> {
    let newer = |text: &str| text.replace("@0.1.0", "@0.2.0");
    typed(
        &newer(&text(Kind::Eviction, &[])),
        &newer(CONTRACT),
        "eviction-policy",
    )
}

/// The right version and names, but one function has a different type.
fn wrong_types() -> Vec<u8> {
    let contract = CONTRACT.replace(
        "set-capacity: func(bytes: u64)",
        "set-capacity: func(bytes: s64)",
    );
    assert_ne!(contract, CONTRACT);
    typed(&text(Kind::Eviction, &[]), &contract, "eviction-policy")
}

/// A few dozen kilobytes that would keep the compiler busy for a long time: each local is live in each block.
fn huge_compile() -> Vec<u8> {
    let locals = "i64 ".repeat(20_000);
    let blocks =
        "(block (br_if 0 (i32.wrap_i64 (local.get 0))) (local.set 1 (i64.const 1)))".repeat(5_000);
    guest(
        Kind::Eviction,
        &[("module", &format!("(func (local {locals}) {blocks})"))],
    )
}

/// Adds a custom section of at least this length.
fn padded(mut bytes: Vec<u8>, length: usize) -> Vec<u8> {
    let size = u32::try_from(length).expect("the guest is well-formed");
    bytes.push(0);
    // A number in five bytes of LEB128.
    bytes
        .extend((0..5).map(|at| ((size >> (7 * at)) & 0x7f) as u8 | if at < 4 { 0x80 } else { 0 }));
    bytes.push(0);
    bytes.resize(bytes.len() + length - 1, 0);
    bytes
}

fn text(kind: Kind, inserted: &[(&str, &str)]) -> String {
    let own = match kind {
        Kind::Placement => PLACEMENT,
        Kind::Eviction => EVICTION,
        Kind::Relocation => RELOCATION,
    };
    let mut text = own.replace("(; common ;)", COMMON);
    for (place, code) in inserted {
        let mark = format!("(; evil: {place} ;)");
        assert!(
            text.contains(&mark),
            "a guest for {kind} has no place named {place}"
        );
        text = text.replace(&mark, code);
    }
    text
}

/// The core module of this text, with the component type of a policy that exports this world.
fn typed(text: &str, contract: &str, world: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut resolve = Resolve::default();
    let package = resolve
        .push_str("policy.wit", contract)
        .expect("the guest is well-formed");
    let world = resolve
        .select_world(&[package], Some(world))
        .expect("the guest is well-formed");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("the guest is well-formed");
    module
}
