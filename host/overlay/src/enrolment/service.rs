//! Issues certificates, for a node that has the folder of the authority.
//!
//! The folder is read and written off the async threads, by few calls at the same time, because anybody may call.

use std::sync::Arc;

use async_trait::async_trait;
use dataverse_identity::authority_folder::{AuthorityFolder, IssueError, Issued};
use dataverse_identity::joining::JoinRequest;
use dataverse_identity::ticket::TicketSecret;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::Enrolled;
use crate::clock::system_seconds;
use crate::grpc::connections::{Caller, Over};
use crate::grpc::proto::enrolment_server::{Enrolment, EnrolmentServer};
use crate::grpc::{Services, proto};
use crate::limits;
use crate::transport::Refusal;

/// Adds the service to those of a node that has this folder.
#[must_use]
pub fn add_to(services: Services, authority: AuthorityFolder, network: String) -> Services {
    let service = EnrolmentService {
        authority,
        network,
        turns: Arc::new(Semaphore::new(limits::ENROLMENTS_AT_ONCE_MAX)),
    };
    let server = EnrolmentServer::new(service)
        .max_decoding_message_size(limits::ENROLMENT_BYTES_MAX)
        .max_encoding_message_size(limits::MESSAGE_BYTES_MAX);
    services.with(
        "dataverse.v1.Enrolment",
        proto::ENROLMENT_DESCRIPTORS,
        |routes| routes.add_service(server),
    )
}

struct EnrolmentService {
    authority: AuthorityFolder,
    network: String,
    turns: Arc<Semaphore>,
}

impl EnrolmentService {
    async fn issue(
        &self,
        issue: impl FnOnce(&AuthorityFolder) -> Result<Issued, IssueError> + Send + 'static,
    ) -> Result<Response<proto::EnrolReply>, Status> {
        let turn = Arc::clone(&self.turns).try_acquire_owned();
        let turn = turn.map_err(|_| {
            Refusal::Busy("this node is issuing other certificates; try again".to_owned())
        })?;
        let authority = self.authority.clone();
        let issued = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            issue(&authority)
        });
        let issued = issued.await.map_err(|error| Status::from(failed(&error)))?;
        let issued = issued.map_err(|error| Status::from(refusal(&error)))?;
        let network = self.network.clone();
        Ok(Response::new(Enrolled { issued, network }.into()))
    }
}

#[async_trait]
impl Enrolment for EnrolmentService {
    async fn enrol(
        &self,
        request: Request<proto::EnrolRequest>,
    ) -> Result<Response<proto::EnrolReply>, Status> {
        let proto::EnrolRequest { secret, request } = request.into_inner();
        let secret = TicketSecret::from_bytes(&secret);
        let secret = secret.ok_or_else(|| invalid("the secret must have 16 bytes"))?;
        let request = JoinRequest::parse(&request).map_err(invalid)?;
        let reply = self.issue(move |authority| {
            let issued = authority.enrol(&secret, &request, system_seconds());
            match &issued {
                Ok(_) => tracing::info!(node = request.name(), id = %request.node(), "a machine joined the network with a ticket"),
                Err(reason) => tracing::warn!(node = request.name(), id = %request.node(), %reason, "refused a machine that wants to join"),
            }
            issued
        });
        reply.await
    }

    async fn renew(
        &self,
        request: Request<proto::RenewRequest>,
    ) -> Result<Response<proto::EnrolReply>, Status> {
        let over = request.extensions().get::<Over>().cloned();
        let request = JoinRequest::parse(&request.into_inner().request).map_err(invalid)?;
        match over.as_ref().map(Over::caller) {
            Some(Caller::Node(node)) if node.said.node == request.node() => {}
            _ => {
                return Err(invalid(
                    "a node renews its own certificate, which it must present",
                ));
            }
        }
        self.issue(move |authority| {
            let issued = authority.renew(&request, system_seconds());
            tracing::info!(node = request.name(), id = %request.node(), is_renewed = issued.is_ok(), "a node asked for a new certificate");
            issued
        })
        .await
    }
}

fn invalid(reason: impl ToString) -> Status {
    Refusal::Invalid(reason.to_string()).into()
}

fn failed(reason: &dyn ToString) -> Refusal {
    Refusal::Failed(reason.to_string())
}

fn refusal(error: &IssueError) -> Refusal {
    let reason = error.to_string();
    match error {
        IssueError::Invitation(_) | IssueError::Unknown(_) => Refusal::Absent(reason),
        IssueError::Taken(_) | IssueError::Revoked(_) => Refusal::Invalid(reason),
        IssueError::Full => Refusal::NoSpace(reason),
        IssueError::Folder(reason) => {
            tracing::error!(%reason, "no certificate can be issued");
            Refusal::Failed("the folder of the authority can't be used there".to_owned())
        }
    }
}
