//! The gRPC service for clients, against real nodes: the same files as over HTTP.

use bytes::Bytes;
use dataverse_api::grpc::proto;
use proto::dataverse_client::DataverseClient;
use proto::download_response::Part as Down;
use proto::search_request::Query;
use proto::upload_request::Part as Up;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::world::{Node, bytes, name, sent};

async fn client(node: &Node) -> DataverseClient<Channel> {
    let channel = Channel::from_shared(format!("http://{}", node.grpc)).expect("it is an address");
    DataverseClient::new(channel.connect().await.expect("the node listens"))
}

fn upload(key: &str, content: &[u8]) -> Vec<proto::UploadRequest> {
    let header = proto::UploadHeader {
        key: key.to_owned(),
        factor: 2,
        ..proto::UploadHeader::default()
    };
    let chunks = content
        .chunks(100_000)
        .map(|chunk| Up::Chunk(Bytes::copy_from_slice(chunk)));
    std::iter::once(Up::Header(header))
        .chain(chunks)
        .map(|part| proto::UploadRequest { part: Some(part) })
        .collect()
}

async fn download(
    client: &mut DataverseClient<Channel>,
    key: &str,
    offset: u64,
    length: Option<u64>,
) -> Result<(proto::DownloadHeader, Vec<u8>), Code> {
    let request = proto::DownloadRequest {
        key: key.to_owned(),
        offset,
        length,
        newest: false,
    };
    let answer = client
        .download(request)
        .await
        .map_err(|status| status.code())?;
    let mut parts = answer.into_inner();
    let (mut header, mut content) = (None, Vec::new());
    while let Some(message) = parts.message().await.map_err(|status| status.code())? {
        match message.part.expect("a message has a part") {
            Down::Header(first) => header = Some(first),
            Down::Chunk(chunk) => {
                assert!(
                    chunk.len() <= 1 << 20,
                    "{} bytes in one message",
                    chunk.len()
                );
                content.extend_from_slice(&chunk);
            }
        }
    }
    Ok((header.expect("a header comes first"), content))
}

#[tokio::test]
async fn files_go_in_and_out_over_grpc_as_over_http() {
    let nodes: Vec<Node> = (0..2).map(|at| Node::start(&name(at), &[])).collect();
    let (mut a, mut b) = (client(&nodes[0]).await, client(&nodes[1]).await);
    let link = proto::ConfigRequest {
        a: nodes[0].grpc.clone(),
        b: nodes[1].grpc.clone(),
    };
    a.config(link).await.expect("they link");
    for node in &nodes {
        node.sees_alive(2).await;
    }

    let content = bytes(2_500_000, 61);
    for (key, content) in [("ada/grpc", &content[..]), ("ada/empty", &[][..])] {
        let parts = futures_util::stream::iter(upload(key, content));
        let stored = a.upload(parts).await.expect("it is stored").into_inner();
        assert_eq!(stored.size, content.len() as u64);
        assert_eq!(stored.digest, blake3::hash(content).to_hex().to_string());
        assert_eq!(stored.replicas.len(), 2);
        let (header, read) = download(&mut b, key, 0, None).await.expect("it exists");
        assert_eq!((header.key.as_str(), read == content), (key, true));
        assert!(nodes[1].read(key).await.body == content);
    }
    let part = download(&mut b, "ada/grpc", 1_000_000, Some(700_000)).await;
    assert!(part.expect("it exists").1 == content[1_000_000..1_700_000]);

    let query = proto::SearchRequest {
        query: Some(Query::Pattern("ada/**".to_owned())),
        ..proto::SearchRequest::default()
    };
    let report = b
        .search(query)
        .await
        .expect("the node answers it")
        .into_inner();
    assert_eq!((report.outcome.as_str(), report.hits.len()), ("found", 2));
    let status = a
        .status(proto::StatusRequest {})
        .await
        .expect("the node answers it")
        .into_inner();
    assert_eq!(
        (status.name.as_str(), status.id),
        ("A", nodes[0].id.clone())
    );

    let gone = proto::DeleteRequest {
        key: "ada/grpc".to_owned(),
        ..proto::DeleteRequest::default()
    };
    let other = proto::DeleteRequest {
        if_digest: vec![blake3::hash(b"other").to_hex().to_string()],
        ..gone.clone()
    };
    assert_eq!(
        a.delete(other).await.map_err(|status| status.code()).err(),
        Some(Code::FailedPrecondition)
    );
    b.delete(gone.clone()).await.expect("it is deleted");
    assert_eq!(
        b.delete(gone).await.map_err(|status| status.code()).err(),
        Some(Code::NotFound)
    );
    assert_eq!(
        download(&mut a, "ada/grpc", 0, None).await.err(),
        Some(Code::NotFound)
    );
    assert_eq!(
        download(&mut a, "no key", 0, None).await.err(),
        Some(Code::InvalidArgument)
    );

    let metrics = sent(nodes[0].request(reqwest::Method::GET, "/metrics")).await;
    let metrics = metrics.text().await.expect("it is text");
    assert!(metrics.contains("route=\"Upload\""), "{metrics}");
}

#[tokio::test]
async fn an_upload_that_ends_in_the_middle_stores_nothing() {
    let node = Node::start("A", &[]);
    let mut client = client(&node).await;
    let mut parts = upload("ada/half", &bytes(1_000_000, 62));
    if let Some(Up::Header(header)) = &mut parts[0].part {
        header.size = Some(2_000_000);
    }
    let refused = client.upload(futures_util::stream::iter(parts)).await;
    assert!(refused.is_err());
    assert_eq!(sent(node.get("ada/half")).await.status(), 404);
}

#[tokio::test]
async fn probes_of_orchestrators_are_answered() {
    let node = Node::start("A", &[]);
    let channel = Channel::from_shared(format!("http://{}", node.grpc)).expect("it is an address");
    let channel = channel.connect().await.expect("the node listens");
    let request = HealthCheckRequest::default();
    let answer = HealthClient::new(channel).check(request).await;
    let answer = answer.expect("the node answers it").into_inner();
    assert_eq!(answer.status, 1, "1 is SERVING");
}

#[tokio::test]
async fn both_services_are_told_by_reflection_and_by_health() {
    let node = Node::start("A", &[]);
    let channel = Channel::from_shared(format!("http://{}", node.grpc)).expect("it is an address");
    let channel = channel.connect().await.expect("the node listens");
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel.clone());
    let replies = reflection
        .server_reflection_info(futures_util::stream::iter([ask]))
        .await;
    let reply = replies.expect("it answers").into_inner().message().await;
    let reply = reply.expect("it answers").expect("there is an answer");
    let Some(MessageResponse::ListServicesResponse(list)) = reply.message_response else {
        panic!("{reply:?}");
    };
    let names: Vec<_> = list.service.into_iter().map(|it| it.name).collect();
    let mut health = HealthClient::new(channel);
    for service in ["dataverse.v1.Dataverse", "dataverse.v1.Overlay"] {
        assert!(names.iter().any(|name| name == service), "{names:?}");
    }
    for service in ["", "dataverse.v1.Dataverse", "dataverse.v1.Overlay"] {
        let ask = HealthCheckRequest {
            service: service.to_owned(),
        };
        let reply = health.check(ask).await.expect("it answers").into_inner();
        assert_eq!(reply.status(), ServingStatus::Serving, "{service}");
    }
}
