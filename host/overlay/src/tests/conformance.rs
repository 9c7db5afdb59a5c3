//! What the driver may rely on, whichever transport carries its messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::id::FileId;
use dataverse_core::limits::{GROUP_BYTES, RECONCILE_BUCKETS, RECONCILE_ENTRIES_MAX};
use dataverse_core::pattern::Pattern;
use dataverse_core::reconcile::{BucketRange, DigestEntry};
use dataverse_core::search::{Answer, Question};
use dataverse_core::secret::Nonce;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::fake::{answer, heard_of, key, reconciled, record, version};
use super::{Bench, from_a, impatient, patient, until};
use crate::transport::{
    Announcement, Ask, CallError, CommitAnswer, CommitAsk, FetchAsk, Fetched, GossipPacket,
    IntroduceAsk, LinkAnswer, LinkAsk, Message, MoveAsk, PrepareAnswer, PrepareAsk, PrepareBroken,
    PullAsk, ReconcileAsk, Refusal, TransportExt, TrustAsk, UnlinkAsk,
};

/// Runs each of these on every implementation.
macro_rules! on_every_transport {
    ($($timings:ident: $test:ident),* $(,)?) => {
        mod over_grpc {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(Bench::grpc(&$timings()).await).await;
            })*
        }

        mod over_tls {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(Bench::tls(&$timings()).await).await;
            })*
        }

        mod in_memory {
            use super::*;
            $(#[tokio::test]
            async fn $test() {
                super::$test(Bench::memory(&$timings())).await;
            })*
        }
    };
}

on_every_transport! {
    patient: small_calls_arrive_as_they_were_sent,
    patient: commits_arrive_as_they_were_sent,
    patient: a_probe_brings_its_answer,
    patient: a_comparison_brings_its_answer,
    patient: every_kind_of_refusal_survives,
    patient: a_fetch_brings_exactly_what_was_asked_for,
    patient: an_empty_file_is_fetched,
    patient: a_fetch_that_breaks_is_no_whole_one,
    patient: a_slow_reader_slows_the_sender,
    patient: a_dropped_fetch_stops_the_sender,
    patient: a_dropped_call_stops_the_work_behind_it,
    patient: a_preparation_arrives_whole,
    patient: a_preparation_that_breaks_is_not_taken_for_whole,
    patient: a_preparation_of_another_size_is_not_taken_for_whole,
    patient: a_refused_preparation_does_not_wait_for_its_content,
    patient: nobody_at_an_address_is_unreachable,
    impatient: silence_ends_at_the_deadline,
    impatient: a_receiver_that_takes_nothing_is_given_up_and_nothing_piles_up,
    impatient: a_source_that_falls_silent_ends_the_preparation_there,
}

fn exact(text: &str) -> Question {
    Question::Exact {
        key: key(text),
        floor: Some(version()),
        pending_before: None,
    }
}

fn heard<A: Ask + Clone>(bench: &Bench, sent: &Message<A>) {
    let call = sent.clone().map(A::into_call);
    assert_eq!(bench.node.heard(), [format!("{call:?}")]);
}

