//! Search on a grid of 4 × 8 nodes, from a corner, for a file at each distance.

use crate::http::{Connection, piece};
use crate::large::ALONE;
use crate::node::{folder, network};
use crate::report::{Row, median, quantile, timed};

const ROWS: usize = 4;
const COLUMNS: usize = 8;
const SEARCHES: usize = 200;

pub(crate) fn measure() -> Vec<Row> {
    let folder = folder();
    // A write stays on the node that receives it, so there is a file at each distance.
    let here = ["--set", "placement.radius=0"];
    let nodes = network(ROWS * COLUMNS, folder.path(), &grid(), &here);
    let mut connection = nodes[0].connect();
    let mut rows = Vec::new();
    let mut piece = piece(1 << 10);
    for distance in 1..ROWS + COLUMNS - 1 {
        // The nodes at a distance form a diagonal; the file is on its last one.
        let (row, column) = (
            distance.saturating_sub(COLUMNS - 1),
            distance.min(COLUMNS - 1),
        );
        let holder = &nodes[row * COLUMNS + column];
        let key = format!("ada/at-{distance}.bin");
        let path = format!("/v1/files/{key}");
        holder
            .connect()
            .put(&path, ALONE, 1 << 10, &mut piece, distance as u64)
            .expect_success();
        rows.push(at_distance(&mut connection, &key, distance, &holder.name));
    }
    rows.push(miss(&mut connection));
    rows
}

fn grid() -> Vec<(usize, usize)> {
    let mut links = Vec::new();
    for at in 0..ROWS * COLUMNS {
        if at % COLUMNS > 0 {
            links.push((at, at - 1));
        }
        if at >= COLUMNS {
            links.push((at, at - COLUMNS));
        }
    }
    links
}

/// The number of nodes, apart from the first, within this many links of it.
fn within(distance: usize) -> usize {
    let nodes = 0..ROWS * COLUMNS;
    nodes
        .filter(|at| at / COLUMNS + at % COLUMNS <= distance)
        .count()
        - 1
}

fn at_distance(connection: &mut Connection, key: &str, distance: usize, holder: &str) -> Row {
    let path = format!("/v1/search?key={key}");
    let (mut took, mut probes) = (Vec::new(), Vec::new());
    let mut truthful = true;
    for _ in 0..SEARCHES {
        let mut answer = None;
        took.push(1e3 * timed(|| answer = Some(connection.request("GET", &path).expect_success())));
        let answer = answer.map(|answer| answer.json()).unwrap_or_default();
        let hit = &answer["hits"][0];
        truthful &= hit["node"] == holder && hit["hops"] == distance && answer["exact"] == true;
        probes.push(answer["probes"].as_f64().unwrap_or(f64::NAN));
    }
    let most = probes.iter().copied().fold(0.0, f64::max);
    let nodes = within(distance);
    let measured = format!(
        "{:.2} ms, p99 {:.2} ms; {:.0} probes, at most {most:.0}",
        median(&took),
        quantile(&took, 0.99),
        median(&probes)
    );
    let what = format!("search, hit {distance} hops away");
    let budget = format!("≤ {nodes} probes, exact");
    Row::held(&what, measured, &budget, truthful && most <= nodes as f64)
}

fn miss(connection: &mut Connection) -> Row {
    let mut took = Vec::new();
    let mut truthful = true;
    for _ in 0..SEARCHES {
        let mut answer = None;
        let path = "/v1/search?key=ada/nowhere";
        took.push(1e3 * timed(|| answer = Some(connection.request("GET", path).expect_success())));
        let answer = answer.map(|answer| answer.json()).unwrap_or_default();
        truthful &= answer["outcome"] == "not_found" && answer["probes"] == ROWS * COLUMNS - 1;
    }
    let measured = format!(
        "{:.2} ms, p99 {:.2} ms; 31 probes",
        median(&took),
        quantile(&took, 0.99)
    );
    Row::held(
        "search, file that is nowhere",
        measured,
        "31 probes, not_found",
        truthful,
    )
}
