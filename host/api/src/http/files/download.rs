//! `GET` and `HEAD /v1/files/…`: serves a file or a part of it, or says that it hasn't changed.
//!
//! Users' files are served from the same origin as the node's own page, so they are sent with headers that keep a
//! browser from running them as part of that page.

use std::time::SystemTime;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LAST_MODIFIED, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use dataverse_core::key::Key;
use dataverse_core::plural::plural;
use dataverse_core::record::Record;
use dataverse_node::driver::{Consistency, ReadError};
use dataverse_node::metrics::{Direction, Surface};
use futures_util::TryStreamExt;
use percent_encoding::{CONTROLS, utf8_percent_encode};
use serde::Deserialize;
use utoipa::IntoParams;

use super::condition::{Present, Verdict};
use super::disposition::attachment;
use super::path::PathKey;
use super::range::{Part, Wanted, wanted};
use crate::http::Site;
use crate::http::node_api::Opened;
use crate::http::problem::{Problem, ProblemBody};
use crate::limits;

const SOURCE: HeaderName = HeaderName::from_static("dataverse-source");
const HOPS: HeaderName = HeaderName::from_static("dataverse-hops");
const STALE: HeaderName = HeaderName::from_static("dataverse-stale");
const VERSION: HeaderName = HeaderName::from_static("dataverse-version");

/// How to read a file.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReadParameters {
    /// `1` adds `Content-Disposition`, so that a browser saves the file instead of showing it.
    #[param(example = "1", pattern = "^(|0|1|false|true)$")]
    download: Option<String>,
    /// `newest`: answer 503 unless a replica confirms that this is the newest version.
    #[param(example = "newest", pattern = "^newest$")]
    consistency: Option<String>,
}

type Parameters = Result<Query<ReadParameters>, QueryRejection>;

