//! Pages of made-up results are well-formed, complete and harmless.

use roxmltree::{Document, Node, ParsingOptions};
use serde_json::{Value, json};

use super::*;
use crate::results::AssertionOutcome;

mod made_up;

fn swept() -> Results {
    let values = ["1%", "2%", "5%", "10%", "20%"].map(Value::from);
    made_up::results(&["lru", "gdsf", "sieve"], "nodes.capacity", &values, 5)
}

fn unswept() -> Results {
    made_up::results(&["never", "reader"], "", &[], 3)
}

fn parsed(page: &str) -> Document<'_> {
    let options = ParsingOptions {
        allow_dtd: true,
        nodes_limit: 1_000_000,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(page, options).unwrap_or_else(|error| {
        let line = page.lines().nth(error.pos().row as usize - 1).unwrap_or("");
        panic!("{error}: {}", line.chars().take(300).collect::<String>())
    })
}

fn named<'a, 'b>(page: &'a Document<'b>, tag: &'static str) -> Vec<Node<'a, 'b>> {
    page.descendants()
        .filter(|node| node.has_tag_name(tag))
        .collect()
}

/// All text in a node, as a reader sees it.
fn text_of(node: Node<'_, '_>) -> String {
    node.descendants()
        .filter_map(|it| it.text().filter(|_| it.is_text()))
        .collect()
}

#[test]
fn a_page_shows_all_that_the_results_have() {
    let html = html(&swept());
    let page = parsed(&html);
    let sections: Vec<&str> = named(&page, "section")
        .iter()
        .filter_map(|it| it.attribute("id"))
        .collect();
    assert_eq!(
        sections,
        [
            "expectations",
            "charts",
            "numbers",
            "series",
            "network",
            "run"
        ]
    );
    let text = text_of(page.root());
    for part in [
        "3 entries at 5 points of the sweep, 5 repetitions each, from seed 7.",
        "Hit ratio over nodes.capacity",
        "The same everywhere: 1",
        "hit ratio of lru is at least 0.3"
            .replace("hit ratio", "hit_ratio")
            .as_str(),
        "does not hold",
        "Hops, cumulative at nodes.capacity = 1%",
        "Network under gdsf",
        "dataverse:policy@0.1.0",
        "fedcba9876543210",
        "# a < b && c > d",
    ] {
        assert!(text.contains(part), "{part}");
    }
}

#[test]
fn every_drawing_says_what_it_is_and_gives_its_numbers() {
    for results in [swept(), unswept()] {
        let html = html(&results);
        let page = parsed(&html);
        let figures = named(&page, "figure");
        assert!(figures.len() > 5);
        for figure in figures {
            let child = |tag: &'static str| figure.descendants().find(|it| it.has_tag_name(tag));
            let title = child("h3").map(text_of).expect("a heading");
            let drawing = child("svg").expect("a drawing");
            assert_eq!(drawing.attribute("role"), Some("img"));
            assert_eq!(child("title").map(text_of), Some(title.clone()));
            assert!(!text_of(child("desc").expect("a description")).is_empty());
            let saved = child("a")
                .and_then(|it| it.attribute("href"))
                .expect("numbers to save");
            assert!(saved.starts_with("data:text/csv"), "{title}");
            assert!(child("td").is_some(), "{title}");
        }
    }
}

#[test]
fn ids_are_unique_and_what_is_referred_to_is_there() {
    let html = html(&swept());
    let page = parsed(&html);
    let mut ids: Vec<&str> = page
        .descendants()
        .filter_map(|it| it.attribute("id"))
        .collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
    for node in page.descendants() {
        let labels = node.attribute("aria-labelledby").unwrap_or("");
        let anchors = node.attribute("href").and_then(|it| it.strip_prefix('#'));
        for id in labels.split_whitespace().chain(anchors) {
            assert!(ids.contains(&id), "{id}");
        }
    }
}

#[test]
fn a_page_loads_nothing() {
    let html = html(&swept());
    for word in [
        "http:", "https:", "//", "url(", "@import", "<script", "<link", "<img",
    ] {
        assert!(!html.contains(word), "{word}");
    }
    let page = parsed(&html);
    for node in page.descendants() {
        assert!(node.attribute("src").is_none());
        let link = node.attribute("href").unwrap_or("#");
        assert!(
            link.starts_with('#') || link.starts_with("data:text/csv"),
            "{link}"
        );
    }
}