async fn small_calls_arrive_as_they_were_sent(bench: Bench) {
    let Bench {
        transport,
        to,
        node,
        ..
    } = &bench;
    for (explicit, expected) in [(true, LinkAnswer::Linked), (false, LinkAnswer::Cut)] {
        let ask = from_a(LinkAsk {
            explicit,
            ..LinkAsk::to_prove(Nonce::from([7; 32]))
        });
        let reply = transport
            .ask(&to.address, ask.clone())
            .await
            .expect("it answers");
        heard(&bench, &ask);
        assert_eq!(reply.body, expected);
        assert_eq!(reply.sender, node.sender());
    }
    let ask = from_a(IntroduceAsk {
        other: "c.example:1".to_owned(),
    });
    transport
        .ask(&to.address, ask.clone())
        .await
        .expect("it answers");
    heard(&bench, &ask);
    let ask = from_a(UnlinkAsk);
    transport.ask(to, ask.clone()).await.expect("it answers");
    heard(&bench, &ask);
    let ask = from_a(GossipPacket(Bytes::from_static(b"\0\xffpacket")));
    transport
        .ask(&to.address, ask.clone())
        .await
        .expect("it answers");
    heard(&bench, &ask);
    let ask = from_a(TrustAsk {
        digest: [9; 32],
        statements: vec![Bytes::from_static(b"a"), Bytes::from_static(b"bc")],
    });
    let answer = transport.ask(to, ask.clone()).await.expect("it answers");
    heard(&bench, &ask);
    assert_eq!(answer.body.digest, [7; 32]);
    assert_eq!(answer.body.statements, ask.body.statements);
    let ask = from_a(Announcement {
        record: record("ada/x", 5),
        hops_left: 31,
    });
    transport.ask(to, ask.clone()).await.expect("it answers");
    heard(&bench, &ask);
    let ask = from_a(PullAsk {
        record: record("ada/x", 5),
        from: bench.dead.clone(),
        hops: 2,
    });
    transport.ask(to, ask.clone()).await.expect("it answers");
    heard(&bench, &ask);
    let ask = from_a(MoveAsk {
        key: record("ada/x", 5).key.clone(),
        relieves: true,
        to: bench.dead.clone(),
    });
    let answer = transport.ask(to, ask.clone()).await;
    answer.expect("it answers");
    heard(&bench, &ask);
}

async fn commits_arrive_as_they_were_sent(bench: Bench) {
    let superseded = CommitAnswer::Superseded(record("older/x", 77));
    let commit = |text, preparation| CommitAsk::Commit {
        preparation,
        record: record(text, 5),
    };
    let abandon = CommitAsk::Abandon {
        preparation: u128::MAX,
    };
    for (body, expected) in [
        (commit("ada/x", Some(1)), CommitAnswer::Done),
        (commit("ada/x", None), CommitAnswer::Done),
        (commit("older/x", None), superseded),
        (abandon, CommitAnswer::Done),
    ] {
        let ask = from_a(body);
        let reply = bench.transport.ask(&bench.to, ask.clone()).await;
        assert_eq!(reply.expect("it answers").body, expected);
        heard(&bench, &ask);
    }
}

async fn a_probe_brings_its_answer(bench: Bench) {
    let ask = from_a(exact("ada/x"));
    let reply = bench
        .transport
        .ask(&bench.to, ask.clone())
        .await
        .expect("it answers");
    heard(&bench, &ask);
    assert_eq!(reply.body, answer(&key("ada/x"), &bench.to));
    let pattern = Pattern::parse("ada/x").expect("it is a pattern");
    let ask = from_a(Question::Pattern { pattern, limit: 10 });
    let reply = bench
        .transport
        .ask(&bench.to, ask.clone())
        .await
        .expect("it answers");
    heard(&bench, &ask);
    assert_eq!(reply.body, Answer::default());
}

async fn a_comparison_brings_its_answer(bench: Bench) {
    let entries: Vec<DigestEntry> = (0..RECONCILE_ENTRIES_MAX as u64)
        .map(|at| DigestEntry {
            file: FileId(u64::MAX - at),
            fingerprint: at,
        })
        .collect();
    let range = BucketRange {
        buckets: (0..RECONCILE_BUCKETS as u16).collect(),
        after: Some(FileId(0)),
        until: FileId(u64::MAX),
    };
    let first = BucketRange {
        buckets: [1023].into(),
        after: None,
        until: FileId(1),
    };
    for body in [
        ReconcileAsk::Root(7),
        ReconcileAsk::Root(u128::MAX),
        ReconcileAsk::Filter { known: 7 },
        ReconcileAsk::Filter { known: 0 },
        ReconcileAsk::Compare {
            range: Some(range),
            entries: entries.clone(),
        },
        ReconcileAsk::Compare {
            range: Some(first),
            entries: Vec::new(),
        },
        ReconcileAsk::Compare {
            range: None,
            entries,
        },
    ] {
        let ask = from_a(body);
        let reply = bench.transport.ask(&bench.to, ask.clone()).await;
        assert_eq!(reply.expect("it answers").body, reconciled(&ask.body));
        heard(&bench, &ask);
    }
}