/// Reads a file.
///
/// The node searches the network for the nearest copy and streams it.
#[utoipa::path(
    get, path = "/v1/files/{*key}", tag = "files",
    params(
        ("key" = String, Path, description = "`user/name`; `name` may contain `/`. Percent-encode each segment."),
        ReadParameters,
        ("Range" = Option<String>, Header, description = "One range of bytes. A request for several gets the whole file."),
        ("If-Range" = Option<String>, Header, description = "`Range` applies only if this is the file's entity tag."),
        ("If-None-Match" = Option<String>, Header, description = "Entity tags of content that the client already has."),
        ("If-Match" = Option<String>, Header, description = "The file must have one of these entity tags."),
    ),
    responses(
        (status = 200, description = "The content.", content_type = "application/octet-stream", headers(
            ("ETag" = String, description = "The BLAKE3 digest in quotes."),
            ("Last-Modified" = String, description = "When this version was written."),
            ("Accept-Ranges" = String, description = "`bytes`."),
            ("Dataverse-Source" = String, description = "The name of the node that the content comes from."),
            ("Dataverse-Hops" = u32, description = "Hops from this node to that one."),
            ("Dataverse-Version" = String, description = "The version of the content."),
            ("Dataverse-Stale" = String, description = "`1` if this could not be confirmed to be the newest version, or if no reachable node has the newest; with `consistency=newest`, if not every replica could be asked."),
        )),
        (status = 206, description = "The requested part.", content_type = "application/octet-stream", headers(("Content-Range" = String, description = "The bytes of this part."))),
        (status = 304, description = "The client already has this content."),
        (status = 400, description = "The path is not a valid key, or a parameter is invalid.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "The file does not exist: every reachable node answered that it does not have it.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "The condition did not hold.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 416, description = "The range is outside the file.", body = ProblemBody, content_type = "application/problem+json", headers(("Content-Range" = String, description = "The size of the file."))),
        (status = 500, description = "The copy on this node's own disk cannot be read, and no other copy can.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 502, description = "The nodes that have the file did not send it, or sent other bytes.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The file was not found, but not every node could be asked; `outcome` says why.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_file(
    State(site): State<Site>,
    PathKey(key): PathKey,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Query(parameters) = parameters?;
    let mut tries = 1;
    loop {
        match read_once(&site, &key, &parameters, &headers).await {
            // The file was replaced between the search and the read: search again.
            Err(Unread::Superseded(_)) if tries < limits::READ_TRIES_MAX => tries += 1,
            Err(Unread::Superseded(problem) | Unread::Refused(problem)) => return Err(problem),
            Ok(response) => return Ok(response),
        }
    }
}

/// Why a read failed.
enum Unread {
    /// Another version replaced it in the meantime.
    Superseded(Problem),
    Refused(Problem),
}

impl From<Problem> for Unread {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

async fn read_once(
    site: &Site,
    key: &Key,
    parameters: &ReadParameters,
    headers: &HeaderMap,
) -> Result<Response, Unread> {
    let (opened, head) = match find(site, key, parameters, headers).await? {
        Found::Serve(opened, head) => (opened, head),
        Found::NotModified(response) => return Ok(response),
    };
    let size = opened.record.size;
    let part = match part_wanted(&opened.record, headers) {
        Wanted::Outside => return Ok(outside(key, size)),
        Wanted::Part(part) => Some(part),
        Wanted::Whole => None,
    };
    let Part { offset, length } = part.unwrap_or(Part {
        offset: 0,
        length: size,
    });
    let content = (opened.content)(offset, length).await;
    let content = content.map_err(|error| {
        let superseded = matches!(error, ReadError::Superseded { .. });
        let problem = Problem::from(error).with_key(key);
        match superseded {
            true => Unread::Superseded(problem),
            false => Unread::Refused(problem),
        }
    })?;
    let sent = site
        .node_api
        .metrics()
        .client_bytes(Surface::Http, Direction::Out);
    let content = content.inspect_ok(move |chunk| sent.increment(chunk.len() as u64));
    let body = Body::from_stream(content);
    let status = match part {
        Some(_) => StatusCode::PARTIAL_CONTENT,
        None => StatusCode::OK,
    };
    let mut response = (status, head, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, length.into());
    if let Some(part) = part {
        let range = HeaderValue::try_from(part.content_range(size));
        headers.insert(CONTENT_RANGE, range.expect("numbers are visible ASCII"));
    }
    Ok(response)
}

/// Shows a file's metadata.
///
/// Like `GET`, but without the content; `Range` is ignored.
#[utoipa::path(
    head, path = "/v1/files/{*key}", tag = "files",
    params(
        ("key" = String, Path, description = "`user/name`; `name` may contain `/`. Percent-encode each segment."),
        ReadParameters,
        ("If-None-Match" = Option<String>, Header, description = "Entity tags of content that the client already has."),
        ("If-Match" = Option<String>, Header, description = "The file must have one of these entity tags."),
    ),
    responses(
        (status = 200, description = "The file exists. The headers are those of `GET`.", headers(("Content-Length" = u64, description = "The size in bytes."), ("ETag" = String, description = "The BLAKE3 digest in quotes."))),
        (status = 304, description = "The client already has this content."),
        (status = 400, description = "The path is not a valid key, or a parameter is invalid."),
        (status = 404, description = "The file does not exist: every reachable node answered that it does not have it."),
        (status = 412, description = "The condition did not hold."),
        (status = 503, description = "The file was not found, but not every node could be asked."),
    )
)]
pub(crate) async fn head_file(
    State(site): State<Site>,
    PathKey(key): PathKey,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Query(parameters) = parameters?;
    match find(&site, &key, &parameters, &headers).await? {
        Found::Serve(opened, head) => {
            let length = [(CONTENT_LENGTH, HeaderValue::from(opened.record.size))];
            Ok((StatusCode::OK, head, length, Body::empty()).into_response())
        }
        Found::NotModified(response) => Ok(response),
    }
}

enum Found {
    Serve(Opened, HeaderMap),
    NotModified(Response),
}

async fn find(
    site: &Site,
    key: &Key,
    parameters: &ReadParameters,
    headers: &HeaderMap,
) -> Result<Found, Problem> {
    let consistency = consistency(parameters.consistency.as_deref())?;
    let download = is_download(parameters.download.as_deref())?;
    let opened = site.node_api.clone().open(key, consistency).await;
    let opened = opened.map_err(|error| Problem::from(error).with_key(key))?;
    let present = Present::new(opened.record.digest, opened.record.version);
    let mut head = head_of(&opened, &present);
    match present.judge(headers) {
        Verdict::Serve => {}
        Verdict::NotModified => {
            return Ok(Found::NotModified(
                (StatusCode::NOT_MODIFIED, head).into_response(),
            ));
        }
        Verdict::Failed => {
            let detail = format!("{key} does not meet the request's condition");
            let problem = Problem::new(StatusCode::PRECONDITION_FAILED, detail);
            return Err(problem.with_key(key));
        }
    }
    head.insert(CONTENT_TYPE, content_type(&opened.record));
    head.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    head.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    head.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    if download {
        head.insert(CONTENT_DISPOSITION, attachment(key));
    }
    Ok(Found::Serve(opened, head))
}

/// The headers that a 304 has as well.
fn head_of(opened: &Opened, present: &Present) -> HeaderMap {
    let mut head = HeaderMap::with_capacity(16);
    head.insert(ETAG, present.entity_tag());
    head.insert(LAST_MODIFIED, present.last_modified());
    // Without this, browsers reuse content that has a `Last-Modified` for a while without revalidating it.
    head.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // A node's name may be any text; whatever is not visible ASCII is percent-encoded.
    let source = utf8_percent_encode(&opened.source, CONTROLS).to_string();
    head.insert(SOURCE, header(&source));
    head.insert(HOPS, opened.hops.into());
    head.insert(VERSION, header(&opened.record.version.to_string()));
    if opened.stale {
        head.insert(STALE, HeaderValue::from_static("1"));
    }
    head
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).expect("only visible ASCII is left")
}

/// The content type that the writer stated. The node that took the write may check it less strictly than this one.
fn content_type(record: &Record) -> HeaderValue {
    HeaderValue::try_from(&*record.content_type)
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"))
}

fn part_wanted(record: &Record, headers: &HeaderMap) -> Wanted {
    let Some(range) = headers.get(RANGE).and_then(|value| value.to_str().ok()) else {
        return Wanted::Whole;
    };
    let present = Present::new(record.digest, record.version);
    if present.range_counts(headers, SystemTime::now()) {
        wanted(range, record.size)
    } else {
        Wanted::Whole
    }
}

fn outside(key: &Key, size: u64) -> Response {
    let detail = format!(
        "{key} has {}; the range is outside it",
        plural(size, "byte", "bytes")
    );
    let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, detail).with_key(key);
    let range = [(CONTENT_RANGE, header(&format!("bytes */{size}")))];
    (range, problem).into_response()
}

fn consistency(text: Option<&str>) -> Result<Consistency, Problem> {
    match text {
        None => Ok(Consistency::Usual),
        Some("newest") => Ok(Consistency::Newest),
        Some(_) => Err(Problem::bad_request("`consistency` must be `newest`")),
    }
}

fn is_download(text: Option<&str>) -> Result<bool, Problem> {
    match text {
        None | Some("0" | "false") => Ok(false),
        Some("" | "1" | "true") => Ok(true),
        Some(_) => Err(Problem::bad_request("`download` must be `1` or `0`")),
    }
}
