//! `POST /v1/files`: an upload form, with several files in one request.
//!
//! Each file succeeds or fails on its own: the content of a refused file is skipped, its problem is reported in
//! its place, and the next file is still stored. Content is streamed, not buffered, except for files that arrive
//! before the field that says whose they are (see `spool`).

use std::collections::HashSet;
use std::future::Future;
use std::ops::ControlFlow;

use axum::Json;
use axum::extract::multipart::MultipartError;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use dataverse_core::key::Key;
use dataverse_node::driver::{BodyError, WriteError, WriteOptions, Written};
use dataverse_node::media_type::is_what_the_name_says;
use dataverse_node::metrics::{Direction, Surface};
use futures_util::StreamExt;
use futures_util::future::join;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;

use super::FileWritten;
use super::inflow::cause;
use super::parts::{Field, Form, broken, unreadable};
use super::spool::{Spool, Spooled};
use super::upload::{common_options, stated_type};
use crate::http::problem::{Problem, ProblemBody};
use crate::http::{Site, coding};
use crate::limits::{HTTP_FORM_FIELD_BYTES_MAX, HTTP_FORM_FILES_MAX, HTTP_FORM_QUEUE_CHUNKS};

/// The result for one file of the form: a `FileWritten` or a `Problem`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum FormResult {
    /// It was stored.
    Written(FileWritten),
    /// It was not stored.
    Problem(ProblemBody),
}

/// The fields of the form.
#[derive(serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "it only documents the form; the fields are read as they arrive"
)]
pub(crate) struct UploadForm {
    /// The owner of the files: the first segment of their keys. Best sent before the files: files that arrive
    /// earlier wait on disk until the owner is known, where space is more limited.
    username: String,
    /// The files; their file names are the rest of their keys.
    #[schema(value_type = Vec<String>, format = Binary, content_media_type = "application/octet-stream")]
    selected_files: Vec<Vec<u8>>,
}

/// Stores the files of a form.
///
/// Each file succeeds or fails on its own, and the answer lists the results in order. If any file was refused, the
/// status is that of the first refusal, the body is the same array, and the other files are stored.
#[utoipa::path(
    post, path = "/v1/files", tag = "files",
    params(
        ("Dataverse-Factor" = Option<u32>, Header, description = "How many replicas each file should have; the node's default if absent."),
        ("If-None-Match" = Option<String>, Header, description = "`*`: store only files that do not exist yet."),
    ),
    request_body(content = UploadForm, content_type = "multipart/form-data", description = "`username` once, and one or more `selected_files`."),
    responses(
        (status = 201, description = "All files were stored, at least one of them as a new file.", body = Vec<FormResult>),
        (status = 200, description = "All files were stored and replaced earlier versions.", body = Vec<FormResult>),
        (status = 400, description = "The form itself is invalid (a problem), or this is the status of the first refused file (an array).", content(
            (ProblemBody = "application/problem+json"), (Vec<FormResult> = "application/json"),
        )),
        (status = 413, description = "The form has more than 1,000 files; the body lists the results of those before (an array), or nothing was stored (a problem). Or there is too little space for the files that precede `username`, or a file exceeds the maximum size.", content(
            (ProblemBody = "application/problem+json"), (Vec<FormResult> = "application/json"),
        )),
        (status = "default", description = "The status of the first refused file, as for `PUT`.", body = Vec<FormResult>),
    )
)]
pub(crate) async fn post_files(
    State(site): State<Site>,
    request: Request,
) -> Result<Response, Problem> {
    let options = common_options(request.headers())?;
    let received = site
        .node_api
        .metrics()
        .client_bytes(Surface::Http, Direction::In);
    let mut form = Form::of(request, site.write_stall, received).await?;
    let mut reading = Reading::new(&site, options);
    loop {
        let taken = match form.next_field().await {
            Ok(Some(field)) => reading.take(field).await,
            Ok(None) => {
                if let Err(error) = form.end().await {
                    return reading.outcome.end_with(unreadable(error));
                }
                break;
            }
            Err(error) => Err(broken(&error)),
        };
        match taken {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => return reading.outcome.into_response(),
            // If the form fails later, the answer still reports the files before.
            Err(problem) => return reading.outcome.end_with(problem),
        }
    }
    reading.end()
}

/// A form that is being read.
struct Reading<'a> {
    site: &'a Site,
    options: WriteOptions,
    user: Option<String>,
    /// Files that arrived before their owner was known.
    waiting: Vec<Result<(Head, Spooled), Problem>>,
    /// Where their content is kept.
    spool: Option<Spool>,
    /// The keys that this form has stored or tried to.
    keys: HashSet<Key>,
    outcome: FormOutcome,
}

