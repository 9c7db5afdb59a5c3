//! A large file on one node: uploads compared with the disk and nginx WebDAV, downloads with nginx.

use std::fs::File;

use crate::disk::{mib, sequential};
use crate::http::{Connection, piece};
use crate::nginx::Nginx;
use crate::node::{Node, folder};
use crate::report::{Row, rounds, timed};

pub(crate) const SIZE: u64 = 1 << 30;
pub(crate) const ALONE: &str = "Dataverse-Factor: 1\r\n";

pub(crate) fn put() -> Vec<Row> {
    let folder = folder();
    let node = Node::start("N", &folder.path().join("node"), &[]);
    let nginx = Nginx::start();
    let mut to_node = node.connect();
    let (mut one, mut two, mut three) = (piece(1 << 20), piece(1 << 20), piece(1 << 20));

    let mut ours = |round: usize| {
        let path = format!("/v1/files/ada/large-{round}.bin");
        let seconds = timed(|| {
            to_node
                .put(&path, ALONE, SIZE, &mut one, round as u64)
                .expect_success();
        });
        to_node.request("DELETE", &path).expect_success();
        mib(SIZE) / seconds
    };
    let plain_file = folder.path().join("plain");
    let mut plain = |round: usize| sequential(&plain_file, SIZE, &mut two, round as u64);
    match &nginx {
        Ok(nginx) => {
            let mut dav = |round: usize| webdav(nginx, round, &mut three);
            let figures = rounds(&mut [&mut ours, &mut plain, &mut dav]);
            vec![
                Row::rates(
                    "PUT 1 GiB, one node",
                    "MiB/s",
                    &figures[0],
                    ("plain write + fsync", &figures[1]),
                    Some(0.8),
                ),
                Row::rates(
                    "PUT 1 GiB, one node",
                    "MiB/s",
                    &figures[0],
                    ("nginx WebDAV, then fsync", &figures[2]),
                    None,
                ),
            ]
        }
        Err(why) => {
            let figures = rounds(&mut [&mut ours, &mut plain]);
            vec![
                Row::rates(
                    "PUT 1 GiB, one node",
                    "MiB/s",
                    &figures[0],
                    ("plain write + fsync", &figures[1]),
                    Some(0.8),
                ),
                Row::left_out("PUT 1 GiB, nginx WebDAV", why),
            ]
        }
    }
}

/// nginx answers before the content is durable, so this adds the fsync that it omits.
fn webdav(nginx: &Nginx, round: usize, piece: &mut [u8]) -> f64 {
    let name = format!("large-{round}.bin");
    let mut connection = Connection::open(&nginx.address);
    let seconds = timed(|| {
        connection
            .put(&format!("/{name}"), "", SIZE, piece, round as u64)
            .expect_success();
        let file = File::open(nginx.root.join(&name)).expect("nginx stored it");
        file.sync_all().expect("the disk makes it durable");
    });
    std::fs::remove_file(nginx.root.join(&name)).expect("it can be removed");
    mib(SIZE) / seconds
}

/// Reads per round, so that a round takes long enough to be measured.
const READS: u64 = 3;

pub(crate) fn get() -> Vec<Row> {
    let nginx = match Nginx::start() {
        Ok(nginx) => nginx,
        Err(why) => return vec![Row::left_out("GET 1 GiB, local copy", &why)],
    };
    let folder = folder();
    let node = Node::start("N", &folder.path().join("node"), &[]);
    let mut piece = piece(1 << 20);
    let path = "/v1/files/ada/large.bin";
    node.connect()
        .put(path, ALONE, SIZE, &mut piece, 0)
        .expect_success();
    let mut to_nginx = Connection::open(&nginx.address);
    to_nginx
        .put("/large.bin", "", SIZE, &mut piece, 0)
        .expect_success();
    let mut to_node = node.connect();
    let mut ours = |_| read(&mut to_node, path);
    let mut theirs = |_| read(&mut to_nginx, "/large.bin");
    let figures = rounds(&mut [&mut ours, &mut theirs]);
    let against = ("nginx static", figures[1].as_slice());
    vec![Row::rates(
        "GET 1 GiB, local copy",
        "MiB/s",
        &figures[0],
        against,
        Some(0.9),
    )]
}

fn read(connection: &mut Connection, path: &str) -> f64 {
    let seconds = timed(|| {
        for _ in 0..READS {
            connection.ask("GET", path);
            let answer = connection.drain();
            assert_eq!((answer.status, answer.length), (200, SIZE));
        }
    });
    mib(SIZE * READS) / seconds
}
