//! `GET /`: the page, built into the program.
//!
//! It consists of three files that load nothing from elsewhere; its content security policy makes browsers enforce
//! that.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page.
#[utoipa::path(
    get, path = "/", tag = "page",
    responses((status = 200, description = "A page for using this node in a browser.", body = String, content_type = "text/html"))
)]
pub(crate) async fn page() -> Response {
    let policy = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
    ];
    let file = built_in("text/html; charset=utf-8", include_str!("page/index.html"));
    (policy, file).into_response()
}

/// The page's script.
#[utoipa::path(
    get, path = "/page.js", tag = "page",
    responses((status = 200, description = "The JavaScript.", body = String, content_type = "text/javascript"))
)]
pub(crate) async fn script() -> Response {
    built_in(
        "text/javascript; charset=utf-8",
        include_str!("page/page.js"),
    )
}

/// The page's style sheet.
#[utoipa::path(
    get, path = "/page.css", tag = "page",
    responses((status = 200, description = "The style sheet.", body = String, content_type = "text/css"))
)]
pub(crate) async fn style() -> Response {
    built_in("text/css; charset=utf-8", include_str!("page/page.css"))
}

fn built_in(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, content_type),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        let files = [
            include_str!("page/index.html"),
            include_str!("page/page.js"),
            include_str!("page/page.css"),
        ];
        for file in files {
            for sign in ["://", "@import", "url(", "innerHTML", "style=", "onclick="] {
                assert!(!file.contains(sign), "{sign}");
            }
        }
    }
}
