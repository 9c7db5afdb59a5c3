//! Parses the arguments of `lab trace`.

use dataverse_lab::single::{Capacity, OnResize, Unit, WarmUp};
use dataverse_lab::trace::TimeUnit;
use dataverse_node::settings::value::Value;

/// The configuration of a policy.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) name: String,
    pub(super) json: String,
}

impl Config {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (name, json) = text.split_once('=').ok_or(
            "expected a policy's name, = and a JSON object, as in s3-fifo={\"small\": 0.2}",
        )?;
        let config: serde_json::Value =
            serde_json::from_str(json).map_err(|error| error.to_string())?;
        if !config.is_object() {
            return Err("a configuration must be a JSON object".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            json: json.to_owned(),
        })
    }
}

pub(super) fn capacity(text: &str) -> Result<Capacity, String> {
    let text = text.trim();
    if let Some(percent) = text.strip_suffix('%') {
        return share(percent).map(Capacity::Share);
    }
    if let Ok(units) = text.parse() {
        return Ok(Capacity::Plain(units));
    }
    match <Option<u64> as Value>::read(text) {
        Ok(Some(bytes)) => Ok(Capacity::Bytes(bytes)),
        _ => Err("expected a number, bytes such as 64MiB, or a share such as 1%".to_owned()),
    }
}

pub(super) fn warm_up(text: &str) -> Result<WarmUp, String> {
    match text.trim().strip_suffix('%') {
        Some(percent) => share(percent).map(WarmUp::Share),
        None => text
            .trim()
            .parse()
            .map(WarmUp::Requests)
            .map_err(|_| "expected a number of requests, or a share such as 20%".to_owned()),
    }
}

/// A share from a percentage.
fn share(percent: &str) -> Result<f64, String> {
    match percent.trim().parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("expected a share from 0% to 100%".to_owned()),
    }
}

pub(super) fn unit(word: &str) -> Result<Unit, String> {
    let units = [Unit::Objects, Unit::Bytes];
    let found = units.into_iter().find(|unit| unit.as_str() == word);
    found.ok_or_else(|| "expected objects or bytes".to_owned())
}

pub(super) fn on_resize(word: &str) -> Result<OnResize, String> {
    match word {
        "keep" => Ok(OnResize::Keep),
        "write" => Ok(OnResize::Write),
        _ => Err("expected keep or write".to_owned()),
    }
}

pub(super) fn time_unit(word: &str) -> Result<TimeUnit, String> {
    let found = TimeUnit::ALL.into_iter().find(|(name, _)| *name == word);
    found
        .map(|(_, unit)| unit)
        .ok_or_else(|| "expected s, ms, us or ns".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capacity_is_a_number_bytes_or_a_share() {
        for (text, expected) in [
            ("100", Capacity::Plain(100)),
            ("64MiB", Capacity::Bytes(64 << 20)),
            ("12B", Capacity::Bytes(12)),
            ("1%", Capacity::Share(0.01)),
            ("0.5 %", Capacity::Share(0.005)),
        ] {
            assert_eq!(capacity(text), Ok(expected), "{text}");
        }
        for wrong in ["", "-1", "1.5", "64M", "101%", "-1%", "nan%", "many"] {
            assert!(capacity(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_warm_up_is_a_number_or_a_share() {
        assert_eq!(warm_up("1000"), Ok(WarmUp::Requests(1000)));
        assert_eq!(warm_up("20%"), Ok(WarmUp::Share(0.2)));
        assert!(warm_up("0.2").is_err());
    }

    #[test]
    fn a_configuration_is_an_object_for_a_name() {
        let config = Config::parse(r#"gdsf={"a": "b=c"}"#).expect("it is one");
        assert_eq!(
            (config.name.as_str(), config.json.as_str()),
            ("gdsf", r#"{"a": "b=c"}"#)
        );
        for wrong in ["gdsf", "gdsf=", "gdsf=[1]", "gdsf={"] {
            assert!(Config::parse(wrong).is_err(), "{wrong}");
        }
    }
}