async fn every_kind_of_refusal_survives(bench: Bench) {
    let refused = async |text: &str| {
        let error = bench.transport.ask(&bench.to, from_a(exact(text))).await;
        error.map(|_| ()).expect_err("it refuses")
    };
    let text = |key: &str| format!("no: {key} (ähm)");
    type Kind = fn(String) -> Refusal;
    let kinds: [(&str, Kind); 6] = [
        ("refuse/invalid", Refusal::Invalid),
        ("refuse/absent", Refusal::Absent),
        ("refuse/no-room", Refusal::NoSpace),
        ("refuse/busy", Refusal::Busy),
        ("refuse/corrupt", Refusal::Corrupt),
        ("refuse/failed", Refusal::Failed),
    ];
    for (key, kind) in kinds {
        assert_eq!(refused(key).await, CallError::Refused(kind(text(key))));
    }
}

async fn fetch(bench: &Bench, text: &str, offset: u64, length: u64) -> Result<Fetched, CallError> {
    let ask = FetchAsk {
        key: key(text),
        version: version(),
        offset,
        length,
    };
    let fetched = bench.transport.fetch(&bench.to, from_a(ask)).await;
    fetched.map(|reply| reply.body)
}

async fn sizes(fetched: Fetched) -> (u64, Option<CallError>) {
    let mut chunks = fetched.chunks;
    let mut size = 0;
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(bytes) => {
                assert!(bytes.iter().all(|byte| *byte == 7));
                size += bytes.len() as u64;
            }
            Err(error) => return (size, Some(error)),
        }
    }
    (size, None)
}

const MIB: u64 = GROUP_BYTES;

async fn a_fetch_brings_exactly_what_was_asked_for(bench: Bench) {
    let size = 5 * MIB + 17;
    let name = format!("ada/{size}");
    for (offset, length, expected) in [
        (0, size, size),
        (0, u64::MAX, size),
        (0, 1, MIB),
        (2 * MIB, MIB + 1, 2 * MIB),
        (5 * MIB, 1, 17),
        (0, 0, 0),
    ] {
        let fetched = fetch(&bench, &name, offset, length)
            .await
            .expect("it exists");
        assert_eq!(*fetched.record, *record(&name, size));
        let tree: Vec<_> = (0..6 * 32).map(|at| at as u8).collect();
        assert_eq!(fetched.tree, tree);
        assert_eq!(sizes(fetched).await, (expected, None), "{offset} {length}");
    }
    let refused = fetch(&bench, "refuse/absent", 0, 1).await.map(|_| ());
    assert!(matches!(
        refused,
        Err(CallError::Refused(Refusal::Absent(_)))
    ));
}

async fn an_empty_file_is_fetched(bench: Bench) {
    let fetched = fetch(&bench, "ada/0", 0, 0).await.expect("it exists");
    assert!(fetched.tree.is_empty());
    assert_eq!(sizes(fetched).await, (0, None));
}

async fn a_fetch_that_breaks_is_no_whole_one(bench: Bench) {
    let fetched = fetch(&bench, "broken/3000000", 0, 3_000_000)
        .await
        .expect("it begins");
    let expected = CallError::Refused(Refusal::Corrupt("bad".to_owned()));
    assert_eq!(sizes(fetched).await, (MIB, Some(expected)));
    let fetched = fetch(&bench, "short/3000000", 0, 3_000_000)
        .await
        .expect("it begins");
    let (size, error) = sizes(fetched).await;
    assert_eq!(size, MIB);
    assert!(error.is_some());
}

/// More than all windows and buffers on the way hold together.
const PILE: u64 = 8 * MIB;

