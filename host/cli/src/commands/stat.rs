//! `stat`: shows where a file is and how it was found.

use dataverse_core::key::Key;
use dataverse_core::plural::plural;
use reqwest::Method;

use super::Asking;
use super::answers::Found;
use super::client::{pairs, understood};
use super::failure::Failure;
use super::screen::{Screen, size};
use super::search::end;

/// Show where a file is and how it was found
#[derive(Debug, clap::Args)]
pub(super) struct Stat {
    /// The file, as USER/NAME
    key: Key,
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Stat {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let client = self.asking.client()?;
        let query = pairs(&[("key", self.key.as_str())]);
        let request = client.request(Method::GET, &format!("/v1/search?{query}"));
        let text = client.ask_text(request).await?;
        let found: Found = understood(&text)?;
        if self.asking.json {
            screen.line(text.trim_end())?;
        } else {
            screen.table(&[], rows(&found))?;
        }
        end(&found, screen)
    }
}

fn rows(found: &Found) -> Vec<Vec<String>> {
    let Some(hit) = found.hits.first() else {
        return Vec::new();
    };
    [
        ("key", hit.key.clone()),
        (
            "size",
            format!("{} ({})", size(hit.size), plural(hit.size, "byte", "bytes")),
        ),
        ("type", hit.content_type.clone()),
        ("digest", hit.digest.clone()),
        ("version", hit.version.clone()),
        ("node", format!("{} ({})", hit.node, hit.role)),
        ("hops", hit.hops.to_string()),
        ("path", found.path.join(" → ")),
        (
            "probes",
            format!(
                "{} in {}",
                plural(found.probes, "probe", "probes"),
                plural(found.levels, "level", "levels")
            ),
        ),
        ("outcome", found.outcome.clone()),
        ("exact", if found.exact { "yes" } else { "no" }.to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| vec![name.to_owned(), value])
    .collect()
}
