//! Reads `policies.toml`: what the operator asks for of each kind of policy. `table` writes it.
//!
//! A file that is not valid TOML, or that has a table for something other than a kind of policy, is refused whole. A
//! mistake within a kind's table concerns only that kind.

use dataverse_core::policy::Kind;
use serde_json::Value;

use crate::policies::spec::KindSpec;

/// The name of the file.
pub(super) const FILE: &str = "policies.toml";

/// The content of the file when a node creates it.
pub(super) const TEMPLATE: &str = include_str!("template.toml");

/// What the operator asks for of one kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Desired {
    /// There is no table, which means the built-in default.
    Default,
    /// There is a table.
    Table(KindSpec),
}

impl Desired {
    /// The table, or the one that stands for the default.
    pub(super) fn table(&self, kind: Kind) -> KindSpec {
        match self {
            Self::Default => KindSpec::plain(dataverse_builtin::default_name(kind)),
            Self::Table(spec) => spec.clone(),
        }
    }
}

/// What the file asks for, or what is wrong with each table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Specs([Result<Desired, String>; Kind::ALL.len()]);

impl Specs {
    /// What a missing file asks for.
    pub(super) fn none() -> Self {
        Self([const { Ok(Desired::Default) }; Kind::ALL.len()])
    }

    /// What the file asks for of this kind.
    pub(super) fn of(&self, kind: Kind) -> &Result<Desired, String> {
        &self.0[kind as usize]
    }

    /// All mistakes in the text of a file, if there are any.
    pub(super) fn complaints(text: &str) -> Option<String> {
        let specs = match Self::parse(text) {
            Err(reason) => return Some(reason),
            Ok(specs) => specs,
        };
        let wrong: Vec<_> = specs.0.into_iter().filter_map(Result::err).collect();
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }

    /// Parses the text of a file.
    ///
    /// # Errors
    /// Why the whole file is refused.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let tables: toml::Table = toml::from_str(text).map_err(|error| complaint(text, &error))?;
        if let Some(other) = tables.keys().find(|key| key.parse::<Kind>().is_err()) {
            return Err(format!(
                "{FILE}: `{other}` is not a kind of policy; use [placement], [eviction] and [relocation]"
            ));
        }
        Ok(Self(Kind::ALL.map(|kind| {
            match tables.get(kind.as_str()) {
                None => Ok(Desired::Default),
                Some(table) => read(table.clone())
                    .map(Desired::Table)
                    .map_err(|reason| format!("{FILE}, [{kind}]: {reason}")),
            }
        })))
    }
}

fn read(table: toml::Value) -> Result<KindSpec, String> {
    if !table.is_table() {
        return Err("this must be a table with a `policy`".to_owned());
    }
    let spec: KindSpec =
        serde_json::from_value(to_json(table)?).map_err(|error| error.to_string())?;
    let spec = spec.said().map_err(|bad| bad.to_string())?;
    spec.check()?;
    Ok(spec)
}

/// TOML has more types than JSON: a time becomes its text, NaN and infinities are refused.
fn to_json(value: toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => serde_json::Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| format!("{number} is not a number in JSON"))?,
        toml::Value::Boolean(boolean) => Value::Bool(boolean),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => {
            let items = items.into_iter().map(to_json);
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        toml::Value::Table(fields) => {
            let fields = fields
                .into_iter()
                .map(|(key, value)| Ok((key, to_json(value)?)));
            Value::Object(fields.collect::<Result<_, String>>()?)
        }
    })
}

fn complaint(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', "; ");
    let place = error.span().map_or_else(String::new, |span| {
        let (line, column) = place(text, span.start);
        format!(", line {line}, column {column}")
    });
    format!("{FILE} does not parse{place}: {message}")
}

