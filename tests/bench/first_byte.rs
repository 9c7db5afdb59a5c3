//! Time to the first byte of a file on another node: a search, and a round trip to the holder.

use std::time::Instant;

use crate::http::{Connection, piece};
use crate::large::ALONE;
use crate::node::{folder, network};
use crate::report::Row;

const SIZE: u64 = 4 << 20;
const FILES: u64 = 100;
const WARM_UP: u64 = 10;

pub(crate) fn measure() -> Vec<Row> {
    let folder = folder();
    let here = ["--set", "placement.radius=0"];
    let nodes = network(4, folder.path(), &[(1, 0), (2, 1), (3, 2)], &here);
    let mut piece = piece(1 << 20);
    let (mut at_entry, mut at_holder) = (nodes[0].connect(), nodes[3].connect());
    let (mut remote, mut search, mut local) = (Vec::new(), Vec::new(), Vec::new());
    for file in 0..WARM_UP + FILES {
        // Each file is read once: afterwards the reader has a copy.
        let path = format!("/v1/files/ada/{file}.bin");
        at_holder
            .put(&path, ALONE, SIZE, &mut piece, file)
            .expect_success();
        let begun = Instant::now();
        let found = at_entry.request("GET", &format!("/v1/search?key=ada/{file}.bin"));
        let searched = begun.elapsed().as_secs_f64() * 1e3;
        assert_eq!(found.expect_success().json()["hits"][0]["hops"], 3);
        let of_holder = first_byte(&mut at_holder, &path);
        let of_entry = first_byte(&mut at_entry, &path);
        if file >= WARM_UP {
            search.push(searched);
            local.push(of_holder);
            remote.push(of_entry);
        }
    }
    let sum: Vec<f64> = search.iter().zip(&local).map(|(a, b)| a + b).collect();
    vec![
        Row::times("search, 3 hops away", &search, None),
        Row::times("first byte, asked at its holder", &local, None),
        Row::times(
            "first byte, 3 hops away",
            &remote,
            Some(("the two above", &sum, 1.0)),
        ),
    ]
}

/// Milliseconds until the first byte of the content arrives; the rest is read afterwards.
fn first_byte(connection: &mut Connection, path: &str) -> f64 {
    let begun = Instant::now();
    connection.ask("GET", path);
    let body = connection.first_byte();
    let took = begun.elapsed().as_secs_f64() * 1e3;
    let answer = connection.rest(body);
    assert_eq!((answer.status, answer.length), (200, SIZE));
    took
}
