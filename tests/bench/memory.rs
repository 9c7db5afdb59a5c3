//! Memory of a node: idle, and while one large file goes in, out and through it.

use std::time::Duration;

use crate::http::{Connection, piece};
use crate::large::ALONE;
use crate::node::{Node, folder, network};
use crate::report::Row;

const SIZE: u64 = 2 << 30;
const TRANSFER_MIB: f64 = 80.0;

pub(crate) fn measure() -> Vec<Row> {
    let folder = folder();
    let here = ["--set", "placement.radius=0"];
    let nodes = network(2, folder.path(), &[(1, 0)], &here);
    // By then, gossip, link checks and all other idle work have run.
    std::thread::sleep(Duration::from_secs(5));
    let (entry, holder) = (&nodes[0], &nodes[1]);
    let mut rows = vec![Row::at_most(
        "memory, idle",
        "MiB",
        entry.resident_mib(),
        Some(40.0),
    )];
    let path = "/v1/files/ada/large.bin";
    let mut to_holder = holder.connect();
    let mut piece = piece(1 << 20);
    let mut row = |what: &str, peak: f64| {
        rows.push(Row::at_most(what, "MiB", peak, Some(TRANSFER_MIB)));
    };
    row(
        "memory, PUT of 2 GiB",
        peak(holder, || {
            to_holder
                .put(path, ALONE, SIZE, &mut piece, 0)
                .expect_success();
        }),
    );
    row(
        "memory, GET of 2 GiB, local",
        peak(holder, || read(&mut to_holder, path)),
    );
    holder.forget_peak();
    row(
        "memory, GET of 2 GiB, remote: reader",
        peak(entry, || read(&mut entry.connect(), path)),
    );
    row("memory, GET of 2 GiB, remote: holder", holder.peak_mib());
    let pair = crate::node::folder();
    let pair = (network(2, pair.path(), &[(1, 0)], &[]), pair);
    let (one, two) = (&pair.0[0], &pair.0[1]);
    two.forget_peak();
    let both = "Dataverse-Factor: 2\r\n";
    row(
        "memory, PUT of 2 GiB to two: entry",
        peak(one, || {
            one.connect()
                .put(path, both, SIZE, &mut piece, 1)
                .expect_success();
        }),
    );
    row("memory, PUT of 2 GiB to two: other", two.peak_mib());
    rows
}

fn peak(node: &Node, transfer: impl FnOnce()) -> f64 {
    node.forget_peak();
    transfer();
    node.peak_mib()
}

fn read(connection: &mut Connection, path: &str) {
    connection.ask("GET", path);
    let answer = connection.drain();
    assert_eq!((answer.status, answer.length), (200, SIZE));
}