#[test]
fn names_from_strangers_stay_text() {
    let hostile = made_up::HOSTILE;
    let mut results = made_up::results(&[hostile, "b"], hostile, &[json!(hostile), json!(2)], 2);
    results.experiment.file = hostile.to_owned();
    results.experiment.text = hostile.to_owned();
    results.notes = vec![hostile.to_owned()];
    results
        .digests
        .files
        .insert(hostile.to_owned(), hostile.to_owned());
    results.cells[0].repetitions[1].outcome = AssertionOutcome::Error(hostile.to_owned());
    for cell in &mut results.cells {
        if let AssertionOutcome::Measures(measures) = &mut cell.repetitions[0].outcome {
            let mut series = measures.series["hops_cdf"].clone();
            series.x_axis = hostile.to_owned();
            series.y_axis = hostile.to_owned();
            measures.series.insert(hostile.to_owned(), series);
            measures.network.nodes[0].name = hostile.to_owned();
            measures.network.nodes[0].zone = hostile.to_owned();
        }
    }
    let html = html(&results);
    let page = parsed(&html);
    assert!(named(&page, "script").is_empty());
    assert!(!html.contains(['\u{202e}', '\u{1b}']));
    let text = text_of(page.root());
    assert!(text.matches("<script>alert('x')</script>&\"").count() > 10);
    let failed = named(&page, "section")
        .into_iter()
        .find(|it| it.attribute("id") == Some("failures"));
    assert!(text_of(failed.expect("one run failed")).contains("<script>"));

    let curve = Curve {
        name: hostile.to_owned(),
        points: vec![(1.0, 2.0)],
    };
    let svg = curves_svg(hostile, hostile, hostile, &[curve]);
    assert!(named(&parsed(&svg), "script").is_empty());
}

#[test]
fn results_without_anything_are_a_page_too() {
    for results in [Results::default(), {
        let mut stopped = swept();
        stopped.complete = false;
        for cell in &mut stopped.cells {
            cell.repetitions.clear();
        }
        stopped.table.clear();
        stopped
    }] {
        let html = html(&results);
        let page = parsed(&html);
        assert!(text_of(page.root()).contains("It was stopped early."));
    }
}

#[test]
fn odd_numbers_do_not_break_a_drawing() {
    let mut results = unswept();
    for row in &mut results.table {
        for (place, summary) in row.measures.values_mut().enumerate() {
            summary.mean = [f64::NAN, f64::INFINITY, -1e300, 1e-300, 0.0][place % 5];
            summary.interval = Some(f64::NAN);
        }
    }
    for cell in &mut results.cells {
        if let AssertionOutcome::Measures(measures) = &mut cell.repetitions[0].outcome {
            for series in measures.series.values_mut() {
                series.points = vec![(0.0, f64::NAN), (f64::INFINITY, 1.0)];
            }
            measures.network.links[0].ends = (0, 9999);
        }
    }
    parsed(&html(&results));
}

#[test]
fn a_file_of_curves_stands_alone() {
    let curve = |name: &str, level: f64| Curve {
        name: name.to_owned(),
        points: [100.0, 500.0, 1000.0, 2500.0]
            .map(|x| (x, level / x))
            .to_vec(),
    };
    let svg = curves_svg(
        "Miss ratio",
        "capacity, objects",
        "object miss ratio",
        &[curve("lru", 60.0), curve("belady", 40.0)],
    );
    let file = parsed(&svg);
    assert_eq!(
        file.root_element().tag_name().namespace(),
        Some("http://www.w3.org/2000/svg")
    );
    let text = text_of(file.root());
    for part in [
        "Miss ratio",
        "capacity, objects",
        "object miss ratio",
        "lru",
        "belady",
        "2500",
    ] {
        assert!(text.contains(part), "{part}");
    }
    let lines = file
        .descendants()
        .filter(|it| it.tag_name().name() == "polyline");
    assert!(lines.count() >= 2);
}
