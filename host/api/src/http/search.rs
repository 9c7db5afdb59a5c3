//! `GET /v1/search`: finds a file, or the files that match a pattern, and reports how the search went.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as UrlQuery, State};
use dataverse_core::key::Key;
use dataverse_core::limits::SEARCH_HITS_MAX;
use dataverse_core::pattern::Pattern;
use dataverse_node::driver::{FoundHit, Query, SearchOptions, SearchReport};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Site;
use super::problem::{Problem, ProblemBody, Unanswered};
use crate::limits::HTTP_SEARCH_HOPS_MAX;

/// What to search for, and how far.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchParameters {
    /// A single file, `user/name`. Give either this or `q`.
    #[param(example = "ada/notes.txt", min_length = 3)]
    key: Option<String>,
    /// A glob on the key: `*` matches within a segment, `**` across segments. Give either this or `key`.
    #[param(example = "ada/*.txt", min_length = 1)]
    q: Option<String>,
    /// The maximum number of hops; the node's setting if absent.
    #[param(minimum = 0, maximum = 1_024)]
    hops: Option<u32>,
    /// The maximum number of hits of a glob; the node's setting if absent. `truncated` says whether there are
    /// more.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// How a search ended and what it found.
#[derive(Serialize, ToSchema)]
pub(crate) struct SearchResult {
    /// The key or the glob.
    query: String,
    /// `found`; `not_found`: every reachable node answered that it has no match; `horizon`: the hop limit was
    /// reached; `partial`: nodes did not answer; `deadline`: time ran out; `budget`: too many nodes to ask.
    #[schema(example = "found")]
    outcome: &'static str,
    /// No nearer copy exists: every nearer node answered that it has none.
    exact: bool,
    /// The copies found, nearest first; at most one for a key.
    hits: Vec<Hit>,
    /// More files match the glob than `limit`, so `hits` is incomplete. `false` with an `outcome` other than
    /// `found` only says that the limit was not what ended the search.
    truncated: bool,
    /// The names of the nodes from this one to the hit; only for a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    path: Option<Vec<String>>,
    /// The number of nodes asked over the network.
    probes: u32,
    /// The number of levels asked, not counting this node itself.
    levels: u32,
    /// Nodes that did not answer.
    unanswered: Vec<Unanswered>,
    /// The duration in milliseconds.
    elapsed_ms: f64,
}

/// A copy that was found.
#[derive(Serialize, ToSchema)]
#[schema(as = SearchHit)]
pub(crate) struct Hit {
    /// The file's key.
    key: String,
    /// The size in bytes.
    size: u64,
    /// The BLAKE3 digest of the content, 64 hexadecimal digits.
    digest: String,
    /// The version.
    version: String,
    /// The media type.
    content_type: String,
    /// The name of the node that has it.
    node: String,
    /// Hops from this node.
    hops: u32,
    /// `replica` or `cached`.
    #[schema(example = "replica")]
    role: &'static str,
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

/// Searches the network breadth-first over the links.
#[utoipa::path(
    get, path = "/v1/search", tag = "search", params(SearchParameters),
    responses(
        (status = 200, description = "How the search ended; a miss has this status as well.", body = SearchResult),
        (status = 400, description = "A parameter is invalid.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too many searches are in progress; `Retry-After` says when to try again.", body = ProblemBody, content_type = "application/problem+json"),
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
            let detail = "give exactly one of `key=user/name` and `q=GLOB`";
            return Err(Problem::bad_request(detail));
        }
    };
    if parameters
        .hops
        .is_some_and(|hops| hops > HTTP_SEARCH_HOPS_MAX)
    {
        let detail = format!("`hops` must be at most {HTTP_SEARCH_HOPS_MAX}");
        return Err(Problem::bad_request(detail));
    }
    let limits = 1..=SEARCH_HITS_MAX;
    if parameters
        .limit
        .is_some_and(|limit| !limits.contains(&limit))
    {
        let detail = format!("`limit` must be from 1 to {SEARCH_HITS_MAX}");
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
