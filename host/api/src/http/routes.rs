//! Every route of the HTTP server, and the OpenAPI document that is generated from the same declarations.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use dataverse_node::limits::HTTP_POLICY_UPLOADS_MAX;
use dataverse_node::policies::api::PolicyApi;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use utoipa::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use super::files::spool::Spools;
use super::files::{self, download, form, upload};
use super::node_api::NodeApi;
use super::problem::{no_method, no_route};
use super::target::{Declared, target};
use super::{Site, drain, links, nodes, page, policies, scrub, search};
use crate::limits::HTTP_JSON_BYTES_MAX;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Dataverse",
        description = "A peer-to-peer file store: upload a file to any node and read it from any other.\n\nEvery error is `application/problem+json` (RFC 9457).",
    ),
    tags(
        (name = "files", description = "Store, read and delete files."),
        (name = "search", description = "Find files."),
        (name = "network", description = "Links and members."),
        (name = "node", description = "The state of this node."),
        (name = "policies", description = "The policies that decide placement, eviction and relocation on this node; they can be changed while it runs."),
        (name = "page", description = "The page for browsers."),
    )
)]
struct Document;

fn declared() -> OpenApiRouter<Site> {
    // The limit on bodies is for those that are read whole, which are small. It does not apply to `PUT` of a file,
    // which takes the raw stream, and is lifted for the form, through which files stream, and for policies' files,
    // which have a bound of their own.
    let form = routes!(form::post_files).map(|route| route.layer(DefaultBodyLimit::disable()));
    let files_of_policies = routes!(policies::files::put_policy, policies::files::delete_policy)
        .map(|route| route.layer(DefaultBodyLimit::disable()));
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(
            upload::put_file,
            download::get_file,
            download::head_file,
            files::delete_file
        ))
        .routes(form)
        .routes(routes!(search::search))
        .routes(routes!(links::list_links, links::add_link))
        .routes(routes!(links::cut_link))
        .routes(routes!(links::introduce))
        .routes(routes!(nodes::list_nodes))
        .routes(routes!(nodes::status))
        .routes(routes!(drain::show_drain, drain::drain, drain::undrain))
        .routes(routes!(scrub::show_scrub, scrub::begin_scrub))
        .routes(routes!(nodes::health))
        .routes(routes!(nodes::ready))
        .routes(routes!(nodes::metrics))
        .routes(routes!(policies::list_policies))
        .routes(routes!(policies::set_kind))
        .routes(routes!(policies::promote_shadow))
        .routes(routes!(policies::roll_back))
        .routes(files_of_policies)
        .routes(routes!(document))
        .routes(routes!(page::page))
        .routes(routes!(page::script))
        .routes(routes!(page::style))
}

/// The routes, and the responses where none matches.
pub(super) fn router(
    node_api: Arc<dyn NodeApi>,
    policy_api: Arc<dyn PolicyApi>,
    write_stall: Duration,
    spool: PathBuf,
) -> Router {
    let (router, mut document) = declared().split_for_parts();
    // `*` is the router's syntax for a parameter that spans `/`; OpenAPI has no equivalent.
    let paths = std::mem::take(&mut document.paths.paths);
    let paths = paths
        .into_iter()
        .map(|(path, item)| (path.replace("{*", "{"), item));
    document.paths.paths = paths.collect();
    let mut document = serde_json::to_value(&document).expect("an OpenAPI document is plain JSON");
    add_common_answers(&mut document);
    let parameters = Arc::new(Declared::of(&document));
    let document = document.to_string();
    router
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(DefaultBodyLimit::max(HTTP_JSON_BYTES_MAX))
        .layer(from_fn_with_state(parameters, target))
        .with_state(Site {
            node_api,
            policy_api,
            uploads: Arc::new(Semaphore::new(HTTP_POLICY_UPLOADS_MAX)),
            write_stall,
            spools: Arc::new(Spools::new(spool)),
            document: document.into(),
        })
}

/// Responses that any request may get.
const COMMON_ANSWERS: [(&str, &str); 4] = [
    ("400", "The target, a header or the body is malformed."),
    (
        "403",
        "The request came from a page of another site, through a browser.",
    ),
    (
        "421",
        "The node does not answer to the name in `Host`; see the setting `http_hosts`.",
    ),
    (
        "503",
        "The node has reached its limit of concurrent requests, or is stopping; `Retry-After` says when to try again.",
    ),
];

/// Adds them to every route that does not document that status itself.
fn add_common_answers(document: &mut Value) {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (_, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let Some(answers) = operation["responses"].as_object_mut() else {
                continue;
            };
            for (status, description) in COMMON_ANSWERS {
                let mut answer = json!({ "description": description });
                if method != "head" {
                    answer["content"] = json!({ "application/problem+json": {
                        "schema": { "$ref": "#/components/schemas/Problem" },
                    }});
                }
                answers.entry(status).or_insert(answer);
            }
        }
    }
}

/// This OpenAPI document.
#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "node",
    responses((status = 200, description = "Every path, parameter and response of this server.", content_type = "application/json"))
)]
async fn document(State(site): State<Site>) -> Response {
    let document: Bytes = site.document.clone();
    ([(CONTENT_TYPE, "application/json")], document).into_response()
}
