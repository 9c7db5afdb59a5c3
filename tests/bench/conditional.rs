//! What a condition adds to a small write on three nodes: two rounds of questions to every node.

use std::time::Instant;

use crate::http::{Connection, piece};
use crate::node::{folder, network};
use crate::report::Row;

const SIZE: u64 = 4 << 10;
const FILES: u64 = 400;
const WARM_UP: u64 = 40;

pub(crate) fn measure() -> Vec<Row> {
    let folder = folder();
    let nodes = network(3, folder.path(), &[(1, 0), (2, 0), (2, 1)], &[]);
    let mut entry = nodes[0].connect();
    let mut piece = piece(SIZE as usize);
    let (mut plain, mut conditional, mut search) = (Vec::new(), Vec::new(), Vec::new());
    for file in 0..WARM_UP + FILES {
        let mut put = |path: String, headers: &str| {
            let begun = Instant::now();
            let answer = entry.put(&path, headers, SIZE, &mut piece, file);
            answer.expect_success();
            begun.elapsed().as_secs_f64() * 1e3
        };
        // Which of the two goes first alternates.
        let absent = "If-None-Match: *\r\n";
        let (with, without) = match file % 2 {
            0 => {
                let with = put(format!("/v1/files/ada/with-{file}"), absent);
                (with, put(format!("/v1/files/ada/without-{file}"), ""))
            }
            _ => {
                let without = put(format!("/v1/files/ada/without-{file}"), "");
                (put(format!("/v1/files/ada/with-{file}"), absent), without)
            }
        };
        let searched = missed(&mut entry, file);
        if file >= WARM_UP {
            conditional.push(with);
            plain.push(without);
            search.push(searched);
        }
    }
    let sum: Vec<f64> = plain
        .iter()
        .zip(&search)
        .map(|(a, b)| a + 2.0 * b)
        .collect();
    vec![
        Row::times("PUT 4 KiB to two of three nodes", &plain, None),
        Row::times("search of all three nodes", &search, None),
        Row::times(
            "PUT with If-None-Match: *",
            &conditional,
            Some(("that and two searches", &sum, 1.0)),
        ),
    ]
}

/// Milliseconds of a search that asks every node and finds nothing.
fn missed(connection: &mut Connection, file: u64) -> f64 {
    let begun = Instant::now();
    let answer = connection.request("GET", &format!("/v1/search?key=ada/none-{file}"));
    let took = begun.elapsed().as_secs_f64() * 1e3;
    assert_eq!(answer.expect_success().json()["outcome"], "not_found");
    took
}
