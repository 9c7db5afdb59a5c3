//! The routes, the contract and the OpenAPI document agree.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Running;

/// The contract: every path and its methods.
const CONTRACT: &[(&str, &str)] = &[
    ("/", "GET"),
    ("/config", "POST"),
    ("/healthz", "GET"),
    ("/metrics", "GET"),
    ("/page.css", "GET"),
    ("/page.js", "GET"),
    ("/readyz", "GET"),
    ("/v1/drain", "DELETE GET POST"),
    ("/v1/files", "POST"),
    ("/v1/files/{key}", "DELETE GET HEAD PUT"),
    ("/v1/links", "GET POST"),
    ("/v1/links/{node}", "DELETE"),
    ("/v1/nodes", "GET"),
    ("/v1/openapi.json", "GET"),
    ("/v1/policies", "GET"),
    ("/v1/policies/files/{name}", "DELETE PUT"),
    ("/v1/policies/{kind}", "PUT"),
    ("/v1/policies/{kind}/promote", "POST"),
    ("/v1/policies/{kind}/rollback", "POST"),
    ("/v1/scrub", "GET POST"),
    ("/v1/search", "GET"),
    ("/v1/status", "GET"),
];

async fn document(node: &Running) -> Value {
    let reply = node.get("/v1/openapi.json").await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    reply.json()
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("an object")
}

#[tokio::test]
async fn the_document_describes_the_contract() {
    let document = document(&Running::start().await).await;
    let described: Vec<_> = object(&document["paths"])
        .iter()
        .map(|(path, item)| {
            let methods: BTreeSet<_> = object(item).keys().map(|it| it.to_uppercase()).collect();
            (
                path.clone(),
                methods.into_iter().collect::<Vec<_>>().join(" "),
            )
        })
        .collect();
    let contract = CONTRACT
        .iter()
        .map(|(path, methods)| ((*path).to_owned(), (*methods).to_owned()));
    assert_eq!(described, contract.collect::<Vec<_>>());
}

#[tokio::test]
async fn every_route_serves_what_the_document_says_and_nothing_else() {
    let node = Running::start().await;
    for (path, methods) in CONTRACT {
        let path = path.replace("{key}", "ada/x").replace("{node}", "B");
        let path = path.replace("{name}", "lru").replace("{kind}", "eviction");
        // A method that no route has is refused, and `Allow` lists those that the route has.
        let reply = node.ask(&format!("PATCH {path}"), &[], b"").await;
        assert_eq!(reply.problem().0, 405, "{path}");
        let served: BTreeSet<_> = reply
            .header("allow")
            .unwrap_or_default()
            .split(',')
            .collect();
        let mut described: BTreeSet<_> = methods.split(' ').collect();
        // GET routes answer HEAD too.
        if described.contains("GET") {
            described.insert("HEAD");
        }
        assert_eq!(served, described, "{path}");
        for method in described {
            let reply = node.ask(&format!("{method} {path}"), &[], b"").await;
            assert_ne!(reply.status, 405, "{method} {path}");
            let body = String::from_utf8_lossy(&reply.body);
            assert!(!body.contains("nothing exists at"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn where_there_is_no_route_there_is_a_problem() {
    let node = Running::start().await;
    for path in [
        "/nowhere",
        "/v1",
        "/v1/files/",
        "/v1//status",
        "/../v1/status",
        "//",
    ] {
        assert_eq!(node.get(path).await.problem().0, 404, "{path}");
    }
}

#[tokio::test]
async fn everything_in_the_document_is_described() {
    let document = document(&Running::start().await).await;
    let is_told = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    for (path, item) in object(&document["paths"]) {
        for (method, operation) in object(item) {
            assert!(is_told(&operation["summary"]), "{method} {path}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(
                    is_told(&parameter["description"]),
                    "{method} {path} {parameter}"
                );
            }
            for (status, response) in object(&operation["responses"]) {
                assert!(
                    is_told(&response["description"]),
                    "{method} {path} {status}"
                );
            }
        }
    }
    let schemas = object(&document["components"]["schemas"]);
    for name in [
        "FileWritten",
        "Problem",
        "SearchResult",
        "Link",
        "Node",
        "Status",
        "PoliciesView",
        "KindView",
        "KindWish",
        "Available",
    ] {
        assert!(schemas.contains_key(name), "{name}");
    }
    for (name, schema) in schemas {
        assert!(is_told(&schema["description"]), "{name}");
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            // A nullable property is a `oneOf` of two.
            let either = &property["oneOf"][0]["description"];
            assert!(
                is_told(&property["description"]) || is_told(either),
                "{name}.{field}: {property}"
            );
        }
    }
}

#[tokio::test]
async fn the_page_and_its_parts_are_served_under_a_strict_policy() {
    let node = Running::start().await;
    let page = node.get("/").await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page
        .header("content-security-policy")
        .expect("there is a policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"),
        "{policy}"
    );
    let text = String::from_utf8(page.body).expect("UTF-8 text");
    for (path, content_type) in [("/page.js", "text/javascript"), ("/page.css", "text/css")] {
        assert!(text.contains(&format!("=\"{path}\"")), "{path}");
        let part = node.get(path).await;
        assert!(
            part.header("content-type")
                .is_some_and(|it| it.starts_with(content_type))
        );
    }
}