/// Line and column of a byte, as editors count them.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line_begins = before.rfind('\n').map_or(0, |end| end + 1);
    let line = 1 + before.bytes().filter(|&byte| byte == b'\n').count();
    (line, 1 + before[line_begins..].chars().count())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(text: &str, kind: Kind) -> Result<Desired, String> {
        Specs::parse(text).unwrap().of(kind).clone()
    }

    /// Checks that this text is refused for eviction alone, with a reason that contains `part`.
    #[track_caller]
    fn refused(text: &str, part: &str) {
        let specs = Specs::parse(text).unwrap();
        let reason = specs.of(Kind::Eviction).clone().unwrap_err();
        assert!(reason.contains(part), "{reason}");
        assert!(
            reason.starts_with("policies.toml, [eviction]: "),
            "{reason}"
        );
        assert!(specs.of(Kind::Placement).is_ok());
    }

    #[test]
    fn what_is_absent_is_left_to_the_default_and_so_is_all_of_the_template() {
        assert_eq!(Specs::parse("").unwrap(), Specs::none());
        assert_eq!(Specs::parse(TEMPLATE).unwrap(), Specs::none());
    }

    #[test]
    fn the_templates_examples_are_specs_once_the_marks_are_taken_off() {
        let uncommented: String = TEMPLATE
            .lines()
            .filter_map(|line| line.strip_prefix("#"))
            .filter(|line| !line.starts_with(' '))
            .map(|line| format!("{line}\n"))
            .collect();
        let specs = Specs::parse(&uncommented).unwrap();
        for kind in Kind::ALL {
            let Ok(Desired::Table(spec)) = specs.of(kind) else {
                panic!("{kind}: {:?} in\n{uncommented}", specs.of(kind));
            };
            assert_eq!(spec.policy, dataverse_builtin::default_name(kind));
            let usual = dataverse_sandbox::GuestLimits::default();
            assert_eq!(spec.limits.unwrap().filled(), usual);
        }
    }

    #[test]
    fn a_table_says_all_that_can_be_asked_for() {
        let text = r#"
            [eviction]
            policy = "mine"
            config = { depth = 3, ratio = 0.5, since = 2026-01-02, names = ["a"] }
            shadow = "lru"
            [eviction.limits]
            fuel = 7
        "#;
        let Ok(Desired::Table(spec)) = of(text, Kind::Eviction) else {
            panic!("refused");
        };
        assert_eq!(
            (spec.policy.as_str(), spec.shadow.as_deref()),
            ("mine", Some("lru"))
        );
        let config = json!({"depth": 3, "ratio": 0.5, "since": "2026-01-02", "names": ["a"]});
        assert_eq!(spec.config, config);
        assert_eq!(spec.limits.unwrap().fuel, Some(7));
        assert_eq!(of(text, Kind::Placement), Ok(Desired::Default));
    }

    #[test]
    fn a_policy_may_be_called_as_its_file_is() {
        let text = "[eviction]\npolicy = \"mine.wasm\"\nshadow = \"other.wasm\"";
        let Ok(Desired::Table(spec)) = of(text, Kind::Eviction) else {
            panic!("refused");
        };
        assert_eq!(
            (spec.policy, spec.shadow),
            ("mine".into(), Some("other".into()))
        );
    }

    #[test]
    fn a_file_that_does_not_parse_is_refused_whole_and_the_line_is_named() {
        let reason = Specs::parse("[eviction]\npolicy = \"a\"\nx = = 1\n").unwrap_err();
        assert!(reason.contains("line 3, column "), "{reason}");
        assert_eq!(place("ab\né = = 1", 8), (2, 5));
        assert_eq!(place("", 0), (1, 1));
        assert_eq!(place("a\n", 2), (2, 1));
        let reason = Specs::parse("[evicton]\npolicy = \"a\"").unwrap_err();
        assert!(reason.contains("`evicton`"), "{reason}");
        assert!(Specs::parse("version = 1").is_err());
    }

    #[test]
    fn what_is_wrong_in_a_table_concerns_that_kind_alone() {
        refused("[eviction]\npolicy = \"a\"\nshadwo = \"b\"", "shadwo");
        refused("[eviction]\nconfig = {}", "policy");
        refused("[eviction]\npolicy = \"../a\"", "../a");
        refused("[eviction]\npolicy = \"a\"\nshadow = \".b\"", ".b");
        refused(
            "[eviction]\npolicy = \"a\"\nconfig = 7",
            "table of settings",
        );
        refused("[eviction]\npolicy = \"a\"\nconfig = { x = nan }", "NaN");
        refused(
            "[eviction]\npolicy = \"a\"\nlimits = { fuel = 0 }",
            "limits.fuel",
        );
        refused(
            "[eviction]\npolicy = \"a\"\nlimits = { wall_ms = 99999999 }",
            "limits.wall_ms",
        );
        refused("[eviction]\npolicy = \"a\"\nlimits = { fule = 1 }", "fule");
        refused("[eviction]\npolicy = \"a\"\nlimits = [1, 2, 3]", "map");
        refused("[eviction]\npolicy = \"a.wasm.wasm\"", "a.wasm");
        refused("eviction = 1", "table");
    }

    #[test]
    fn a_config_without_end_is_refused() {
        let deep = format!(
            "[eviction]\npolicy = \"a\"\nconfig.x = {}{}",
            "[".repeat(40),
            "]".repeat(40)
        );
        refused(&deep, "levels");
        let long = format!(
            "[eviction]\npolicy = \"a\"\nconfig.x = \"{}\"",
            "x".repeat(70_000)
        );
        refused(&long, "bytes");
    }
}
