//! Benchmarks of the node: the real binary as processes, over real sockets, on a real disk. Each case measures the
//! node and what it is compared with (the disk itself, nginx) in the same run.
//!
//! `cargo bench --bench node -- [NAME…]` runs the named cases, or all. Each case measures in alternating rounds,
//! after a warm-up round, and reports the median and the median of the rounds' ratios, so that noise on the
//! machine affects both sides alike. Nothing here asserts a number: the table says which budgets were met or
//! missed. A comparison that is not installed is reported as left out.

mod conditional;
mod disk;
mod first_byte;
mod http;
mod large;
mod load;
mod many_files;
mod memory;
mod nginx;
mod node;
mod policies;
mod replicated;
mod report;
mod search;
mod small;
mod upkeep;

use std::time::Instant;

use report::Row;

/// A case: its name, its description, and the function that runs it.
type Case = (&'static str, &'static str, fn() -> Vec<Row>);

const CASES: &[Case] = &[
    (
        "large-put",
        "PUT of a large file to one node: the disk, nginx WebDAV",
        large::put,
    ),
    (
        "two-of-three",
        "PUT of a large file to two of three nodes: half of the disk",
        replicated::put,
    ),
    (
        "large-get",
        "GET of a large local file: nginx static",
        large::get,
    ),
    (
        "small-put",
        "PUT of 16 KiB files by 16 clients: 16 writers that fsync",
        small::put,
    ),
    (
        "small-get",
        "GET of 16 KiB files over 32 connections: nginx static",
        small::get,
    ),
    (
        "first-byte",
        "first byte of a remote file: a search and a round trip",
        first_byte::measure,
    ),
    (
        "conditional",
        "PUT with a condition: PUT without one, and searches",
        conditional::measure,
    ),
    (
        "search",
        "time and probes of a search on 32 nodes, hop by hop",
        search::measure,
    ),
    ("memory", "memory idle and under transfers", memory::measure),
    (
        "many-files",
        "start-up and memory with 100,000 files",
        many_files::measure,
    ),
    (
        "upkeep",
        "a node of four with 100,000 files is lost, and comes back: 16 writers that fsync",
        upkeep::measure,
    ),
    (
        "policies",
        "decisions native and as WebAssembly, instances, swaps",
        policies::measure,
    ),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --all-targets` runs this too, without the flag; minutes of load are not a test.
    let measured = arguments.iter().any(|argument| argument == "--bench");
    let wanted: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let unknown = wanted
        .iter()
        .find(|name| CASES.iter().all(|(case, ..)| case != **name));
    if let Some(name) = unknown {
        eprintln!("there is no case {name}; the cases are:");
    }
    if !measured || unknown.is_some() {
        for (name, meaning, _) in CASES {
            eprintln!("  {name:14} {meaning}");
        }
        std::process::exit(i32::from(unknown.is_some()));
    }
    report::machine();
    let mut rows = Vec::new();
    for (name, meaning, run) in CASES {
        if wanted.is_empty() || wanted.iter().any(|it| it == name) {
            let begun = Instant::now();
            eprintln!("{name}: {meaning}");
            rows.extend(run());
            eprintln!("  took {:.0} s", begun.elapsed().as_secs_f64());
        }
    }
    report::print(&rows);
}
