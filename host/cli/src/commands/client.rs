//! The HTTP client of the commands: turns a request into an answer, or into a failure that says what to do.

use std::error::Error as _;
use std::time::Duration;

use dataverse_core::key::Key;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::failure::Failure;
use super::proxy;
use crate::limits;

/// Everything but RFC 3986's unreserved characters.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The time limit on connecting.
const CONNECT: Duration = Duration::from_secs(5);
/// The time limit on a pause within an answer.
const STILL: Duration = Duration::from_secs(60);

/// A node to ask.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    /// For uploads and policy changes, where nothing comes back for as long as they take.
    patient: reqwest::Client,
    base: String,
    /// The proxy that the environment configures for this node.
    proxy: Option<String>,
}

/// The body of a node's refusal (RFC 9457).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
}

impl Client {
    /// A client of the node at this URL; `host:port` is accepted too.
    pub(super) fn new(node: &str) -> Result<Self, Failure> {
        let base = base(node)?;
        let proxy = proxy::of(&base);
        let builder = || {
            let builder = reqwest::Client::builder()
                .connect_timeout(CONNECT)
                .redirect(reqwest::redirect::Policy::none());
            match proxy {
                Some(_) => builder,
                None => builder.no_proxy(),
            }
        };
        let failed = |error| Failure::refused(format!("can't set up HTTP: {error}"));
        Ok(Self {
            http: builder().read_timeout(STILL).build().map_err(failed)?,
            patient: builder().build().map_err(failed)?,
            base,
            proxy,
        })
    }

    /// A request about a file.
    pub(super) fn file(&self, method: reqwest::Method, key: &Key) -> RequestBuilder {
        self.http.request(method, self.file_url(key))
    }

    /// An upload of a file.
    pub(super) fn upload(&self, key: &Key) -> RequestBuilder {
        self.patient.put(self.file_url(key))
    }

    fn file_url(&self, key: &Key) -> String {
        let segments: Vec<String> = key.as_str().split('/').map(escaped).collect();
        format!("{}/v1/files/{}", self.base, segments.join("/"))
    }

    /// A request to any other path, already escaped.
    pub(super) fn request(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// The same for requests that take a node longer than usual.
    pub(super) fn patient_request(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        self.patient.request(method, format!("{}{path}", self.base))
    }

    /// Sends a request and returns the answer, whatever its status.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        request.send().await.map_err(|error| self.broken(&error))
    }

    /// Sends a request; an answer that refuses is a failure.
    pub(super) async fn ask(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = self.send(request).await?;
        self.accept(response).await
    }

    /// Turns an answer that refuses into a failure.
    pub(super) async fn accept(&self, response: Response) -> Result<Response, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = self.text(response).await.unwrap_or_default();
        let problem: Problem = serde_json::from_str(&text).unwrap_or_default();
        let sentence = match (problem.title.as_str(), problem.detail.as_str()) {
            // Every refusal of a node has a reason.
            ("", "") => {
                let what = self.no_node(&format!("it answered {status} without a reason"));
                return Err(Failure::refused(what));
            }
            (title, "") => title.to_owned(),
            (_, detail) => detail.to_owned(),
        };
        Err(match status {
            // The node reports that it could not reach another one.
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Failure::Unreachable(sentence),
            _ => Failure::refused(sentence),
        })
    }

    /// Sends a request and reads the answer as text.
    pub(super) async fn ask_text(&self, request: RequestBuilder) -> Result<String, Failure> {
        let response = self.ask(request).await?;
        self.text(response).await
    }

    /// Reads an answer whole.
    pub(super) async fn text(&self, mut response: Response) -> Result<String, Failure> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.broken(&error))?
        {
            if bytes.len() + chunk.len() > limits::ANSWER_BYTES_MAX {
                return Err(Failure::refused(format!(
                    "the node's answer has more than {} bytes",
                    limits::ANSWER_BYTES_MAX
                )));
            }
            bytes.extend_from_slice(&chunk);
        }
        String::from_utf8(bytes).map_err(|_| Failure::refused("the node's answer is not UTF-8"))
    }

    /// Explains a failed exchange to the user.
    pub(super) fn broken(&self, error: &reqwest::Error) -> Failure {
        let cause = root_cause(error);
        let place = self.place();
        Failure::Unreachable(if error.is_connect() {
            format!(
                "can't reach the node at {place}: {cause}. Is it running? To ask another node, use --node URL or DATAVERSE_NODE"
            )
        } else if is_no_http(error) {
            self.no_node("it does not speak HTTP/1.1")
        } else {
            format!("the connection to the node at {place} broke: {cause}")
        })
    }

    /// Explains that the address is not a node's.
    fn no_node(&self, what: &str) -> String {
        format!(
            "no Dataverse node answers HTTP at {}: {what}. A node prints its HTTP address when it is ready, as http=…; \
             grpc=… is for other nodes",
            self.place()
        )
    }

    fn place(&self) -> String {
        match &self.proxy {
            None => self.base.clone(),
            Some(proxy) => format!(
                "{} through the proxy {proxy} from the environment (NO_PROXY excludes hosts)",
                self.base
            ),
        }
    }
}

