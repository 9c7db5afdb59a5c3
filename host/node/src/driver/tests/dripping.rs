//! Clients and members that announce much and send little: they take neither room nor a place for long.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{
    Call, CallError, FetchAsk, Fetched, Message, PrepareAnswer, PrepareAsk, PrepareBroken, Refusal,
    Reply, Sender, Serve, Target, Transport,
};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::world::{Cluster, address, key};
use crate::driver::{Body, BodyError, Consistency, Driver, WriteError, WriteOptions};
use crate::limits::PREPARATIONS_OF_ONE_MAX;
use crate::settings::Settings;

/// Nearly everything that a node of these tests has room for.
const MOST: u64 = 60 << 20;

/// Ends of what drips by then.
const AT_THE_LATEST: Duration = Duration::from_secs(120);

/// So many pieces of content, each after so many seconds.
fn drip<E: Send + 'static>(
    seconds: u64,
    bytes: usize,
    pieces: usize,
) -> BoxStream<'static, Result<Bytes, E>> {
    let piece = move |left: usize| async move {
        let left = left.checked_sub(1)?;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Some((Ok(Bytes::from(vec![b'x'; bytes])), left))
    };
    stream::unfold(pieces, piece).boxed()
}

/// A byte every 20 seconds, for more than two days.
fn for_days<E: Send + 'static>() -> BoxStream<'static, Result<Bytes, E>> {
    drip(20, 1, 10_000)
}

fn prepare(sender: Sender, preparation: u128, size: u64) -> Message<PrepareAsk> {
    let body = PrepareAsk {
        preparation,
        key: key("ada/announced"),
        size: Some(size),
    };
    Message { sender, body }
}

