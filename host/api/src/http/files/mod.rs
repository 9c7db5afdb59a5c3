//! `/v1/files`: stores, reads and deletes files.
//!
//! `upload` (`PUT`) and `form` (`POST`) write, `download` reads. `inflow` turns a body into what the driver takes,
//! `parts` takes a form apart, and `spool` keeps files of a form whose owner is not known yet. What HTTP says about
//! paths, ranges, conditions and file names is in `path`, `range`, `condition` and `disposition`, which do no I/O.

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
use axum::http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use axum::http::{HeaderMap, StatusCode};
use dataverse_node::driver::Written;
use serde::Serialize;
use utoipa::ToSchema;

pub(super) use self::condition::entity_tag;
use self::path::PathKey;
use super::Site;
use super::problem::{Problem, ProblemBody};

/// A file as it was stored.
#[derive(Serialize, ToSchema)]
pub(crate) struct FileWritten {
    /// `user/name`, in Unicode normal form C.
    #[schema(example = "ada/notes.txt")]
    key: String,
    /// The size in bytes.
    size: u64,
    /// The BLAKE3 digest of the content, 64 hexadecimal digits.
    digest: String,
    /// The version that this write made: its timestamp and the writer's node id.
    version: String,
    /// As sent, else guessed from the name and the content.
    #[schema(example = "text/plain; charset=utf-8")]
    content_type: String,
    /// How many replicas the file should have.
    factor: u32,
    /// The names of the nodes that hold the replicas.
    replicas: Vec<String>,
    /// Whether the file has fewer replicas than it should.
    degraded: bool,
    /// Whether the file already had this content, so that nothing was written.
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
/// The deletion is itself a version. It is durable on every reachable holder before this is answered; a holder
/// that is away learns of it later. With `If-Match`, the condition is judged and the file deleted in one step, and
/// nothing is deleted unless every node of the network answers.
#[utoipa::path(
    delete, path = "/v1/files/{*key}", tag = "files",
    params(
        ("key" = String, Path, description = "`user/name`; `name` may contain `/`. Percent-encode each segment."),
        ("If-Match" = Option<String>, Header, description = "`*`, or entity tags (digests in quotes): delete only if the file exists, or has one of them."),
    ),
    responses(
        (status = 204, description = "The file is deleted."),
        (status = 400, description = "The path is not a valid key, or the condition is none that a deletion can have.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No reachable node has the file.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "The condition does not hold; nothing was deleted.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "This node's own disk failed.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Whether the file exists or the condition holds cannot be determined, or the deletion could not be made durable.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_file(
    State(site): State<Site>,
    PathKey(key): PathKey,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let conditions = [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];
    if let Some(name) = conditions.iter().find(|name| headers.contains_key(*name)) {
        let detail = format!("a deletion takes no condition but `If-Match`; remove `{name}`");
        return Err(Problem::bad_request(detail).with_key(&key));
    }
    let condition = condition::of_write(&headers)
        .map_err(|error| Problem::bad_request(error.to_string()).with_key(&key))?;
    match site.node_api.delete(&key, condition).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(Problem::from(error).with_key(&key)),
    }
}
