//! Compares the built-in eviction policies with libCacheSim 0.3.5: which share of a trace's requests they miss.
//!
//! One trace is generated here: a million requests for ten thousand objects by Zipf's law, counted as objects and
//! as files of several sizes. The other, 76,118 requests for a product page, is not part of the project; if it is
//! absent, its test prints a message and passes. It is `web07` of cache2k (headissue GmbH, CC BY 4.0), expected as
//! `shared/data/traces/web07.csv.gz` next to the project's folder, with libCacheSim's ratios in
//! `shared/data/miss-ratios.csv`.
//!
//! Every check takes a function that replays a trace, so that the same policies are checked natively here and, in
//! the lab, as Wasm under the cache of a node.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use dataverse_sdk::testing::{Counts, Zipf, file_size};

/// An object or a file, and its bytes.
pub(crate) type Request = (u64, u64);

/// Replays requests on a cache of this many bytes under the policy of this name.
pub(crate) type Replay<'a> = &'a mut dyn FnMut(&str, u64, &[Request]) -> Counts;

/// Policy, capacity in objects, and miss ratio.
const OBJECTS: [(&str, u64, &str); 36] = [
    ("fifo", 100, "0.657105"),
    ("fifo", 500, "0.460544"),
    ("fifo", 1000, "0.369282"),
    ("fifo", 2500, "0.239348"),
    ("lru", 100, "0.609019"),
    ("lru", 500, "0.413457"),
    ("lru", 1000, "0.324776"),
    ("lru", 2500, "0.201703"),
    ("lfu", 100, "0.489447"),
    ("lfu", 500, "0.336574"),
    ("lfu", 1000, "0.262946"),
    ("lfu", 2500, "0.166532"),
    ("sieve", 100, "0.488542"),
    ("sieve", 500, "0.326199"),
    ("sieve", 1000, "0.253633"),
    ("sieve", 2500, "0.162862"),
    ("s3-fifo", 100, "0.493441"),
    ("s3-fifo", 500, "0.332976"),
    ("s3-fifo", 1000, "0.263101"),
    ("s3-fifo", 2500, "0.170889"),
    ("arc", 100, "0.501943"),
    ("arc", 500, "0.341366"),
    ("arc", 1000, "0.272189"),
    ("arc", 2500, "0.181820"),
    ("two-q", 100, "0.514728"),
    ("two-q", 500, "0.351105"),
    ("two-q", 1000, "0.279282"),
    ("two-q", 2500, "0.183092"),
    ("gdsf", 100, "0.523669"),
    ("gdsf", 500, "0.350047"),
    ("gdsf", 1000, "0.272007"),
    ("gdsf", 2500, "0.167818"),
    ("w-tinylfu", 100, "0.494108"),
    ("w-tinylfu", 500, "0.321517"),
    ("w-tinylfu", 1000, "0.251912"),
    ("w-tinylfu", 2500, "0.156358"),
];

/// Policy, capacity in bytes, miss ratio, and byte miss ratio.
const FILES: [(&str, u64, &str, &str); 18] = [
    ("fifo", 64 << 20, "0.500831", "0.618189"),
    ("fifo", 256 << 20, "0.318671", "0.396168"),
    ("lru", 64 << 20, "0.453452", "0.558897"),
    ("lru", 256 << 20, "0.276462", "0.345760"),
    ("lfu", 64 << 20, "0.359162", "0.458765"),
    ("lfu", 256 << 20, "0.221804", "0.276241"),
    ("sieve", 64 << 20, "0.346298", "0.447443"),
    ("sieve", 256 << 20, "0.215754", "0.270336"),
    ("s3-fifo", 64 << 20, "0.362264", "0.455940"),
    ("s3-fifo", 256 << 20, "0.226930", "0.283577"),
    ("arc", 64 << 20, "0.372669", "0.466558"),
    ("arc", 256 << 20, "0.234725", "0.293595"),
    ("two-q", 64 << 20, "0.382346", "0.479668"),
    ("two-q", 256 << 20, "0.240707", "0.301679"),
    ("gdsf", 64 << 20, "0.208403", "0.539937"),
    ("gdsf", 256 << 20, "0.099436", "0.326192"),
    ("w-tinylfu", 64 << 20, "0.331225", "0.727976"),
    ("w-tinylfu", 256 << 20, "0.203453", "0.281593"),
];

