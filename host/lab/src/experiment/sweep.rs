//! `[sweep]`: any dotted key with the values it takes, and the resulting points.
//!
//! `"nodes.capacity" = ["1%", "5%"]` replaces `capacity` in `[nodes]` by each of the two; `compare.eviction`
//! replaces it in every compare entry; `event.0.at` means the first event. Several keys make a grid, in which the
//! last key varies fastest.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{Document, Malformed, Span, Table, Value};
use crate::limits;
use crate::results::{Axis, Point};

/// Keys that apply to the whole experiment and therefore can't vary within it.
const FIXED: &[&str] = &[
    "run.seed",
    "run.repetitions",
    "run.baseline",
    "compare.name",
    "sweep",
    "expect",
    "run",
    "compare",
];

/// The axes of a sweep.
#[derive(Clone, Debug, Default)]
pub(super) struct Sweep<'a> {
    axes: Vec<SweptKey<'a>>,
}

#[derive(Clone, Debug)]
struct SweptKey<'a> {
    key: String,
    span: Span,
    values: Vec<Value<'a>>,
}

/// One point of a sweep: the value of each axis.
#[derive(Clone, Debug)]
pub(super) struct SweepPoint<'s, 'a>(Vec<(&'s SweptKey<'a>, &'s Value<'a>)>);

impl<'a> Sweep<'a> {
    /// Takes the section out of the tree.
    ///
    /// # Errors
    /// [`Malformed`] when it is not a table of lists, or makes too many points.
    pub(super) fn take(document: &Document, tree: &mut Table<'a>) -> Result<Self, Malformed> {
        let Some(section) = tree.remove("sweep") else {
            return Ok(Self::default());
        };
        let mut axes = Vec::new();
        collect(document, "", section, &mut axes)?;
        // The tree sorts its keys; restore the order of the text, which the author meant.
        axes.sort_by_key(|axis| axis.span.start);
        let sweep = Self { axes };
        sweep.check(document)?;
        Ok(sweep)
    }

    fn check(&self, document: &Document) -> Result<(), Malformed> {
        let mut points = 1_usize;
        for (place, axis) in self.axes.iter().enumerate() {
            let refused = |reason: String| Err(document.malformed(&axis.span, reason));
            let key = &axis.key;
            if is_fixed(key) {
                return refused(format!(
                    "`{key}` applies to the whole experiment and can't be swept"
                ));
            }
            if let Some(other) = self.axes[..place].iter().find(|it| overlap(&it.key, key)) {
                return refused(format!("`{key}` and `{}` sweep the same thing", other.key));
            }
            if axis.values.is_empty() {
                return refused(format!("`{key}` has no values to take"));
            }
            let twice = (1..axis.values.len())
                .map(|place| (as_json(&axis.values[place]), place))
                .find(|(value, place)| {
                    axis.values[..*place].iter().any(|it| as_json(it) == *value)
                });
            if let Some((value, _)) = twice {
                return refused(format!("`{key}` takes {value} twice"));
            }
            points = points.saturating_mul(axis.values.len());
            if points > limits::EXPERIMENT_POINTS_MAX {
                return refused(format!(
                    "the sweep has more than {} points; leave values or keys out",
                    limits::EXPERIMENT_POINTS_MAX
                ));
            }
        }
        Ok(())
    }

    /// The axes, as results list them.
    pub(super) fn axes(&self) -> Vec<Axis> {
        self.axes
            .iter()
            .map(|axis| Axis {
                key: axis.key.clone(),
                values: axis.values.iter().map(as_json).collect(),
            })
            .collect()
    }

    /// All points in order; a single point that changes nothing if there is no sweep.
    pub(super) fn points(&self) -> Vec<SweepPoint<'_, 'a>> {
        let mut points = vec![SweepPoint(Vec::new())];
        for axis in &self.axes {
            points = points
                .into_iter()
                .flat_map(|point| {
                    axis.values.iter().map(move |value| {
                        let mut longer = point.clone();
                        longer.0.push((axis, value));
                        longer
                    })
                })
                .collect();
        }
        points
    }
}

impl<'a> SweepPoint<'_, 'a> {
    /// The point, as results name it.
    pub(super) fn named(&self) -> Point {
        self.0
            .iter()
            .map(|(axis, value)| (axis.key.clone(), as_json(value)))
            .collect()
    }

    /// Writes its values into a tree.
    ///
    /// # Errors
    /// [`Malformed`] at a key that leads nowhere.
    pub(super) fn put_into(
        &self,
        document: &Document,
        tree: &mut Table<'a>,
    ) -> Result<(), Malformed> {
        for (axis, value) in &self.0 {
            let segments: Vec<&str> = axis.key.split('.').collect();
            put(tree, &segments, &axis.span, value).map_err(|reason| {
                document.malformed(&axis.span, format!("`{}`: {reason}", axis.key))
            })?;
        }
        Ok(())
    }
}

