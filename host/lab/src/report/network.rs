//! Drawings of the network and its load: one per entry, all to the same scale.

use dataverse_core::plural::plural;
use plotters::element::{Circle, PathElement, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::{
    Canvas, Drawing, Drawn, LETTER_PIXELS, TEXT_PIXELS, filled, points, stroke, text,
};
use super::figure::Figure;
use super::layout::places;
use super::palette::{INK_COLOUR, LINES_TOLD_APART, LINK_COLOUR, PAPER_COLOUR, line_colour};
use super::text::{escaped, short};
use crate::measures::NetworkLoad;
use crate::results::{AssertionOutcome, Results};

const WIDTH: f64 = 450.0;
const MARGIN: f64 = 26.0;
/// Maximum number of entries whose network is drawn.
const ENTRIES_MAX: usize = 8;
/// Maximum number of nodes that get their names written.
const NAMED_NODES_MAX: usize = 60;
/// Maximum letters of a name.
const NAME_CHARS_MAX: usize = 12;
/// Maximum number of links drawn; of more, those that carried the most.
const LINKS_MAX: usize = 3000;
/// Width of the widest link and, for few nodes, the greatest and smallest radius of a node; in pixels.
const LINK_PIXELS_MAX: f64 = 7.0;
const RADIUS_MAX: f64 = 15.0;
const RADIUS_MIN: f64 = 3.0;

/// The load of the busiest node and link in any drawing, which get the maximum size.
#[derive(Clone, Copy, Debug)]
struct Scale {
    served: u64,
    bytes: u64,
}

/// A box on the drawing: left, top, right, bottom.
type Corners = (f64, f64, f64, f64);

/// Drawings of the network under each entry, at the sweep's first point and in the first run.
pub(super) fn figures(results: &Results) -> Vec<Figure> {
    let first = results.points().first().copied();
    let networks: Vec<(&str, &NetworkLoad)> = (results.cells.iter())
        .filter(|cell| Some(&cell.point) == first)
        .filter_map(|cell| {
            let outcome = cell.repetitions.iter().map(|run| &run.outcome);
            let mut measured = outcome.filter_map(|outcome| match outcome {
                AssertionOutcome::Measures(measures) => Some(&measures.network),
                AssertionOutcome::Error(_) => None,
            });
            Some((
                cell.compare.as_str(),
                measured.next().filter(|it| !it.nodes.is_empty())?,
            ))
        })
        .take(ENTRIES_MAX)
        .collect();
    let scale = Scale {
        served: greatest(
            networks
                .iter()
                .flat_map(|it| &it.1.nodes)
                .map(|node| node.served),
        ),
        bytes: greatest(
            networks
                .iter()
                .flat_map(|it| &it.1.links)
                .map(|link| link.bytes),
        ),
    };
    networks
        .into_iter()
        .map(|(name, network)| figure(name, network, scale))
        .collect()
}

fn greatest(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.max().unwrap_or(0).max(1)
}

/// The legend of the zones below the drawings; empty without zones, or with too many to tell apart.
pub(super) fn zones(results: &Results) -> String {
    let first = results
        .cells
        .iter()
        .flat_map(|cell| &cell.repetitions)
        .find_map(|run| match &run.outcome {
            AssertionOutcome::Measures(measures) => Some(&measures.network),
            AssertionOutcome::Error(_) => None,
        });
    let zones = first.map_or_else(Vec::new, zones_of);
    if zones.len() < 2 || zones.len() > LINES_TOLD_APART {
        return String::new();
    }
    let items = zones.iter().enumerate().map(|(number, zone)| {
        let colour = line_colour(number);
        let fill = format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2);
        let dot = format!(
            "<svg viewBox=\"0 0 10 10\" width=\"10\" height=\"10\" aria-hidden=\"true\"><circle cx=\"5\" cy=\"5\" \
             r=\"5\" fill=\"{fill}\"/></svg>"
        );
        let name = if zone.is_empty() { "no zone" } else { zone };
        format!("<li>{dot} {}</li>", escaped(name))
    });
    format!("<ul class=\"key\">{}</ul>", items.collect::<String>())
}

fn zones_of(network: &NetworkLoad) -> Vec<&str> {
    let mut zones: Vec<&str> = network
        .nodes
        .iter()
        .map(|node| node.zone.as_str())
        .collect();
    zones.sort_unstable();
    zones.dedup();
    zones
}

