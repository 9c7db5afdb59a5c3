//! `/v1/scrub`: the check of all content on this node, begun and shown.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use dataverse_core::version::Millis;
use dataverse_node::driver::ScrubStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::Site;
use super::problem::{Problem, ProblemBody};

/// How far the check of all content is, and what became of bad copies, whoever found them.
#[derive(Serialize, ToSchema)]
pub(crate) struct Scrub {
    /// A pass is under way.
    running: bool,
    /// Only in answer to what begins a pass: one was under way already, and no other was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    joined: Option<bool>,
    /// When the last pass began, in milliseconds since 1970; null when none ever did.
    began: Option<u64>,
    /// When a pass last ended; null when none ever did.
    ended: Option<u64>,
    /// Files that the pass has checked.
    files_done: u64,
    /// Those, and the ones that it has still to check.
    files_total: u64,
    /// Their bytes.
    bytes_done: u64,
    /// Their bytes.
    bytes_total: u64,
    /// Bad copies found since the pass began, or since the node started: by the pass, by a read, by another
    /// node's.
    bad: u64,
    /// Copies that could not be read in that time, and stay.
    unreadable: u64,
    /// Replicas that were made good from another node in that time.
    mended: u64,
    /// Replicas that are being made good.
    mending: u64,
    /// Replicas that can't be made good now: nobody who is there has them.
    waiting: u64,
    /// Files of which no good copy is left; the first hundred by key.
    lost: Vec<String>,
    /// How many those are.
    lost_total: u64,
    /// Bytes that a pass reads in a second at most; null when nothing holds it up.
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

/// Shows how far the check of all content is.
#[utoipa::path(
    get, path = "/v1/scrub", tag = "node",
    responses((status = 200, description = "How far it is, or how the last one ended.", body = Scrub))
)]
pub(crate) async fn show_scrub(State(site): State<Site>) -> Json<Scrub> {
    Json(site.node_api.scrub_status().into())
}

/// Begins a check of all content.
///
/// Every copy on this node is read at a set pace and compared with its digest. A bad replica is put aside and made
/// good from another node.
#[utoipa::path(
    post, path = "/v1/scrub", tag = "node",
    responses(
        (status = 202, description = "It has begun.", body = Scrub),
        (status = 200, description = "One is under way already.", body = Scrub),
        (status = 500, description = "The node's own disk failed.", body = ProblemBody, content_type = "application/problem+json"),
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
            let detail = format!("the check could not be begun: {error}");
            return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail));
        }
    };
    let scrub = Scrub {
        joined: Some(joined),
        ..site.node_api.scrub_status().into()
    };
    Ok((status, Json(scrub)))
}
