//! `put`: stores files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use dataverse_core::key::Key;
use dataverse_core::limits;
use futures_util::TryStreamExt as _;
use reqwest::header;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::Asking;
use super::answers::Stored;
use super::client::{Client, understood};
use super::failure::{Failure, Judged};
use super::progress::Progress;
use super::screen::{Screen, size};

/// Store files
///
/// Each file is stored as USER/NAME, where NAME is the file's own name unless --as gives another. Several
/// files are stored one after the other, each judged by itself.
#[derive(Debug, clap::Args)]
pub(super) struct Put {
    /// The files; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Whose files they are
    #[arg(long)]
    user: String,
    /// What to call the file, if there is only one; may contain `/`
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// How many nodes shall keep a copy
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::FACTOR_MAX)))]
    factor: Option<u32>,
    #[command(flatten)]
    asking: Asking,
}

/// What is sent.
struct Source {
    reader: Box<dyn tokio::io::AsyncRead + Send + Unpin>,
    size: Option<u64>,
}

/// What passes through an upload.
struct Passing {
    hasher: blake3::Hasher,
    progress: Progress,
}

impl Put {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        self.check()?;
        let client = self.asking.client()?;
        let mut judged = Judged::default();
        for file in &self.files {
            let done = self.put(&client, file, screen).await;
            judged.take(done, screen)?;
        }
        judged.end()
    }

    /// What is wrong with the arguments whatever the files are.
    fn check(&self) -> Result<(), Failure> {
        let is_stdin = |file: &PathBuf| file.as_os_str() == "-";
        let name = self.name.as_deref();
        if name.is_some() && self.files.len() > 1 {
            return Err(Failure::Usage(
                "--as names one file; leave it out, or store the files one by one".to_owned(),
            ));
        }
        if name.is_none() && self.files.iter().any(is_stdin) {
            return Err(Failure::Usage(
                "standard input has no name: give it one with --as NAME".to_owned(),
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
        let source = open(file).await.map_err(refused)?;
        let passing = Arc::new(Mutex::new(Passing {
            hasher: blake3::Hasher::new(),
            progress: Progress::of(key.as_str(), source.size, screen.bars),
        }));
        let mut request = client.upload(&key);
        if let Some(size) = source.size {
            request = request.header(header::CONTENT_LENGTH, size);
        }
        if let Some(factor) = self.factor {
            request = request.header("Dataverse-Factor", factor);
        }
        let text = client
            .ask_text(request.body(body(source, &passing)))
            .await?;
        let sent = digest(&passing);
        let stored: Stored = understood(&text)?;
        if stored.digest != sent {
            return Err(refused(format!(
                "the node stored other bytes than were sent (digest {} instead of {sent})",
                stored.digest
            )));
        }
        self.print(&text, &stored, screen)
    }

    fn print(&self, text: &str, stored: &Stored, screen: &mut Screen<'_>) -> Result<(), Failure> {
        if stored.degraded {
            screen.note(&format!(
                "warning: {} has {} of {} copies: too few nodes took it",
                stored.key,
                stored.replicas.len(),
                stored.factor
            ));
        }
        if self.asking.json {
            return screen.line(text.trim_end());
        }
        let unchanged = if stored.unchanged { ", unchanged" } else { "" };
        screen.line(&super::screen::printable(&format!(
            "{}  {}  on {}{unchanged}",
            stored.key,
            size(stored.size),
            stored.replicas.join(", ")
        )))
    }
}

fn own_name(file: &Path) -> Result<&str, String> {
    let name = file
        .file_name()
        .ok_or("it has no file name; give it one with --as NAME")?;
    name.to_str()
        .ok_or_else(|| "its name is not UTF-8; give it another with --as NAME".to_owned())
}

async fn open(file: &Path) -> Result<Source, String> {
    if file.as_os_str() == "-" {
        return Ok(Source {
            reader: Box::new(stdin().map_err(|error| error.to_string())?),
            size: None,
        });
    }
    let opened = tokio::fs::File::open(file)
        .await
        .map_err(|error| error.to_string())?;
    let metadata = opened.metadata().await.map_err(|error| error.to_string())?;
    if metadata.is_dir() {
        return Err("it is a directory; name the files in it".to_owned());
    }
    // A pipe or device has no size to know beforehand.
    if !metadata.is_file() {
        return Ok(Source {
            reader: Box::new(opened),
            size: None,
        });
    }
    // A file that grows meanwhile is stored as it was; one that shrinks breaks the upload off.
    Ok(Source {
        reader: Box::new(opened.take(metadata.len())),
        size: Some(metadata.len()),
    })
}

/// Standard input as a file of its own: what is read from it is never read ahead of an upload.
fn stdin() -> io::Result<tokio::fs::File> {
    use std::os::fd::AsFd as _;
    let descriptor = io::stdin().as_fd().try_clone_to_owned()?;
    Ok(tokio::fs::File::from_std(descriptor.into()))
}

fn body(source: Source, passing: &Arc<Mutex<Passing>>) -> reqwest::Body {
    let passing = Arc::clone(passing);
    let stream = ReaderStream::with_capacity(source.reader, limits::CHUNK_BYTES);
    reqwest::Body::wrap_stream(
        stream
            .inspect_ok(move |chunk: &Bytes| {
                let mut passing = lock(&passing);
                passing.hasher.update(chunk);
                passing.progress.advance(chunk.len() as u64);
            })
            .map_err(|error: io::Error| {
                io::Error::new(error.kind(), format!("can't read the file: {error}"))
            }),
    )
}

fn digest(passing: &Mutex<Passing>) -> String {
    lock(passing).hasher.finalize().to_hex().to_string()
}

fn lock(passing: &Mutex<Passing>) -> std::sync::MutexGuard<'_, Passing> {
    passing.lock().expect("hashing does not panic")
}
