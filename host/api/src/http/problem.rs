//! `Problem`: every error response of this server, as `application/problem+json` (RFC 9457).
//!
//! Errors of the driver, of axum's extractors and of the router are all converted here and nowhere else, so that
//! the same failure has the same status on every path.

use axum::extract::multipart::MultipartRejection;
use axum::extract::rejection::{
    BytesRejection, FormRejection, JsonRejection, PathRejection, QueryRejection,
};
use axum::http::header::{CONTENT_TYPE, ETAG, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use dataverse_core::content::Digest;
use dataverse_core::key::Key;
use dataverse_node::driver::{
    BodyError, Busy, ConditionFailed, DeleteError, DrainError, LinkError, ReadError, SilentNode,
    WriteError,
};
use dataverse_node::policies::api::PolicyError;
use serde::Serialize;
use utoipa::ToSchema;

use super::files::entity_tag;
use crate::limits::HTTP_JSON_BYTES_MAX;

const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// What went wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    detail: String,
    key: Option<Box<str>>,
    node: Option<Box<str>>,
    outcome: Option<&'static str>,
    unanswered: Vec<Unanswered>,
    /// What the file is, where it is not what a condition requires; sent as `ETag`.
    current: Option<Box<Digest>>,
}

/// The body of an error response: `application/problem+json`, RFC 9457.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// The status in words.
    #[schema(example = "Not Found")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// What went wrong with which thing, and what to do.
    #[schema(example = "no reachable node has ada/notes.txt")]
    detail: String,
    /// The key of the file concerned, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "ada/notes.txt")]
    key: Option<String>,
    /// The node concerned, if any: a name or an address, as the client gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    node: Option<String>,
    /// How the search behind a miss ended: `not_found`, `horizon`, `partial`, `deadline` or `budget`; or why a
    /// known file cannot be read: `lost` or `away`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "not_found")]
    outcome: Option<&'static str>,
    /// Nodes that did not answer the search.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unanswered: Vec<Unanswered>,
}

/// A node that did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Unanswered {
    /// Its name.
    node: String,
    /// The address at which it was asked.
    address: String,
    /// Seconds since it stopped answering, as far as this node knows; null if it does not know.
    silent_for_s: Option<u64>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            key: None,
            node: None,
            outcome: None,
            unanswered: Vec::new(),
            current: None,
        }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// Names the file concerned.
    pub(crate) fn with_key(mut self, key: &Key) -> Self {
        self.key = Some(key.as_str().into());
        self
    }

    /// Names a file whose key was refused, as far as it can be shown.
    pub(crate) fn with_refused_key(mut self, text: &str) -> Self {
        self.key = Some(text.chars().take(SHOWN_CHARS_MAX).collect());
        self
    }

    /// Names the node concerned.
    pub(crate) fn with_node(mut self, node: &str) -> Self {
        self.node = Some(node.chars().take(SHOWN_CHARS_MAX).collect());
        self
    }

    /// The body of the response.
    pub(crate) fn into_body(self) -> ProblemBody {
        ProblemBody {
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail,
            key: self.key.map(String::from),
            node: self.node.map(String::from),
            outcome: self.outcome,
            unanswered: self.unanswered,
        }
    }
}

const SHOWN_CHARS_MAX: usize = 1024;

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let current = self.current.as_deref().map(|digest| entity_tag(*digest));
        let body = serde_json::to_vec(&self.into_body()).expect("a problem is plain JSON");
        let content_type = HeaderValue::from_static("application/problem+json");
        let mut response = (status, [(CONTENT_TYPE, content_type)], body).into_response();
        let later = [
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::TOO_MANY_REQUESTS,
        ];
        if later.contains(&status) {
            response
                .headers_mut()
                .insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        if let Some(current) = current {
            response.headers_mut().insert(ETAG, current);
        }
        response
    }
}

impl From<ConditionFailed> for Problem {
    fn from(failed: ConditionFailed) -> Self {
        Self {
            current: failed.unmet.current().map(Box::new),
            ..Self::new(StatusCode::PRECONDITION_FAILED, failed.to_string())
        }
    }
}

