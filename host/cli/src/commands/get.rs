//! `get`: downloads a file, resumes an interrupted download, and verifies the digest before it accepts the file.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use dataverse_core::key::Key;
use dataverse_core::plural::plural;
use reqwest::{Method, Response, StatusCode, header};
use tokio::io::AsyncWriteExt as _;

use super::Asking;
use super::client::Client;
use super::destination::Destination;
use super::failure::Failure;
use super::interruption::Interruption;
use super::part::{Part, Whole};
use super::progress::Progress;
use super::screen::{Screen, size};

/// Fetch a file
///
/// The file appears once it is complete and its digest is verified. Until then its bytes are in FILE.part, from
/// which an interrupted download resumes. An existing file is overwritten only with --force, or after a yes on the
/// terminal; it keeps its mode, its owner and its hard links, and a symbolic link remains one. A device, a FIFO,
/// /dev/stdout or >(COMMAND) gets the bytes as they arrive.
#[derive(Debug, clap::Args)]
pub(super) struct Get {
    /// The file, as USER/NAME
    key: Key,
    /// Where to put it; `-` is standard output, and a folder gets it under its own name [default: the last part of
    /// its name, in the current folder]
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    output: Option<PathBuf>,
    /// Overwrite FILE if it exists
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Get {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let client = self.asking.client()?;
        let target = self.target();
        // Without -o, a key whose last part is `-` is like any other.
        let output = self.output.as_deref();
        let destination = match output.is_some_and(|output| output.as_os_str() == "-") {
            true => Destination::Stdout,
            false => Destination::claim(&target, self.force, screen)?,
        };
        match destination {
            Destination::Stdout if self.asking.json => Err(Failure::Usage(
                "the file and the output of --json can't both go to standard output".to_owned(),
            )),
            Destination::Stdout => {
                self.pass_on(&client, &mut Sink::Stdout, screen).await?;
                Ok(())
            }
            Destination::Stream(path) => self.to_stream(&client, path, screen).await,
            Destination::New(ref file) | Destination::Existing(ref file, _) => {
                let file = file.clone();
                self.to_file(&client, &file, destination, screen).await
            }
        }
    }

    /// Writes the bytes as they arrive, as none can be taken back.
    async fn pass_on(
        &self,
        client: &Client,
        sink: &mut Sink,
        screen: &mut Screen<'_>,
    ) -> Result<(Response, Whole), Failure> {
        let mut response = client.ask(client.file(Method::GET, &self.key)).await?;
        let whole = self.whole(&response)?;
        warn_if_stale(&response, screen);
        let mut hasher = blake3::Hasher::new();
        let mut progress = Progress::of(self.key.as_str(), Some(whole.size), screen.bars);
        while let Some(chunk) = next(client, &mut response).await? {
            hasher.update(&chunk);
            sink.write(&chunk, screen).await?;
            progress.advance(chunk.len() as u64);
        }
        sink.flush(screen).await?;
        let arrived = hasher.finalize().to_hex();
        if arrived.as_str() == digest_of(&whole.etag) {
            return Ok((response, whole));
        }
        Err(self.wrong_bytes(&whole, &arrived, "do not use what was written"))
    }

    async fn to_stream(
        &self,
        client: &Client,
        path: PathBuf,
        screen: &mut Screen<'_>,
    ) -> Result<(), Failure> {
        let opening = path.clone();
        let opened = tokio::task::spawn_blocking(move || Destination::open_stream(&opening)).await;
        let file = opened.map_err(io::Error::other).and_then(|opened| opened);
        let file = file.map_err(|error| not_written(&path, &error))?;
        let mut sink = Sink::Stream(path, tokio::fs::File::from_std(file));
        let (response, whole) = self.pass_on(client, &mut sink, screen).await?;
        let Sink::Stream(path, _) = &sink else {
            return Ok(());
        };
        self.print(&whole, &response, path, screen)
    }

