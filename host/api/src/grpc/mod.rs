//! The gRPC service for clients: decodes requests, calls the driver and encodes its answers.
//!
//! It uses the same driver API as the HTTP server and decides only what a field means and which status an error
//! maps to. Any future here may be dropped at any time: when a client disconnects, the work behind its call ends.

#[cfg(test)]
mod over_sockets;
mod reply;
mod status;
mod upload;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dataverse_core::key::Key;
use dataverse_core::limits::SEARCH_HITS_MAX;
use dataverse_core::pattern::Pattern;
use dataverse_core::plural::plural;
use dataverse_node::driver::{Consistency, Driver, Query, ReadError, SearchOptions};
use dataverse_node::metrics::{Direction, Surface};
use dataverse_node::settings::Settings;
use dataverse_overlay::grpc::Services;
use dataverse_overlay::grpc::streams::in_pieces;
use dataverse_overlay::limits::MESSAGE_BYTES_MAX;
use dataverse_overlay::transport::Serve;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tonic::{Code, Request, Response, Status, Streaming};

use self::proto::dataverse_server::{Dataverse, DataverseServer};
use self::proto::download_response::Part;
use self::proto::search_request;
use crate::limits;

/// The code generated from `proto/`: messages, clients and servers.
#[expect(
    clippy::allow_attributes_without_reason,
    reason = "the code is generated"
)]
pub mod proto {
    tonic::include_proto!("dataverse.v1");

    /// The descriptors of the client protocol, served by gRPC reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}

/// Every gRPC service of a node: the one for other nodes and the one for clients.
#[must_use]
pub fn services(driver: &Arc<Driver>) -> Services {
    let settings = driver.settings();
    let overlay = Arc::clone(driver) as Arc<dyn Serve>;
    let clients = DataverseServer::new(ClientService::new(Arc::clone(driver), settings))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    Services::overlay(overlay, &settings.timings()).with(
        "dataverse.v1.Dataverse",
        proto::DESCRIPTORS,
        |routes| routes.add_service(clients),
    )
}

/// Implements the service for clients.
pub(super) struct ClientService {
    driver: Arc<Driver>,
    /// How long to wait for the next message of an upload.
    stall: Duration,
    /// Hits of a search whose request gives no limit.
    search_limit: u32,
}

impl ClientService {
    pub(super) fn new(driver: Arc<Driver>, settings: &Settings) -> Self {
        Self {
            driver,
            stall: settings.write_stall,
            search_limit: settings.search_limit.min(HITS_MAX),
        }
    }

    /// Records a call and its status in the metrics.
    async fn counted<T>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let began = Instant::now();
        let answered = answer.await;
        let code = answered.as_ref().err().map_or(Code::Ok, Status::code);
        let metrics = self.driver.metrics();
        metrics.request(Surface::Grpc, "CALL", call, code as u16, began.elapsed());
        answered
    }

    fn bytes(&self, direction: Direction) -> metrics::Counter {
        self.driver.metrics().client_bytes(Surface::Grpc, direction)
    }
}

/// The number of hits that is sure to fit into one message.
const HITS_MAX: u32 = SEARCH_HITS_MAX;

type DownloadParts = BoxStream<'static, Result<proto::DownloadResponse, Status>>;

#[async_trait]
impl Dataverse for ClientService {
    type DownloadStream = DownloadParts;

    async fn upload(
        &self,
        request: Request<Streaming<proto::UploadRequest>>,
    ) -> Result<Response<proto::UploadResponse>, Status> {
        self.counted("Upload", self.answer_upload(request)).await
    }

    async fn download(
        &self,
        request: Request<proto::DownloadRequest>,
    ) -> Result<Response<DownloadParts>, Status> {
        self.counted("Download", self.answer_download(request))
            .await
    }

    async fn search(
        &self,
        request: Request<proto::SearchRequest>,
    ) -> Result<Response<proto::SearchResponse>, Status> {
        self.counted("Search", self.answer_search(request)).await
    }

    async fn delete(
        &self,
        request: Request<proto::DeleteRequest>,
    ) -> Result<Response<proto::DeleteResponse>, Status> {
        self.counted("Delete", self.answer_delete(request)).await
    }

    async fn config(
        &self,
        request: Request<proto::ConfigRequest>,
    ) -> Result<Response<proto::ConfigResponse>, Status> {
        self.counted("Config", self.answer_config(request)).await
    }

    async fn status(
        &self,
        request: Request<proto::StatusRequest>,
    ) -> Result<Response<proto::StatusResponse>, Status> {
        self.counted("Status", self.answer_status(request)).await
    }
}

impl ClientService {
    async fn answer_upload(
        &self,
        request: Request<Streaming<proto::UploadRequest>>,
    ) -> Result<Response<proto::UploadResponse>, Status> {
        let mut parts = request.into_inner();
        let header = upload::header(&mut parts, self.stall).await?;
        let key = key(&header.key)?;
        let options = upload::options(header)?;
        let received = self.bytes(Direction::In);
        let body = upload::body(parts, options.size, self.stall)
            .inspect_ok(move |chunk| received.increment(chunk.len() as u64))
            .boxed();
        let written = self.driver.write(&key, options, body).await;
        written
            .map(|written| Response::new(reply::written(written)))
            .map_err(status::write)
    }

