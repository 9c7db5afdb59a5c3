use std::collections::BTreeMap;

use super::*;
use crate::workload::Op;

fn open(text: &str) -> Result<Workload, Wrong> {
    let spec = toml::from_str(text).expect("it can be read");
    Workload::open(&spec, Path::new("."))
}

fn drawn(text: &str, seed: u64, nodes: u32, count: u64) -> Vec<Request> {
    let workload = open(text).expect("the workload is valid");
    let requests = workload
        .requests(seed, nodes, None, count)
        .expect("nothing is opened");
    requests
        .map(|request| request.expect("nothing is read"))
        .collect()
}

fn counts<K: Ord>(requests: &[Request], of: impl Fn(&Request) -> K) -> BTreeMap<K, u64> {
    let mut counts = BTreeMap::new();
    for request in requests {
        *counts.entry(of(request)).or_default() += 1;
    }
    counts
}

#[test]
fn the_same_seed_draws_the_same_requests() {
    let text = "writes = 0.1\nsizes = 'pareto'\nreaders = 'zipf'";
    assert_eq!(drawn(text, 1, 5, 500), drawn(text, 1, 5, 500));
    assert_ne!(drawn(text, 1, 5, 500), drawn(text, 2, 5, 500));
}

#[test]
fn what_is_changed_in_one_respect_stays_in_the_others() {
    let one = drawn("rate = 10", 1, 5, 500);
    let other = drawn("rate = 50\nwrites = 0.2", 1, 5, 500);
    let of =
        |requests: &[Request]| -> Vec<_> { requests.iter().map(|it| (it.node, it.file)).collect() };
    assert_eq!(of(&one), of(&other));
}

#[test]
fn requests_come_at_the_rate_that_is_asked_for() {
    for arrivals in ["poisson", "regular"] {
        let text = format!("rate = 200\narrivals = '{arrivals}'");
        let requests = drawn(&text, 1, 5, 20_000);
        let end_s = requests.last().expect("at least one exists").at_us as f64 / 1e6;
        assert!((end_s / 100.0 - 1.0).abs() < 0.03, "{arrivals}: {end_s}");
        assert!(requests.is_sorted_by_key(|request| request.at_us));
    }
}

#[test]
fn kinds_come_in_proportion() {
    let requests = drawn("writes = 0.2\ndeletes = 0.05", 1, 5, 20_000);
    let kinds = counts(&requests, |request| format!("{:?}", request.op));
    assert!(kinds["Write"].abs_diff(4_000) < 200, "{kinds:?}");
    assert!(kinds["Delete"].abs_diff(1_000) < 150, "{kinds:?}");
    assert!(
        drawn("", 1, 5, 1_000)
            .iter()
            .all(|request| request.op == Op::Read)
    );
}

#[test]
fn readers_are_alike_or_skewed() {
    let even = counts(&drawn("", 1, 10, 20_000), |request| request.node);
    assert!(
        even.values().all(|count| count.abs_diff(2_000) < 250),
        "{even:?}"
    );
    let skewed = counts(&drawn("readers = 'zipf'", 1, 10, 20_000), |request| {
        request.node
    });
    let most = skewed.values().max().expect("at least one exists");
    assert!(most.abs_diff(6_828) < 300, "{skewed:?}");
}

#[test]
fn favourites_drift_by_so_many_ranks_a_second() {
    let favourite = |requests: &[Request]| {
        let counts = counts(requests, |request| request.file);
        counts
            .into_iter()
            .max_by_key(|&(_, count)| count)
            .map(|(file, _)| file)
    };
    let text = "rate = 1000\narrivals = 'regular'\nfiles = 100\nexponent = 2\ndrift = 1";
    let requests = drawn(text, 1, 5, 10_000);
    assert_eq!(favourite(&requests[..999]), Some(0));
    assert_eq!(favourite(&requests[3_000..3_999]), Some(97));
}

#[test]
fn favourites_change_at_a_moment() {
    for moment in ["5", "'50%'"] {
        let text = format!("rate = 1000\narrivals = 'regular'\nexponent = 3\nchange_at = {moment}");
        let requests = drawn(&text, 1, 5, 10_000);
        let share = |requests: &[Request]| {
            let first = requests.iter().filter(|request| request.file == 0);
            first.count() as f64 / requests.len() as f64
        };
        assert!(share(&requests[..4_999]) > 0.8, "{moment}");
        assert!(share(&requests[5_000..]) < 0.3, "{moment}");
    }
}

#[test]
fn what_can_not_be_is_refused_by_key() {
    for (text, key) in [
        ("files = 0", "workload.files"),
        ("files = 99999999", "workload.files"),
        ("writes = 0.6\ndeletes = 0.6", "workload.deletes"),
        ("size = 0", "workload.size"),
        ("rate = 1e9", "workload.rate"),
        ("sizes = 'pareto'\nshape = 1", "workload.shape"),
        ("sizes = 'log-normal'\nsigma = 11", "workload.sigma"),
        ("sizes = 'file'", "workload.sizes"),
        ("sizes_file = 'x'", "workload.sizes_file"),
        (
            "sizes = 'file'\nsizes_file = 'no/such'",
            "workload.sizes_file",
        ),
        ("readers = []", "workload.readers"),
        ("trace = 'no/such'", "workload.trace"),
        (
            "trace = 'zipf:10,100,1'\nformat = 'tape'",
            "workload.format",
        ),
        (
            "trace = 'zipf:10,100,1'\ncolumns = 'id=x'",
            "workload.columns",
        ),
        ("columns = 'id=x'", "workload.columns"),
        ("on_resize = 'write'", "workload.on_resize"),
    ] {
        assert_eq!(open(text).expect_err(text).key, key, "{text}");
    }
}

