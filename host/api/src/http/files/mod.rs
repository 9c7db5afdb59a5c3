//! `/v1/files`: files go in, come out and go away.
//!
//! Writing is in `upload` and `form`, reading in `download`. What HTTP says about ranges, conditions and
//! names is in files of its own that know no sockets.

mod condition;
mod disposition;
pub(crate) mod download;
pub(crate) mod form;
pub(super) mod inflow;
mod parts;
pub(super) mod path;
mod range;
pub(super) mod spool;
pub(crate) mod upload;

use axum::extract::State;
use axum::http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use axum::http::{HeaderMap, StatusCode};
use dataverse_node::driver::Written;
use serde::Serialize;
use utoipa::ToSchema;

use self::path::PathKey;
use super::Site;
use super::problem::{Problem, ProblemBody};

/// A file as it was written.
#[derive(Serialize, ToSchema)]
pub(crate) struct FileWritten {
    /// `user/name`, in Unicode normal form C.
    #[schema(example = "ada/notes.txt")]
    key: String,
    /// Bytes.
    size: u64,
    /// BLAKE3 of the content, 64 hexadecimal digits.
    digest: String,
    /// The version that this write made: stamp and writer.
    version: String,
    /// As it was sent, else guessed from the name and the content.
    #[schema(example = "text/plain; charset=utf-8")]
    content_type: String,
    /// Replicas wanted.
    factor: u32,
    /// Names of the nodes that hold the replicas.
    replicas: Vec<String>,
    /// Whether there are fewer replicas than wanted.
    degraded: bool,
    /// Whether the same content was there already and nothing was written.
    unchanged: bool,
}

impl From<Written> for FileWritten {
    fn from(written: Written) -> Self {
        let record = written.record;
        Self {
            key: record.key.as_str().to_owned(),
            size: record.size,
            digest: record.digest.to_string(),
            version: record.version.to_string(),
            content_type: record.content_type.to_string(),
            factor: record.factor,
            replicas: written.replicas,
            degraded: record.is_degraded(),
            unchanged: written.unchanged,
        }
    }
}

/// Deletes a file.
///
/// The deletion is itself a version: it is durable on every holder that can be reached before this is
/// answered, and a holder that was away learns of it later. It takes no condition.
#[utoipa::path(
    delete, path = "/v1/files/{*key}", tag = "files",
    params(("key" = String, Path, description = "`user/name`; `name` may contain `/`. Percent-encode each segment.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 400, description = "The path names no key, or a condition was sent.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No node that can be reached has it.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "This node's own disk failed.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "It can not be known whether it exists, or the deletion could not be made durable.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_file(
    State(site): State<Site>,
    PathKey(key): PathKey,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let conditions = [
        IF_MATCH,
        IF_NONE_MATCH,
        IF_MODIFIED_SINCE,
        IF_UNMODIFIED_SINCE,
    ];
    if let Some(name) = conditions.iter().find(|name| headers.contains_key(*name)) {
        let detail = format!("a deletion takes no condition; leave `{name}` out");
        return Err(Problem::bad_request(detail).with_key(&key));
    }
    match site.node_api.delete(&key).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(Problem::from(error).with_key(&key)),
    }
}