fn announcing(size: u64) -> WriteOptions {
    WriteOptions {
        size: Some(size),
        factor: Some(1),
        ..WriteOptions::default()
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_member_only_announces_takes_no_room_and_what_drips_is_ended() {
    let world = Cluster::line(&["A", "B"]).await;
    let ask = prepare(world.node("B").sender(), 1, MOST);
    let node = Arc::clone(world.node("A"));
    let began = Instant::now();
    let preparing = tokio::spawn(async move {
        let answer = node.prepare(ask, for_days::<CallError>()).await;
        (answer.map(drop), began.elapsed())
    });
    tokio::time::sleep(Duration::from_secs(30)).await;
    // There is room for others meanwhile.
    let large = "x".repeat(8 << 20);
    let written = world.write("A", "ada/large", &large, 2).await;
    let written = written.expect("nothing else takes room");
    assert_eq!(written.replicas.len(), 2);
    let (answer, took) = preparing.await.expect("it does not panic");
    let Err(Refusal::Invalid(why)) = answer else {
        panic!("{answer:?}");
    };
    assert!(why.contains("limit.upload_rate"), "{why}");
    assert!(took < AT_THE_LATEST, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_only_announces_its_size_evicts_nothing_and_is_ended() {
    let mut world = Cluster::line(&["A", "B"]).await;
    world.start_with_room("S", 4 << 20).await;
    world.link("S", "A").await.expect("they link");
    let name = world.write_only_at("B", &"x".repeat(1 << 20)).await;
    let read = world.read("S", &name, Consistency::Usual).await;
    read.expect("it is found");
    let node = world.node("S");
    let is_cached = || node.state.node().holding(&key(&name)).is_some();
    world
        .eventually("S keeps a copy", async || is_cached())
        .await;
    let write = async |name: &str, size: u64, body: Body| {
        let began = Instant::now();
        let written = node.write(&key(name), announcing(size), body).await;
        (written, began.elapsed())
    };
    let (written, took) = write("ada/announced", 3_900_000, for_days()).await;
    assert!(
        matches!(written, Err(WriteError::Body(BodyError::TooSlow { .. }))),
        "{written:?}"
    );
    assert!(took < AT_THE_LATEST, "{took:?}");
    assert!(is_cached(), "nothing arrived that it had to make way for");
    let (refused, took) = write("ada/too-large", 5 << 20, for_days()).await;
    assert!(
        matches!(refused, Err(WriteError::NoSpace(_))),
        "{refused:?}"
    );
    assert_eq!(took, Duration::ZERO, "it does not fit in any case");
    let (written, _) = write("ada/real", 3_900_000, drip(0, 100_000, 39)).await;
    written.expect("the cached copy makes way");
    assert!(!is_cached());
}

#[tokio::test(start_paused = true)]
async fn a_slow_upload_that_keeps_up_the_least_rate_is_stored_and_a_rate_of_0_allows_any() {
    for (limit_upload_rate, bytes) in [(1_024, 20 * 1_024), (0, 1)] {
        let settings = Settings {
            limit_upload_rate,
            ..Settings::default()
        };
        let world = Cluster::line_with(&["A", "B"], settings).await;
        let options = WriteOptions {
            factor: Some(2),
            ..WriteOptions::default()
        };
        let body: Body = drip::<BodyError>(20, bytes, 15);
        let written = world.node("A").write(&key("ada/slow"), options, body).await;
        let written = written.expect("it is slow, and that is all");
        assert_eq!(written.record.size, 15 * bytes as u64);
        assert_eq!(written.replicas.len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn preparations_of_one_node_leave_room_for_those_of_others() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    let node = world.node("A");
    let keep = async |from: &str, preparation: usize| {
        let ask = prepare(world.node(from).sender(), preparation as u128, 1);
        let answer = node.prepare(ask, drip::<CallError>(0, 1, 1)).await;
        answer.map(drop)
    };
    for preparation in 0..PREPARATIONS_OF_ONE_MAX {
        keep("B", preparation).await.expect("it is kept");
    }
    let more = keep("B", PREPARATIONS_OF_ONE_MAX).await;
    assert!(matches!(more, Err(Refusal::Busy(_))), "{more:?}");
    let of_another = keep("C", PREPARATIONS_OF_ONE_MAX + 1).await;
    of_another.expect("it is kept");
}

/// A node that sends a byte of content every nine seconds, a little before that would count as a stall.
struct DrippingHolder(Arc<Driver>);

#[async_trait]
impl Serve for DrippingHolder {
    async fn call(&self, call: Message<Call>) -> Result<Message<Reply>, Refusal> {
        self.0.call(call).await
    }

    async fn fetch(&self, ask: Message<FetchAsk>) -> Result<Message<Fetched>, Refusal> {
        let answer = self.0.fetch(ask).await?;
        Ok(answer.map(|fetched| Fetched {
            chunks: fetched.chunks.flat_map(bytewise).boxed(),
            ..fetched
        }))
    }

    async fn prepare(
        &self,
        ask: Message<PrepareAsk>,
        chunks: BoxStream<'static, Result<Bytes, CallError>>,
    ) -> Result<Message<PrepareAnswer>, Refusal> {
        self.0.prepare(ask, chunks).await
    }
}

fn bytewise(chunk: Result<Bytes, CallError>) -> BoxStream<'static, Result<Bytes, CallError>> {
    let chunk = chunk.expect("the node itself is honest");
    let bytes = (0..chunk.len()).map(move |at| Ok(chunk.slice(at..=at)));
    let slowly = |byte| async {
        tokio::time::sleep(Duration::from_secs(9)).await;
        byte
    };
    stream::iter(bytes).then(slowly).boxed()
}

/// A network in which the group trees of B drip for a day.
struct DrippingTrees(Arc<dyn Transport>);

#[async_trait]
impl Transport for DrippingTrees {
    async fn call(&self, to: Target<'_>, call: Message<Call>) -> Result<Message<Reply>, CallError> {
        self.0.call(to, call).await
    }

    async fn fetch(
        &self,
        to: &Peer,
        ask: Message<FetchAsk>,
    ) -> Result<Message<Fetched>, CallError> {
        if *to.address == *address("B") {
            tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
        }
        self.0.fetch(to, ask).await
    }

    async fn prepare(
        &self,
        to: &Peer,
        ask: Message<PrepareAsk>,
        chunks: BoxStream<'static, Result<Bytes, PrepareBroken>>,
    ) -> Result<Message<PrepareAnswer>, CallError> {
        self.0.prepare(to, ask, chunks).await
    }
}

/// Reads at A a file that B and C hold, of which B is nearer.
async fn check_read_in_time(world: &Cluster, name: &str) {
    let began = Instant::now();
    let read = world.read("A", name, Consistency::Usual).await;
    assert_eq!(read.expect("C has it").0, "content of some bytes");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(40), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_holder_whose_content_drips_is_left_for_the_next() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    let name = world.write_on(&["B", "C"], "content of some bytes").await;
    let node = Arc::clone(world.node("B"));
    world.listen_instead("B", Arc::new(DrippingHolder(node)));
    check_read_in_time(&world, &name).await;
}

#[tokio::test(start_paused = true)]
async fn a_holder_whose_group_tree_drips_is_left_for_the_next() {
    let mut world = Cluster::line(&["B", "C"]).await;
    let name = world.write_on(&["B", "C"], "content of some bytes").await;
    world.around = |transport| Arc::new(DrippingTrees(transport));
    world.start("A", "test").await;
    world.link("A", "B").await.expect("they link");
    check_read_in_time(&world, &name).await;
}
