//! `put`: stores files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::key::Key;
use dataverse_core::limits;
use dataverse_core::plural::plural;
use futures_util::TryStreamExt as _;
use parking_lot::Mutex;
use reqwest::{StatusCode, header};

use super::Asking;
use super::answers::Stored;
use super::client::{Client, understood};
use super::failure::Failure;
use super::outcome::Outcome;
use super::progress::Progress;
use super::screen::{Screen, size};
use super::source::UploadSource;

/// Store files
///
/// Each file is stored as USER/NAME, where NAME is the file's own name unless --as gives another. Several files
/// are stored one after another, and each succeeds or fails on its own. Anything that can be read is stored,
/// whatever size the system reports: files, devices, pipes. A file that changes while it is read is not stored.
#[derive(Debug, clap::Args)]
pub(super) struct Put {
    /// The files; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The owner of the files
    #[arg(long)]
    user: String,
    /// The name to store the file under, if there is only one; may contain `/`
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// How many nodes keep a copy [default: the node's setting]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::FACTOR_MAX)))]
    factor: Option<u32>,
    /// Store only what does not exist yet. Of several clients that try at once, exactly one succeeds
    #[arg(long, conflicts_with = "if_digest")]
    if_absent: bool,
    /// Replace the file only if its content still has this digest, as `stat` prints it. Of several clients that try
    /// at once, exactly one succeeds
    #[arg(long, value_name = "DIGEST")]
    if_digest: Option<Digest>,
    #[command(flatten)]
    pub(super) asking: Asking,
}

/// What passes through an upload.
struct Passing {
    hasher: blake3::Hasher,
    progress: Progress,
    /// Why reading broke off.
    broke: Option<String>,
}

impl Put {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        self.check()?;
        let client = self.asking.client()?;
        let mut outcome = Outcome::default();
        for file in &self.files {
            let done = self.put(&client, file, screen).await;
            if let (true, Err(failure)) = (self.asking.json, &done) {
                let json = failure.as_json(&[("file", &file.to_string_lossy())]);
                json.map_or(Ok(()), |json| screen.line(&json.to_string()))?;
            }
            outcome.take(done, screen)?;
        }
        outcome.end()
    }

    /// Checks the arguments without looking at the files.
    fn check(&self) -> Result<(), Failure> {
        let name = self.name.as_deref();
        if name.is_some() && self.files.len() > 1 {
            return Err(Failure::Usage(
                "--as applies to a single file; omit it, or store the files one by one".to_owned(),
            ));
        }
        if name.is_none() && self.files.iter().any(|file| is_stdin(file)) {
            return Err(Failure::Usage(
                "standard input has no name; choose one with --as NAME".to_owned(),
            ));
        }
        if self.if_digest.is_some() && self.files.len() > 1 {
            return Err(Failure::Usage(
                "--if-digest applies to a single file; store the files one by one".to_owned(),
            ));
        }
        Key::of(&self.user, name.unwrap_or("name"))
            .map(drop)
            .map_err(|error| Failure::Usage(format!("--user or --as: {error}")))
    }

    async fn put(
        &self,
        client: &Client,
        file: &Path,
        screen: &mut Screen<'_>,
    ) -> Result<(), Failure> {
        let what = match file.to_str() {
            Some("-") => "standard input".to_owned(),
            _ => file.display().to_string(),
        };
        let refused = |reason: String| Failure::refused(format!("{what}: {reason}"));
        let name = match &self.name {
            Some(name) => name.as_str(),
            None => own_name(file).map_err(refused)?,
        };
        let key = Key::of(&self.user, name).map_err(|error| refused(error.to_string()))?;
        let opened = match is_stdin(file) {
            true => UploadSource::stdin().await,
            false => UploadSource::open(file).await,
        };
        let source = opened.map_err(refused)?;
        let passing = Arc::new(Mutex::new(Passing {
            hasher: blake3::Hasher::new(),
            progress: Progress::of(key.as_str(), source.size(), screen.bars),
            broke: None,
        }));
        let mut request = client.upload(&key);
        if let Some(size) = source.size() {
            request = request.header(header::CONTENT_LENGTH, size);
        }
        if let Some(factor) = self.factor {
            request = request.header("Dataverse-Factor", factor);
        }
        if self.if_absent {
            request = request.header(header::IF_NONE_MATCH, "*");
        }
        if let Some(digest) = self.if_digest {
            request = request.header(header::IF_MATCH, format!("\"{digest}\""));
        }
        let answer = client.ask(request.body(body(source, &passing))).await;
        // The node's reply to an upload that broke off here is irrelevant.
        if let Some(reason) = lock(&passing).broke.take() {
            return Err(refused(reason));
        }
        let response = answer?;
        let was_there = response.status() == StatusCode::OK;
        let text = client.text(response).await?;
        let sent = digest(&passing);
        let mut stored: Stored = understood(&text)?;
        if stored.digest != sent {
            return Err(refused(format!(
                "the node stored other bytes than were sent (digest {} instead of {sent})",
                stored.digest
            )));
        }
        stored
            .replaced
            .get_or_insert(was_there && !stored.unchanged);
        self.print(&text, &stored, screen)
    }

    fn print(&self, text: &str, stored: &Stored, screen: &mut Screen<'_>) -> Result<(), Failure> {
        if stored.degraded {
            screen.note(&format!(
                "warning: {} has only {} of {}, because too few nodes stored it",
                stored.key,
                stored.replicas.len(),
                plural(u64::from(stored.factor), "copy", "copies")
            ));
        }
        let replaced = stored.replaced.unwrap_or_default();
        if self.asking.json {
            let mut answer: serde_json::Value = understood(text)?;
            answer["replaced"] = replaced.into();
            return screen.line(&answer.to_string());
        }
        let outcome = match (stored.unchanged, replaced) {
            (true, _) => ", unchanged",
            (false, true) => ", replaced",
            (false, false) => "",
        };
        screen.line(&super::screen::printable(&format!(
            "{}  {}  on {}{outcome}",
            stored.key,
            size(stored.size),
            stored.replicas.join(", ")
        )))
    }
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn own_name(file: &Path) -> Result<&str, String> {
    let name = file
        .file_name()
        .ok_or("it has no file name; choose one with --as NAME")?;
    name.to_str()
        .ok_or_else(|| "its name is not UTF-8; choose another with --as NAME".to_owned())
}

fn body(source: UploadSource, passing: &Arc<Mutex<Passing>>) -> reqwest::Body {
    let (counted, broken) = (Arc::clone(passing), Arc::clone(passing));
    reqwest::Body::wrap_stream(
        source
            .into_stream()
            .inspect_ok(move |chunk: &Bytes| {
                let mut passing = lock(&counted);
                passing.hasher.update(chunk);
                passing.progress.advance(chunk.len() as u64);
            })
            .inspect_err(move |error: &io::Error| {
                lock(&broken).broke = Some(error.to_string());
            }),
    )
}

fn digest(passing: &Mutex<Passing>) -> String {
    lock(passing).hasher.finalize().to_hex().to_string()
}

fn lock(passing: &Mutex<Passing>) -> parking_lot::MutexGuard<'_, Passing> {
    passing.lock()
}
