//! A leader with a lease: whoever renews the file in time leads.
//!
//! ```text
//! cargo run --example leader -- http://127.0.0.1:8080 ada/leader Anna
//! ```
//!
//! Prints who leads, until it is stopped. The leader replaces the file before the lease ends; a candidate that has
//! seen the same file for longer than the lease replaces it with its own name. Both are conditional, so of several
//! candidates one succeeds. Nobody compares clocks: each measures on its own how long the file stays the same.
//!
//! A leader that was paused may think that it still leads for a moment after its lease ended. What it does to other
//! systems must therefore carry the term, and they must refuse a term lower than the highest they have seen.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use tokio::time::Instant;

/// A candidate.
pub(crate) struct Candidate {
    client: Client,
    url: String,
    name: String,
    lease: Duration,
    /// The file as last seen, and since when it has been the same.
    seen: Option<(Term, Instant)>,
    /// Since when this candidate's own lease runs.
    leads_since: Option<Instant>,
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Term {
    /// Who leads.
    pub(crate) leader: String,
    /// The number of the term; it increases with every change of the leader.
    pub(crate) number: u64,
    tag: String,
}

impl Candidate {
    /// A candidate that asks this node about this file.
    #[must_use]
    pub(crate) fn new(node: &str, key: &str, name: &str, lease: Duration) -> Self {
        Self {
            client: Client::new(),
            url: format!("{node}/v1/files/{key}"),
            name: name.to_owned(),
            lease,
            seen: None,
            leads_since: None,
        }
    }

    /// Looks who leads, renews the own lease, or takes over one that has ended. Call it several times per lease.
    /// Returns the current term, if anybody can tell.
    ///
    /// # Errors
    /// When the node can't be reached.
    pub(crate) async fn turn(&mut self) -> anyhow::Result<Option<Term>> {
        let began = Instant::now();
        let read = self.client.get(format!("{}?consistency=newest", self.url));
        let read = read.send().await?;
        let now = match read.status() {
            StatusCode::OK => {
                let tag = read.headers()["etag"].to_str()?.to_owned();
                let text = read.text().await?;
                let mut words = text.split_whitespace();
                let number = words.next().and_then(|number| number.parse().ok());
                let leader = words.next().unwrap_or_default().to_owned();
                Some(Term {
                    leader,
                    number: number.unwrap_or_default(),
                    tag,
                })
            }
            StatusCode::NOT_FOUND => None,
            _ => return Ok(None),
        };
        let Some(term) = now else {
            return self.write(1, ("If-None-Match", "*"), began).await;
        };
        let since = match &self.seen {
            Some((seen, since)) if *seen == term => *since,
            // From when it was seen, which is after the leader wrote it.
            _ => Instant::now(),
        };
        self.seen = Some((term.clone(), since));
        let number = match term.leader == self.name {
            true => term.number,
            false if since.elapsed() > self.lease => term.number + 1,
            false => return Ok(Some(term)),
        };
        self.write(number, ("If-Match", &term.tag), began).await
    }

    async fn write(
        &mut self,
        number: u64,
        (condition, value): (&str, &str),
        began: Instant,
    ) -> anyhow::Result<Option<Term>> {
        let content = format!("{number} {} {:032x}\n", self.name, rand::random::<u128>());
        let tag = format!("\"{}\"", blake3::hash(content.as_bytes()).to_hex());
        let put = self.client.put(&self.url).header(condition, value);
        let answer = put.body(content).send().await?;
        let term = answer.status().is_success().then(|| Term {
            leader: self.name.clone(),
            number,
            tag,
        });
        if let Some(term) = &term {
            self.seen = Some((term.clone(), began));
            // From before it was asked for: nobody else sees this term before that.
            self.leads_since = Some(began);
        }
        Ok(term)
    }

    /// Whether this candidate leads now.
    #[must_use]
    pub(crate) fn leads(&self) -> bool {
        let since = self.leads_since;
        since.is_some_and(|since| since.elapsed() < self.lease)
    }
}

#[allow(dead_code, reason = "the tests use the functions above")]
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [node, key, name] = &arguments[..] else {
        anyhow::bail!("usage: leader NODE KEY NAME");
    };
    let lease = Duration::from_secs(5);
    let mut candidate = Candidate::new(node, key, name, lease);
    let mut last = None;
    loop {
        let term = match candidate.turn().await {
            Ok(term) => term.map(|term| (term.number, term.leader)),
            Err(error) => {
                eprintln!("{error:#}");
                None
            }
        };
        if let Some(term) = term.filter(|term| last.as_ref() != Some(term)) {
            let own = if candidate.leads() {
                ", and that is this one"
            } else {
                ""
            };
            println!("term {}: {} leads{own}", term.0, term.1);
            last = Some(term);
        }
        tokio::time::sleep(lease / 5).await;
    }
}
