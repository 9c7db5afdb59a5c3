//! What readers of traces promise, all through [`Trace::open`].

use std::io::Write as _;
use std::path::PathBuf;

use dataverse_core::recording::{Line, Writer};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// Creates a file of this name with this content.
fn file(name: &str, content: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("the disk has space");
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("the disk has space");
    (folder, path)
}

fn read_as(content: &[u8], options: Options) -> Result<Vec<Request>, TraceError> {
    let (_folder, path) = file("trace", content);
    let trace = Trace::open(&path.to_string_lossy(), options)?;
    trace.requests()?.collect()
}

fn read(content: &[u8]) -> Result<Vec<Request>, TraceError> {
    read_as(content, Options::default())
}

/// Requests of a table as (time, reader, id, size).
fn rows(requests: &[Request]) -> Vec<(u64, u64, u64, u64)> {
    let row = |it: &Request| (it.time, it.reader, it.id, it.size);
    requests.iter().map(row).collect()
}

/// Checks that the content is refused at this line, with a reason that contains `says`.
fn check_refused(content: &str, line: u64, says: &str) {
    match read(content.as_bytes()) {
        Err(TraceError::Line {
            line: found,
            reason,
            ..
        }) => {
            assert_eq!(found, line, "{content}: {reason}");
            assert!(reason.contains(says), "{content}: {reason}");
        }
        other => panic!("{content}: {other:?}"),
    }
}

const TABLE: &str = "time,id,size\n0,1,10\n1.5,2,20\n2,1,10\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed
        .write_all(bytes)
        .expect("writing to memory never fails");
    packed.finish().expect("writing to memory never fails")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("writing to memory never fails")
}

#[test]
fn a_table_is_read_plain_and_packed_whatever_its_name() {
    let expected = [(0, 0, 1, 10), (1500, 0, 2, 20), (2000, 0, 1, 10)];
    let plain = TABLE.as_bytes();
    for packed in [plain.to_vec(), gzip(plain), zstd(plain)] {
        let requests = read(&packed).expect("it is a trace");
        assert_eq!(rows(&requests), expected);
    }
    // Several concatenated members are one file.
    let (first, second) = plain.split_at(20);
    for packed in [
        [gzip(first), gzip(second)].concat(),
        [zstd(first), zstd(second)].concat(),
    ] {
        assert_eq!(rows(&read(&packed).expect("it is a trace")), expected);
    }
}

#[test]
fn columns_may_lie_anywhere_and_have_other_names() {
    let options = Options {
        columns: Columns::parse("time=ts,id=object,size=").expect("the columns are valid"),
        time_unit: TimeUnit::Milliseconds,
        ..Options::default()
    };
    let table = "op,object,flag,reader,ts\nGET,7,x,\"a,b\",3\nset,seven,,9,4\r\nDelete,7,,9,5\n";
    let requests = read_as(table.as_bytes(), options).expect("it is a trace");
    let ops: Vec<Op> = requests.iter().map(|request| request.op).collect();
    assert_eq!(ops, [Op::Read, Op::Write, Op::Delete]);
    let named = |name: &[u8]| number::id(name);
    let expected = [
        (3, named(b"a,b"), 7, 1),
        (4, 9, named(b"seven"), 1),
        (5, 9, 7, 1),
    ];
    assert_eq!(rows(&requests), expected);
}

#[test]
fn a_table_that_makes_no_sense_is_refused_with_its_line() {
    check_refused("", 1, "empty");
    check_refused("when,what,much\n", 1, "no column `id`");
    check_refused("1,2,3,4,5,6\n", 1, "6 columns and no header");
    check_refused("0,1,10\n1,2\n", 2, "2 fields; the first line has 3");
    check_refused("a.txt,10\n", 1, "use --columns to name them");
    check_refused("time,id,size,size\n1,2,3,4\n", 1, "`size` twice");
    check_refused("# id,time,size,id\n1,2,3,4\n", 2, "`id` twice");
    check_refused("time,id\n1,2\n", 1, "no column `size`");
    check_refused(
        "time,id,size\n1,2,3\n1,2\n",
        3,
        "2 fields; the header has 3",
    );
    check_refused("time,id,size\n1,2,3\n1,2,many\n", 3, "`many` is not a size");
    check_refused("time,id,size\n1,2,-3\n", 2, "`-3` is not a size");
    check_refused("time,id,size\nnoon,2,3\n", 2, "`noon` is not a time");
    check_refused("time,id,size\n1,,3\n", 2, "no id");
    check_refused(
        "time,id,size,op\n1,2,3,look\n",
        2,
        "`look` is not an operation",
    );
    check_refused("time,id,size\n\n\n1,2,x\n", 4, "`x` is not a size");
    check_refused("time,id,size\n1,2,9999999999999\n", 2, "above the limit");
    check_refused("time,id,size\n1,2,3\n1,\"2,3\n", 3, "does not end");
}

