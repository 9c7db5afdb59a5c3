//! `Dealt`: one value for all nodes, or a list of values assigned to the nodes in turn.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// One value for all nodes, or a non-empty list assigned to them in turn: `"64 MiB"` or `["64 MiB", "1 GiB"]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Dealt<T>(Vec<T>);

impl<T: Copy> Dealt<T> {
    /// The value of the node with this number.
    #[must_use]
    pub fn of(&self, node: u32) -> T {
        self.0[node as usize % self.0.len()]
    }

    /// All values.
    #[must_use]
    pub fn values(&self) -> &[T] {
        &self.0
    }
}

struct Reading<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Reading<T> {
    type Value = Dealt<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value for all nodes, or a list of values assigned to them in turn")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Dealt<T>, E> {
        one(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Dealt<T>, E> {
        one(number)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Dealt<T>, E> {
        one(number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Dealt<T>, E> {
        one(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<Dealt<T>, A::Error> {
        let values = Vec::deserialize(SeqAccessDeserializer::new(values))?;
        match values.is_empty() {
            true => Err(A::Error::custom(
                "the list is empty; give at least one value",
            )),
            false => Ok(Dealt(values)),
        }
    }
}

fn one<'de, T: Deserialize<'de>, E: Error>(
    value: impl IntoDeserializer<'de, E>,
) -> Result<Dealt<T>, E> {
    T::deserialize(value.into_deserializer()).map(|value| Dealt(vec![value]))
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Dealt<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading(PhantomData))
    }
}

impl<T: Serialize> Serialize for Dealt<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(to),
            several => several.serialize(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Amount;

    #[derive(Debug, serde::Deserialize)]
    struct Room {
        bytes: Dealt<Amount>,
    }

    fn read(text: &str) -> Result<Dealt<Amount>, String> {
        let read: Result<Room, _> = toml::from_str(&format!("bytes = {text}"));
        read.map(|room| room.bytes)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_is_dealt_in_turn_and_one_value_is_for_all() {
        let dealt = read("['1 KiB', '5%', 7]").expect("it is a list");
        let found: Vec<Amount> = (0..4).map(|node| dealt.of(node)).collect();
        let expected = [
            Amount::Bytes(1024),
            Amount::OfCatalogue(0.05),
            Amount::Bytes(7),
            Amount::Bytes(1024),
        ];
        assert_eq!(found, expected);
        for (text, expected) in [("9", Amount::Bytes(9)), ("'2%'", Amount::OfCatalogue(0.02))] {
            let dealt = read(text).expect(text);
            assert_eq!((dealt.of(0), dealt.of(5)), (expected, expected));
        }
    }

    #[test]
    fn what_is_wrong_in_it_is_told_as_of_the_value_alone() {
        for (text, expected) in [
            ("[]", "the list is empty"),
            ("[1, -1]", "-1 is below 0"),
            ("'64'", "is not an amount of bytes"),
            ("true", "expected a value for all nodes"),
        ] {
            let refused = read(text).expect_err(text);
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
