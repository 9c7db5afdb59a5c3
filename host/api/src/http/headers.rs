//! What every answer of this server says to browsers.
//!
//! A node has no authentication yet, so a browser is told to keep what it gets here from pages of other sites,
//! and to take it for nothing but what it is said to be. A handler that says more of one of these (the page, the
//! files that users stored) is not overruled.

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