/// The requests that a trace of these lines replays on `nodes` nodes.
fn replayed(lines: &str, more: &str, nodes: u32) -> Vec<Request> {
    let folder = tempfile::tempdir().expect("the disk has space");
    std::fs::write(folder.path().join("it.csv"), lines).expect("it can be written");
    let spec = toml::from_str(&format!("trace = 'it.csv'\n{more}")).expect("it can be read");
    let workload = Workload::open(&spec, folder.path()).expect("it is a trace");
    let requests = workload
        .requests(1, nodes, None, 100)
        .expect("it still exists");
    requests
        .map(|request| request.expect("it is complete"))
        .collect()
}

#[test]
fn a_trace_is_told_in_the_words_of_the_network() {
    let lines = "time,id,size,reader,op\n5,900,10,7,read\n6.5,77,20,8,read\n6,900,10,7,write\n8,77,0,7,delete\n";
    let requests = replayed(lines, "", 5);
    let told: Vec<_> = requests
        .iter()
        .map(|it| (it.at_us, it.file, it.size, it.op))
        .collect();
    let expected = [
        (0, 0, 10, Op::Read),
        (1_500_000, 1, 20, Op::Read),
        // The trace is not quite in order.
        (1_500_000, 0, 10, Op::Write),
        (3_000_000, 1, 20, Op::Delete),
    ];
    assert_eq!(told, expected);
    // A reader always uses the same node.
    assert_eq!(requests[0].node, requests[2].node);
    assert!(requests.iter().all(|request| request.node < 5));
}

#[test]
fn a_size_that_changes_is_kept_or_is_a_write() {
    let lines = "time,id,size\n1,1,10\n2,1,30\n3,1,30\n";
    let told = |more: &str| -> Vec<_> {
        replayed(lines, more, 2)
            .iter()
            .map(|it| (it.size, it.op))
            .collect()
    };
    assert_eq!(told(""), [(10, Op::Read), (10, Op::Read), (10, Op::Read)]);
    let written = [(10, Op::Read), (30, Op::Write), (30, Op::Read)];
    assert_eq!(told("on_resize = 'write'"), written);
}

#[test]
fn a_trace_without_times_or_readers_gets_them_drawn() {
    let lines = format!("id\n{}", "1\n2\n3\n".repeat(33));
    let requests = replayed(&lines, "columns = 'time=,size='\nrate = 10", 4);
    let end_s = requests.last().expect("at least one exists").at_us as f64 / 1e6;
    assert!((5.0..20.0).contains(&end_s), "{end_s}");
    assert_eq!(counts(&requests, |request| request.node).len(), 4);
}

#[test]
fn a_footprint_is_what_is_in_a_trace() {
    let workload = open("trace = 'zipf:50,1000,1'").expect("it is generated");
    let footprint = workload
        .footprint()
        .expect("it is complete")
        .expect("it has a trace");
    assert_eq!((footprint.requests, footprint.resized), (1_000, 0));
    assert!((40..=50).contains(&footprint.objects), "{footprint:?}");
    assert!(footprint.bytes > footprint.objects);
    assert!(workload.digest().is_some());
    assert_eq!(open("").expect("it is drawn").footprint(), Ok(None));
}

#[test]
fn a_size_that_is_told_later_is_the_first() {
    let lines = "time,id,size,op\n1,1,0,delete\n2,1,500,read\n3,1,900,read\n";
    let told: Vec<u64> = replayed(lines, "", 2).iter().map(|it| it.size).collect();
    assert_eq!(told, [1, 500, 500]);
}

#[test]
fn a_recording_replays_files_that_there_were() {
    let folder = tempfile::tempdir().expect("the disk has space");
    let lines = [
        "read,0000000000000001,0,missing",
        "read,0000000000000002,10,remote",
        "write,0000000000000003,10,failed",
        "delete,0000000000000002,0,done",
    ];
    let lines = lines.map(|line| {
        let (op, rest) = line.split_once(',').expect("it has columns");
        format!("1,0000000000000007,{op},{rest},0\n")
    });
    let head = "# dataverse recording 1\ntime,reader,op,id,size,outcome,hops\n";
    let text = format!("{head}{}", lines.concat());
    std::fs::write(folder.path().join("it.rec"), text).expect("it can be written");
    let spec = toml::from_str("trace = 'it.rec'").expect("it can be read");
    let workload = Workload::open(&spec, folder.path()).expect("it is a trace");
    let found = workload.footprint().expect("it is complete");
    let expected = Footprint {
        requests: 2,
        objects: 1,
        bytes: 10,
        resized: 0,
        left_out: 2,
    };
    assert_eq!(found, Some(expected));
    let requests = workload.requests(1, 3, None, 2).expect("it still exists");
    let told: Vec<(u32, Op)> = requests
        .map(|it| it.expect("it is complete"))
        .map(|it| (it.file, it.op))
        .collect();
    assert_eq!(told, [(0, Op::Read), (0, Op::Delete)]);
}
