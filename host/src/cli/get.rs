//! `get`: fetches a file, resumes what was interrupted, and checks the digest before it believes it.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use dataverse_core::key::Key;
use reqwest::{Method, Response, StatusCode, header};

use super::Asking;
use super::client::Client;
use super::failure::Failure;
use super::part::{Part, Whole};
use super::progress::Progress;
use super::screen::{Screen, size};

/// Fetch a file
///
/// The file appears when it is complete and its digest was checked; until then its bytes are in FILE.part,
/// from which an interrupted download goes on. An existing FILE is replaced.
#[derive(Debug, clap::Args)]
pub(super) struct Get {
    /// The file, as USER/NAME
    key: Key,
    /// Where to put it; `-` is standard output, and a folder gets it under its own name [default: the last
    /// part of its name, in the current folder]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    asking: Asking,
}

impl Get {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let client = self.asking.client()?;
        let to_stdout = self
            .output
            .as_ref()
            .is_some_and(|file| file.as_os_str() == "-");
        if !to_stdout {
            return self.to_file(&client, screen).await;
        }
        if self.asking.json {
            return Err(Failure::Usage(
                "-o - and --json both want standard output".to_owned(),
            ));
        }
        self.to_stdout(&client, screen).await
    }

    async fn to_stdout(&self, client: &Client, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let mut response = client.ask(client.file(Method::GET, &self.key)).await?;
        let whole = self.whole(&response)?;
        warn_if_stale(&response, screen);
        let mut hasher = blake3::Hasher::new();
        let mut progress = Progress::of(self.key.as_str(), Some(whole.size), screen.bars);
        while let Some(chunk) = next(client, &mut response).await? {
            hasher.update(&chunk);
            screen.bytes(&chunk)?;
            progress.advance(chunk.len() as u64);
        }
        let arrived = hasher.finalize().to_hex();
        if arrived.as_str() == digest_of(&whole.etag) {
            return Ok(());
        }
        Err(self.wrong_bytes(&whole, &arrived, "do not use what was written"))
    }

    async fn to_file(&self, client: &Client, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let target = self.target();
        let local = |error: io::Error| {
            Failure::refused(format!("can't write {}: {error}", target.display()))
        };
        let mut part = Part::open(&target).await.map_err(local)?;
        let (mut response, whole, offset) = match self.answer(client, &part).await {
            Ok(answer) => answer,
            Err(failure) => {
                part.leave().await.map_err(local)?;
                return Err(failure);
            }
        };
        warn_if_stale(&response, screen);
        if offset > 0 {
            screen.note(&format!(
                "resuming at {} of {}",
                size(offset),
                size(whole.size)
            ));
        }
        part.start(&whole, offset).await.map_err(local)?;
        let mut progress = Progress::of(self.key.as_str(), Some(whole.size), screen.bars);
        progress.begin_at(offset);
        let filled = fill(client, &mut response, &mut part, &mut progress).await;
        drop(progress);
        match filled {
            Ok(()) => {}
            Err(Broken::Write(error)) => return Err(local(error)),
            Err(Broken::Read(failure)) => {
                part.leave().await.map_err(local)?;
                screen.note("what arrived is kept: the same command goes on from there");
                return Err(failure);
            }
        }
        match part.finish(digest_of(&whole.etag)).await.map_err(local)? {
            Ok(()) => self.print(&whole, &response, &target, screen),
            Err(arrived) => {
                let advice = "they were thrown away; try again";
                Err(self.wrong_bytes(&whole, &arrived, advice))
            }
        }
    }

    /// Asks for the file, or for the rest of it if that is still the same file: the answer, what it is a
    /// part of, and where it begins.
    async fn answer(
        &self,
        client: &Client,
        part: &Part,
    ) -> Result<(Response, Whole, u64), Failure> {
        let request = || client.file(Method::GET, &self.key);
        if let Some((whole, offset)) = part.resumable(self.key.as_str()).await {
            let request = request()
                .header(header::RANGE, format!("bytes={offset}-"))
                .header(header::IF_RANGE, &whole.etag);
            let response = client.send(request).await?;
            match response.status() {
                StatusCode::PARTIAL_CONTENT if goes_on(&response, &whole, offset) => {
                    return Ok((response, whole, offset));
                }
                // The node can't go on from there, so it is asked for all of it.
                StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {}
                _ => {
                    let response = client.accept(response).await?;
                    let whole = self.whole(&response)?;
                    return Ok((response, whole, 0));
                }
            }
        }
        let response = client.ask(request()).await?;
        let whole = self.whole(&response)?;
        Ok((response, whole, 0))
    }

    /// What the answer says of the whole file.
    fn whole(&self, response: &Response) -> Result<Whole, Failure> {
        let etag = text(response, header::ETAG.as_str()).unwrap_or_default();
        let is_digest =
            |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let (Some(size), true) = (response.content_length(), is_digest(digest_of(etag))) else {
            return Err(Failure::refused(format!(
                "the node sent {} without its length and digest, so it can't be checked",
                self.key
            )));
        };
        Ok(Whole {
            key: self.key.to_string(),
            etag: etag.to_owned(),
            size,
        })
    }

    fn target(&self) -> PathBuf {
        let name = self.key.name();
        let own = name.rsplit('/').next().unwrap_or(name);
        match &self.output {
            None => PathBuf::from(own),
            Some(folder) if folder.is_dir() => folder.join(own),
            Some(file) => file.clone(),
        }
    }

    fn print(
        &self,
        whole: &Whole,
        response: &Response,
        target: &Path,
        screen: &mut Screen<'_>,
    ) -> Result<(), Failure> {
        let source = text(response, "Dataverse-Source").unwrap_or("?");
        let hops: Option<u32> = text(response, "Dataverse-Hops").and_then(|hops| hops.parse().ok());
        if self.asking.json {
            let line = serde_json::json!({
                "key": whole.key,
                "size": whole.size,
                "digest": digest_of(&whole.etag),
                "file": target.to_string_lossy(),
                "source": source,
                "hops": hops,
            });
            return screen.line(&line.to_string());
        }
        let hops = hops
            .map(|hops| format!(", {hops} hops away"))
            .unwrap_or_default();
        screen.note(&format!(
            "{}  {}  from {source}{hops}  to {}",
            whole.key,
            size(whole.size),
            target.display()
        ));
        Ok(())
    }

    fn wrong_bytes(&self, whole: &Whole, arrived: &str, advice: &str) -> Failure {
        Failure::refused(format!(
            "the bytes that arrived are not those of {}: their digest is {arrived} instead of {}; {advice}",
            self.key,
            digest_of(&whole.etag)
        ))
    }
}

