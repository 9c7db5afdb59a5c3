//! `/v1/policies`: shows which policies decide on this node, and changes them while it runs.
//!
//! A change is a new desired state: `PolicyApi` writes it to `policies.toml`, and answers when the policy in
//! charge has followed it or the change was refused. The files of policies are handled in `files`.

pub(super) mod files;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use dataverse_core::policy::{Kind, UnknownKind};
use dataverse_node::policies::name::BadName;
use dataverse_node::policies::spec::KindSpec;
use dataverse_node::policies::view::{KindView, PoliciesView};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Site;
use super::problem::{Problem, ProblemBody};

/// The state that a client's change is based on.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Seen {
    /// The kind's `revision` that the client last saw. If it has changed since, nothing is changed and the current
    /// state is returned: nodes that share a folder all follow the first one that was changed.
    revision: Option<String>,
}

/// Where to roll back to, and the state that the client's change is based on.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Returning {
    /// One of `previous`, by its name or the beginning of its digest; by default the first of those that decided
    /// before.
    to: Option<String>,
    /// The kind's `revision` that the client last saw, as for a promotion.
    revision: Option<String>,
}

/// Shows this node's policies.
///
/// For each kind: the policy in charge, the shadow, the previous policies, what went wrong, and the available
/// policies.
#[utoipa::path(
    get, path = "/v1/policies", tag = "policies",
    responses((status = 200, description = "This node's policies.", body = PoliciesView))
)]
pub(crate) async fn list_policies(State(site): State<Site>) -> Json<PoliciesView> {
    Json(site.policy_api.view())
}

/// Selects the policy that decides a kind.
///
/// Replaces the whole table of this kind in `policies.toml`; fields that the body leaves out get their defaults.
/// The answer is sent once the policy has taken over or was refused; if it was refused, the previous one stays in
/// charge.
#[utoipa::path(
    put, path = "/v1/policies/{kind}", tag = "policies", request_body = KindSpec,
    params(("kind" = String, Path, description = "`placement`, `eviction` or `relocation`.")),
    responses(
        (status = 200, description = "The policy is in charge.", body = KindView),
        (status = 400, description = "The body is not JSON.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "The kind does not exist.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`policies.toml` is a link, or another request changed this kind concurrently.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Refused: unknown or invalid fields, an unknown policy, or one that fails its trial.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "The folder could not be written.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Too many changes are pending, or the node is stopping; nothing was changed.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn set_kind(
    State(site): State<Site>,
    kind: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<KindView>, Problem> {
    let kind = kind_in(kind)?;
    let body = body?;
    if body.trim_ascii_start().starts_with(b"[") {
        let reason = "the body must be a JSON object with a `policy`, not a list";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, reason));
    }
    let Json(spec) = Json::<KindSpec>::from_bytes(&body)?;
    let refused = |bad: BadName| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, bad.to_string());
    let spec = spec.said().map_err(refused)?;
    Ok(Json(site.policy_api.spec(kind, spec).await?))
}

/// Puts the shadow of a kind in charge.
#[utoipa::path(
    post, path = "/v1/policies/{kind}/promote", tag = "policies",
    params(("kind" = String, Path, description = "`placement`, `eviction` or `relocation`."), Seen),
    responses(
        (status = 200, description = "The shadow is in charge; or `revision` is outdated, and nothing was changed.", body = KindView),
        (status = 404, description = "The kind does not exist, or has no shadow.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`policies.toml` is a link, or another request changed this kind concurrently.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Refused: the policy fails its trial.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "The folder could not be written.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Too many changes are pending, or the node is stopping; nothing was changed.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn promote_shadow(
    State(site): State<Site>,
    kind: Result<Path<String>, PathRejection>,
    seen: Result<Query<Seen>, QueryRejection>,
) -> Result<Json<KindView>, Problem> {
    let (kind, Query(seen)) = (kind_in(kind)?, seen?);
    Ok(Json(site.policy_api.promote(kind, seen.revision).await?))
}

/// Rolls back to the previous policy.
///
/// Restores its file and its table in `policies.toml`. Repeat it to go back further.
#[utoipa::path(
    post, path = "/v1/policies/{kind}/rollback", tag = "policies",
    params(("kind" = String, Path, description = "`placement`, `eviction` or `relocation`."), Returning),
    responses(
        (status = 200, description = "The previous policy is in charge again; or `revision` is outdated, and nothing was changed.", body = KindView),
        (status = 404, description = "The kind does not exist, has no previous policy, or none that matches `to`.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "A file with no stored copy, or of another kind, would be overwritten; a file to be written is a link; or another request changed this kind concurrently.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Refused: the policy fails its trial.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "The folder could not be written.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Too many changes are pending, or the node is stopping; nothing was changed.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn roll_back(
    State(site): State<Site>,
    kind: Result<Path<String>, PathRejection>,
    returning: Result<Query<Returning>, QueryRejection>,
) -> Result<Json<KindView>, Problem> {
    let (kind, Query(Returning { to, revision })) = (kind_in(kind)?, returning?);
    Ok(Json(site.policy_api.rollback(kind, to, revision).await?))
}

fn kind_in(path: Result<Path<String>, PathRejection>) -> Result<Kind, Problem> {
    let Path(word) = path?;
    word.parse()
        .map_err(|unknown: UnknownKind| Problem::new(StatusCode::NOT_FOUND, unknown.to_string()))
}