/// The metadata of a file in its part's headers.
struct Head {
    name: String,
    content_type: Option<String>,
}

impl<'a> Reading<'a> {
    fn new(site: &'a Site, options: WriteOptions) -> Self {
        Self {
            site,
            options,
            user: None,
            waiting: Vec::new(),
            spool: None,
            keys: HashSet::new(),
            outcome: FormOutcome::default(),
        }
    }

    /// Processes one field. Stops if the form ends within a file, which is reported in that file's place.
    ///
    /// # Errors
    /// What is wrong with the form as a whole.
    async fn take(&mut self, field: Field<'_>) -> Result<ControlFlow<()>, Problem> {
        match field.name() {
            Some("username") if self.user.is_some() => {
                Err(Problem::bad_request("`username` occurs more than once"))
            }
            Some("username") => {
                let user = text_of(field).await?;
                for file in std::mem::take(&mut self.waiting) {
                    self.store_spooled(&user, file).await;
                }
                self.user = Some(user);
                Ok(ControlFlow::Continue(()))
            }
            Some("selected_files") => self.take_file(field).await,
            other => Err(unknown(other)),
        }
    }

    async fn take_file(&mut self, mut field: Field<'_>) -> Result<ControlFlow<()>, Problem> {
        let head = match Head::of(&field) {
            // A browser sends this when no file was chosen, unless there is content.
            Ok(head) if head.name.is_empty() => match next_of(&mut field).await? {
                None => return Ok(ControlFlow::Continue(())),
                Some(_) => Err(Problem::bad_request(
                    "a part `selected_files` has an empty `filename`; name the file",
                )),
            },
            head => head,
        };
        if self.outcome.results.len() + self.waiting.len() == HTTP_FORM_FILES_MAX {
            return Err(self.too_many());
        }
        match (self.user.clone(), head) {
            (Some(user), Ok(head)) => {
                let stored = self.store(&user, &head, &mut field).await;
                self.outcome.note(stored);
                // If the file broke off, the reason is its result.
                return Ok(match skip(field).await {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                });
            }
            (Some(_), Err(problem)) => self.outcome.refuse(problem),
            (None, Ok(head)) => {
                let mut spool = match self.spool.take() {
                    Some(spool) => spool,
                    None => self.site.spools.begin(&*self.site.node_api).await?,
                };
                let spooled = spool.take(&mut field).await?;
                self.spool = Some(spool);
                self.waiting.push(Ok((head, spooled)));
            }
            (None, Err(problem)) => self.waiting.push(Err(problem)),
        }
        skip(field).await.map_err(|error| broken(&error))?;
        Ok(ControlFlow::Continue(()))
    }