async fn a_slow_reader_slows_the_sender(bench: Bench) {
    let size = 64 * MIB;
    let fetched = fetch(&bench, &format!("ada/{size}"), 0, size).await;
    let mut chunks = fetched.expect("it exists").chunks;
    let mut taken = 0;
    while taken < 4 * MIB {
        let chunk = chunks
            .next()
            .await
            .expect("there is more")
            .expect("nothing breaks");
        taken += chunk.len() as u64;
        // Enough time for a sender that doesn't wait to send everything.
        for _ in 0..30 {
            let probe = bench.transport.ask(&bench.to, from_a(exact("ada/x"))).await;
            probe.expect("calls work next to a slow stream");
        }
        let produced = bench.node.produced.load(Ordering::SeqCst);
        assert!(
            produced <= taken + PILE,
            "{produced} were sent, {taken} taken"
        );
    }
    let rest = sizes(Fetched {
        record: record("ada/x", 5),
        tree: Vec::new(),
        chunks,
    })
    .await;
    assert_eq!(rest, (size - taken, None));
}

async fn a_dropped_fetch_stops_the_sender(bench: Bench) {
    let fetched = fetch(&bench, &format!("ada/{}", 64 * MIB), 0, 64 * MIB).await;
    drop(fetched.expect("it exists"));
    let dropped = &bench.node.dropped;
    until("the sender's stream is dropped", || {
        dropped.load(Ordering::SeqCst) == 1
    })
    .await;
    assert!(bench.node.produced.load(Ordering::SeqCst) <= PILE);
}

async fn a_dropped_call_stops_the_work_behind_it(bench: Bench) {
    let call = bench.transport.ask(&bench.to, from_a(exact("silent/x")));
    let heard = until("the node has heard it", || !bench.node.heard().is_empty());
    tokio::select! {
        _ = call => panic!("the node says nothing"),
        () = heard => {}
    }
    let dropped = &bench.node.dropped;
    until("the work is dropped", || {
        dropped.load(Ordering::SeqCst) == 1
    })
    .await;
}

type PreparedBytes = BoxStream<'static, Result<Bytes, PrepareBroken>>;

/// Bytes of content in chunks of 700,001, counted as they are read.
fn source(size: usize, drawn: &Arc<AtomicU64>) -> PreparedBytes {
    let drawn = Arc::clone(drawn);
    let content = Bytes::from(vec![7; size]);
    let chunks: Vec<_> = (0..size)
        .step_by(700_001)
        .map(|at| content.slice(at..size.min(at + 700_001)))
        .collect();
    let count = move |chunk: &Bytes| {
        drawn.fetch_add(chunk.len() as u64, Ordering::SeqCst);
    };
    stream::iter(chunks).inspect(count).map(Ok).boxed()
}

fn whole(size: usize) -> PreparedBytes {
    source(size, &Arc::default())
}

async fn prepare(
    bench: &Bench,
    text: &str,
    size: Option<u64>,
    source: PreparedBytes,
) -> Result<PrepareAnswer, CallError> {
    let ask = PrepareAsk {
        preparation: 5,
        key: key(text),
        size,
    };
    let reply = bench
        .transport
        .prepare(&bench.to, from_a(ask), source)
        .await;
    reply.map(|reply| reply.body)
}

fn prepared(bench: &Bench) -> Vec<Result<u64, CallError>> {
    std::mem::take(&mut bench.node.prepared.lock())
}

async fn a_preparation_arrives_whole(bench: Bench) {
    for size in [0, 1, 5 << 20] {
        for declared in [None, Some(size as u64)] {
            let reply = prepare(&bench, "ada/x", declared, whole(size)).await;
            let digest = Digest::of(&vec![7; size]);
            let expected = PrepareAnswer {
                digest,
                size: size as u64,
                known: Some(heard_of()),
            };
            assert_eq!(reply, Ok(expected));
            assert_eq!(prepared(&bench), [Ok(size as u64)]);
        }
    }
}

