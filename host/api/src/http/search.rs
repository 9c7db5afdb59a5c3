//! `GET /v1/search`: where a file is, or which files match, and how that was found out.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as UrlQuery, State};
use dataverse_core::key::Key;
use dataverse_core::limits::SEARCH_HITS_MAX;
use dataverse_core::pattern::Pattern;
use dataverse_node::driver::{FoundHit, Query, SearchOptions, SearchReport, SilentNode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Site;
use super::problem::{Problem, ProblemBody};
use crate::limits::HTTP_SEARCH_HOPS_MAX;

/// What to search for, and how far.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchParameters {
    /// One file, `user/name`. Either this or `q`.
    #[param(example = "ada/notes.txt", min_length = 3)]
    key: Option<String>,
    /// A glob on the key: `*` within a segment, `**` across. Either this or `key`.
    #[param(example = "ada/*.txt", min_length = 1)]
    q: Option<String>,
    /// Links crossed at most; the node's setting without it.
    #[param(minimum = 0, maximum = 1_024)]
    hops: Option<u32>,
    /// Hits of a glob at most; the node's setting without it. `truncated` says whether there are more.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// How a search ended and what it found.
#[derive(Serialize, ToSchema)]
pub(crate) struct SearchResult {
    /// The key or the glob.
    query: String,
    /// `found`; `not_found`: the whole reachable graph said no; `horizon`: the hop limit was reached;
    /// `partial`: nodes gave no answer; `deadline`; `budget`.
    #[schema(example = "found")]
    outcome: &'static str,
    /// No nearer copy can exist: every nearer node said no.
    exact: bool,
    /// What was found, nearest first; at most one for a key.
    hits: Vec<Hit>,
    /// More files match the glob than `limit`: `hits` is not all. `false` with an `outcome` other than `found` says
    /// only that the limit was not what ended the search.
    truncated: bool,
    /// Names of the nodes from this one to the hit; for a key only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    path: Option<Vec<String>>,
    /// Nodes asked over the network.
    probes: u32,
    /// Levels asked beyond this node itself.
    levels: u32,
    /// Nodes that gave no answer.
    unanswered: Vec<Unanswered>,
    /// How long it took, in milliseconds.
    elapsed_ms: f64,
}

/// A copy that was found.
#[derive(Serialize, ToSchema)]
#[schema(as = SearchHit)]
pub(crate) struct Hit {
    /// The file.
    key: String,
    /// Bytes.
    size: u64,
    /// BLAKE3 of the content, 64 hexadecimal digits.
    digest: String,
    /// Which version it is.
    version: String,
    /// Its media type.
    content_type: String,
    /// Name of the node that has it.
    node: String,
    /// Links from here.
    hops: u32,
    /// `replica` or `cached`.
    #[schema(example = "replica")]
    role: &'static str,
}

/// A node that gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Unanswered {
    /// Its name.
    node: String,
    /// Where it was asked.
    address: String,
    /// Seconds for which it has been silent already, as far as this node knows; null when it does not.
    silent_for_s: Option<u64>,
}

impl From<&SilentNode> for Unanswered {
    fn from(silent: &SilentNode) -> Self {
        Self {
            node: silent.name.clone(),
            address: silent.address.clone(),
            silent_for_s: silent.silent_for.map(|it| it.as_secs()),
        }
    }
}

impl From<FoundHit> for Hit {
    fn from(hit: FoundHit) -> Self {
        Self {
            key: hit.record.key.as_str().to_owned(),
            size: hit.record.size,
            digest: hit.record.digest.to_string(),
            version: hit.record.version.to_string(),
            content_type: hit.record.content_type.to_string(),
            node: hit.node,
            hops: hit.hops,
            role: hit.role.as_str(),
        }
    }
}

/// Searches over the links, breadth first.
#[utoipa::path(
    get, path = "/v1/search", tag = "search", params(SearchParameters),
    responses(
        (status = 200, description = "How the search ended; a miss is an answer too.", body = SearchResult),
        (status = 400, description = "A parameter makes no sense.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "As many searches are under way as may be; `Retry-After` says when to come again.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn search(
    State(site): State<Site>,
    parameters: Result<UrlQuery<SearchParameters>, QueryRejection>,
) -> Result<Json<SearchResult>, Problem> {
    let UrlQuery(parameters) = parameters?;
    let (query, options) = asked(&parameters)?;
    let text = parameters.key.or(parameters.q).unwrap_or_default();
    let is_exact = matches!(query, Query::Exact(_));
    let report = site.node_api.search(query, options).await?;
    Ok(Json(shown(text, is_exact, report)))
}

fn asked(parameters: &SearchParameters) -> Result<(Query, SearchOptions), Problem> {
    let query = match (&parameters.key, &parameters.q) {
        (Some(key), None) => Query::Exact(
            Key::parse(key)
                .map_err(|error| Problem::bad_request(error.to_string()).with_refused_key(key))?,
        ),
        (None, Some(glob)) => Query::Pattern(
            Pattern::parse(glob).map_err(|error| Problem::bad_request(error.to_string()))?,
        ),
        _ => {
            let detail = "say what to search for: either `key=user/name` or `q=` and a glob";
            return Err(Problem::bad_request(detail));
        }
    };
    if parameters
        .hops
        .is_some_and(|hops| hops > HTTP_SEARCH_HOPS_MAX)
    {
        let detail = format!("`hops` is at most {HTTP_SEARCH_HOPS_MAX}");
        return Err(Problem::bad_request(detail));
    }
    let limits = 1..=SEARCH_HITS_MAX;
    if parameters
        .limit
        .is_some_and(|limit| !limits.contains(&limit))
    {
        let detail = format!("`limit` is from 1 to {SEARCH_HITS_MAX}");
        return Err(Problem::bad_request(detail));
    }
    let options = SearchOptions {
        hops: parameters.hops,
        limit: parameters.limit,
    };
    Ok((query, options))
}

fn shown(query: String, is_exact: bool, report: SearchReport) -> SearchResult {
    let unanswered = report.unanswered.iter().map(Unanswered::from);
    SearchResult {
        query,
        outcome: report.outcome,
        exact: report.exact,
        unanswered: unanswered.collect(),
        hits: report.hits.into_iter().map(Hit::from).collect(),
        truncated: report.truncated,
        path: is_exact.then_some(report.path),
        probes: report.probes,
        levels: report.levels,
        elapsed_ms: report.elapsed_ms,
    }
}