/// Which end of a transfer failed.
enum Broken {
    Read(Failure),
    Write(io::Error),
}

async fn fill(
    client: &Client,
    response: &mut Response,
    part: &mut Part,
    progress: &mut Progress,
) -> Result<(), Broken> {
    while let Some(chunk) = next(client, response).await.map_err(Broken::Read)? {
        part.write(&chunk).await.map_err(Broken::Write)?;
        progress.advance(chunk.len() as u64);
    }
    Ok(())
}

async fn next(client: &Client, response: &mut Response) -> Result<Option<Bytes>, Failure> {
    response
        .chunk()
        .await
        .map_err(|error| client.broken(&error))
}

/// Whether the answer is the rest of this very file, from this byte on.
fn goes_on(response: &Response, whole: &Whole, offset: u64) -> bool {
    let size = whole.size;
    let range = format!("bytes {offset}-{}/{size}", size - 1);
    text(response, header::CONTENT_RANGE.as_str()) == Some(range.as_str())
        && text(response, header::ETAG.as_str()) == Some(whole.etag.as_str())
}

fn text<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn digest_of(etag: &str) -> &str {
    etag.trim_matches('"')
}

fn warn_if_stale(response: &Response, screen: &mut Screen<'_>) {
    if text(response, "Dataverse-Stale").is_some() {
        screen.note(
            "warning: no replica could be reached to confirm that this is the newest version",
        );
    }
}
