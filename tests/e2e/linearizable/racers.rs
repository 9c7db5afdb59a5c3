//! Racers: clients that write, delete and read few files through all nodes, one request at a time each.
//!
//! An answer that may be stale, a read that failed and a request that reached no node say nothing about a file. A
//! write without an answer may have happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dataverse_core::content::Digest;
use dataverse_simulation::chance::Chance;
use dataverse_simulation::check::linearizable::{Outcome, Request, Requires};
use reqwest::header::ETAG;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::record::{CLOCK_IS_FINE_BY, FILES, Race, is_unconditional};
use crate::world::bytes;

/// How long a racer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The pause after a request that told nothing; after others it is a tenth.
const PAUSE_MAX_MS: u64 = 300;

/// What a racer writes, and how.
#[derive(Debug, Clone, Copy)]
struct Upload {
    /// Determines the content. A write that is repeated has the same number again.
    number: u64,
    size: usize,
    factor: u64,
    /// The pause in the middle of the body.
    pause: Duration,
    /// The client disconnects after this time.
    patience: Duration,
}

impl Upload {
    fn content(self) -> Vec<u8> {
        bytes(self.size, self.number)
    }

    fn body(self) -> reqwest::Body {
        if self.pause.is_zero() {
            return self.content().into();
        }
        let mut first = self.content();
        let second = first.split_off(self.size / 2);
        let pieces = [(Duration::ZERO, first), (self.pause, second)];
        let stream = futures_util::stream::unfold(pieces.into_iter(), |mut pieces| async {
            let (pause, piece) = pieces.next()?;
            tokio::time::sleep(pause).await;
            Some((Ok::<_, std::io::Error>(piece), pieces))
        });
        reqwest::Body::wrap_stream(stream)
    }
}

/// One client, which does one thing at a time.
pub(super) struct Racer {
    race: Arc<Race>,
    chance: Chance,
    client: Client,
}

impl Racer {
    pub(super) fn new(race: Arc<Race>, chance: Chance) -> Self {
        let client = Client::builder().no_proxy().timeout(PATIENCE).build();
        Self {
            race,
            chance,
            client: client.expect("a client can be created"),
        }
    }