const EXPECTED: [(u64, u64, u64, u64); 3] = [(0, 0, 1, 10), (1500, 0, 2, 20), (2000, 0, 1, 10)];

fn check_rows(content: &str, columns: &str, expected: &[(u64, u64, u64, u64)]) {
    let columns = match columns {
        "" => Ok(Columns::default()),
        columns => Columns::parse(columns),
    };
    let options = Options {
        columns: columns.expect("the columns are valid"),
        ..Options::default()
    };
    match read_as(content.as_bytes(), options) {
        Ok(requests) => assert_eq!(rows(&requests), expected, "{content}"),
        Err(error) => panic!("{content}: {error}"),
    }
}

#[test]
fn a_table_without_a_header_goes_by_the_order_of_one() {
    check_rows("0,1,10\n1.5,2,20\n2,1,10\n", "", &EXPECTED);
    check_rows("\n0,1,10\n\n1.5,2,20\n2,1,10", "", &EXPECTED);
    check_rows("0,1\n1.5,2\n", "", &[(0, 0, 1, 1), (1500, 0, 2, 1)]);
    check_rows("7\n8\n", "", &[(1, 0, 7, 1), (2, 0, 8, 1)]);
    check_rows("0,1,10,3,put\n", "", &[(0, 3, 1, 10)]);
    // The time column is declared missing, so the first column is the id.
    check_rows("7,10\n8,20\n", "time=", &[(1, 0, 7, 10), (2, 0, 8, 20)]);
    let trace = |content: &[u8]| {
        let (_folder, path) = file("trace.csv", content);
        let trace = Trace::open(&path.to_string_lossy(), Options::default());
        let trace = trace.expect("it is a trace");
        (trace.assumed().map(str::to_owned), trace.has_times())
    };
    let assumed = "it has no header; its columns are taken as time, id, size";
    assert_eq!(trace(b"0,1,10\n"), (Some(assumed.to_owned()), true));
    let assumed = "it has no header; its column is taken as id";
    assert_eq!(trace(b"7\n"), (Some(assumed.to_owned()), false));
    assert_eq!(trace(TABLE.as_bytes()), (None, true));
}

#[test]
fn a_comment_may_be_the_header() {
    check_rows("# time,id,size\n0,1,10\n1.5,2,20\n2,1,10\n", "", &EXPECTED);
    check_rows("#size, time, id\n10,0,1\n20,1.5,2\n10,2,1\n", "", &EXPECTED);
    let several = "# made by hand\n#\n## when,what\n# more, or less, id\n0,1\n";
    check_rows(several, "time=when,id=what,size=", &[(0, 0, 1, 1)]);
    // A header takes precedence over a comment, and only a comment that is a header counts as one.
    check_rows("# id,time,size\ntime,id,size\n0,1,10\n", "", &EXPECTED[..1]);
    check_rows("# an id\n0,1,10\n# the end, id\n", "", &EXPECTED[..1]);
}

#[test]
fn columns_may_be_told_by_their_places() {
    let expected = [(0, 0, 7, 10), (1000, 0, 8, 20)];
    check_rows("x,10,0,7\nx,20,1,8\n", "time=3,id=4,size=2", &expected);
    // Columns that were not given do not exist, and a first line of words is a header.
    check_rows(
        "a,b,c\n7,0,3\n8,1,4\n",
        "time=2,id=1",
        &[(0, 0, 7, 1), (1000, 0, 8, 1)],
    );
    check_rows("0,1\n5,6\n", "id=2", &[(1, 0, 1, 1), (2, 0, 6, 1)]);
    // A column of that name takes precedence over one at that position, and names and positions can be combined.
    check_rows("2,time\n7,0\n", "id=2", &[(0, 0, 7, 1)]);
    check_rows(
        "bytes,x,when\n10,7,0\n",
        "id=2,size=bytes,time=when",
        &expected[..1],
    );
    let refused = |columns: &str, says: &str| {
        let options = Options {
            columns: Columns::parse(columns).expect("the columns are valid"),
            ..Options::default()
        };
        let refused = read_as(b"1,2,3\n", options).expect_err(columns).to_string();
        assert!(refused.contains(says), "{refused}");
    };
    refused("id=4", "there is no column 4 for the id: it has 3 columns");
    refused("size=3", "no column `id`");
    refused("id=0", "no column `0`");
    refused("id=key", "no column `key`");
}

