//! Files of 16 KiB: uploads by 16 clients compared with 16 writers that fsync, downloads over 32 connections
//! compared with nginx.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::http::{Connection, mark, piece};
use crate::large::ALONE;
use crate::load::rate;
use crate::nginx::Nginx;
use crate::node::{Node, folder};
use crate::report::{Row, rounds};

const SIZE: usize = 16 << 10;
const CLIENTS: u64 = 16;

struct Client {
    connection: Connection,
    piece: Vec<u8>,
    number: u64,
    done: u64,
}

/// Writes files into a folder, one after the other.
pub(crate) struct Writer {
    folder: PathBuf,
    piece: Vec<u8>,
    number: u64,
    done: u64,
}

pub(crate) fn put() -> Vec<Row> {
    let folder = folder();
    let node = Node::start("N", &folder.path().join("node"), &[]);
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|number| Client {
            connection: node.connect(),
            piece: piece(SIZE),
            number,
            done: 0,
        })
        .collect();
    let mut ours = |_| rate(&mut clients, upload);
    let mut plain = |round: usize| {
        let folder = folder.path().join(format!("plain-{round}"));
        std::fs::create_dir(&folder).expect("a folder can be created");
        let mut writers: Vec<Writer> = (0..CLIENTS)
            .map(|number| writer(&folder, number, SIZE))
            .collect();
        rate(&mut writers, create)
    };
    let figures = rounds(&mut [&mut ours, &mut plain]);
    let against = ("16 writers + fsync", figures[1].as_slice());
    vec![Row::rates(
        "PUT 16 KiB, 16 clients",
        "files/s",
        &figures[0],
        against,
        Some(0.8),
    )]
}

fn upload(client: &mut Client) -> u64 {
    client.done += 1;
    let path = format!("/v1/files/ada/small/{}/{}.bin", client.number, client.done);
    let seed = client.number << 32 | client.done;
    let size = SIZE as u64;
    client
        .connection
        .put(&path, ALONE, size, &mut client.piece, seed)
        .expect_success();
    1
}

pub(crate) fn writer(folder: &Path, number: u64, size: usize) -> Writer {
    Writer {
        folder: folder.to_owned(),
        piece: piece(size),
        number,
        done: 0,
    }
}

/// Writes one file durably.
pub(crate) fn create(writer: &mut Writer) -> u64 {
    writer.done += 1;
    mark(&mut writer.piece, writer.number, writer.done);
    let path = writer
        .folder
        .join(format!("{}-{}", writer.number, writer.done));
    let mut file = File::create(path).expect("the file can be created");
    file.write_all(&writer.piece)
        .expect("the disk accepts the write");
    file.sync_all().expect("the disk makes it durable");
    1
}

/// Two threads with 16 connections each: with more threads, context switches would be the bottleneck.
const READERS: usize = 2;
const CONNECTIONS: usize = 16;
const FILES: usize = 1_000;

struct Reader {
    connections: Vec<Connection>,
    paths: Vec<String>,
    next: usize,
}

pub(crate) fn get() -> Vec<Row> {
    let nginx = match Nginx::start() {
        Ok(nginx) => nginx,
        Err(why) => return vec![Row::left_out("GET 16 KiB, 32 connections", &why)],
    };
    let folder = folder();
    let node = Node::start("N", &folder.path().join("node"), &[]);
    let of_node = |at: usize| format!("/v1/files/ada/small/{at}.bin");
    let of_nginx = |at: usize| format!("/{at}.bin");
    let mut piece = piece(SIZE);
    let mut connection = node.connect();
    for at in 0..FILES {
        connection
            .put(&of_node(at), ALONE, SIZE as u64, &mut piece, at as u64)
            .expect_success();
        std::fs::write(nginx.root.join(format!("{at}.bin")), &piece).expect("it can be written");
    }
    let mut readers_of_node: Vec<_> = (0..READERS)
        .map(|at| reader(&node.http, at, &of_node))
        .collect();
    let mut readers_of_nginx: Vec<_> = (0..READERS)
        .map(|at| reader(&nginx.address, at, &of_nginx))
        .collect();
    let mut ours = |_| rate(&mut readers_of_node, download);
    let mut theirs = |_| rate(&mut readers_of_nginx, download);
    let figures = rounds(&mut [&mut ours, &mut theirs]);
    let against = ("nginx static", figures[1].as_slice());
    vec![Row::rates(
        "GET 16 KiB, 32 connections",
        "files/s",
        &figures[0],
        against,
        Some(0.7),
    )]
}

fn reader(address: &str, at: usize, path: &dyn Fn(usize) -> String) -> Reader {
    Reader {
        connections: (0..CONNECTIONS)
            .map(|_| Connection::open(address))
            .collect(),
        paths: (0..FILES).map(path).collect(),
        next: at * FILES / READERS,
    }
}

/// Sends a request on every connection, then reads every response.
fn download(reader: &mut Reader) -> u64 {
    for connection in &mut reader.connections {
        reader.next = (reader.next + 1) % reader.paths.len();
        connection.ask("GET", &reader.paths[reader.next]);
    }
    for connection in &mut reader.connections {
        let answer = connection.drain();
        assert_eq!((answer.status, answer.length), (200, SIZE as u64));
    }
    CONNECTIONS as u64
}
