//! Writes `policies.toml`: replaces one kind's table and leaves everything else as its author wrote it, comments and
//! order included. `spec_file` reads it.

use dataverse_core::policy::Kind;
use serde_json::Value;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, value};

use crate::policies::spec::{KindSpec, LimitsSpec};
use crate::policies::spec_file::{FILE, Specs};

/// The text with this spec in place of the kind's table.
///
/// # Errors
/// Why the text can't be edited or the spec can't be written as TOML.
pub(super) fn with_table(text: &str, kind: Kind, spec: &KindSpec) -> Result<String, String> {
    Specs::parse(text).map_err(|reason| format!("{reason}; correct the file first"))?;
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error| format!("{FILE} does not parse: {error}"))?;
    // Comments that no table follows stay at the top.
    let mut comments = String::new();
    if document.is_empty() {
        comments = text.to_owned();
        if !comments.is_empty() {
            comments = format!("{}\n\n", comments.trim_end());
        }
        document = DocumentMut::new();
    }
    let config = inline(&spec.config)?;
    let entry = document.entry(kind.as_str()).or_insert(Item::None);
    if !entry.is_table_like() {
        *entry = Item::Table(Table::new());
    }
    let table = entry
        .as_table_like_mut()
        .expect("the entry was just made a table");
    for key in unknown_keys(table) {
        table.remove(&key);
    }
    set(table, "policy", value(spec.policy.as_str()));
    // The same configuration can be written in several ways; keep its author's.
    let before = Specs::parse(text)?;
    let before = before.of(kind).as_ref().map(|desired| desired.table(kind));
    if !before.is_ok_and(|before| before.config == spec.config) || table.get("config").is_none() {
        table.remove("config");
        if spec
            .config
            .as_object()
            .is_some_and(|fields| !fields.is_empty())
        {
            set(table, "config", value(config));
        }
    }
    match &spec.shadow {
        Some(shadow) => set(table, "shadow", value(shadow.as_str())),
        None => drop(table.remove("shadow")),
    }
    set_limits(table, spec.limits.unwrap_or_default())?;
    Ok(comments + &document.to_string())
}

fn unknown_keys(table: &dyn TableLike) -> Vec<String> {
    let known = ["policy", "config", "shadow", "limits"];
    let keys = table.iter().map(|(key, _)| key.to_owned());
    keys.filter(|key| !known.contains(&key.as_str())).collect()
}

/// Sets a key and keeps the whitespace and comments around its value.
fn set(table: &mut dyn TableLike, key: &str, new: Item) {
    match (table.get_mut(key).and_then(Item::as_value_mut), new) {
        (Some(before), Item::Value(mut new)) => {
            *new.decor_mut() = before.decor().clone();
            *before = new;
        }
        (_, new) => drop(table.insert(key, new)),
    }
}

fn set_limits(table: &mut dyn TableLike, spec: LimitsSpec) -> Result<(), String> {
    if spec == LimitsSpec::default() {
        table.remove("limits");
        return Ok(());
    }
    if !table.get("limits").is_some_and(Item::is_table_like) {
        table.insert("limits", value(InlineTable::new()));
    }
    let limits = table
        .get_mut("limits")
        .and_then(Item::as_table_like_mut)
        .expect("the entry was just made a table");
    for (key, limit) in [
        ("fuel", spec.fuel),
        ("wall_ms", spec.wall_ms),
        ("memory_mib", spec.memory_mib),
    ] {
        match limit {
            None => drop(limits.remove(key)),
            Some(limit) => {
                let limit = i64::try_from(limit)
                    .map_err(|_| format!("limits.{key} is {limit}, more than TOML can express"))?;
                set(limits, key, value(limit));
            }
        }
    }
    Ok(())
}