#[test]
fn a_column_is_named_once() {
    for (columns, says) in [
        ("id=a,id=b", "`id=` is given twice"),
        ("id=a,size=,size=b", "`size=` is given twice"),
        (
            "time=x,id=x",
            "the column `x` is named twice, for time= and for id=",
        ),
        ("id=2,size=2", "the column `2` is named twice"),
        ("id=", "needs an id"),
        ("id", "is not one of time="),
        ("", "is not one of time="),
    ] {
        let refused = Columns::parse(columns).expect_err(columns);
        assert!(refused.contains(says), "{refused}");
    }
    assert!(Columns::parse("time=,size=").is_ok(), "both are not there");
}

#[test]
fn tables_of_other_programs_are_read() {
    let check = |content: &str| check_rows(content, "", &EXPECTED);
    check("\u{feff}time,id,size\r\n0,1,10\r\n1.5,2,20\r\n2,1,10\r\n");
    check("time\tid\tsize\n0\t1\t10\n1.5\t2\t20\n2\t1\t10\n");
    check("time;id;size;\n0;1;10;\n1.5;2;20;x,y\n2;1;10;\n");
    check("time\tid\tsize\tnote\n0\t1\t10\t\n1.5\t2\t20\ta b\n2\t1\t10\t\n");
    check("\"time\",\"id\",\"size\"\n\"0\",\"1\",\"10\"\n1.5,2,20\n2, 1 ,10\n");
    check("\u{feff}# time;id;size\n0;1;10\n\n1.5;2;20\n   \n2;1;10");
    check("id,\"a;b;c;d\",time,size\n1,x,0,10\n2,x,1.5,20\n1,x,2,10\n");
}

#[test]
fn what_is_no_text_and_no_trace_is_told_for_what_it_is() {
    let check = |content: &[u8], says: &str| {
        let refused = read(content).expect_err(says).to_string();
        assert!(refused.contains(says), "{refused}");
    };
    let units = "time,id\n1,2\n".encode_utf16();
    let little: Vec<u8> = units.clone().flat_map(u16::to_le_bytes).collect();
    check(&[&b"\xff\xfe"[..], &little].concat(), "UTF-16");
    let big: Vec<u8> = units.flat_map(u16::to_be_bytes).collect();
    check(&[&b"\xfe\xff"[..], &big].concat(), "UTF-16");
    check(b"\xfd7zXZ\0\0\x04", "compressed with xz");
    check(b"BZh91AY", "compressed with bzip2");
    check(b"PK\x03\x04\x14", "compressed with zip");
}

#[test]
fn a_line_without_end_is_refused() {
    let plain = format!("time,id,size\n1,2,3\n{}", "9".repeat(1 << 20));
    let quoted = format!("time,id,size\n1,2,3\n\"{}", "9,".repeat(1 << 19));
    for table in [plain, quoted] {
        let refused = read(table.as_bytes())
            .expect_err("it has no end")
            .to_string();
        assert!(refused.contains("65536 bytes"), "{refused}");
    }
}

#[test]
fn a_packed_file_that_is_cut_is_refused() {
    let lines = (0..1000).map(|line| format!("{line},{},1\n", line * line % 7919));
    let table = format!("time,id,size\n{}", lines.collect::<String>());
    for packed in [gzip(table.as_bytes()), zstd(table.as_bytes())] {
        let cut = &packed[..packed.len() - 7];
        let refused = read(cut).expect_err("it is incomplete");
        assert!(
            matches!(refused, TraceError::Unreadable { .. }),
            "{refused}"
        );
    }
}

