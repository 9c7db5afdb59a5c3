//! `/v1/policies/files/…`: installs and removes the files in the policies folder.
//!
//! A file is held in memory while it is received and checked, so its size and the number of concurrent uploads are
//! bounded; a file that waits to be checked counts even after its client has gone. Nothing is written before
//! `PolicyApi` has checked the file.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use dataverse_node::limits::POLICY_FILE_BYTES_MAX;
use dataverse_node::limits::POLICY_TURN_MS_MAX;
use dataverse_node::metrics::{Direction, Surface};
use dataverse_node::policies::name::PolicyName;
use dataverse_node::policies::view::{Available, Origin};
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use utoipa::IntoParams;

use crate::http::Site;
use crate::http::files::inflow::Inflow;
use crate::http::problem::{Problem, ProblemBody};
use crate::limits::HTTP_POLICY_UPLOAD_MS_MAX;

/// How to install a policy.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Installing {
    /// Install it even if it answers test questions of its kind badly. A file that is not a policy, or that fails
    /// its trial, is still refused.
    force: bool,
}

/// Installs a policy into the policies folder.
///
/// The file is the raw body. Before it is written, it is compiled, tried and given test questions of its kind, as
/// `policy check` does. It replaces the file of that name; if that policy is active, this one takes over.
#[utoipa::path(
    put, path = "/v1/policies/files/{name}", tag = "policies",
    params(("name" = String, Path, description = "The policy's name; `.wasm` may be left out."), Installing),
    request_body(content_type = "application/wasm", description = "A component, or a core module with an embedded component type; at most 32 MiB."),
    responses(
        (status = 201, description = "The policy is installed.", body = Available),
        (status = 200, description = "The policy is installed and replaced a file of that name.", body = Available),
        (status = 400, description = "The name is not valid for a policy, the query is invalid, or the body broke off.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The file of that name is a link, or is in use as a policy of another kind, or another request changed it concurrently.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "The upload stalled or took too long.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The file exceeds the maximum size of a policy.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Refused: the file is not a policy, fails its trial, or answers test questions badly.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "The folder could not be written.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Too many changes are pending, or the node is stopping; nothing was changed.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn put_policy(
    State(site): State<Site>,
    name: Result<Path<String>, PathRejection>,
    how: Result<Query<Installing>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Available>), Problem> {
    let name = name_in(name)?;
    let Query(Installing { force }) = how?;
    let stated = headers.get(CONTENT_LENGTH);
    let stated = stated.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    // The bodies of other clients are read up to the size limit, so that they get to read the refusal.
    let waits_for_continue = headers.contains_key(EXPECT);
    if waits_for_continue && stated.is_some_and(|bytes| bytes > POLICY_FILE_BYTES_MAX) {
        return Err(too_large());
    }
    let patience = Duration::from_millis(POLICY_TURN_MS_MAX);
    let turn = timeout(patience, Arc::clone(&site.uploads).acquire_owned()).await;
    let turn = turn.map_err(|_| too_many())?;
    let turn = turn.expect("the semaphore is never closed");
    let limit = Duration::from_millis(HTTP_POLICY_UPLOAD_MS_MAX);
    let received = timeout(limit, receive(&site, body)).await;
    let wasm = with_turn(received.map_err(|_| too_slow())??, turn);
    let replaces = site
        .policy_api
        .view()
        .available
        .iter()
        .any(|there| there.origin == Origin::Folder && there.name == name.as_str());
    let installed = site.policy_api.install(name.as_str(), wasm, force).await?;
    let status = if replaces {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok((status, Json(installed)))
}

/// Removes a policy from the policies folder.
#[utoipa::path(
    delete, path = "/v1/policies/files/{name}", tag = "policies",
    params(("name" = String, Path, description = "The policy's name; `.wasm` may be left out.")),
    responses(
        (status = 204, description = "The policy is removed."),
        (status = 400, description = "The name is not valid for a policy.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "The folder has no such file.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The policy is active or a shadow.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "The folder could not be written.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Too many changes are pending, or the node is stopping; nothing was changed.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_policy(
    State(site): State<Site>,
    name: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    site.policy_api.remove(name_in(name)?.as_str()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn name_in(path: Result<Path<String>, PathRejection>) -> Result<PolicyName, Problem> {
    let Path(name) = path?;
    PolicyName::said(&name).map_err(|bad| Problem::bad_request(bad.to_string()))
}

/// Receives the whole body, unless it is too large for a policy or stalls.
async fn receive(site: &Site, body: Body) -> Result<Bytes, Problem> {
    let received = site
        .node_api
        .metrics()
        .client_bytes(Surface::Http, Direction::In);
    let mut inflow = Inflow::new(body.into_data_stream(), site.write_stall, received);
    let mut wasm = BytesMut::new();
    while let Some(chunk) = inflow.next().await {
        let chunk = chunk?;
        if wasm.len() + chunk.len() > POLICY_FILE_BYTES_MAX {
            return Err(too_large());
        }
        wasm.extend_from_slice(&chunk);
    }
    Ok(wasm.freeze())
}

/// Ties the upload's permit to the bytes: it is released when the last part of them is dropped.
fn with_turn(bytes: Bytes, turn: OwnedSemaphorePermit) -> Bytes {
    struct Sent(
        Bytes,
        #[expect(dead_code, reason = "held until it is dropped")] OwnedSemaphorePermit,
    );
    impl AsRef<[u8]> for Sent {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Sent(bytes, turn))
}

fn too_many() -> Problem {
    let detail = "too many policy files are being checked; nothing was changed, try again later";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}

fn too_slow() -> Problem {
    let seconds = HTTP_POLICY_UPLOAD_MS_MAX / 1000;
    let detail =
        format!("the file of a policy must arrive within {seconds} s; nothing was changed");
    Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
}

fn too_large() -> Problem {
    let detail = format!("the file of a policy may have at most {POLICY_FILE_BYTES_MAX} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_turn_ends_with_the_last_part_of_what_was_sent() {
        let turns = Arc::new(Semaphore::new(1));
        let turn = Arc::clone(&turns)
            .acquire_owned()
            .await
            .expect("the semaphore is open");
        let sent = with_turn(Bytes::from_static(b"file"), turn);
        let part = sent.slice(1..);
        drop(sent);
        assert_eq!((&part[..], turns.available_permits()), (&b"ile"[..], 0));
        drop(part);
        assert_eq!(turns.available_permits(), 1);
    }
}