/// Collects keys with lists, however they are written: `"a.b" = […]`, `a.b = […]`.
fn collect<'a>(
    document: &Document,
    prefix: &str,
    value: Value<'a>,
    axes: &mut Vec<SweptKey<'a>>,
) -> Result<(), Malformed> {
    let span = value.span();
    let DeValue::Table(table) = value.into_inner() else {
        let of = if prefix.is_empty() { "sweep" } else { prefix };
        return Err(document.malformed(
            &span,
            format!("`{of}` needs a list of the values to take, as [1, 2]"),
        ));
    };
    for (key, value) in table {
        let name = match prefix {
            "" => key.get_ref().to_string(),
            prefix => format!("{prefix}.{}", key.get_ref()),
        };
        if !matches!(value.get_ref(), DeValue::Array(_)) {
            collect(document, &name, value, axes)?;
            continue;
        }
        let DeValue::Array(values) = value.into_inner() else {
            continue;
        };
        axes.push(SweptKey {
            key: name,
            span: key.span(),
            values: values.into_iter().collect(),
        });
    }
    Ok(())
}

/// Whether a key applies to the whole experiment, both for every entry (`compare.name`) and for one
/// (`compare.0.name`).
fn is_fixed(key: &str) -> bool {
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    let words: Vec<&str> = key.split('.').filter(|part| !is_number(part)).collect();
    FIXED.contains(&words.join(".").as_str()) || words.first() == Some(&"expect")
}

fn overlap(one: &str, other: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    within(one, other) || within(other, one)
}

fn put<'a>(
    tree: &mut Table<'a>,
    path: &[&str],
    span: &Span,
    value: &Value<'a>,
) -> Result<(), String> {
    let Some((first, rest)) = path.split_first() else {
        return Ok(());
    };
    if first.is_empty() {
        return Err("a part of the key is empty".to_owned());
    }
    let key = Spanned::new(span.clone(), (*first).to_owned().into());
    if rest.is_empty() {
        // Remove it with its key, so that an error about the key points to the sweep as well.
        tree.remove(*first);
        tree.insert(key, value.clone());
        return Ok(());
    }
    if !tree.contains_key(*first) {
        let empty = DeValue::Table(DeTable::new());
        tree.insert(key.clone(), Spanned::new(span.clone(), empty));
    }
    let below = tree.get_mut(*first).map(Spanned::get_mut);
    match below {
        Some(DeValue::Table(table)) => put(table, rest, span, value),
        Some(DeValue::Array(entries)) => put_into_entries(entries, rest, span, value),
        // A string stands for a table with nothing but that string in it, as in `eviction = "lru"`. The sweep then
        // owns the table, and errors about it point to the sweep.
        Some(below @ DeValue::String(_)) if *first != "name" => {
            let word = std::mem::replace(below, DeValue::Boolean(false));
            let policy = Spanned::new(span.clone(), "policy".to_owned().into());
            let mut table = DeTable::new();
            table.insert(policy, Spanned::new(span.clone(), word));
            put(&mut table, rest, span, value)?;
            tree.remove(*first);
            tree.insert(key, Spanned::new(span.clone(), DeValue::Table(table)));
            Ok(())
        }
        _ => Err(format!("`{first}` has no parts")),
    }
}

/// A number selects one entry, any other key all of them.
fn put_into_entries<'a>(
    entries: &mut toml::de::DeArray<'a>,
    path: &[&str],
    span: &Span,
    value: &Value<'a>,
) -> Result<(), String> {
    let length = entries.len();
    let (chosen, path) = match path.split_first() {
        Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            let chosen = number.parse::<usize>().ok().filter(|it| *it < length);
            let chosen = chosen.ok_or_else(|| {
                format!("there is no entry {number}; there are {length}, counted from 0")
            })?;
            (chosen..chosen + 1, rest)
        }
        _ => (0..length, path),
    };
    for entry in chosen {
        let Some(entry) = entries.get_mut(entry) else {
            continue;
        };
        match entry.get_mut() {
            whole if path.is_empty() => *whole = value.get_ref().clone(),
            DeValue::Table(table) => put(table, path, span, value)?,
            _ => return Err("the entries have no parts".to_owned()),
        }
    }
    Ok(())
}