impl From<&SilentNode> for Unanswered {
    fn from(silent: &SilentNode) -> Self {
        Self {
            node: silent.name.clone(),
            address: silent.address.clone(),
            silent_for_s: silent.silent_for.map(|it| it.as_secs()),
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let status = match error {
            BodyError::Client(_) => StatusCode::BAD_REQUEST,
            BodyError::Stalled { .. } | BodyError::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            BodyError::Source(_) => StatusCode::BAD_GATEWAY,
            BodyError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        let (status, detail) = match error {
            WriteError::Body(error) => return error.into(),
            WriteError::Invalid(detail) => (StatusCode::BAD_REQUEST, detail),
            WriteError::Condition(failed) => return failed.into(),
            WriteError::TooLarge(detail) => (StatusCode::PAYLOAD_TOO_LARGE, detail),
            WriteError::NoSpace(detail) => (StatusCode::INSUFFICIENT_STORAGE, detail),
            WriteError::Unavailable(detail) => (StatusCode::SERVICE_UNAVAILABLE, detail),
            WriteError::Busy(error) => return error.into(),
            WriteError::Failed(detail) => (StatusCode::INTERNAL_SERVER_ERROR, detail),
        };
        Self::new(status, detail)
    }
}

impl From<Busy> for Problem {
    fn from(Busy(detail): Busy) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, detail)
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        let detail = error.to_string();
        let unanswered = match &error {
            ReadError::Unknown { silent, .. } => silent.0.iter().map(Unanswered::from).collect(),
            _ => Vec::new(),
        };
        let (status, key, outcome) = match &error {
            ReadError::NotFound { key } => (StatusCode::NOT_FOUND, Some(key), Some("not_found")),
            ReadError::Unknown { key, outcome, .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, Some(key), Some(*outcome))
            }
            ReadError::Lost { record } => (
                StatusCode::SERVICE_UNAVAILABLE,
                Some(&record.key),
                Some("lost"),
            ),
            ReadError::Away { key, .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, Some(key), Some("away"))
            }
            ReadError::Unconfirmed { key } => (StatusCode::SERVICE_UNAVAILABLE, Some(key), None),
            ReadError::Superseded { key } => (StatusCode::SERVICE_UNAVAILABLE, Some(key), None),
            ReadError::Source(_) => (StatusCode::BAD_GATEWAY, None, None),
            ReadError::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, None, None),
        };
        let mut problem = Self::new(status, detail);
        problem.key = key.map(|key| key.as_str().into());
        problem.outcome = outcome;
        problem.unanswered = unanswered;
        problem
    }
}

impl From<DeleteError> for Problem {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::Read(error) => error.into(),
            DeleteError::Condition(failed) => failed.into(),
            DeleteError::Unavailable(detail) => Self::new(StatusCode::SERVICE_UNAVAILABLE, detail),
        }
    }
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        let (status, detail) = match error {
            LinkError::Invalid(detail) => (StatusCode::BAD_REQUEST, detail),
            LinkError::Refused(detail) | LinkError::Ambiguous(detail) => {
                (StatusCode::CONFLICT, detail)
            }
            LinkError::Unreachable(detail) | LinkError::Wrong(detail) => {
                (StatusCode::BAD_GATEWAY, detail)
            }
            LinkError::Unknown(detail) => (StatusCode::NOT_FOUND, detail),
            LinkError::Failed(detail) => (StatusCode::INTERNAL_SERVER_ERROR, detail),
        };
        Self::new(status, detail)
    }
}

impl From<DrainError> for Problem {
    fn from(error: DrainError) -> Self {
        let (status, detail) = match error {
            DrainError::Refused(detail) => (StatusCode::CONFLICT, detail),
            DrainError::Failed(detail) => (StatusCode::INTERNAL_SERVER_ERROR, detail),
        };
        Self::new(status, detail)
    }
}