/// JSON as TOML on one line.
fn inline(json: &Value) -> Result<toml_edit::Value, String> {
    Ok(match json {
        Value::Null => {
            return Err("config contains null, which TOML can't express: leave it out".to_owned());
        }
        Value::Bool(boolean) => (*boolean).into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => integer.into(),
            (None, Some(float)) if number.is_f64() => float.into(),
            _ => {
                return Err(format!(
                    "config contains {number}, more than TOML can express"
                ));
            }
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => {
            let items = items.iter().map(inline);
            items.collect::<Result<Array, String>>()?.into()
        }
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, field)| Ok((key.as_str(), inline(field)?)));
            fields.collect::<Result<InlineTable, String>>()?.into()
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::policies::spec_file::{Desired, TEMPLATE};

    fn spec() -> KindSpec {
        KindSpec {
            config: json!({"depth": 3, "of": [1.5, "x", true], "in": {"a b": 1}}),
            shadow: Some("lru".to_owned()),
            limits: Some(LimitsSpec {
                fuel: Some(9),
                ..LimitsSpec::default()
            }),
            ..KindSpec::plain("mine")
        }
    }

    /// Checks that what is written parses to the same.
    #[track_caller]
    fn check(before: &str, spec: &KindSpec) -> String {
        let after = with_table(before, Kind::Eviction, spec).unwrap();
        let read = Specs::parse(&after).unwrap();
        assert_eq!(
            read.of(Kind::Eviction),
            &Ok(Desired::Table(spec.clone())),
            "{after}"
        );
        for other in [Kind::Placement, Kind::Relocation] {
            assert_eq!(read.of(other), Specs::parse(before).unwrap().of(other));
        }
        after
    }

    #[test]
    fn what_is_written_reads_back_whatever_was_there() {
        for before in [
            "",
            TEMPLATE,
            "[eviction]\npolicy = \"a\"\nconfig = { x = 1 }\nshadow = \"s\"\nlimits = { fuel = 3, wall_ms = 4 }",
            "[eviction]\npolicy = \"a\"\n[eviction.config.deep]\nx = 1\n[eviction.limits]\nfuel = 3\n",
            "eviction = { policy = \"a\" }\n[placement]\npolicy = \"b\"",
            "eviction.policy = \"a\"\neviction.config.x = 1\nplacement.policy = \"b\"",
            "eviction = 3",
            "[eviction]\npolicy = 3\nunknown = 1",
        ] {
            check(before, &spec());
            check(before, &KindSpec::plain("mine"));
        }
    }

    #[test]
    fn comments_and_other_tables_stay() {
        let before = "# mine\n[placement] # here\npolicy = \"near\"\n\n# why\n[eviction]\npolicy = \"a\" # since May\n\
                      config = { x = 1 } # tuned\n\n[relocation]\npolicy = \"never\" # final\n";
        let same_config = KindSpec {
            config: json!({"x": 1}),
            ..KindSpec::plain("b")
        };
        let after = check(before, &same_config);
        assert_eq!(after, before.replace("policy = \"a\"", "policy = \"b\""));
        let after = check(before, &KindSpec::plain("b"));
        assert!(
            after.contains("policy = \"b\" # since May") && after.contains("# why\n[eviction]")
        );
        assert!(check(TEMPLATE, &spec()).starts_with(TEMPLATE.trim_end()));
    }

    #[test]
    fn what_toml_can_not_say_is_refused_and_so_is_a_broken_file() {
        let refused = |text: &str, config: Value| {
            let spec = KindSpec {
                config,
                ..KindSpec::plain("a")
            };
            with_table(text, Kind::Eviction, &spec).unwrap_err()
        };
        assert!(refused("", json!({"x": null})).contains("null"));
        assert!(refused("", json!({"x": u64::MAX})).contains("more than TOML"));
        assert!(refused("x = = 1", json!({})).contains("correct the file"));
        assert!(refused("[evicton]", json!({})).contains("evicton"));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,8}", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_configuration_reads_back(
            fields in prop::collection::btree_map(".{0,8}", any_json(), 0..4),
        ) {
            let spec = KindSpec {
                config: Value::Object(fields.into_iter().collect()),
                ..KindSpec::plain("mine")
            };
            check(TEMPLATE, &spec);
        }
    }
}
