//! `/v1/policies`: who decides here, and how that changes while the node runs.
//!
//! Changes are wishes: the desk writes them down and answers when what runs has followed them or refused
//! to. Files of policies are in `files`.

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

/// What whoever asks has seen.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Seen {
    /// The kind's `revision` when it was last looked at. If another one holds by now, nothing is changed and
    /// the answer tells how things stand: nodes that share a folder all follow the first that is asked.
    revision: Option<String>,
}

/// Where to go back to, and what whoever asks has seen.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Returning {
    /// One of `previous`, by its name or the beginning of its digest; the first of those that decided before unless
    /// given.
    to: Option<String>,
    /// As for a promotion.
    revision: Option<String>,
}

/// Tells about this node's policies.
///
/// Who decides, who is a shadow, who decided before, what went wrong, and what could be chosen.
#[utoipa::path(
    get, path = "/v1/policies", tag = "policies",
    responses((status = 200, description = "Its policies.", body = PoliciesView))
)]
pub(crate) async fn list_policies(State(site): State<Site>) -> Json<PoliciesView> {
    Json(site.policy_api.view())
}

/// Chooses who decides a kind.
///
/// Replaces the whole table of this kind in `policies.toml`: what the body leaves out is as usual. The
/// answer comes when the policy has taken over or was refused; if it was, the one before goes on.
#[utoipa::path(
    put, path = "/v1/policies/{kind}", tag = "policies", request_body = KindSpec,
    params(("kind" = String, Path, description = "`placement`, `eviction` or `relocation`.")),
    responses(
        (status = 200, description = "It decides from now on.", body = KindView),
        (status = 400, description = "The body is not JSON.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "There is no such kind.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`policies.toml` is a link, or somebody else changed this kind at the same time.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Refused: unknown or wrong fields, no such policy, or one that fails.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "The folder could not be written.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Too many changes are waiting, or the node is stopping; nothing was changed.", body = ProblemBody, content_type = "application/problem+json"),
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
        let reason = "a wish is a JSON object with a `policy`, and this is a list";
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
        (status = 200, description = "It decides from now on; or another revision than the one seen holds, and nothing was changed.", body = KindView),
        (status = 404, description = "There is no such kind, or no shadow.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`policies.toml` is a link, or somebody else changed this kind at the same time.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Refused: it fails.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "The folder could not be written.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Too many changes are waiting, or the node is stopping; nothing was changed.", body = ProblemBody, content_type = "application/problem+json"),
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

/// Goes back to the policy before.
///
/// Its file and its table in `policies.toml` come back with it. Done again, it goes one further back.
#[utoipa::path(
    post, path = "/v1/policies/{kind}/rollback", tag = "policies",
    params(("kind" = String, Path, description = "`placement`, `eviction` or `relocation`."), Returning),
    responses(
        (status = 200, description = "It decides again; or another revision than the one seen holds, and nothing was changed.", body = KindView),
        (status = 404, description = "There is no such kind, or nobody decided before, or none that is named so.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Another file is in the way of which there is no copy, or is of another kind; a file to be written is a link; or somebody else changed this kind at the same time.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Refused: it fails.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "The folder could not be written.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Too many changes are waiting, or the node is stopping; nothing was changed.", body = ProblemBody, content_type = "application/problem+json"),
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
