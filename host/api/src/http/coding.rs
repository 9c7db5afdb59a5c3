//! Refuses codings and expectations (RFC 9110, RFC 9112) that the server does not decode or meet, so that nobody
//! reads back other bytes than were meant.
//!
//! The only transfer coding that is decoded is `chunked`. Content is stored as sent, so a content coding is
//! refused.

use axum::extract::Request;
use axum::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, EXPECT, TRANSFER_ENCODING,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

const CONTENT_TRANSFER_ENCODING: HeaderName = HeaderName::from_static("content-transfer-encoding");

/// The middleware.
pub(super) async fn coding(request: Request, next: Next) -> Response {
    let Err(problem) = check(request.method(), request.headers()) else {
        return next.run(request).await;
    };
    let is_coded = problem.status == StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let mut response = problem.into_response();
    if is_coded {
        let identity = HeaderValue::from_static("identity");
        response.headers_mut().insert(ACCEPT_ENCODING, identity);
    }
    response
}

fn check(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let foreign = |token: &String| token != "100-continue";
    if let Some(expectation) = tokens(headers, &EXPECT).find(foreign) {
        let detail = format!("`Expect: {expectation}` is not supported; only `100-continue` is");
        return Err(Problem::new(StatusCode::EXPECTATION_FAILED, detail));
    }
    check_transfer(headers)?;
    // The coding does not matter where there is no content, or content has no meaning.
    if method.is_safe() || *method == Method::DELETE {
        return Ok(());
    }
    check_content(headers)
}

fn check_transfer(headers: &HeaderMap) -> Result<(), Problem> {
    let mut chunked = 0;
    for token in tokens(headers, &TRANSFER_ENCODING) {
        match token.as_str() {
            "chunked" => chunked += 1,
            "identity" => {}
            other => {
                let detail = format!(
                    "the transfer coding `{other}` is not supported; send `Transfer-Encoding: chunked` or `Content-Length`"
                );
                return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, detail));
            }
        }
    }
    if chunked > 1 {
        let detail = "`Transfer-Encoding` lists `chunked` twice; list it once";
        return Err(Problem::bad_request(detail));
    }
    Ok(())
}

fn check_content(headers: &HeaderMap) -> Result<(), Problem> {
    let coding = tokens(headers, &CONTENT_ENCODING).find(|token| token != "identity");
    coding.map_or(Ok(()), |coding| {
        let detail = format!(
            "content is stored as sent, without a coding; decode it and leave out `Content-Encoding: {coding}`, or store the encoded file under a name that says so (`.gz`)"
        );
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
    })
}

/// Checks the headers of a part of a form (RFC 7578, sections 4.7 and 4.8).
pub(super) fn check_part(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(CONTENT_RANGE) {
        let detail = "a file can only be written whole; remove `Content-Range` from its part";
        return Err(Problem::bad_request(detail));
    }
    let is_plain = |token: &String| ["7bit", "8bit", "binary"].contains(&token.as_str());
    let mut codings = tokens(headers, &CONTENT_TRANSFER_ENCODING);
    if let Some(coding) = codings.find(|token| !is_plain(token)) {
        let detail = format!(
            "`Content-Transfer-Encoding: {coding}` is not supported; send the part unencoded (RFC 7578)"
        );
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    check_content(headers)
}

/// The values in all lines of a header, in lower case.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> + use<'a> {
    headers.get_all(name).into_iter().flat_map(|line| {
        let line = String::from_utf8_lossy(line.as_bytes()).to_ascii_lowercase();
        let tokens = line.split(',').map(|token| token.trim().to_owned());
        let tokens: Vec<_> = tokens.filter(|token| !token.is_empty()).collect();
        tokens
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a valid header"));
        }
        headers
    }

    #[track_caller]
    fn assert_put(lines: &[(&'static str, &str)], expected: Result<(), u16>) {
        let found = check(&Method::PUT, &headers(lines));
        let found = found.map_err(|problem| problem.status.as_u16());
        assert_eq!(found, expected, "{lines:?}");
    }

    #[test]
    fn only_what_is_undone_is_taken() {
        let te = "transfer-encoding";
        assert_put(&[], Ok(()));
        for value in ["chunked", "Chunked", "identity, chunked", ", chunked"] {
            assert_put(&[(te, value)], Ok(()));
        }
        for value in [
            "gzip, chunked",
            "gzip",
            "x-gzip,chunked",
            "br, chunked",
            "chunked;q=1",
        ] {
            assert_put(&[(te, value)], Err(501));
        }
        assert_put(&[(te, "gzip"), (te, "chunked")], Err(501));
        assert_put(&[(te, "chunked, chunked")], Err(400));
        assert_put(&[(te, "chunked"), (te, "chunked")], Err(400));
    }

    #[test]
    fn content_has_no_coding() {
        let ce = "content-encoding";
        for value in ["identity", "Identity", "identity, identity", ""] {
            assert_put(&[(ce, value)], Ok(()));
        }
        for value in ["gzip", "GZIP", "identity, br", "aws-chunked"] {
            assert_put(&[(ce, value)], Err(415));
        }
        assert_put(&[(ce, "identity"), (ce, "gzip")], Err(415));
        let get = check(&Method::GET, &headers(&[(ce, "gzip")]));
        assert_eq!(get, Ok(()));
    }

    #[test]
    fn only_one_expectation_can_be_met() {
        assert_put(&[("expect", "100-continue")], Ok(()));
        assert_put(&[("expect", "100-Continue")], Ok(()));
        assert_put(&[("expect", "200-ok")], Err(417));
        assert_put(&[("expect", "100-continue, cookies")], Err(417));
    }

    #[test]
    fn a_part_is_sent_as_it_is() {
        let check = |name, value, expected: Result<(), u16>| {
            let found = check_part(&headers(&[(name, value)]));
            let found = found.map_err(|problem| problem.status.as_u16());
            assert_eq!(found, expected, "{name}: {value}");
        };
        for value in ["binary", "8bit", "7BIT"] {
            check("content-transfer-encoding", value, Ok(()));
        }
        check("content-transfer-encoding", "base64", Err(415));
        check("content-transfer-encoding", "quoted-printable", Err(415));
        check("content-encoding", "gzip", Err(415));
        check("content-encoding", "identity", Ok(()));
        check("content-range", "bytes 0-1/2", Err(400));
    }
}