    async fn to_file(
        &self,
        client: &Client,
        file: &Path,
        destination: Destination,
        screen: &mut Screen<'_>,
    ) -> Result<(), Failure> {
        let local = |error: io::Error| not_written(file, &error);
        let mut interruption = Interruption::listen()?;
        let mut part = Part::find(file, self.key.as_str()).map_err(local)?;
        let filled = tokio::select! {
            biased;
            () = interruption.heard() => Err(Failure::Interrupted),
            filled = self.fill(client, &mut part, file, screen) => filled,
        };
        let (response, whole) = match filled {
            Ok(filled) => filled,
            Err(failure) => {
                let is_kept = part.leave().await;
                // Report the first failure, not a later one to write.
                if is_kept.is_ok_and(|is_kept| is_kept) {
                    screen.note("what arrived was kept; run the same command to resume");
                }
                return Err(failure);
            }
        };
        let overwrites = matches!(destination, Destination::Existing(..));
        let finished = tokio::select! {
            biased;
            finished = part.finish(digest_of(&whole.etag), destination) => finished,
            // The copy ends with this process; its source is removed only once it is complete.
            () = interruption.heard(), if overwrites => {
                screen.note(&format!(
                    "{} may be partly overwritten; what arrived was kept: run the same command to finish",
                    file.display()
                ));
                return Err(Failure::Interrupted);
            }
        };
        match finished.map_err(local)? {
            Ok(()) => self.print(&whole, &response, &self.target(), screen),
            Err(arrived) => {
                let advice = "they were discarded; try again";
                Err(self.wrong_bytes(&whole, &arrived, advice))
            }
        }
    }

    /// Completes the part.
    async fn fill(
        &self,
        client: &Client,
        part: &mut Part,
        file: &Path,
        screen: &mut Screen<'_>,
    ) -> Result<(Response, Whole), Failure> {
        let local = |error: io::Error| not_written(file, &error);
        let (mut response, whole, offset) = self.answer(client, part).await?;
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
        while let Some(chunk) = next(client, &mut response).await? {
            part.write(&chunk).await.map_err(local)?;
            progress.advance(chunk.len() as u64);
        }
        Ok((response, whole))
    }

    /// Requests the file, or the rest of it if it is still the same file. Returns the response, the file that it
    /// is a part of, and where it begins.
    async fn answer(
        &self,
        client: &Client,
        part: &Part,
    ) -> Result<(Response, Whole, u64), Failure> {
        let request = || client.file(Method::GET, &self.key);
        if let Some((whole, offset)) = part.resumable().await {
            let request = request()
                .header(header::RANGE, format!("bytes={offset}-"))
                .header(header::IF_RANGE, &whole.etag);
            let response = client.send(request).await?;
            match response.status() {
                StatusCode::PARTIAL_CONTENT if goes_on(&response, &whole, offset) => {
                    return Ok((response, whole, offset));
                }
                // The node can't resume from there, so request the whole file.
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

    /// What the response says about the whole file.
    fn whole(&self, response: &Response) -> Result<Whole, Failure> {
        let etag = text(response, header::ETAG.as_str()).unwrap_or_default();
        let is_digest =
            |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let (Some(size), true) = (response.content_length(), is_digest(digest_of(etag))) else {
            return Err(Failure::refused(format!(
                "the node sent {} without its length and digest, so it can't be verified",
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
            .map(|hops| format!(", {} away", plural(hops, "hop", "hops")))
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
            "the bytes that arrived do not match {}: their digest is {arrived} instead of {}; {advice}",
            self.key,
            digest_of(&whole.etag)
        ))
    }
}

/// A destination from which bytes can't be taken back.
enum Sink {
    Stdout,
    Stream(PathBuf, tokio::fs::File),
}

impl Sink {
    async fn write(&mut self, chunk: &[u8], screen: &mut Screen<'_>) -> Result<(), Failure> {
        match self {
            Self::Stdout => screen.bytes(chunk),
            Self::Stream(path, file) => {
                let written = file.write_all(chunk).await;
                written.map_err(|error| not_written(path, &error))
            }
        }
    }

    async fn flush(&mut self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        match self {
            Self::Stdout => screen.finish(),
            Self::Stream(path, file) => {
                let flushed = file.flush().await;
                flushed.map_err(|error| not_written(path, &error))
            }
        }
    }
}

fn not_written(file: &Path, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::Closed;
    }
    Failure::refused(format!("can't write {}: {error}", file.display()))
}

async fn next(client: &Client, response: &mut Response) -> Result<Option<Bytes>, Failure> {
    response
        .chunk()
        .await
        .map_err(|error| client.broken(&error))
}

/// Whether the response is the rest of this very file, from this byte on.
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
