//! `/v1/scrub`: starts a scrub of this node and shows its progress.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use dataverse_core::version::Millis;
use dataverse_node::driver::ScrubStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::Site;
use super::problem::{Problem, ProblemBody};

/// The progress of the scrub of all content, and the state of bad copies, whether a scrub or something else found
/// them.
#[derive(Serialize, ToSchema)]
pub(crate) struct Scrub {
    /// A pass is in progress.
    running: bool,
    /// Only in the answer to a request that starts a pass: one was already in progress, and no other was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    joined: Option<bool>,
    /// When the last pass began, in milliseconds since 1970; null if there was none.
    began: Option<u64>,
    /// When a pass last ended, in milliseconds since 1970; null if none did.
    ended: Option<u64>,
    /// Files that the pass has checked.
    files_done: u64,
    /// All files of the pass, checked or not.
    files_total: u64,
    /// The bytes of the checked files.
    bytes_done: u64,
    /// The bytes of all files of the pass.
    bytes_total: u64,
    /// Bad copies found since the pass began (since the node started if there was none): by the pass, by a read,
    /// or by a read from another node.
    bad: u64,
    /// Copies that could not be read in that time. They are kept.
    unreadable: u64,
    /// Replicas that were restored from another node in that time.
    mended: u64,
    /// Replicas that are being restored.
    mending: u64,
    /// Replicas that can't be restored now, because no reachable node has a good copy.
    waiting: u64,
    /// Files of which no good copy is left; the first hundred by key.
    lost: Vec<String>,
    /// The number of such files.
    lost_total: u64,
    /// The maximum bytes that a pass reads per second; null if unlimited.
    bytes_per_second: Option<u64>,
}

impl From<ScrubStatus> for Scrub {
    fn from(status: ScrubStatus) -> Self {
        let time = |time: Millis| (time != 0).then_some(time);
        let lost = status.lost_keys.iter();
        Self {
            running: status.running,
            joined: None,
            began: time(status.began),
            ended: time(status.ended),
            files_done: status.done.files,
            files_total: status.total.files,
            bytes_done: status.done.bytes,
            bytes_total: status.total.bytes,
            bad: status.bad,
            unreadable: status.unreadable,
            mended: status.healed,
            mending: status.healing,
            waiting: status.waiting,
            lost: lost.map(|key| key.as_str().to_owned()).collect(),
            lost_total: status.lost,
            bytes_per_second: status.bytes_per_second,
        }
    }
}

/// Shows the progress of the scrub.
#[utoipa::path(
    get, path = "/v1/scrub", tag = "node",
    responses((status = 200, description = "The progress, or the result of the last pass.", body = Scrub))
)]
pub(crate) async fn show_scrub(State(site): State<Site>) -> Json<Scrub> {
    Json(site.node_api.scrub_status().into())
}

/// Starts a scrub.
///
/// Every copy on this node is read at a limited rate and compared with its digest. A bad replica is quarantined
/// and restored from another node.
#[utoipa::path(
    post, path = "/v1/scrub", tag = "node",
    responses(
        (status = 202, description = "A scrub has started.", body = Scrub),
        (status = 200, description = "A scrub is already in progress.", body = Scrub),
        (status = 500, description = "This node's own disk failed.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn begin_scrub(
    State(site): State<Site>,
) -> Result<(StatusCode, Json<Scrub>), Problem> {
    let begun = site.node_api.begin_scrub().await;
    let (status, joined) = match begun {
        Ok(true) => (StatusCode::ACCEPTED, false),
        Ok(false) => (StatusCode::OK, true),
        Err(error) => {
            let detail = format!("could not start the scrub: {error}");
            return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail));
        }
    };
    let scrub = Scrub {
        joined: Some(joined),
        ..site.node_api.scrub_status().into()
    };
    Ok((status, Json(scrub)))
}
