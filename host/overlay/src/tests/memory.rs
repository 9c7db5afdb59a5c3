//! Faults that a test can cause in the network in memory.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::search::Question;
use futures_util::stream::StreamExt;
use tokio::time::Instant;

use super::fake::{Fake, key, version};
use super::{from_a, peer};
use crate::memory::{Fate, Lost, MemoryNetwork, MemoryTransport, Weather};
use crate::timings::Timings;
use crate::transport::{CallError, CallKind, FetchAsk, Serve, Transport, TransportExt};

const A: &str = "a.example:1";
const B: &str = "b.example:1";

fn world() -> (MemoryNetwork, MemoryTransport) {
    let network = MemoryNetwork::new(&Timings::default());
    network.listen(B, Arc::new(Fake::new(peer(B))));
    let transport = network.transport(A);
    (network, transport)
}

async fn probe(transport: &MemoryTransport) -> Result<(), CallError> {
    let question = Question::Exact {
        key: key("ada/x"),
        floor: None,
        pending_before: None,
    };
    transport.ask(&peer(B), from_a(question)).await.map(|_| ())
}

fn unreachable<T>(reply: &Result<T, CallError>) -> bool {
    matches!(reply, Err(CallError::Unreachable { .. }))
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_felt_at_once_and_healed() {
    let (network, transport) = world();
    assert_eq!(probe(&transport).await, Ok(()));
    network.cut(B, A);
    assert!(unreachable(&probe(&transport).await));
    network.heal(A, B);
    assert_eq!(probe(&transport).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_node_neither_answers_nor_calls_until_it_is_back() {
    let (network, transport) = world();
    network.stop(B);
    assert!(unreachable(&probe(&transport).await));
    network.listen(B, Arc::new(Fake::new(peer(B))));
    assert_eq!(probe(&transport).await, Ok(()));
    network.stop(A);
    assert!(unreachable(&probe(&transport).await));
}

#[tokio::test(start_paused = true)]
async fn silence_lasts_until_the_deadline_or_until_the_node_wakes() {
    let (network, transport) = world();
    network.silence(B);
    let late = CallError::Deadline {
        address: B.to_owned(),
    };
    assert_eq!(probe(&transport).await, Err(late));
    let wake = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        network.wake(B);
    };
    let (reply, ()) = tokio::join!(probe(&transport), wake);
    assert_eq!(reply, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_paid_in_each_direction() {
    let (network, transport) = world();
    network.delay(A, B, Duration::from_millis(30));
    let before = Instant::now();
    assert_eq!(probe(&transport).await, Ok(()));
    assert_eq!(before.elapsed(), Duration::from_millis(60));
}

#[tokio::test(start_paused = true)]
async fn a_stream_breaks_when_its_sender_stops_even_if_another_takes_its_place() {
    let (network, transport) = world();
    let ask = FetchAsk {
        key: key("ada/5000000"),
        version: version(),
        offset: 0,
        length: 5_000_000,
    };
    let fetched = transport
        .fetch(&peer(B), from_a(ask))
        .await
        .expect("it exists");
    let mut chunks = fetched.body.chunks;
    assert!(matches!(chunks.next().await, Some(Ok(_))));
    network.stop(B);
    network.listen(B, Arc::new(Fake::new(peer(B))));
    let rest: Vec<_> = chunks.collect().await;
    assert!(rest.last().is_some_and(unreachable));
}

/// What happens to all calls of one kind.
struct Always(CallKind, Fate);

impl Weather for Always {
    fn fate(&self, _: &str, _: &str, call: CallKind) -> Fate {
        match call == self.0 {
            true => self.1,
            false => Fate::default(),
        }
    }
}

/// A network in which calls of this kind have this fate, and the called node.
fn under(call: CallKind, fate: Fate) -> (MemoryNetwork, MemoryTransport, Arc<Fake>) {
    let network = MemoryNetwork::new(&Timings::default());
    let called = Arc::new(Fake::new(peer(B)));
    network.listen(B, Arc::clone(&called) as Arc<dyn Serve>);
    network.make_weather(Arc::new(Always(call, fate)));
    let transport = network.transport(A);
    (network, transport, called)
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_one_way_arrives_the_other_way_only() {
    for (from, to) in [(A, B), (B, A)] {
        let (network, transport) = world();
        network.cut_one_way(from, to);
        let late = CallError::Deadline {
            address: B.to_owned(),
        };
        assert_eq!(probe(&transport).await, Err(late));
        network.heal(A, B);
        assert_eq!(probe(&transport).await, Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_part_of_a_call_is_lost_its_caller_waits_until_the_deadline() {
    for lost in [Lost::Ask, Lost::Answer] {
        let fate = Fate {
            lost: Some(lost),
            ..Fate::default()
        };
        let (_network, transport, called) = under(CallKind::Probe, fate);
        let before = Instant::now();
        assert!(matches!(
            probe(&transport).await,
            Err(CallError::Deadline { .. })
        ));
        assert_eq!(before.elapsed(), Timings::default().search_probe_deadline);
        let heard = usize::from(lost == Lost::Answer);
        assert_eq!(called.heard().len(), heard, "{lost:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_ask_that_is_doubled_is_heard_twice_and_answered_once() {
    let fate = Fate {
        again_after: Some(Duration::from_secs(3)),
        ..Fate::default()
    };
    let (_network, transport, called) = under(CallKind::Probe, fate);
    assert_eq!(probe(&transport).await, Ok(()));
    assert_eq!(called.heard().len(), 1);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(called.heard().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_ask_and_its_answer_take_the_time_that_the_weather_says() {
    let fate = Fate {
        ask_takes: Duration::from_millis(20),
        answer_takes: Duration::from_millis(50),
        ..Fate::default()
    };
    let (_network, transport, _) = under(CallKind::Probe, fate);
    let before = Instant::now();
    assert_eq!(probe(&transport).await, Ok(()));
    assert_eq!(before.elapsed(), Duration::from_millis(70));
}

#[tokio::test(start_paused = true)]
async fn who_was_stopped_speaks_no_more_even_when_another_took_its_place() {
    let (network, transport) = world();
    network.stop(A);
    network.listen(A, Arc::new(Fake::new(peer(A))));
    assert!(unreachable(&probe(&transport).await));
    assert_eq!(probe(&network.transport(A)).await, Ok(()));
}