    /// Races until it is told to stop.
    pub(super) async fn run(mut self, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::Relaxed) {
            let pause = match self.act().await {
                Some(Outcome::Unknown) | None => self.chance.millis(PAUSE_MAX_MS),
                Some(_) => self.chance.millis(PAUSE_MAX_MS / 10),
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn act(&mut self) -> Option<Outcome> {
        let key = self.race.key(self.chance.below(FILES));
        let at = self.any_node();
        match self.chance.below(100) {
            0..20 => self.write_surely(at, &key, Requires::Absence).await,
            20..55 => {
                let requires = self.what_is_read(at, &key).await?;
                self.write_surely(at, &key, requires).await
            }
            55..65 => match self.what_is_read(at, &key).await? {
                Requires::Absence => Some(Outcome::Missing),
                requires => self.delete(at, &key, requires).await,
            },
            65..68 => self.write_surely(at, &key, Requires::Presence).await,
            68..75 => self.write_surely(at, &key, Requires::Nothing).await,
            75..82 => self.delete(at, &key, Requires::Nothing).await,
            _ => self.read(at, &key).await,
        }
    }

    /// Creates the file or replaces what it is. True if that certainly happened.
    pub(super) async fn makes_progress(&mut self, at: usize, key: &str) -> bool {
        let Some(requires) = self.what_is_read(at, key).await else {
            return false;
        };
        let upload = Upload {
            pause: Duration::ZERO,
            patience: PATIENCE,
            ..self.upload()
        };
        self.write(at, key, upload, requires).await == Some(Outcome::Done)
    }

    /// Reads the file. Returns the condition that it is still as it was read.
    async fn what_is_read(&self, at: usize, key: &str) -> Option<Requires> {
        match self.read(at, key).await? {
            Outcome::Found(digest) => Some(Requires::Content(vec![digest])),
            _ => Some(Requires::Absence),
        }
    }

    /// Writes the file. If it does not learn whether that happened, it may ask once more, perhaps another node.
    async fn write_surely(&mut self, at: usize, key: &str, requires: Requires) -> Option<Outcome> {
        let upload = self.upload();
        let outcome = self.write(at, key, upload, requires.clone()).await?;
        if outcome != Outcome::Unknown || requires == Requires::Nothing || self.chance.permille(500)
        {
            return Some(outcome);
        }
        tokio::time::sleep(self.chance.millis(1_000)).await;
        let again = Upload {
            patience: PATIENCE,
            ..upload
        };
        let at = self.any_node();
        self.write(at, key, again, requires).await
    }

    async fn write(
        &self,
        at: usize,
        key: &str,
        upload: Upload,
        requires: Requires,
    ) -> Option<Outcome> {
        let content = Digest::of(&upload.content());
        let put = self.client.put(self.url(at, key)).body(upload.body());
        let put = put.header("Dataverse-Factor", upload.factor);
        let put = under(put.timeout(upload.patience), &requires);
        let request = Request::Write { content, requires };
        let unconditional = is_unconditional(&request);
        let work = async {
            let response = match sent(put, unconditional).await {
                Ok(response) => response,
                Err(outcome) => return outcome,
            };
            match response.status() {
                StatusCode::CREATED | StatusCode::OK => {
                    assert_eq!(tag(&response), tag_of(content), "the tag of {key}");
                    let answer: Option<Value> = response.json().await.ok();
                    Some(match answer {
                        Some(answer) if answer["unchanged"] == true => Outcome::Unchanged,
                        Some(_) => Outcome::Done,
                        None => Outcome::Unknown,
                    })
                }
                StatusCode::PRECONDITION_FAILED => Some(Outcome::Refused),
                status => failed(status),
            }
        };
        self.race.observe(at, key, request, work).await
    }

    async fn delete(&self, at: usize, key: &str, requires: Requires) -> Option<Outcome> {
        let delete = under(self.client.delete(self.url(at, key)), &requires);
        let request = Request::Delete { requires };
        let unconditional = is_unconditional(&request);
        let work = async {
            let response = match sent(delete, unconditional).await {
                Ok(response) => response,
                Err(outcome) => return outcome,
            };
            match response.status() {
                StatusCode::NO_CONTENT => Some(Outcome::Done),
                StatusCode::NOT_FOUND => Some(Outcome::Missing),
                StatusCode::PRECONDITION_FAILED => Some(Outcome::Refused),
                status => failed(status),
            }
        };
        self.race.observe(at, key, request, work).await
    }

    /// Reads the newest version. What may be stale is not an observation.
    pub(super) async fn read(&self, at: usize, key: &str) -> Option<Outcome> {
        let url = format!("{}?consistency=newest", self.url(at, key));
        let work = async {
            let response = self.client.get(url).send().await.ok()?;
            match response.status() {
                StatusCode::OK if response.headers().contains_key("Dataverse-Stale") => None,
                StatusCode::OK => {
                    let tag = tag(&response);
                    let digest = Digest::of(&response.bytes().await.ok()?);
                    assert_eq!(tag, tag_of(digest), "the tag of {key}");
                    Some(Outcome::Found(digest))
                }
                StatusCode::NOT_FOUND => Some(Outcome::Missing),
                status => failed(status).and(None),
            }
        };
        self.race.observe(at, key, Request::Read, work).await
    }

    fn url(&self, at: usize, key: &str) -> String {
        format!("{}{key}", self.race.urls[at])
    }

    fn any_node(&mut self) -> usize {
        self.chance.below(self.race.urls.len() as u64) as usize
    }

    fn upload(&mut self) -> Upload {
        let chance = &mut self.chance;
        Upload {
            number: self.race.number(),
            size: match chance.below(20) {
                0 => chance.between(100 << 10, 400 << 10),
                1..5 => chance.between(16 << 10, 64 << 10),
                // Shorter contents might be equal.
                _ => chance.between(16, 4 << 10),
            } as usize,
            factor: chance.between(1, 3),
            pause: match chance.permille(150) {
                true => chance.millis(300),
                false => Duration::ZERO,
            },
            patience: match chance.permille(50) {
                true => chance.millis(300),
                false => PATIENCE,
            },
        }
    }
}

/// Sends a write or deletion. Without an answer its outcome is unknown, except where there was no connection.
async fn sent(request: RequestBuilder, unconditional: bool) -> Result<Response, Option<Outcome>> {
    if unconditional {
        // Two writes in one millisecond, one after the other at nodes that did not hear of each other, have any
        // order.
        tokio::time::sleep(CLOCK_IS_FINE_BY).await;
    }
    let answer = request.send().await;
    answer.map_err(|error| (!error.is_connect()).then_some(Outcome::Unknown))
}

/// The outcome of a write or deletion that failed, which may have happened. Nothing was done where a node was busy.
fn failed(status: StatusCode) -> Option<Outcome> {
    let expected = status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT;
    match status {
        StatusCode::TOO_MANY_REQUESTS => None,
        _ if expected => Some(Outcome::Unknown),
        _ => panic!("nobody expects {status}"),
    }
}

fn under(request: RequestBuilder, requires: &Requires) -> RequestBuilder {
    match requires {
        Requires::Nothing => request,
        Requires::Absence => request.header("If-None-Match", "*"),
        Requires::Presence => request.header("If-Match", "*"),
        Requires::Content(digests) => {
            let tags: Vec<String> = digests.iter().map(|digest| tag_of(*digest)).collect();
            request.header("If-Match", tags.join(", "))
        }
    }
}

fn tag_of(digest: Digest) -> String {
    format!("\"{digest}\"")
}

fn tag(response: &Response) -> String {
    let tag = response.headers().get(ETAG);
    let tag = tag.and_then(|tag| tag.to_str().ok());
    tag.expect("the answer has an entity tag").to_owned()
}
