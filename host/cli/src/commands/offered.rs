//! Suggestions for shell completion of arguments that also accept other values.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command, Error};
use dataverse_core::policy::Kind;

/// Wraps a parser and suggests words.
#[derive(Clone)]
pub(super) struct Offered<P> {
    parser: P,
    words: fn() -> Vec<String>,
}

/// Adds suggestions to this parser.
pub(super) const fn offered<P>(parser: P, words: fn() -> Vec<String>) -> Offered<P> {
    Offered { parser, words }
}

impl<P: TypedValueParser> TypedValueParser for Offered<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<P::Value, Error> {
        self.parser.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = (self.words)().into_iter();
        Some(Box::new(words.map(PossibleValue::new)))
    }
}

/// Any text, with the built-in policies of a kind as suggestions.
pub(super) fn policy_text(words: fn() -> Vec<String>) -> Offered<StringValueParser> {
    offered(StringValueParser::new(), words)
}

/// The kinds of policies.
pub(super) fn kinds() -> Vec<String> {
    Kind::ALL.map(|kind| kind.to_string()).into()
}

/// The built-in policies.
pub(super) fn policies() -> Vec<String> {
    let mut names: Vec<String> = dataverse_builtin::all()
        .into_iter()
        .map(|policy| policy.name.to_string())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The placement policies, for the lab.
pub(super) fn placements() -> Vec<String> {
    of(Kind::Placement)
}

/// The eviction policies, for the lab.
pub(super) fn evictions() -> Vec<String> {
    of(Kind::Eviction)
}

fn of(kind: Kind) -> Vec<String> {
    let policies = dataverse_builtin::all().into_iter();
    let of_kind = policies.filter(|policy| policy.kind == kind);
    let mut names: Vec<String> = of_kind.map(|policy| policy.name.to_string()).collect();
    names.push("baseline".to_owned());
    names
}