fn oracle(requests: &[(u32, u64, u32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (time, id, size) in requests {
        bytes.extend(time.to_le_bytes());
        bytes.extend(id.to_le_bytes());
        bytes.extend(size.to_le_bytes());
        bytes.extend((-1_i64).to_le_bytes());
    }
    bytes
}

#[test]
fn oracle_general_is_known_by_its_content() {
    let bytes = oracle(&[(1, u64::MAX, 7), (2, 3, u32::MAX)]);
    let expected = [(1000, 0, u64::MAX, 7), (2000, 0, 3, u64::from(u32::MAX))];
    for packed in [bytes.clone(), gzip(&bytes), zstd(&bytes)] {
        assert_eq!(rows(&read(&packed).expect("it is a trace")), expected);
    }
    let refused = read(&bytes[..30]).expect_err("it is cut").to_string();
    assert!(
        refused.contains("request 2") && refused.contains("6 of 24"),
        "{refused}"
    );
}

#[test]
fn what_is_not_there_is_named() {
    let refused = Trace::open("/no/such/trace.csv", Options::default());
    let refused = refused.expect_err("it does not exist").to_string();
    assert!(
        refused.starts_with("/no/such/trace.csv can't be read"),
        "{refused}"
    );
    assert!(Trace::open("zipf:1,2", Options::default()).is_err());
    let folder = tempfile::tempdir().expect("the disk has space");
    let name = folder.path().to_string_lossy().into_owned();
    assert!(Trace::open(&name, Options::default()).is_err());
}

#[test]
fn a_generated_trace_needs_no_file() {
    let trace = Trace::open("zipf:100,5000,3", Options::default()).expect("it is generated");
    assert_eq!((trace.format(), trace.zipf_objects()), (None, Some(100)));
    let once: Result<Vec<_>, _> = trace.requests().expect("it is generated").collect();
    let again: Result<Vec<_>, _> = trace.requests().expect("it is generated").collect();
    assert_eq!(once, again);
    assert_eq!(once.map(|requests| requests.len()), Ok(5000));
}

fn line() -> impl Strategy<Value = (Line<'static>, String)> {
    let op = prop::sample::select(vec![Op::Read, Op::Write, Op::Delete]);
    let outcome = prop::sample::select(RequestOutcome::ALL.to_vec());
    let numbers = (0u64..1 << 50, any::<u64>(), any::<u64>(), 0u64..1 << 40);
    (numbers, op, outcome, any::<u32>(), "[a-z\",# é]{0,12}").prop_map(
        |((time, reader, id, size), op, outcome, hops, key)| {
            let line = Line {
                time,
                reader,
                op,
                id,
                size,
                outcome,
                hops,
                key: None,
            };
            (line, key)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_a_node_writes_is_read_back(
        lines in prop::collection::vec(line(), 0..20),
        names in any::<bool>(),
        rotations in 1usize..3,
    ) {
        let mut files = Vec::new();
        for _ in 0..rotations {
            let mut writer = Writer::begin(Vec::new(), names)?;
            let mut bytes = 0;
            for (line, key) in &lines {
                bytes += writer.write(&Line { key: Some(key), ..*line })?;
            }
            let file = writer.into_inner();
            prop_assert!(file.ends_with(b"\n") && file.len() as u64 > bytes);
            files.extend(file);
        }
        let expected: Vec<Request> = lines.iter().map(|(line, _)| Request {
            time: line.time,
            reader: line.reader,
            id: line.id,
            size: line.size,
            op: line.op,
            hops: line.hops,
            outcome: Some(line.outcome),
        }).collect();
        prop_assert_eq!(read(&files), Ok(expected.repeat(rotations)));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        beginning in prop::sample::select(vec![
            &b""[..], b"time,id,size\n", b"# dataverse recording 1\n",
            b"# dataverse recording 1\ntime,reader,op,id,size,outcome,hops\n1,",
            b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd",
        ]),
        packed in 0..3,
    ) {
        let content = [beginning, &bytes].concat();
        let content = match packed {
            0 => content,
            1 => gzip(&content),
            _ => zstd(&content),
        };
        for format in [None, Some(Format::Csv), Some(Format::OracleGeneral), Some(Format::Dataverse)] {
            let options = Options { format, ..Options::default() };
            let _read = read_as(&content, options);
        }
    }

    #[test]
    fn text_of_a_table_makes_no_reader_panic(
        text in "[0-9a-z,.\"\n#-]{0,200}",
        beginning in prop::sample::select(vec![
            "time,id,size\n", "time,id,size,reader,op\n",
            "# dataverse recording 1\ntime,reader,op,id,size,outcome,hops\n",
        ]),
    ) {
        let _read = read([beginning, &text].concat().as_bytes());
    }
}

#[test]
fn a_recording_that_makes_no_sense_is_refused_with_its_line() {
    const HEADER: &str = "time,reader,op,id,size,outcome,hops";
    const GOOD: &str = "1,0000000000000002,read,0000000000000003,4,remote,5";
    let recording = |first: &str, header: &str, line: &str| {
        format!("# dataverse recording {first}\n{header}\n{GOOD}\n{line}\n")
    };
    let check = |line: &str, says| check_refused(&recording("1", HEADER, line), 4, says);
    check_refused(&recording("2", HEADER, GOOD), 1, "another version");
    check_refused(&recording("1", "time,id", GOOD), 2, "must name the columns");
    check(
        "1,2,read,0000000000000003,4,remote,5",
        "`2` is not a valid reader",
    );
    check(
        "1,0000000000000002,read,3,4,remote,5",
        "`3` is not a valid id",
    );
    check(
        "1,0000000000000002,read,0000000000000003,4,gone,5",
        "`gone` is not a valid outcome",
    );
    check(
        "1,0000000000000002,read,0000000000000003,4,remote,-1",
        "`-1` is not a valid number",
    );
    check("1,0000000000000002,read", "3 fields");
    let options = Options {
        format: Some(Format::Dataverse),
        ..Options::default()
    };
    let refused = read_as(TABLE.as_bytes(), options).expect_err("it is invalid");
    assert!(refused.to_string().contains("not a recording"), "{refused}");
}