    fn too_many(&self) -> Problem {
        let stored = match self.outcome.results.is_empty() {
            true => "nothing was stored",
            false => "the results of the files before are listed here, the rest was not read",
        };
        let detail = format!("a form may have at most {HTTP_FORM_FILES_MAX} files; {stored}");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    async fn store(
        &mut self,
        user: &str,
        head: &Head,
        field: &mut Field<'_>,
    ) -> Result<Written, Problem> {
        let (key, options) = self.place(user, head)?;
        let node_api = &self.site.node_api;
        stream(field, |body| node_api.write(&key, options, body))
            .await
            .map_err(|error| Problem::from(error).with_key(&key))
    }

    async fn store_spooled(&mut self, user: &str, file: Result<(Head, Spooled), Problem>) {
        let written = async {
            let (head, spooled) = file?;
            let (key, options) = self.place(user, &head)?;
            let options = WriteOptions {
                size: Some(spooled.size()),
                ..options
            };
            let body = spooled.into_body();
            let written = self.site.node_api.write(&key, options, body).await;
            written.map_err(|error| Problem::from(error).with_key(&key))
        };
        let written = written.await;
        self.outcome.note(written);
    }

    /// The key and the write options of a file.
    fn place(&mut self, user: &str, head: &Head) -> Result<(Key, WriteOptions), Problem> {
        let Head { name, content_type } = head;
        let key = Key::of(user, name).map_err(|error| {
            Problem::bad_request(error.to_string()).with_refused_key(&format!("{user}/{name}"))
        })?;
        if !self.keys.insert(key.clone()) {
            let detail = format!("{key} occurs twice in this form; only the first was used");
            return Err(Problem::bad_request(detail).with_key(&key));
        }
        let options = WriteOptions {
            content_type: content_type.clone(),
            ..self.options.clone()
        };
        Ok((key, options))
    }

    fn end(self) -> Result<Response, Problem> {
        if !self.waiting.is_empty() {
            let detail = "the form has no field `username`; nothing was stored";
            return Err(Problem::bad_request(detail));
        }
        self.outcome.into_response()
    }
}

impl Head {
    fn of(field: &Field<'_>) -> Result<Self, Problem> {
        let name = field.file_name().ok_or_else(|| {
            Problem::bad_request("a part `selected_files` has no `filename`; send it as a file")
        })?;
        let name = unescaped(name);
        coding::check_part(field.headers())?;
        // Clients guess the type from the name or send octet-stream; the name and the content together say more.
        let stated = field.content_type().and_then(stated_type);
        let content_type = stated.filter(|stated| !is_what_the_name_says(stated, &name));
        Ok(Self { name, content_type })
    }
}

fn unknown(name: Option<&str>) -> Problem {
    Problem::bad_request(match name {
        None => "a part of the form has no name; the fields are `username` and `selected_files`"
            .to_owned(),
        Some(name) => {
            let name: String = name.chars().take(SHOWN_CHARS_MAX).collect();
            format!(
                "unknown field `{name}`; the fields of the form are `username` and `selected_files`"
            )
        }
    })
}

const SHOWN_CHARS_MAX: usize = 100;

/// The next chunk of a field; `None` if it is empty.
async fn next_of(field: &mut Field<'_>) -> Result<Option<Bytes>, Problem> {
    while let Some(chunk) = field.next().await {
        let chunk = chunk.map_err(|error| broken(&error))?;
        if !chunk.is_empty() {
            return Ok(Some(chunk));
        }
    }
    Ok(None)
}

async fn text_of(mut field: Field<'_>) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.next().await {
        bytes.extend(chunk.map_err(|error| broken(&error))?);
        if bytes.len() > HTTP_FORM_FIELD_BYTES_MAX {
            let detail = format!("`username` has more than {HTTP_FORM_FIELD_BYTES_MAX} bytes");
            return Err(Problem::bad_request(detail));
        }
    }
    String::from_utf8(bytes).map_err(|_| Problem::bad_request("`username` is not UTF-8"))
}

/// Browsers escape three characters in the file names of a form (WHATWG HTML, multipart/form-data).
fn unescaped(name: &str) -> String {
    let name = name.replace("%22", "\"").replace("%0D", "\r");
    name.replace("%0A", "\n")
}

/// Streams a field's content into a write. A field borrows its form, while the driver needs a `'static` body, so a
/// short queue connects the two.
async fn stream<F>(
    field: &mut Field<'_>,
    write: impl FnOnce(dataverse_node::driver::Body) -> F,
) -> Result<Written, WriteError>
where
    F: Future<Output = Result<Written, WriteError>>,
{
    let (sender, receiver) = mpsc::channel::<Result<_, BodyError>>(HTTP_FORM_QUEUE_CHUNKS);
    let feed = async move {
        while let Some(chunk) = field.next().await {
            let chunk = chunk.map_err(|error| cause(&error));
            // A write that has ended takes no more.
            if sender.send(chunk).await.is_err() {
                break;
            }
        }
    };
    let (written, ()) = join(write(ReceiverStream::new(receiver).boxed()), feed).await;
    written
}

/// Skips the rest of a field, so that the next one can be found.
async fn skip(mut field: Field<'_>) -> Result<(), MultipartError> {
    while let Some(chunk) = field.next().await {
        chunk?;
    }
    Ok(())
}

#[derive(Default)]
struct FormOutcome {
    results: Vec<FormResult>,
    refused: Option<StatusCode>,
    created: bool,
}

impl FormOutcome {
    fn note(&mut self, result: Result<Written, Problem>) {
        match result {
            Ok(written) => {
                self.created |= !written.replaced && !written.unchanged;
                self.results.push(FormResult::Written(written.into()));
            }
            Err(problem) => self.refuse(problem),
        }
    }

    /// Ends the form because of a problem.
    fn end_with(mut self, problem: Problem) -> Result<Response, Problem> {
        if self.results.is_empty() {
            return Err(problem);
        }
        self.refuse(problem);
        self.into_response()
    }

    fn refuse(&mut self, problem: Problem) {
        self.refused.get_or_insert(problem.status);
        self.results.push(FormResult::Problem(problem.into_body()));
    }

    fn into_response(self) -> Result<Response, Problem> {
        if self.results.is_empty() {
            return Err(Problem::bad_request(
                "the form has no field `selected_files`",
            ));
        }
        let fine = if self.created {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        Ok((self.refused.unwrap_or(fine), Json(self.results)).into_response())
    }
}