impl From<PolicyError> for Problem {
    fn from(error: PolicyError) -> Self {
        let (status, detail) = match error {
            PolicyError::Refused(detail) => (StatusCode::UNPROCESSABLE_ENTITY, detail),
            PolicyError::InUse(detail) | PolicyError::Conflict(detail) => {
                (StatusCode::CONFLICT, detail)
            }
            PolicyError::NotFound(detail) => (StatusCode::NOT_FOUND, detail),
            PolicyError::Unavailable(detail) => (StatusCode::SERVICE_UNAVAILABLE, detail),
            PolicyError::Failed(detail) => (StatusCode::INTERNAL_SERVER_ERROR, detail),
        };
        Self::new(status, detail)
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        let detail = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                format!("the body may have at most {HTTP_JSON_BYTES_MAX} bytes")
            }
            _ => rejection.body_text(),
        };
        Self::new(rejection.status(), detail)
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<FormRejection> for Problem {
    fn from(rejection: FormRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<MultipartRejection> for Problem {
    fn from(rejection: MultipartRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

/// The response where no route matches.
pub(crate) async fn no_route(uri: Uri) -> Problem {
    let detail = format!(
        "nothing exists at {}; /v1/openapi.json lists all paths",
        uri.path()
    );
    Problem::new(StatusCode::NOT_FOUND, detail)
}

/// The response where the route does not support the method.
pub(crate) async fn no_method(method: Method, uri: Uri) -> Problem {
    let detail = format!(
        "{} does not support {method}; `Allow` lists the methods that it does",
        uri.path()
    );
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

#[cfg(test)]
mod tests {
    use dataverse_node::driver::Silent;

    use dataverse_node::driver::Unmet;

    use super::*;

    fn check(problem: impl Into<Problem>, expected: &serde_json::Value) {
        let body = serde_json::to_value(problem.into().into_body()).expect("valid JSON");
        assert_eq!(&body, expected);
    }

    #[test]
    fn a_miss_names_the_key_and_how_the_search_ended() {
        let key = Key::parse("ada/x").expect("a valid key");
        check(
            ReadError::NotFound { key: key.clone() },
            &serde_json::json!({
                "title": "Not Found", "status": 404, "key": "ada/x", "outcome": "not_found",
                "detail": "no reachable node has ada/x",
            }),
        );
        let unknown = Problem::from(ReadError::Unknown {
            key,
            outcome: "partial",
            silent: Silent::default(),
        });
        assert_eq!(unknown.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(unknown.outcome, Some("partial"));
    }

    #[test]
    fn every_failed_write_has_its_status() {
        let status = |error: WriteError| Problem::from(error).status.as_u16();
        let text = String::new;
        assert_eq!(status(WriteError::Invalid(text())), 400);
        let failed = ConditionFailed {
            key: "ada/x".parse().expect("it is a key"),
            unmet: Unmet::Missing,
        };
        assert_eq!(status(WriteError::Condition(failed)), 412);
        assert_eq!(status(WriteError::TooLarge(text())), 413);
        assert_eq!(status(WriteError::NoSpace(text())), 507);
        assert_eq!(status(WriteError::Unavailable(text())), 503);
        assert_eq!(status(WriteError::Failed(text())), 500);
        assert_eq!(status(BodyError::Client(text()).into()), 400);
        assert_eq!(status(BodyError::Stalled { seconds: 1 }.into()), 408);
        let slow = BodyError::TooSlow {
            bytes_per_second: 1,
        };
        assert_eq!(status(slow.into()), 408);
    }

    #[test]
    fn what_another_node_does_wrong_is_told_from_a_fault_of_this_one() {
        let text = String::new;
        let status = |problem: Problem| problem.status.as_u16();
        assert_eq!(status(ReadError::Source(text()).into()), 502);
        assert_eq!(status(BodyError::Source(text()).into()), 502);
        assert_eq!(status(LinkError::Wrong(text()).into()), 502);
        assert_eq!(status(LinkError::Unreachable(text()).into()), 502);
        assert_eq!(status(ReadError::Failed(text()).into()), 500);
        assert_eq!(status(BodyError::Failed(text()).into()), 500);
    }

    #[test]
    fn what_may_work_later_says_so() {
        let response = Problem::from(WriteError::Unavailable(String::new())).into_response();
        assert!(response.headers().contains_key(RETRY_AFTER));
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }
}
