//! Uploads over a real connection: which events end an upload cleanly, and which abort it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_node::driver::BodyError;
use dataverse_overlay::grpc::{Services, serve};
use dataverse_overlay::limits;
use dataverse_overlay::timings::Timings;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use super::proto;
use super::proto::dataverse_client::DataverseClient;
use super::proto::dataverse_server::{Dataverse, DataverseServer};
use super::proto::upload_request::Part;
use super::upload::body;

/// Longer than any test takes: whatever takes this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the body of an upload ended: its size in bytes, or the error that aborted it.
type Ended = Result<usize, BodyError>;

/// Accepts uploads as the real service does and reports how they ended. Reads the body in a task of its own,
/// because the work behind a real upload may lag behind the call.
struct Uploads {
    began: Arc<Notify>,
    ended: mpsc::Sender<Ended>,
}

#[async_trait]
impl Dataverse for Uploads {
    type DownloadStream = BoxStream<'static, Result<proto::DownloadResponse, Status>>;

    async fn upload(
        &self,
        request: Request<Streaming<proto::UploadRequest>>,
    ) -> Result<Response<proto::UploadResponse>, Status> {
        let mut parts = request.into_inner();
        let first = parts.message().await?.and_then(|message| message.part);
        let Some(Part::Header(header)) = first else {
            return Err(Status::invalid_argument("no header"));
        };
        let content = body(parts, header.size, PATIENCE);
        self.began.notify_one();
        let ended = self.ended.clone();
        let reading = tokio::spawn(async move {
            let content =
                content.try_fold(0, |sum, bytes| std::future::ready(Ok(sum + bytes.len())));
            drop(ended.send(content.await).await);
        });
        drop(reading.await);
        Ok(Response::new(proto::UploadResponse::default()))
    }

    async fn download(
        &self,
        _: Request<proto::DownloadRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        Err(Status::unimplemented("uploads only"))
    }

    async fn search(
        &self,
        _: Request<proto::SearchRequest>,
    ) -> Result<Response<proto::SearchResponse>, Status> {
        Err(Status::unimplemented("uploads only"))
    }

    async fn delete(
        &self,
        _: Request<proto::DeleteRequest>,
    ) -> Result<Response<proto::DeleteResponse>, Status> {
        Err(Status::unimplemented("uploads only"))
    }

    async fn config(
        &self,
        _: Request<proto::ConfigRequest>,
    ) -> Result<Response<proto::ConfigResponse>, Status> {
        Err(Status::unimplemented("uploads only"))
    }

    async fn status(
        &self,
        _: Request<proto::StatusRequest>,
    ) -> Result<Response<proto::StatusResponse>, Status> {
        Err(Status::unimplemented("uploads only"))
    }
}

struct UploadBench {
    client: DataverseClient<Channel>,
    began: Arc<Notify>,
    ended: mpsc::Receiver<Ended>,
    servers: JoinSet<anyhow::Result<()>>,
}

impl UploadBench {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let (tell, ended) = mpsc::channel(1);
        let began = Arc::new(Notify::new());
        let uploads = Uploads {
            began: Arc::clone(&began),
            ended: tell,
        };
        let services = Services::default().with("dataverse.v1.Dataverse", &[], |routes| {
            routes.add_service(DataverseServer::new(uploads))
        });
        let timings = Timings {
            call_deadline: PATIENCE,
            ..Timings::DEFAULT
        };
        let mut servers = JoinSet::new();
        servers.spawn(async move {
            let never = std::future::pending();
            serve(listener, services, &timings, None, || true, never).await
        });
        let endpoint = Channel::from_shared(format!("http://{address}"));
        let channel = endpoint.expect("a valid address").connect().await;
        let client = DataverseClient::new(channel.expect("it listens"));
        Self {
            client,
            began,
            ended,
            servers,
        }
    }

    async fn ended(&mut self) -> Ended {
        let ended = timeout(PATIENCE, self.ended.recv()).await;
        ended.expect("it ends in time").expect("the server reports")
    }
}

fn upload(size: Option<u64>, chunks: &[usize]) -> Vec<proto::UploadRequest> {
    let header = proto::UploadHeader {
        key: "ada/x".to_owned(),
        size,
        ..Default::default()
    };
    let chunks = chunks
        .iter()
        .map(|size| Part::Chunk(Bytes::from(vec![7; *size])));
    std::iter::once(Part::Header(header))
        .chain(chunks)
        .map(|part| proto::UploadRequest { part: Some(part) })
        .collect()
}

#[tokio::test]
async fn an_upload_ends_with_its_stream() {
    let mut bench = UploadBench::start().await;
    let mut check = async |size, chunks: &[usize], expected: Option<usize>| {
        let messages = upload(size, chunks);
        drop(bench.client.upload(stream::iter(messages)).await);
        assert_eq!(bench.ended().await.ok(), expected, "{size:?} {chunks:?}");
    };
    check(None, &[], Some(0)).await;
    check(None, &[3, 0, 4], Some(7)).await;
    check(Some(7), &[3, 4], Some(7)).await;
    check(Some(0), &[0], Some(0)).await;
    check(Some(8), &[3, 4], None).await;
    check(Some(6), &[3, 4], None).await;
    check(
        None,
        &[limits::CHUNK_BYTES_MAX],
        Some(limits::CHUNK_BYTES_MAX),
    )
    .await;
    check(None, &[limits::CHUNK_BYTES_MAX + 1], None).await;
}

#[tokio::test]
async fn an_upload_that_is_given_up_is_not_taken_for_whole() {
    let mut bench = UploadBench::start().await;
    let endless = stream::iter(upload(None, &[100_000; 3])).chain(stream::pending());
    let mut client = bench.client.clone();
    let header_is_read = bench.began.notified();
    tokio::select! {
        _ = client.upload(endless) => panic!("the upload has no end"),
        () = header_is_read => {}
    }
    assert!(matches!(bench.ended().await, Err(BodyError::Client(_))));
}

#[tokio::test]
async fn an_upload_whose_connection_breaks_is_not_taken_for_whole() {
    let mut bench = UploadBench::start().await;
    let endless = stream::iter(upload(None, &[100_000; 3])).chain(stream::pending());
    let mut client = bench.client.clone();
    let call = tokio::spawn(async move { client.upload(endless).await.map(|_| ()) });
    bench.began.notified().await;
    // Tears everything down without notice, as when the node's runtime ends.
    bench.servers.shutdown().await;
    assert!(matches!(bench.ended().await, Err(BodyError::Client(_))));
    let reply = timeout(PATIENCE, call)
        .await
        .expect("it ends")
        .expect("it does not panic");
    assert!(reply.is_err());
}