/// hyper's error when a server speaks first, as gRPC, SSH and mail servers do; there is no other way to detect
/// that.
const SPOKE_FIRST: &str = "received unexpected message from connection";

/// Whether the response is not HTTP/1.1.
fn is_no_http(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(source) = cause {
        let of_http = source.downcast_ref::<hyper::Error>();
        if of_http.is_some_and(|error| error.is_parse() || error.to_string() == SPOKE_FIRST) {
            return true;
        }
        cause = source.source();
    }
    false
}

/// Escapes a segment of a path.
pub(super) fn escaped(segment: &str) -> String {
    utf8_percent_encode(segment, ESCAPED).to_string()
}

/// Encodes `name=value` pairs, as in a query or a form.
pub(super) fn pairs(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    pairs.join("&")
}

/// Parses a node's answer.
pub(super) fn understood<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let question = match error.is_data() {
            true => "Do the node and this program have the same version?",
            false => "Is this the address of a Dataverse node?",
        };
        Failure::refused(format!(
            "can't parse the node's answer: {error}. {question}"
        ))
    })
}

fn base(node: &str) -> Result<String, Failure> {
    let wrong = |reason: &str| {
        Failure::Usage(format!(
            "--node {node:?}: {reason}; expected an address such as http://127.0.0.1:8080"
        ))
    };
    let with_scheme = match node.split_once("://") {
        None => format!("http://{node}"),
        Some(("http", _)) => node.to_owned(),
        Some(_) => return Err(wrong("only http is supported")),
    };
    let url = reqwest::Url::parse(&with_scheme).map_err(|error| wrong(&error.to_string()))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has more than an address"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match error.source() {
        None if error.is_timeout() => "it took too long".to_owned(),
        _ => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_by_url_or_address() {
        let check = |node: &str, expected: Option<&str>| {
            assert_eq!(base(node).ok().as_deref(), expected, "{node}");
        };
        check("http://127.0.0.1:8080", Some("http://127.0.0.1:8080"));
        check("http://127.0.0.1:8080/", Some("http://127.0.0.1:8080"));
        check("127.0.0.1:8080", Some("http://127.0.0.1:8080"));
        check("localhost:1", Some("http://localhost:1"));
        check("[::1]:1", Some("http://[::1]:1"));
        check("https://127.0.0.1:8080", None);
        check("", None);
        check("http://a/?x", None);
    }

    #[test]
    fn keys_are_escaped_by_segment() {
        let client = Client::new("h:1").expect("a valid address");
        let key = Key::parse("ada/a b/50%#?ü").expect("a key");
        assert_eq!(
            client.file_url(&key),
            "http://h:1/v1/files/ada/a%20b/50%25%23%3F%C3%BC"
        );
    }
}
