//! `node`: runs a node, or prints its configuration.

use std::path::PathBuf;

use super::failure::Failure;
use super::screen::Screen;
use crate::config::{self, Line, Resolved, Sources, Values, file};

/// Run a node
///
/// Flags take precedence over the environment (DATAVERSE_NAME, DATAVERSE_SEARCH_HOPS, …), the environment over the
/// configuration file, and the file over the defaults; --print-config shows the result. When the node is ready, it
/// prints one line on standard output.
#[derive(Debug, clap::Args)]
pub(super) struct Node {
    /// The node's name, for people [default: the beginning of its id]
    #[arg(long)]
    name: Option<String>,
    /// The data folder [default: the user's data folder]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// The address for other nodes and gRPC clients; port 0 picks a free port [default: 127.0.0.1:7400]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The address at which other nodes reach this one [default: the one it listens on]
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// The address for HTTP; port 0 picks a free port [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    http: Option<String>,
    /// A host name by which HTTP clients may address the node; may be given several times [default: localhost, IP
    /// addresses and the name in --advertise]
    #[arg(long, value_name = "NAME")]
    http_host: Vec<String>,
    /// The address of a node to link with; may be given several times
    #[arg(long, value_name = "ADDR")]
    link: Vec<String>,
    /// The name of the network; only nodes of the same network can be linked [default: default]
    #[arg(long)]
    network: Option<String>,
    /// The failure domain; copies of a file are spread over zones
    #[arg(long)]
    zone: Option<String>,
    /// Bytes that the node may use, such as 10GiB [default: the free space of the disk]
    #[arg(long, value_name = "BYTES")]
    capacity: Option<String>,
    /// How many copies a file has unless its upload says otherwise [default: 2]
    #[arg(long, value_name = "N")]
    factor: Option<String>,
    /// The policies folder [default: `policies` in the data folder]
    #[arg(long, value_name = "DIR")]
    policies: Option<String>,
    /// Record requests for `dataverse lab`: time, file id, size and outcome of each; with --set
    /// recording.names=true also the files' names
    #[arg(long, value_name = "FILE")]
    record: Option<String>,
    /// A ticket of the network to join, as `dataverse network invite` prints it; needed only once. The node links with the
    /// one that issues its certificate, unless --link names others
    #[arg(long, value_name = "TICKET")]
    join: Option<String>,
    /// The folder of the network's authority: this node issues certificates to machines with a ticket
    #[arg(long, value_name = "DIR")]
    authority: Option<String>,
    /// For those who run a PKI: the certificates of its authorities (PEM), read again when they change
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<String>,
    /// The certificate of this node from a PKI (PEM), with the subject alternative name URI:urn:dataverse:node:ID
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// The key of that certificate (PEM)
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Allow addresses that other machines can reach without an identity, or for HTTP, which has no authentication
    #[arg(long)]
    insecure: bool,
    /// Any other setting, such as search.hops=4; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// A configuration file in TOML [env: DATAVERSE_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print every setting with its value, default and origin, and exit
    #[arg(long)]
    print_config: bool,
    /// With --print-config: print JSON
    #[arg(long, requires = "print_config")]
    pub(super) json: bool,
}