    async fn answer_download(
        &self,
        request: Request<proto::DownloadRequest>,
    ) -> Result<Response<DownloadParts>, Status> {
        let request = request.into_inner();
        let consistency = match request.newest {
            true => Consistency::Newest,
            false => Consistency::Usual,
        };
        let key = key(&request.key)?;
        let mut tries = 1;
        let (header, body) = loop {
            let located = self.driver.locate(&key, consistency).await;
            let located = located.map_err(status::read)?;
            let (offset, length) = part_of(located.record.size, request.offset, request.length)?;
            let header = reply::located(&located, offset, length);
            match self.driver.body(located, offset, length).await {
                // The file was replaced between the search and the read: search again.
                Err(ReadError::Superseded { .. }) if tries < limits::READ_TRIES_MAX => tries += 1,
                Err(error) => return Err(status::read(error)),
                Ok(body) => break (header, body),
            }
        };
        let sent = self.bytes(Direction::Out);
        let parts = stream::iter([Ok(Part::Header(header))])
            .chain(
                in_pieces(body)
                    .inspect_ok(move |chunk| sent.increment(chunk.len() as u64))
                    .map_ok(Part::Chunk)
                    .map_err(status::body),
            )
            .map_ok(|part| proto::DownloadResponse { part: Some(part) });
        Ok(Response::new(parts.boxed()))
    }

    async fn answer_search(
        &self,
        request: Request<proto::SearchRequest>,
    ) -> Result<Response<proto::SearchResponse>, Status> {
        let request = request.into_inner();
        let options = SearchOptions {
            hops: request.hops,
            limit: Some(search_limit(request.limit, self.search_limit)?),
        };
        let report = self.driver.search(query(request.query)?, options).await;
        let report = report.map_err(|busy| Status::resource_exhausted(busy.to_string()))?;
        Ok(Response::new(reply::search(report)))
    }

    async fn answer_delete(
        &self,
        request: Request<proto::DeleteRequest>,
    ) -> Result<Response<proto::DeleteResponse>, Status> {
        let ask = request.into_inner();
        let key = key(&ask.key)?;
        let condition = upload::condition(false, ask.if_present, &ask.if_digest)?;
        let deleted = self.driver.delete_if(&key, condition).await;
        deleted.map_err(status::delete)?;
        Ok(Response::new(proto::DeleteResponse {}))
    }

    async fn answer_config(
        &self,
        request: Request<proto::ConfigRequest>,
    ) -> Result<Response<proto::ConfigResponse>, Status> {
        let proto::ConfigRequest { a, b } = request.into_inner();
        let linked = match (a.as_str(), b.as_str()) {
            ("", "") => {
                let text = "a, b: give at least one `host:port`; the other may be empty";
                return Err(Status::invalid_argument(text));
            }
            ("", other) | (other, "") => self.driver.link(other).await.map(|_| ()),
            (a, b) => self.driver.link_pair(a, b).await,
        };
        linked.map_err(status::link)?;
        Ok(Response::new(proto::ConfigResponse {}))
    }

    async fn answer_status(
        &self,
        _request: Request<proto::StatusRequest>,
    ) -> Result<Response<proto::StatusResponse>, Status> {
        Ok(Response::new(reply::status(self.driver.status())))
    }
}

fn key(text: &str) -> Result<Key, Status> {
    Key::parse(text).map_err(|error| Status::invalid_argument(format!("key: {error}")))
}

/// The range of a file of `size` bytes that a client asks for.
fn part_of(size: u64, offset: u64, length: Option<u64>) -> Result<(u64, u64), Status> {
    let Some(rest) = size.checked_sub(offset) else {
        let text = format!(
            "offset: {offset} is past the end of the file, which has {}",
            plural(size, "byte", "bytes")
        );
        return Err(Status::out_of_range(text));
    };
    Ok((offset, length.map_or(rest, |length| length.min(rest))))
}

fn query(wire: Option<search_request::Query>) -> Result<Query, Status> {
    match wire {
        Some(search_request::Query::Key(text)) => key(&text).map(Query::Exact),
        Some(search_request::Query::Pattern(text)) => Pattern::parse(&text)
            .map(Query::Pattern)
            .map_err(|error| Status::invalid_argument(format!("pattern: {error}"))),
        None => Err(Status::invalid_argument("query: give a key or a pattern")),
    }
}

fn search_limit(wanted: Option<u32>, default: u32) -> Result<u32, Status> {
    match wanted {
        None => Ok(default),
        Some(limit @ 1..=HITS_MAX) => Ok(limit),
        Some(limit) => {
            let text = format!("limit: {limit} is not in 1..={HITS_MAX}");
            Err(Status::invalid_argument(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn a_part_lies_within_the_file() {
        let check = |size, offset, length, expected: Result<(u64, u64), Code>| {
            let part = part_of(size, offset, length).map_err(|status| status.code());
            assert_eq!(part, expected, "{size} {offset} {length:?}");
        };
        check(10, 0, None, Ok((0, 10)));
        check(10, 4, Some(3), Ok((4, 3)));
        check(10, 4, Some(u64::MAX), Ok((4, 6)));
        check(10, 10, None, Ok((10, 0)));
        check(0, 0, Some(5), Ok((0, 0)));
        check(10, 11, None, Err(Code::OutOfRange));
    }

    #[test]
    fn a_search_names_what_it_wants_and_no_more_than_fits() {
        assert!(query(None).is_err());
        assert!(query(Some(search_request::Query::Key("ada".into()))).is_err());
        assert!(search_limit(Some(0), 5).is_err());
        assert!(search_limit(Some(HITS_MAX + 1), 5).is_err());
        assert!(matches!(search_limit(None, 5), Ok(5)));
        assert!(matches!(search_limit(Some(HITS_MAX), 5), Ok(HITS_MAX)));
    }
}
