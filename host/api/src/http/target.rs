//! Validates the target of a request, its path and query, before any handler sees them.
//!
//! Handlers decode leniently: invalid UTF-8 becomes `\u{FFFD}`, a broken escape is taken literally, an unknown
//! parameter is ignored, and of a repeated one only one counts. Each would answer another question than the one
//! that was asked. So all of that is refused here, in one place, for every route. The parameters of a route are
//! read from its OpenAPI declaration.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::files::path::PREFIX;
use super::percent::{PercentError, decode};
use super::problem::Problem;

/// The query parameters of every operation, by path and lower-case method.
#[derive(Debug, Default)]
pub(super) struct Declared(HashMap<(String, String), Vec<String>>);

impl Declared {
    /// As declared in the OpenAPI document.
    pub(super) fn of(document: &Value) -> Self {
        let mut declared = HashMap::new();
        let paths = document["paths"].as_object().into_iter().flatten();
        for (path, item) in paths {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let names = parameters
                    .filter(|parameter| parameter["in"] == "query")
                    .filter_map(|parameter| parameter["name"].as_str().map(str::to_owned))
                    .collect();
                declared.insert((path.clone(), method.clone()), names);
            }
        }
        Self(declared)
    }

    /// `None` where no operation is declared, or where unknown parameters are allowed: monitoring tools and links
    /// to the page may add some of their own.
    fn names(&self, route: &str, method: &Method) -> Option<&[String]> {
        if !(route.starts_with("/v1/") || route == "/config") {
            return None;
        }
        let path = route.replace("{*", "{");
        let find = |method: &str| self.0.get(&(path.clone(), method.to_owned()));
        let method = method.as_str().to_ascii_lowercase();
        // HEAD takes the same parameters as GET.
        let found = find(&method).or_else(|| find("get").filter(|_| method == "head"));
        found.map(Vec::as_slice)
    }
}

/// The middleware.
pub(super) async fn target(
    State(declared): State<Arc<Declared>>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let names = route.and_then(|route| declared.names(route.as_str(), request.method()));
    match judge(request.uri(), names) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn judge(uri: &Uri, names: Option<&[String]>) -> Result<(), Problem> {
    // The path of a file is validated with its key.
    if !uri.path().starts_with(PREFIX) {
        let refused = |error| Problem::bad_request(format!("the path is invalid: {error}"));
        decode(uri.path()).map_err(refused)?;
    }
    let mut seen: Vec<String> = Vec::new();
    let query = uri.query().unwrap_or_default();
    for (name, value) in pairs(query) {
        let unreadable =
            |error: PercentError| Problem::bad_request(format!("the query is invalid: {error}"));
        let name = decode(&name.replace('+', " "))
            .map_err(unreadable)?
            .into_owned();
        let refused = |error| Problem::bad_request(format!("`{name}` is invalid: {error}"));
        decode(value).map_err(refused)?;
        let Some(names) = names else { continue };
        if !names.contains(&name) {
            return Err(unknown(&name, names));
        }
        if seen.contains(&name) {
            let detail = format!("`{name}` occurs more than once");
            return Err(Problem::bad_request(detail));
        }
        seen.push(name);
    }
    Ok(())
}

/// The names and values of a query or a form, still encoded.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn unknown(name: &str, names: &[String]) -> Problem {
    let name: String = name.chars().take(SHOWN_CHARS_MAX).collect();
    let known: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    Problem::bad_request(match known.is_empty() {
        true => format!("unknown parameter `{name}`; this path takes none"),
        false => format!(
            "unknown parameter `{name}`; this path takes {}",
            known.join(", ")
        ),
    })
}

const SHOWN_CHARS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(target: &str, is_fine: bool) {
        let names = ["key".to_owned(), "q".to_owned()];
        let uri = target.parse().expect("a valid URI");
        assert_eq!(judge(&uri, Some(&names)).is_ok(), is_fine, "{target}");
    }

    #[test]
    fn a_query_names_each_of_its_parameters_once() {
        for target in [
            "/x",
            "/x?",
            "/x?key=",
            "/x?key",
            "/x?&key=a&&q=b%20c+d&",
            "/x?key=%3F%26=",
            "/x?%6bey=1",
        ] {
            check(target, true);
        }
        for target in [
            "/x?keys=1",
            "/x?KEY=1",
            "/x?=1",
            "/x?key=1&key=1",
            "/x?key&%6bey",
            "/x?+key=1",
        ] {
            check(target, false);
        }
    }

    #[test]
    fn what_is_no_text_is_refused_wherever_it_stands() {
        for text in ["%ff", "%", "%zz", "%4", "%00", "%0a", "%ED%A0%80"] {
            check(&format!("/x?key={text}"), false);
            check(&format!("/x?{text}=1"), false);
            check(&format!("/x/{text}"), false);
            let uri = format!("/?{text}").parse().expect("a valid URI");
            assert!(judge(&uri, None).is_err(), "{text}");
        }
    }

    #[test]
    fn a_route_knows_the_parameters_of_its_declaration() {
        let document = serde_json::json!({"paths": {
            "/v1/files/{key}": {"get": {"parameters": [
                {"in": "path", "name": "key"}, {"in": "query", "name": "download"},
            ]}, "put": {}},
            "/healthz": {"get": {}},
        }});
        let declared = Declared::of(&document);
        let names = |route: &str, method| declared.names(route, &method).map(<[String]>::to_vec);
        let download = Some(vec!["download".to_owned()]);
        assert_eq!(names("/v1/files/{*key}", Method::GET), download);
        assert_eq!(names("/v1/files/{*key}", Method::HEAD), download);
        assert_eq!(names("/v1/files/{*key}", Method::PUT), Some(Vec::new()));
        assert_eq!(names("/v1/files/{*key}", Method::PATCH), None);
        assert_eq!(names("/healthz", Method::GET), None);
    }
}