impl Node {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let (print, json) = (self.print_config, self.json);
        let resolved = config::resolve(&self.sources(environment()?)?)?;
        for suspicion in &resolved.suspicions {
            screen.note(&format!("warning: {suspicion}"));
        }
        if resolved.config.folder.is_relative() && resolved.is_default("data") {
            screen.note(&format!(
                "warning: neither HOME nor XDG_DATA_HOME is set, so the data folder is {} in the current folder; use --data \
                 to choose another",
                resolved.config.folder.display()
            ));
        }
        if print {
            return print_config(&resolved, json, screen);
        }
        let has_identity = crate::identity::is_given(&resolved.config);
        resolved
            .config
            .check_listening(has_identity)
            .map_err(Failure::Usage)?;
        Ok(crate::node::run(resolved.config).await?)
    }

    fn sources(self, environment: Values) -> Result<Sources, Failure> {
        let config = self.config.clone();
        let config = config.or_else(|| super::variable("DATAVERSE_CONFIG").map(PathBuf::from));
        let file = match &config {
            Some(path) => file::read(path)?,
            None => Values::new(),
        };
        Ok(Sources {
            flags: self.flags()?,
            environment,
            file,
        })
    }

    fn flags(self) -> Result<Values, Failure> {
        let mut links = self.link.iter().flat_map(|link| link.split(','));
        if links.any(|link| link.trim().is_empty()) {
            return Err(empty("link"));
        }
        let links = (!self.link.is_empty()).then(|| self.link.join(","));
        let http_hosts = (!self.http_host.is_empty()).then(|| self.http_host.join(","));
        let given = [
            ("name", self.name),
            ("data", self.data),
            ("listen", self.listen),
            ("advertise", self.advertise),
            ("http", self.http),
            ("http_hosts", http_hosts),
            ("links", links),
            ("network", self.network),
            ("zone", self.zone),
            ("capacity", self.capacity),
            ("factor", self.factor),
            ("policies", self.policies),
            ("record", self.record),
            ("join", self.join),
            ("authority", self.authority),
            ("tls_ca", self.tls_ca),
            ("tls_cert", self.tls_cert),
            ("tls_key", self.tls_key),
            ("insecure", self.insecure.then(|| "true".to_owned())),
        ];
        let mut flags: Values = given
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), text?)))
            .collect();
        if let Some((name, _)) = flags.iter().find(|(_, text)| text.is_empty()) {
            return Err(empty(name));
        }
        for pair in self.set {
            let Some((name, text)) = pair.split_once('=') else {
                return Err(Failure::Usage(format!(
                    "--set {pair}: expected NAME=VALUE, such as search.hops=4"
                )));
            };
            if text.trim().is_empty() {
                return Err(empty(&format!("set {pair}")));
            }
            if flags
                .insert(name.trim().to_owned(), text.trim().to_owned())
                .is_some()
            {
                return Err(Failure::Usage(format!("{name} is given twice")));
            }
        }
        Ok(flags)
    }
}

/// An empty flag, as when a variable in a script is not set.
fn empty(flag: &str) -> Failure {
    Failure::Usage(format!(
        "--{flag} has an empty value; give a value or omit the flag"
    ))
}

/// The environment variables that are relevant here.
pub(super) fn environment() -> Result<Values, Failure> {
    let ours =
        |name: &str| name.starts_with("DATAVERSE_") || ["HOME", "XDG_DATA_HOME"].contains(&name);
    let mut values = Values::new();
    for (name, text) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| ours(name)) else {
            continue;
        };
        let text = text
            .into_string()
            .map_err(|_| Failure::Usage(format!("{name} in the environment is not UTF-8")))?;
        values.insert(name.to_owned(), text);
    }
    Ok(values)
}

fn print_config(resolved: &Resolved, json: bool, screen: &mut Screen<'_>) -> Result<(), Failure> {
    if json {
        let lines: Vec<_> = resolved.lines.iter().map(as_json).collect();
        let text = serde_json::Value::Array(lines);
        return screen.line(&format!("{text:#}"));
    }
    let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let rows = resolved.lines.iter().map(|line| {
        vec![
            line.name.to_owned(),
            shown(&line.value),
            shown(&line.default),
            line.origin.word().to_owned(),
            line.meaning.to_owned(),
        ]
    });
    let head = ["setting", "value", "default", "origin", "meaning"];
    screen.table(&head, rows.collect())
}

fn as_json(line: &Line) -> serde_json::Value {
    serde_json::json!({
        "name": line.name,
        "value": line.value,
        "default": line.default,
        "origin": line.origin.word(),
        "meaning": line.meaning,
    })
}
