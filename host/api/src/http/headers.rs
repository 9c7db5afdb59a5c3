//! Security headers on every response.
//!
//! A node has no authentication yet, so browsers are told to keep its responses from pages of other sites and not
//! to guess content types. A header that a handler sets itself (for the page, or for users' files) is not
//! overwritten.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

/// Names and values, in lower case.
pub(super) const ALWAYS: [(&str, &str); 4] = [
    ("cross-origin-resource-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'",
    ),
];

/// The middleware.
pub(super) async fn always(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        let name = HeaderName::from_static(name);
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}
