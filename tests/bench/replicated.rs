//! A large file to two of three nodes on one machine: every byte is written twice, so the bound is half of the
//! disk's speed.

use crate::disk::{mib, sequential};
use crate::http::{Answer, Connection, piece};
use crate::large::SIZE;
use crate::node::{folder, network};
use crate::report::{Row, rounds, timed};

const TWO: &str = "Dataverse-Factor: 2\r\n";

pub(crate) fn put() -> Vec<Row> {
    let folder = folder();
    let nodes = network(3, folder.path(), &[(1, 0), (2, 0), (2, 1)], &[]);
    let mut connection = nodes[0].connect();
    let (mut one, mut two, mut three) = (piece(1 << 20), piece(1 << 20), piece(1 << 20));
    let inside = keys(&mut connection, &nodes[0].name, true);
    let outside = keys(&mut connection, &nodes[0].name, false);

    let mut other = nodes[0].connect();
    let mut ours = |round: usize| stored(&mut connection, &inside[round], &mut one, round);
    let mut through = |round: usize| stored(&mut other, &outside[round], &mut two, round);
    let plain_file = folder.path().join("plain");
    let mut half = |round: usize| sequential(&plain_file, SIZE, &mut three, round as u64) / 2.0;
    let figures = rounds(&mut [&mut ours, &mut half, &mut through]);
    let against = ("plain / 2", figures[1].as_slice());
    vec![
        Row::rates(
            "PUT 1 GiB to 2 of 3, entry holds one",
            "MiB/s",
            &figures[0],
            against,
            Some(0.6),
        ),
        Row::rates(
            "PUT 1 GiB to 2 of 3, entry holds none",
            "MiB/s",
            &figures[2],
            against,
            Some(0.6),
        ),
    ]
}

fn stored(connection: &mut Connection, path: &str, piece: &mut [u8], round: usize) -> f64 {
    let seconds = timed(|| {
        let answer = connection
            .put(path, TWO, SIZE, piece, round as u64)
            .expect_success();
        assert_eq!(holders(&answer).len(), 2, "the write was degraded");
    });
    connection.request("DELETE", path).expect_success();
    mib(SIZE) / seconds
}

/// Keys whose layout includes the entry node, or doesn't: small files show where keys are placed.
fn keys(connection: &mut Connection, entry: &str, holds: bool) -> Vec<String> {
    let mut keys = Vec::new();
    for tried in 0..200 {
        let path = format!("/v1/files/ada/large-{holds}-{tried}.bin");
        let answer = connection
            .put(&path, TWO, 16, &mut [0; 16], tried)
            .expect_success();
        if holders(&answer).iter().any(|name| name == entry) == holds {
            keys.push(path);
        }
        if keys.len() > crate::report::ROUNDS {
            return keys;
        }
    }
    panic!("placement never chose as it should")
}

fn holders(answer: &Answer) -> Vec<String> {
    let answer = answer.json();
    let names = answer["replicas"].as_array().expect("it is a list");
    names
        .iter()
        .map(|name| name.as_str().expect("it is text").to_owned())
        .collect()
}