async fn a_preparation_that_breaks_is_not_taken_for_whole(bench: Bench) {
    for size in [0, 3 << 20] {
        let broken = whole(size)
            .chain(stream::iter([Err(PrepareBroken)]))
            .boxed();
        let reply = prepare(&bench, "ada/x", None, broken).await;
        assert!(reply.is_err());
        until("the node sees it", || {
            let prepared = bench.node.prepared.lock();
            matches!(prepared.as_slice(), [Err(CallError::Unreachable { .. })])
        })
        .await;
        prepared(&bench);
    }
}

async fn a_preparation_of_another_size_is_not_taken_for_whole(bench: Bench) {
    for (declared, size) in [(10, 9), (10, 11), (0, 1), (1, 0)] {
        let reply = prepare(&bench, "ada/x", Some(declared), whole(size)).await;
        assert!(reply.is_err(), "{declared} {size}");
        assert!(
            matches!(prepared(&bench).as_slice(), [Err(_)]),
            "{declared} {size}"
        );
    }
}

async fn a_refused_preparation_does_not_wait_for_its_content(bench: Bench) {
    let endless = whole(1 << 20).chain(stream::pending()).boxed();
    let reply = prepare(&bench, "refuse/no-room", None, endless).await;
    assert!(
        matches!(reply, Err(CallError::Refused(Refusal::NoSpace(_)))),
        "{reply:?}"
    );
    let much = whole(32 << 20);
    let reply = prepare(&bench, "refuse/no-room", None, much).await;
    assert!(
        matches!(reply, Err(CallError::Refused(Refusal::NoSpace(_)))),
        "{reply:?}"
    );
}

async fn nobody_at_an_address_is_unreachable(bench: Bench) {
    let check = |error: CallError| {
        let CallError::Unreachable { address, reason } = error else {
            panic!("{error:?}");
        };
        assert_eq!(*address, *bench.dead.address);
        assert_eq!(reason, "connection refused");
    };
    let dead = &bench.dead;
    let probe = bench.transport.ask(dead, from_a(exact("ada/x"))).await;
    check(probe.expect_err("nobody listens there"));
    let ask = PrepareAsk {
        preparation: 5,
        key: key("ada/x"),
        size: None,
    };
    let prepare = bench
        .transport
        .prepare(dead, from_a(ask), whole(5 << 20))
        .await;
    check(prepare.expect_err("nobody listens there"));
    let ask = FetchAsk {
        key: key("ada/5"),
        version: version(),
        offset: 0,
        length: 5,
    };
    let fetch = bench.transport.fetch(dead, from_a(ask)).await;
    check(fetch.map(|_| ()).expect_err("nobody listens there"));
}

async fn silence_ends_at_the_deadline(bench: Bench) {
    let late = CallError::Deadline {
        address: bench.to.address.to_string(),
    };
    let probe = bench
        .transport
        .ask(&bench.to, from_a(exact("silent/x")))
        .await;
    assert_eq!(probe.map(|_| ()), Err(late.clone()));
    let fetch = fetch(&bench, "silent/5", 0, 5).await;
    assert_eq!(fetch.map(|_| ()), Err(late.clone()));
    let prepare = prepare(&bench, "silent/x", None, whole(5)).await;
    assert_eq!(prepare, Err(late));
}

async fn a_receiver_that_takes_nothing_is_given_up_and_nothing_piles_up(bench: Bench) {
    let drawn = Arc::default();
    let reply = prepare(&bench, "silent/x", None, source(64 << 20, &drawn)).await;
    let late = CallError::Deadline {
        address: bench.to.address.to_string(),
    };
    assert_eq!(reply, Err(late));
    assert!(drawn.load(Ordering::SeqCst) <= PILE);
}

async fn a_source_that_falls_silent_ends_the_preparation_there(bench: Bench) {
    let source = whole(5).chain(stream::pending()).boxed();
    let reply = prepare(&bench, "ada/x", None, source).await;
    assert_eq!(
        reply,
        Err(CallError::Refused(Refusal::Failed("it broke".to_owned())))
    );
    assert!(matches!(
        prepared(&bench).as_slice(),
        [Err(CallError::Deadline { .. })]
    ));
}
