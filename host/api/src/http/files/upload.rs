//! `PUT /v1/files/…`: stores one file, whose content is the raw body.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use dataverse_core::limits::FACTOR_MAX;
use dataverse_node::driver::WriteOptions;
use dataverse_node::metrics::{Direction, Surface};
use dataverse_overlay::limits::CONTENT_TYPE_BYTES_MAX;
use futures_util::StreamExt;

use super::inflow::Inflow;
use super::path::PathKey;
use super::{FileWritten, condition};
use crate::http::Site;
use crate::http::problem::{Problem, ProblemBody};

pub(super) const FACTOR: HeaderName = HeaderName::from_static("dataverse-factor");

/// Stores a file.
///
/// The content is the raw body, of any length, chunked or not. Without `Content-Type` the type is guessed from the
/// name and the content; UTF-8 text gets `charset=utf-8`. The answer is sent once the content is durable.
#[utoipa::path(
    put, path = "/v1/files/{*key}", tag = "files",
    params(
        ("key" = String, Path, description = "`user/name`; `name` may contain `/`. Percent-encode each segment."),
        ("Dataverse-Factor" = Option<u32>, Header, description = "How many replicas the file should have; the node's default if absent."),
        ("If-None-Match" = Option<String>, Header, description = "`*`: store the file only if it does not exist."),
        ("If-Match" = Option<String>, Header, description = "`*` or entity tags: store the file only if it exists, or has one of these entity tags."),
    ),
    request_body(content_type = "application/octet-stream", description = "The content, of any media type."),
    responses(
        (status = 201, description = "The file was stored as a new file.", body = FileWritten, headers(("ETag" = String, description = "The digest in quotes."))),
        (status = 200, description = "The file was stored and replaced an earlier version, or it already had this content.", body = FileWritten, headers(("ETag" = String, description = "The digest in quotes."))),
        (status = 400, description = "The path is not a valid key, a header is invalid, or the body broke off.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "The upload stalled.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "The condition did not hold.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The file exceeds the maximum size.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "The body has a `Content-Encoding` other than `identity`. Content is stored without a coding: send it decoded, or store the encoded file under another name.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 417, description = "`Expect` asks for something other than `100-continue`.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too many uploads are in progress; `Retry-After` says when to try again.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "This node's own disk failed.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 501, description = "The body has a transfer coding other than `chunked`.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Too few nodes stored the file, or whether the condition holds cannot be determined.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 507, description = "There is not enough space.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn put_file(
    State(site): State<Site>,
    PathKey(key): PathKey,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let options = options_of_put(&headers).map_err(|problem| problem.with_key(&key))?;
    let received = site
        .node_api
        .metrics()
        .client_bytes(Surface::Http, Direction::In);
    let inflow = Inflow::new(body.into_data_stream(), site.write_stall, received);
    let written = site.node_api.write(&key, options, inflow.boxed()).await;
    let written = written.map_err(|error| Problem::from(error).with_key(&key))?;
    let status = if written.replaced || written.unchanged {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let tag = condition::entity_tag(written.record.digest);
    Ok((status, [(ETAG, tag)], Json(FileWritten::from(written))).into_response())
}

fn options_of_put(headers: &HeaderMap) -> Result<WriteOptions, Problem> {
    if headers.contains_key(CONTENT_RANGE) {
        return Err(Problem::bad_request(
            "a file can only be written whole; remove `Content-Range`",
        ));
    }
    let mut options = common_options(headers)?;
    let stated = single(headers, CONTENT_TYPE)?.map(|value| {
        let stated = value.to_str().ok().and_then(stated_type);
        stated.ok_or_else(|| {
            let max = CONTENT_TYPE_BYTES_MAX;
            Problem::bad_request(format!(
                "`Content-Type` must be `type/subtype`, at most {max} bytes"
            ))
        })
    });
    options.content_type = stated.transpose()?;
    // The server has already refused a length that is not a number.
    options.size = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    Ok(options)
}

/// The options that `PUT` and the upload form share: the factor and the condition.
pub(super) fn common_options(headers: &HeaderMap) -> Result<WriteOptions, Problem> {
    let condition =
        condition::of_write(headers).map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(WriteOptions {
        factor: single(headers, FACTOR)?.map(factor).transpose()?,
        condition,
        ..WriteOptions::default()
    })
}

/// A header that may occur at most once.
fn single(headers: &HeaderMap, name: HeaderName) -> Result<Option<&HeaderValue>, Problem> {
    let mut values = headers.get_all(&name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Problem::bad_request(format!(
            "`{name}` occurs more than once"
        ))),
        (value, None) => Ok(value),
    }
}

fn factor(value: &HeaderValue) -> Result<u32, Problem> {
    let text = value.to_str().unwrap_or_default().trim();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let factor = digits.then(|| text.parse().ok()).flatten();
    factor
        .filter(|factor| (1..=FACTOR_MAX).contains(factor))
        .ok_or_else(|| {
            let detail =
                format!("`Dataverse-Factor` must be a whole number from 1 to {FACTOR_MAX}");
            Problem::bad_request(detail)
        })
}

/// A content type as stated by a client, if it is valid.
pub(super) fn stated_type(text: &str) -> Option<String> {
    let text = text.trim();
    let (main, sub) = text.split_once('/')?;
    let fits = text.len() <= CONTENT_TYPE_BYTES_MAX
        && !main.is_empty()
        && !sub.is_empty()
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use dataverse_node::driver::Condition;

    use super::*;

    fn check(lines: &[(&'static str, &str)], expected: Result<WriteOptions, u16>) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a valid header"));
        }
        let found = options_of_put(&headers).map_err(|problem| problem.status.as_u16());
        assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{lines:?}");
    }

    #[test]
    fn headers_say_how_to_write() {
        check(&[], Ok(WriteOptions::default()));
        check(
            &[
                ("dataverse-factor", "3"),
                ("content-type", " image/png "),
                ("content-length", "0"),
                ("if-none-match", "*"),
            ],
            Ok(WriteOptions {
                factor: Some(3),
                content_type: Some("image/png".into()),
                condition: Condition::Absent,
                size: Some(0),
            }),
        );
    }

    #[test]
    fn headers_that_make_no_sense_are_refused() {
        for value in ["0", "65", "-1", "+3", "two", "", "1.5", "99999999999"] {
            check(&[("dataverse-factor", value)], Err(400));
        }
        let long = format!("text/{}", "x".repeat(CONTENT_TYPE_BYTES_MAX));
        for value in ["plain", "/", "text/", long.as_str()] {
            check(&[("content-type", value)], Err(400));
        }
        check(
            &[("dataverse-factor", "1"), ("dataverse-factor", "2")],
            Err(400),
        );
        check(
            &[("content-type", "a/b"), ("content-type", "c/d")],
            Err(400),
        );
        check(&[("content-range", "bytes 0-1/2")], Err(400));
        check(&[("if-match", "bare")], Err(400));
    }
}
