//! `POST /v1/files`: an upload form, several files in one request.
//!
//! Each file is judged by itself: one that is refused is read past and reported in its place, and the
//! next is stored all the same. Content streams through; nothing is collected.

use std::future::Future;

use axum::Json;
use axum::extract::multipart::MultipartError;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use dataverse_core::key::Key;
use dataverse_core::limits::{
    HTTP_FORM_FIELD_BYTES_MAX, HTTP_FORM_FILES_MAX, HTTP_FORM_QUEUE_CHUNKS,
};
use futures_util::StreamExt;
use futures_util::future::join;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;

use super::FileWritten;
use super::inflow::cause;
use super::parts::{Field, Form};
use super::upload::{common_options, stated_type};
use crate::driver::{BodyError, WriteError, WriteOptions, Written};
use crate::http::problem::{Problem, ProblemBody};
use crate::http::{Site, coding};
use crate::media_type::is_what_the_name_says;
use crate::metrics::{Direction, Surface};

/// What became of one file of the form: a `FileWritten` or a `Problem`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum FormResult {
    /// It is stored.
    Written(FileWritten),
    /// It is not.
    Problem(ProblemBody),
}

/// The fields of the form, in this order.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "it only describes the form; the fields are read as they stream in"
)]
pub(crate) struct UploadForm {
    /// Whose files these are: the first segment of their keys. Comes before the files.
    username: String,
    /// The files; their file names are the rest of their keys.
    #[schema(value_type = Vec<String>, format = Binary, content_media_type = "application/octet-stream")]
    selected_files: Vec<Vec<u8>>,
}

/// Stores the files of a form.
///
/// Each file is judged by itself, and the answer tells in order what became of each. When any was
/// refused, the status is that of the first refusal, the body is the same array, and the others are
/// stored.
#[utoipa::path(
    post, path = "/v1/files", tag = "files",
    params(
        ("Dataverse-Factor" = Option<u32>, Header, description = "Replicas wanted of each file; the node's default without it."),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only files that are not there yet."),
    ),
    request_body(content = UploadForm, content_type = "multipart/form-data", description = "`username`, then one or more `selected_files`."),
    responses(
        (status = 201, description = "All are stored, at least one as a new file.", body = Vec<FormResult>),
        (status = 200, description = "All are stored in place of earlier versions.", body = Vec<FormResult>),
        (status = 400, description = "The form itself is wrong (a problem), or the first file that was refused was refused so (an array).", content(
            (ProblemBody = "application/problem+json"), (Vec<FormResult> = "application/json"),
        )),
        (status = "default", description = "The status of the first file that was refused; as for `PUT`.", body = Vec<FormResult>),
    )
)]
pub(crate) async fn post_files(
    State(site): State<Site>,
    request: Request,
) -> Result<Response, Problem> {
    let options = common_options(request.headers())?;
    let received = site
        .face
        .metrics()
        .client_bytes(Surface::Http, Direction::In);
    let mut form = Form::of(request, site.write_stall, received).await?;
    let mut outcome = Outcome::default();
    let mut user = None;
    loop {
        let mut field = match form.next_field().await {
            Ok(Some(field)) => field,
            Ok(None) => {
                if let Err(error) = form.end().await {
                    outcome.refuse(unreadable(error));
                }
                break;
            }
            Err(error) if outcome.results.is_empty() => return Err(broken(&error)),
            // A form that breaks later still tells what became of the files before.
            Err(error) => {
                outcome.refuse(broken(&error));
                break;
            }
        };
        match field.name() {
            Some("username") => user = Some(text_of(field).await?),
            Some("selected_files") if is_empty_choice(&field) => {}
            Some("selected_files") => {
                let user = user.as_deref().ok_or_else(|| {
                    Problem::bad_request("the field `username` must come before `selected_files`")
                })?;
                if outcome.results.len() == HTTP_FORM_FILES_MAX {
                    let detail = format!("a form has at most {HTTP_FORM_FILES_MAX} files");
                    outcome.refuse(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
                    break;
                }
                let result = store(&site, user, &options, &mut field).await;
                outcome.note(result);
                if skip(field).await.is_err() {
                    break;
                }
            }
            _ => skip(field).await.map_err(|error| broken(&error))?,
        }
    }
    outcome.into_response()
}

/// A browser's way of saying that no file was chosen.
fn is_empty_choice(field: &Field<'_>) -> bool {
    field.file_name() == Some("")
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

async fn store(
    site: &Site,
    user: &str,
    options: &WriteOptions,
    field: &mut Field<'_>,
) -> Result<Written, Problem> {
    let name = field.file_name().ok_or_else(|| {
        Problem::bad_request("a part `selected_files` has no `filename`; send it as a file")
    })?;
    let name = unescaped(name);
    coding::check_part(field.headers())?;
    let key = Key::of(user, &name).map_err(|error| {
        Problem::bad_request(error.to_string()).with_refused_key(&format!("{user}/{name}"))
    })?;
    // Clients send what they guess from the name, or octet-stream; name and content together tell more.
    let stated = field.content_type().and_then(stated_type);
    let stated = stated.filter(|stated| !is_what_the_name_says(stated, &name));
    let options = WriteOptions {
        content_type: stated,
        ..options.clone()
    };
    stream(field, |body| site.face.write(&key, options, body))
        .await
        .map_err(|error| Problem::from(error).with_key(&key))
}

/// Lets a field's content flow into a write. A field lives no longer than its form, while the driver
/// wants a body that may live for ever, so a short queue stands between the two.
async fn stream<F>(
    field: &mut Field<'_>,
    write: impl FnOnce(crate::driver::Body) -> F,
) -> Result<Written, WriteError>
where
    F: Future<Output = Result<Written, WriteError>>,
{
    let (sender, receiver) = mpsc::channel::<Result<_, BodyError>>(HTTP_FORM_QUEUE_CHUNKS);
    let feed = async move {
        while let Some(chunk) = field.next().await {
            let chunk = chunk.map_err(|error| cause(&error));
            // A write that is over takes no more.
            if sender.send(chunk).await.is_err() {
                break;
            }
        }
    };
    let (written, ()) = join(write(ReceiverStream::new(receiver).boxed()), feed).await;
    written
}

/// Reads what is left of a field, so that the next one can be found.
async fn skip(mut field: Field<'_>) -> Result<(), MultipartError> {
    while let Some(chunk) = field.next().await {
        chunk?;
    }
    Ok(())
}

fn broken(error: &MultipartError) -> Problem {
    unreadable(cause(error))
}

fn unreadable(error: BodyError) -> Problem {
    match error {
        BodyError::Client(reason) => {
            Problem::bad_request(format!("the form can not be read: {reason}"))
        }
        other => other.into(),
    }
}

#[derive(Default)]
struct Outcome {
    results: Vec<FormResult>,
    refused: Option<StatusCode>,
    created: bool,
}

impl Outcome {
    fn note(&mut self, result: Result<Written, Problem>) {
        match result {
            Ok(written) => {
                self.created |= !written.replaced && !written.unchanged;
                self.results.push(FormResult::Written(written.into()));
            }
            Err(problem) => self.refuse(problem),
        }
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