/// How closely a policy must match.
enum Likeness {
    /// To the sixth decimal.
    Same,
    /// Within a hundredth.
    Near,
    /// At most a hundredth above. It misses less where popularity changes and where sizes differ, for reasons that
    /// its crate explains.
    NotAbove,
}

fn likeness(policy: &str) -> Likeness {
    match policy {
        "two-q" | "gdsf" => Likeness::Near,
        "w-tinylfu" => Likeness::NotAbove,
        _ => Likeness::Same,
    }
}

fn check(policy: &str, capacity: u64, what: &str, ratio: f64, expected: &str) {
    let reference: f64 = expected.parse().expect("a ratio");
    let alike = match likeness(policy) {
        Likeness::Same => format!("{ratio:.6}") == expected,
        Likeness::Near => (ratio - reference).abs() <= 0.01,
        Likeness::NotAbove => ratio <= reference + 0.01,
    };
    assert!(
        alike,
        "{policy} with space for {capacity} misses {ratio:.6} of the {what}, libCacheSim {expected}"
    );
}

/// The Zipf trace, every object one byte.
pub(crate) fn check_objects(replay: Replay<'_>) {
    let requests: Vec<Request> = zipf().map(|id| (id, 1)).collect();
    for (policy, capacity, misses) in OBJECTS {
        let counts = replay(policy, capacity, &requests);
        check(policy, capacity, "requests", counts.miss_ratio(), misses);
    }
}

/// The Zipf trace, its objects as files of 1 KiB to 1 MiB.
pub(crate) fn check_files(replay: Replay<'_>) {
    let requests: Vec<Request> = zipf().map(|id| (id, file_size(id))).collect();
    for (policy, capacity, misses, missed_bytes) in FILES {
        let counts = replay(policy, capacity, &requests);
        check(policy, capacity, "requests", counts.miss_ratio(), misses);
        if !matches!(policy, "gdsf" | "w-tinylfu") {
            check(
                policy,
                capacity,
                "bytes",
                counts.byte_miss_ratio(),
                missed_bytes,
            );
        }
    }
}

/// The trace of a product page, if available.
pub(crate) fn check_web07(replay: Replay<'_>) {
    let Some((requests, rows)) = web07() else {
        return;
    };
    for (policy, rows) in rows {
        for (capacity, misses) in rows {
            let counts = replay(&policy, capacity, &requests);
            check(&policy, capacity, "requests", counts.miss_ratio(), &misses);
        }
    }
}

fn zipf() -> impl Iterator<Item = u64> {
    Zipf::new(10_000, 7).take(1_000_000)
}

/// Capacity and miss ratio, by policy.
type Rows = BTreeMap<String, Vec<(u64, String)>>;

fn web07() -> Option<(Vec<Request>, Rows)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let trace = folder.join("traces/web07.csv.gz");
    let Ok(packed) = std::fs::File::open(&trace) else {
        eprintln!("skipped: there is no {}", trace.display());
        return None;
    };
    let mut text = String::new();
    let mut unpacked = flate2::read::GzDecoder::new(packed);
    unpacked
        .read_to_string(&mut text)
        .expect("the trace is complete");
    let requests = text.lines().skip(1).map(|line| {
        let [_, id, size] = fields(line);
        (number(id), number(size))
    });
    let ratios = std::fs::read_to_string(folder.join("miss-ratios.csv"));
    let ratios = ratios.expect("the ratios are next to the trace");
    let shipped: Vec<&str> = OBJECTS.iter().map(|&(policy, ..)| policy).collect();
    let mut rows = Rows::new();
    for line in ratios.lines().skip(1) {
        let [trace, _, policy, capacity, misses, _] = fields(line);
        if trace == "web07" && shipped.contains(&policy) {
            let row = (number(capacity), misses.to_owned());
            rows.entry(policy.to_owned()).or_default().push(row);
        }
    }
    assert_eq!(rows.len(), 9, "every policy but random is compared");
    Some((requests.collect(), rows))
}

fn fields<const N: usize>(line: &str) -> [&str; N] {
    let fields: Vec<&str> = line.split(',').collect();
    fields.try_into().expect("a line with all its fields")
}

fn number(field: &str) -> u64 {
    field.parse().expect("a number")
}