/// A value, as results name it.
pub(super) fn as_json(value: &Value<'_>) -> serde_json::Value {
    match value.get_ref() {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| number.to_string().into(), Into::into),
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .map_or_else(|_| number.to_string().into(), Into::into),
        DeValue::Boolean(yes) => (*yes).into(),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(values) => values.iter().map(as_json).collect(),
        DeValue::Table(table) => table
            .iter()
            .map(|(key, value)| (key.get_ref().to_string(), as_json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(text: &str) -> Result<Vec<String>, String> {
        let document = Document {
            file: "x.toml".into(),
            text: text.to_owned(),
        };
        let run = || {
            let mut tree = document.tree()?;
            let sweep = Sweep::take(&document, &mut tree)?;
            let mut found = Vec::new();
            for point in sweep.points() {
                let mut changed = tree.clone();
                point.put_into(&document, &mut changed)?;
                let whole = Spanned::new(0..0, DeValue::Table(changed));
                found.push(as_json(&whole).to_string());
            }
            Ok(found)
        };
        run().map_err(|malformed: Malformed| malformed.to_string())
    }

    fn check(text: &str, expected: &[&str]) {
        let found = points(text).expect("the sweep is valid");
        assert_eq!(found, expected);
    }

    #[test]
    fn without_a_sweep_there_is_one_point_that_changes_nothing() {
        check("[nodes]\ncapacity = 5", &[r#"{"nodes":{"capacity":5}}"#]);
    }

    #[test]
    fn several_keys_make_a_grid_and_the_last_varies_fastest() {
        check(
            "[sweep]\n\"b.x\" = [1, 2]\na.y = ['p', 0.5]\n[b]\nx = 0\n",
            &[
                r#"{"a":{"y":"p"},"b":{"x":1}}"#,
                r#"{"a":{"y":0.5},"b":{"x":1}}"#,
                r#"{"a":{"y":"p"},"b":{"x":2}}"#,
                r#"{"a":{"y":0.5},"b":{"x":2}}"#,
            ],
        );
    }

    #[test]
    fn a_key_means_every_entry_and_a_number_one() {
        check(
            "[[event]]\nat = 1\n[[event]]\nat = 2\n[sweep]\nevent.1.at = [9]\n",
            &[r#"{"event":[{"at":1},{"at":9}]}"#],
        );
        check(
            "[[event]]\nat = 1\n[[event]]\nat = 2\n[sweep]\nevent.at = [9]\n",
            &[r#"{"event":[{"at":9},{"at":9}]}"#],
        );
    }

    #[test]
    fn the_configuration_of_a_policy_that_is_a_word_can_be_swept() {
        check(
            "[[compare]]\neviction = 'lru'\n[sweep]\ncompare.eviction.config.depth = [3]\n",
            &[r#"{"compare":[{"eviction":{"config":{"depth":3},"policy":"lru"}}]}"#],
        );
    }

    #[test]
    fn what_leads_nowhere_is_refused_where_it_stands() {
        let check = |sweep: &str, reason: &str| {
            let text = format!("[[event]]\nat = 1\n[run]\nseed = 1\n[sweep]\n{sweep}\n");
            let refused = points(&text).expect_err(sweep);
            assert!(refused.starts_with("x.toml:6:"), "{refused}");
            assert!(refused.contains(reason), "{refused}");
        };
        check("run.seed = [1]", "can't be swept");
        check("expect.at_least = [1]", "can't be swept");
        check("compare.0.name = ['x']", "can't be swept");
        check("compare.0 = [{ name = 'x' }]", "can't be swept");
        check("event.3.at = [1]", "there is no entry 3; there are 1");
        check("event.0.at.x = [1]", "`at` has no parts");
        check("nodes.capacity = 5", "needs a list of the values");
        check("nodes.capacity = []", "has no values");
        check("\"nodes..x\" = [1]", "a part of the key is empty");
        check("nodes.x = [2, 1, 2]", "takes 2 twice");
        let many = (0..=100).map(|value| value.to_string());
        let many = many.collect::<Vec<_>>().join(",");
        check(&format!("a = {{ x = [{many}], y = [{many}] }}"), "points");
    }

    #[test]
    fn two_keys_do_not_sweep_the_same() {
        let refused = points("[sweep]\nnodes = [1]\n\"nodes.x\" = [1]\n").expect_err("twice");
        assert!(refused.starts_with("x.toml:3:1:"), "{refused}");
        assert!(refused.contains("sweep the same thing"), "{refused}");
        let apart = "[nodes]\n[sweep]\n\"nodes.x\" = [1]\n\"nodes.xy\" = [1]\n";
        check(apart, &[r#"{"nodes":{"x":1,"xy":1}}"#]);
    }
}
