//! Edge lists: one line per link, `A B [latency_ms [bandwidth_mbit]]`, separated by blanks or commas; `#` starts a
//! comment.

use std::collections::BTreeMap;

use super::graph::{Link, Topology, Vertex, edge};

/// Reads a list. `like` supplies what a line omits.
///
/// # Errors
/// The line that is invalid, and why.
pub(super) fn read(text: &str, like: Link) -> Result<Topology, String> {
    let mut names = BTreeMap::<String, u32>::new();
    let mut nodes = Vec::new();
    let mut links = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let wrong = |reason: String| format!("line {}: {reason}", number + 1);
        let line = line.split('#').next().unwrap_or_default();
        let words = line.split(|char: char| char == ',' || char.is_whitespace());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let (a, b, rest) = match words.as_slice() {
            [] => continue,
            [a, b, rest @ ..] if rest.len() <= 2 => (*a, *b, rest),
            _ => {
                return Err(wrong(
                    "a link is `A B [latency_ms [bandwidth_mbit]]`".to_owned(),
                ));
            }
        };
        let mut index = |name: &str| {
            *names.entry(name.to_owned()).or_insert_with(|| {
                nodes.push(Vertex {
                    name: name.to_owned(),
                    country: None,
                    position: None,
                });
                nodes.len() as u32 - 1
            })
        };
        let (a, b) = (index(a), index(b));
        let Some(ends) = edge(a, b) else {
            return Err(wrong("a node can't be linked with itself".to_owned()));
        };
        let mut link = Link { ends, ..like };
        if let Some(text) = rest.first() {
            link.latency_us = positive(text, 1e3, true).map_err(wrong)?;
        }
        if let Some(text) = rest.get(1) {
            link.bits_per_second = positive(text, 1e6, false).map_err(wrong)?;
        }
        if links.insert(ends, link).is_some() {
            return Err(wrong("these two nodes are already linked".to_owned()));
        }
    }
    Ok(Topology {
        nodes,
        links: links.into_values().collect(),
    })
}

fn positive(text: &str, factor: f64, or_zero: bool) -> Result<u64, String> {
    let number = text.parse::<f64>().ok();
    let number = number.map(|number| libm::round(number * factor));
    match number.filter(|number| (0.0..=1e15).contains(number)) {
        Some(number) if number >= 1.0 || or_zero => Ok(number as u64),
        _ => Err(format!(
            "`{text}` is not a latency in ms or a bandwidth in Mbit/s"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIKE: Link = Link {
        ends: (0, 0),
        latency_us: 10_000,
        bits_per_second: 1_000_000_000,
    };

    #[test]
    fn links_say_how_fast_they_are_or_are_like_the_rest() {
        let text = "# three nodes\nB A 2.5 100\n\nA,C , 7 # a remark\nB C\n";
        let read = read(text, LIKE).expect("it can be read");
        let names: Vec<_> = read.nodes.iter().map(|place| place.name.as_str()).collect();
        assert_eq!(names, ["B", "A", "C"]);
        let link = |ends, latency_us, bits_per_second| Link {
            ends,
            latency_us,
            bits_per_second,
        };
        let expected = [
            link((0, 1), 2_500, 100_000_000),
            link((0, 2), 10_000, 1_000_000_000),
            link((1, 2), 7_000, 1_000_000_000),
        ];
        assert_eq!(read.links, expected);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, expected) in [
            ("A B\nA", "line 2: a link is"),
            ("A B\n\nB A", "line 3: these two"),
            ("A A", "line 1: a node can't"),
            ("A B x", "line 1: `x` is not a latency"),
            ("A B 1 0", "line 1: `0` is not a latency"),
        ] {
            let error = read(text, LIKE).expect_err(text);
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
