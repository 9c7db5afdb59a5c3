//! Every route of the HTTP face, and the OpenAPI document that is made of the same declarations.

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
        description = "A peer-to-peer file store: files go in at one node and come out at any other.\n\nEvery error is `application/problem+json` (RFC 9457).",
    ),
    tags(
        (name = "files", description = "Files go in, come out and go away."),
        (name = "search", description = "Where files are."),
        (name = "network", description = "Links and members."),
        (name = "node", description = "This node."),
        (name = "policies", description = "Who decides placement, eviction and relocation here, and how that changes while it runs."),
        (name = "page", description = "What a person's browser loads."),
    )
)]
struct Document;

fn declared() -> OpenApiRouter<Site> {
    // Files stream through the form, and those of policies have a bound of their own; all other bodies that
    // are collected are small.
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

/// The routes, and what is answered where there is none.
pub(super) fn router(
    node_api: Arc<dyn NodeApi>,
    policy_api: Arc<dyn PolicyApi>,
    write_stall: Duration,
    spool: PathBuf,
) -> Router {
    let (router, mut document) = declared().split_for_parts();
    // `*` is how the router says that a parameter goes across `/`; OpenAPI has no word for it.
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

/// What any request may be answered, whatever it asks for.
const COMMON_ANSWERS: [(&str, &str); 4] = [
    ("400", "The target, a header or the body can not be read."),
    (
        "403",
        "A page of another site asked for this through a browser.",
    ),
    ("421", "`Host` is no name of this node; see `http_hosts`."),
    (
        "503",
        "The node answers as many requests as it can, or is stopping; `Retry-After` says when to come again.",
    ),
];

/// Adds them wherever a route does not say more of that status.
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

/// This document.
#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "node",
    responses((status = 200, description = "Every path, parameter and answer of this server.", content_type = "application/json"))
)]
async fn document(State(site): State<Site>) -> Response {
    let document: Bytes = site.document.clone();
    ([(CONTENT_TYPE, "application/json")], document).into_response()
}