fn figure(name: &str, network: &NetworkLoad, scale: Scale) -> Figure {
    let (places, ratio) = places(network);
    let inner = WIDTH - 2.0 * MARGIN;
    let height = inner / ratio + 2.0 * MARGIN;
    let at: Vec<(f64, f64)> = places
        .iter()
        .map(|(x, y)| (MARGIN + x * inner, MARGIN + y * (height - 2.0 * MARGIN)))
        .collect();
    let drawing = Drawing::new((WIDTH, height), |canvas| {
        draw(canvas, network, scale, &at, height)
    });
    let node = |place: u32| {
        network
            .nodes
            .get(place as usize)
            .map_or("", |node| node.name.as_str())
    };
    let nodes = network.nodes.iter().map(|it| {
        let [served, bytes] = [it.served, it.replica_bytes].map(|number| number.to_string());
        vec![
            it.name.clone(),
            String::new(),
            it.zone.clone(),
            served,
            bytes,
            String::new(),
        ]
    });
    let links = network.links.iter().map(|it| {
        let [from, to] = [it.ends.0, it.ends.1].map(|end| node(end).to_owned());
        vec![
            from,
            to,
            String::new(),
            String::new(),
            String::new(),
            it.bytes.to_string(),
        ]
    });
    Figure {
        title: format!("Network under {name}"),
        caption: String::new(),
        description: format!(
            "{} and {}",
            plural(network.nodes.len() as u64, "node", "nodes"),
            plural(network.links.len() as u64, "link", "links")
        ),
        drawing,
        head: [
            "node",
            "linked to",
            "zone",
            "reads answered",
            "replica bytes",
            "bytes over the link",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows: nodes.chain(links).collect(),
    }
}

fn draw(
    canvas: &Canvas<'_>,
    network: &NetworkLoad,
    scale: Scale,
    at: &[(f64, f64)],
    height: f64,
) -> Drawn {
    draw_links(canvas, network, scale, at)?;
    let zones = zones_of(network);
    let smaller = libm::sqrt(40.0 / network.nodes.len().max(40) as f64);
    // The area, not the radius, is proportional to the reads served.
    let radius = |served: u64| {
        let share = libm::sqrt(served as f64 / scale.served as f64);
        (RADIUS_MIN + (RADIUS_MAX - RADIUS_MIN) * share) * smaller.max(0.25)
    };
    let mut taken: Vec<Corners> = Vec::new();
    for (node, &(x, y)) in network.nodes.iter().zip(at) {
        let radius = radius(node.served);
        taken.push((x - radius, y - radius, x + radius, y + radius));
        let zone = zones.binary_search(&node.zone.as_str()).unwrap_or(0);
        let colour = line_colour(if zones.len() <= LINES_TOLD_APART {
            zone
        } else {
            0
        });
        let middle = (points(x), points(y));
        canvas.draw(&Circle::new(
            middle,
            points(radius + 1.5),
            filled(PAPER_COLOUR, 1.0),
        ))?;
        canvas.draw(&Circle::new(middle, points(radius), filled(colour, 1.0)))?;
    }
    if network.nodes.len() > NAMED_NODES_MAX {
        return Ok(());
    }
    let mut order: Vec<usize> = (0..network.nodes.len()).collect();
    order.sort_by_key(|&node| (std::cmp::Reverse(network.nodes[node].served), node));
    for node in order {
        let name = short(&network.nodes[node].name, NAME_CHARS_MAX);
        draw_name(
            canvas,
            &name,
            at[node],
            radius(network.nodes[node].served),
            &mut taken,
            height,
        )?;
    }
    Ok(())
}

fn draw_links(
    canvas: &Canvas<'_>,
    network: &NetworkLoad,
    scale: Scale,
    at: &[(f64, f64)],
) -> Drawn {
    let mut links: Vec<_> = network.links.iter().collect();
    links.sort_by_key(|link| (std::cmp::Reverse(link.bytes), link.ends));
    links.truncate(LINKS_MAX);
    // The busiest last, on top of the others.
    for link in links.into_iter().rev() {
        let ends = [link.ends.0, link.ends.1].map(|end| at.get(end as usize));
        let [Some(from), Some(to)] = ends else {
            continue;
        };
        let path = [from, to].map(|&(x, y)| (points(x), points(y)));
        let width = LINK_PIXELS_MAX * link.bytes as f64 / scale.bytes as f64;
        let style = stroke(LINK_COLOUR, 0.75, width.max(0.6));
        canvas.draw(&PathElement::new(path.to_vec(), style))?;
    }
    Ok(())
}

/// Writes a name next to its node where there is free space, or not at all.
fn draw_name(
    canvas: &Canvas<'_>,
    name: &str,
    (x, y): (f64, f64),
    radius: f64,
    taken: &mut Vec<Corners>,
    height: f64,
) -> Drawn {
    let (wide, high) = (name.chars().count() as f64 * LETTER_PIXELS, TEXT_PIXELS);
    let away = radius + 4.0;
    let corners = |left: f64, top: f64| (left, top, left + wide, top + high);
    let spots = [
        corners(x + away, y - high / 2.0),
        corners(x - away - wide, y - high / 2.0),
        corners(x - wide / 2.0, y - away - high),
        corners(x - wide / 2.0, y + away),
    ];
    let is_free = |spot: &Corners| {
        spot.0 >= 2.0
            && spot.1 >= 2.0
            && spot.2 <= WIDTH - 2.0
            && spot.3 <= height - 2.0
            && !taken
                .iter()
                .any(|it| it.0 < spot.2 && spot.0 < it.2 && it.1 < spot.3 && spot.1 < it.3)
    };
    let Some(spot) = spots.into_iter().find(is_free) else {
        return Ok(());
    };
    taken.push(spot);
    let middle = (
        points((spot.0 + spot.2) / 2.0),
        points((spot.1 + spot.3) / 2.0),
    );
    let style = text(INK_COLOUR).pos(Pos::new(HPos::Center, VPos::Center));
    canvas.draw(&Text::new(name.to_owned(), middle, style))
}
