//! `search`: finds files by pattern; also prints the results of other searches.

use dataverse_core::limits::SEARCH_HITS_MAX;
use dataverse_core::pattern::Pattern;
use dataverse_core::plural::plural;
use reqwest::Method;

use super::Asking;
use super::answers::Found;
use super::client::{pairs, understood};
use super::failure::{Exit, Failure};
use super::screen::{Screen, ago, size};

/// Find files by pattern
///
/// The pattern is matched against the whole USER/NAME: `*` and `?` match within a segment, `**` matches across
/// segments, `[…]` and `{a,b}` match alternatives. Exits with 1 if nothing was found. A list that is cut short
/// says so on standard error, and with --json by `truncated`; the exit code is 0 all the same.
#[derive(Debug, clap::Args)]
pub(super) struct Search {
    /// The pattern, such as 'ada/**' or '*/*.txt'
    glob: String,
    /// The maximum number of hops
    #[arg(long, value_name = "N")]
    hops: Option<u32>,
    /// The maximum number of files
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Search {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        by_pattern(&self.glob, self.hops, self.limit, &self.asking, screen).await
    }
}

/// Searches for a pattern and prints the result.
pub(super) async fn by_pattern(
    glob: &str,
    hops: Option<u32>,
    limit: Option<u32>,
    asking: &Asking,
    screen: &mut Screen<'_>,
) -> Result<(), Failure> {
    Pattern::parse(glob).map_err(|error| Failure::Usage(error.to_string()))?;
    let client = asking.client()?;
    let mut query = pairs(&[("q", glob)]);
    for (name, number) in [("hops", hops), ("limit", limit)] {
        if let Some(number) = number {
            query.push_str(&format!("&{name}={number}"));
        }
    }
    let request = client.request(Method::GET, &format!("/v1/search?{query}"));
    let text = client.ask_text(request).await?;
    let mut found: Found = understood(&text)?;
    let most = limit.unwrap_or(SEARCH_HITS_MAX);
    let is_cut = *found
        .truncated
        .get_or_insert(found.hits.len() as u64 >= u64::from(most));
    if asking.json {
        let mut answer: serde_json::Value = understood(&text)?;
        answer["truncated"] = is_cut.into();
        screen.line(&answer.to_string())?;
    } else if !found.hits.is_empty() {
        let rows = found.hits.iter().map(|hit| {
            vec![
                hit.key.clone(),
                size(hit.size),
                hit.node.clone(),
                hit.hops.to_string(),
                hit.role.clone(),
            ]
        });
        screen.table(&["key", "size", "node", "hops", "role"], rows.collect())?;
    }
    if is_cut {
        screen.note(&format!(
            "warning: the list ends after {}, and there may be more; to see them, use a narrower pattern{}",
            plural(found.hits.len() as u64, "file", "files"),
            if most < SEARCH_HITS_MAX { " or a higher --limit" } else { "" }
        ));
    }
    end(&found, screen)
}

/// Reports how a search ended; finding nothing is a failure.
pub(super) fn end(found: &Found, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let exact = match (found.outcome.as_str(), found.exact) {
        ("found", false) => ", but a nearer copy may exist",
        _ => "",
    };
    screen.note(&format!(
        "{}{exact}: {}, {} in {}, {:.1} ms",
        outcome(&found.outcome),
        plural(found.hits.len() as u64, "file", "files"),
        plural(found.probes, "probe", "probes"),
        plural(found.levels, "level", "levels"),
        found.elapsed_ms
    ));
    for silent in &found.unanswered {
        let since = match silent.silent_for_s {
            None | Some(0) => String::new(),
            seconds => format!(", silent for {}", ago(seconds)),
        };
        screen.note(&format!(
            "no answer from {} at {}{since}",
            silent.node, silent.address
        ));
    }
    if found.hits.is_empty() {
        return Err(Failure::Told(Exit::Refused));
    }
    Ok(())
}

/// Explains an outcome.
fn outcome(word: &str) -> String {
    let meaning = match word {
        "found" => return "found".to_owned(),
        "not_found" => "every reachable node was asked",
        "horizon" => "the hop limit was reached before the end of the network",
        "partial" => "some nodes did not answer",
        "deadline" => "time ran out before every node was asked",
        "budget" => "the limit on nodes to ask was reached",
        _ => return word.to_owned(),
    };
    format!("{word} ({meaning})")
}
