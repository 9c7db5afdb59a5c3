//! `NodeConfig`: the configuration of one node.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dataverse_core::address;
use dataverse_core::limits::{FACTOR_MAX, LINKS_MAX, NAME_BYTES_MAX};
use dataverse_identity::ticket::{Ticket, TicketError};
use dataverse_lab::limits::FACTOR_DEFAULT;
use dataverse_node::settings::Settings;
use dataverse_node::settings::setting::{Setting, within};
use dataverse_node::settings::value::Value;

use super::{Values, is_local};
use crate::limits;

/// The configuration of one node. Built by [`super::resolve`] from the user's settings, or in code with
/// [`NodeConfig::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeConfig {
    /// The name for people; the beginning of the node's id when `None`.
    pub name: Option<String>,
    /// The data folder.
    pub folder: PathBuf,
    /// The address for other nodes and gRPC clients; port 0 picks a free port.
    pub listen: SocketAddr,
    /// `host:port` at which other nodes reach this one; the listening address when `None`.
    pub advertise: Option<String>,
    /// The address for HTTP; port 0 picks a free port.
    pub http: SocketAddr,
    /// Names by which HTTP clients may address the node, besides `localhost` and IP addresses.
    pub http_hosts: Vec<String>,
    /// `host:port` of the nodes to link with.
    pub links: Vec<String>,
    /// Only nodes of the same network can be linked.
    pub network: String,
    /// The failure domain, such as a machine or a rack; may be empty.
    pub zone: String,
    /// Bytes that the node may use; the disk's free space when `None`.
    pub capacity: Option<u64>,
    /// Replicas of a file unless its upload says otherwise.
    pub factor: u32,
    /// The policies folder; `policies` in the data folder when `None`.
    pub policies: Option<PathBuf>,
    /// Where requests are recorded, if at all.
    pub record: Option<PathBuf>,
    /// A ticket of the network to join.
    pub join: Option<Ticket>,
    /// The folder of the network's authority, if this node issues certificates.
    pub authority: Option<PathBuf>,
    /// The certificates of a PKI's authorities, and this node's certificate and key.
    pub tls_ca: Option<PathBuf>,
    /// See `tls_ca`.
    pub tls_cert: Option<PathBuf>,
    /// See `tls_ca`.
    pub tls_key: Option<PathBuf>,
    /// Addresses that other machines can reach are allowed without an identity, and for HTTP.
    pub insecure: bool,
    /// All other settings.
    pub settings: Settings,
}

impl NodeConfig {
    /// A node with its data in this folder and every other setting at its default.
    #[must_use]
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            name: None,
            folder,
            listen: SocketAddr::from(([127, 0, 0, 1], 7400)),
            advertise: None,
            http: SocketAddr::from(([127, 0, 0, 1], 8080)),
            http_hosts: Vec::new(),
            links: Vec::new(),
            network: "default".to_owned(),
            zone: String::new(),
            capacity: None,
            factor: FACTOR_DEFAULT,
            policies: None,
            record: None,
            join: None,
            authority: None,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            insecure: false,
            settings: Settings::default(),
        }
    }

    /// Every name by which HTTP clients may address the node.
    #[must_use]
    pub(crate) fn all_http_hosts(&self) -> Vec<String> {
        let advertised = self.advertise.as_deref();
        let advertised = advertised.and_then(|text| address::host_and_port(text).ok());
        let advertised = advertised.map(|(host, _)| host.to_owned());
        self.http_hosts.iter().cloned().chain(advertised).collect()
    }

    /// Makes all paths absolute, so that they mean the same wherever they are compared.
    ///
    /// # Errors
    /// If the current folder is not known.
    pub(crate) fn rooted(mut self) -> std::io::Result<Self> {
        self.folder = std::path::absolute(&self.folder)?;
        let paths = [
            &mut self.policies,
            &mut self.record,
            &mut self.authority,
            &mut self.tls_ca,
            &mut self.tls_cert,
            &mut self.tls_key,
        ];
        for path in paths.into_iter().flatten() {
            *path = std::path::absolute(&*path)?;
        }
        Ok(self)
    }

    /// The policies folder.
    #[must_use]
    pub(crate) fn policies_folder(&self) -> PathBuf {
        self.policies
            .clone()
            .unwrap_or_else(|| self.folder.join("policies"))
    }

    /// Refuses values that contradict each other.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(sentence) = self.settings.contradiction() {
            return Err(sentence);
        }
        if self.settings.write_min_replicas > self.factor {
            return Err(format!(
                "write.min_replicas ({}) is more than factor ({}): no write would ever be acknowledged",
                self.settings.write_min_replicas, self.factor
            ));
        }
        let files = [&self.tls_ca, &self.tls_cert, &self.tls_key];
        let given = files.iter().filter(|file| file.is_some()).count();
        if ![0, files.len()].contains(&given) {
            return Err("tls_ca, tls_cert and tls_key belong together: give all three (--tls-ca, --tls-cert, --tls-key) or none".to_owned());
        }
        let identities = [given > 0, self.join.is_some(), self.authority.is_some()];
        if identities.into_iter().filter(|is_given| *is_given).count() > 1 {
            return Err("a node has one identity: give --join, --authority, or the files of a PKI (--tls-ca, --tls-cert, --tls-key)".to_owned());
        }
        match address::exposure("http", self.http) {
            Some(sentence) if !self.insecure => Err(sentence),
            // Without this, it is looked at once it is known whether the node has an identity.
            _ if self.insecure => self.check_reachable(),
            _ => Ok(()),
        }
    }

    /// Refuses an address that every node would take for its own.
    fn check_reachable(&self) -> Result<(), String> {
        if self.listen.ip().is_unspecified() && self.advertise.is_none() {
            return Err(format!(
                "listen ({}) covers all addresses of this machine, so other nodes can't tell which one to use: set one with advertise (--advertise HOST:PORT)",
                self.listen
            ));
        }
        Ok(())
    }

    /// Refuses an address for other nodes that other machines can reach, unless the node has an identity, and one at which
    /// they do not reach it.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub(crate) fn check_listening(&self, has_identity: bool) -> Result<(), String> {
        if has_identity || self.insecure || is_local(self.listen.ip()) {
            return self.check_reachable();
        }
        Err(format!(
            "listen {} can be reached from other machines, and this node has no identity by which nodes recognise each other: join a network with --join TICKET, or make one (`dataverse network create NAME`, then --authority DIR). With --insecure, anyone who can connect can read, replace and delete every file",
            self.listen
        ))
    }

    /// The name, parser and display of each setting.
    pub(super) const TABLE: &'static [Setting<Self>] = &[
        Setting {
            name: "name",
            meaning: "the node's name, for people; by default the beginning of its id",
            show: |config| config.name.clone(),
            read: |config, text| {
                config.name = Some(label(text)?);
                Ok(())
            },
        },
        Setting {
            name: "data",
            meaning: "the data folder",
            show: |config| Some(config.folder.display().to_string()),
            read: |config, text| {
                config.folder = folder(text)?;
                Ok(())
            },
        },
        Setting {
            name: "listen",
            meaning: "the address for other nodes and gRPC clients; port 0 picks a free port",
            show: |config| Some(config.listen.to_string()),
            read: |config, text| {
                config.listen = address::to_listen_on(text)?;
                Ok(())
            },
        },
        Setting {
            name: "advertise",
            meaning: "the address at which other nodes reach this one; by default the one it listens on",
            show: |config| config.advertise.clone(),
            read: |config, text| {
                config.advertise = Some(advertised(text)?);
                Ok(())
            },
        },
        Setting {
            name: "http",
            meaning: "the address for HTTP; port 0 picks a free port",
            show: |config| Some(config.http.to_string()),
            read: |config, text| {
                config.http = address::to_listen_on(text)?;
                Ok(())
            },
        },
        Setting {
            name: "http_hosts",
            meaning: "comma-separated host names by which HTTP clients may address the node, besides localhost, IP addresses and the name in advertise",
            show: |config| (!config.http_hosts.is_empty()).then(|| config.http_hosts.join(",")),
            read: |config, text| {
                config.http_hosts = http_hosts(text)?;
                Ok(())
            },
        },
        Setting {
            name: "links",
            meaning: "comma-separated addresses (HOST:PORT) of the nodes to link with",
            show: |config| (!config.links.is_empty()).then(|| config.links.join(",")),
            read: |config, text| {
                config.links = links(text)?;
                Ok(())
            },
        },
        Setting {
            name: "network",
            meaning: "the name of the network; only nodes of the same network can be linked",
            show: |config| Some(config.network.clone()),
            read: |config, text| {
                config.network = label(text)?;
                Ok(())
            },
        },
        Setting {
            name: "zone",
            meaning: "the failure domain; copies of a file are spread over zones",
            show: |config| (!config.zone.is_empty()).then(|| config.zone.clone()),
            read: |config, text| {
                config.zone = match text {
                    "" => String::new(),
                    text => label(text)?,
                };
                Ok(())
            },
        },
        Setting {
            name: "capacity",
            meaning: "bytes that the node may use; by default the free space of the disk",
            show: |config| config.capacity.show(),
            read: |config, text| {
                config.capacity = within(text, Some(1)..=Some(u64::MAX))?;
                Ok(())
            },
        },
        Setting {
            name: "factor",
            meaning: "how many copies a file has unless its upload says otherwise",
            show: |config| config.factor.show(),
            read: |config, text| {
                config.factor = within(text, 1..=FACTOR_MAX)?;
                Ok(())
            },
        },
        Setting {
            name: "policies",
            meaning: "the policies folder; by default `policies` in the data folder",
            show: |config| Some(config.policies_folder().display().to_string()),
            read: |config, text| {
                config.policies = Some(folder(text)?);
                Ok(())
            },
        },
        Setting {
            name: "record",
            meaning: "the file in which requests are recorded for the lab; by default none",
            show: |config| shown_path(&config.record),
            read: |config, text| {
                config.record = Some(recording(text)?);
                Ok(())
            },
        },
        Setting {
            name: "join",
            meaning: "a ticket of the network to join, needed only once",
            // Whoever has the ticket can join.
            show: |config| config.join.as_ref().map(|_| "(a ticket)".to_owned()),
            read: |config, text| {
                config.join = Some(
                    text.parse()
                        .map_err(|error: TicketError| error.to_string())?,
                );
                Ok(())
            },
        },
        Setting {
            name: "authority",
            meaning: "the folder of the network's authority; this node issues certificates to machines with a ticket",
            show: |config| shown_path(&config.authority),
            read: |config, text| {
                config.authority = Some(folder(text)?);
                Ok(())
            },
        },
        Setting {
            name: "tls_ca",
            meaning: "for those who run a PKI: the certificates of its authorities (PEM), read again when they change",
            show: |config| shown_path(&config.tls_ca),
            read: |config, text| {
                config.tls_ca = Some(file(text)?);
                Ok(())
            },
        },
        Setting {
            name: "tls_cert",
            meaning: "the certificate of this node from a PKI (PEM)",
            show: |config| shown_path(&config.tls_cert),
            read: |config, text| {
                config.tls_cert = Some(file(text)?);
                Ok(())
            },
        },
        Setting {
            name: "tls_key",
            meaning: "the key of that certificate (PEM)",
            show: |config| shown_path(&config.tls_key),
            read: |config, text| {
                config.tls_key = Some(file(text)?);
                Ok(())
            },
        },
        Setting {
            name: "insecure",
            meaning: "allow addresses that other machines can reach without an identity, and for HTTP, which has no authentication",
            show: |config| config.insecure.show(),
            read: |config, text| {
                config.insecure = bool::read(text)?;
                Ok(())
            },
        },
    ];
}

/// The default data folder, according to the XDG base directory specification.
pub(super) fn default_folder(environment: &Values) -> PathBuf {
    let absolute = |name: &str| {
        let path = environment.get(name).map(Path::new)?;
        path.is_absolute().then(|| path.to_owned())
    };
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map_or_else(
            || PathBuf::from("dataverse-data"),
            |data| data.join("dataverse"),
        )
}

/// The default folder of an authority: beside the default data folder, which a node has for itself.
pub(crate) fn authority_folder(environment: &Values) -> PathBuf {
    default_folder(environment).with_file_name("dataverse-authority")
}

/// A name that fits into a line of `name=value` words and into a URL's segment.
fn label(text: &str) -> Result<String, String> {
    let foreign = |char: char| char.is_whitespace() || char.is_control() || char == '/';
    if text.is_empty() || text.len() > NAME_BYTES_MAX {
        return Err(format!("expected 1 to {} bytes", NAME_BYTES_MAX));
    }
    if text.contains(foreign) || matches!(text, "." | "..") {
        return Err("expected a name without spaces, `/` or control characters".to_owned());
    }
    Ok(text.to_owned())
}

fn shown_path(path: &Option<PathBuf>) -> Option<String> {
    path.as_ref().map(|path| path.display().to_string())
}

fn file(text: &str) -> Result<PathBuf, String> {
    folder(text).map_err(|_| "expected a file".to_owned())
}

fn folder(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("expected a folder".to_owned()),
        text => Ok(PathBuf::from(text)),
    }
}

/// A recording is CSV, so no ending that suggests another format is accepted.
fn recording(text: &str) -> Result<PathBuf, String> {
    const OTHERS: [&str; 10] = [
        "bz2", "gz", "html", "json", "jsonl", "parquet", "svg", "xz", "zip", "zst",
    ];
    let file = file(text)?;
    let ending = file.extension().unwrap_or_default().to_string_lossy();
    match OTHERS.iter().find(|it| ending.eq_ignore_ascii_case(it)) {
        Some(other) => Err(format!(
            "a recording is plain CSV, not .{other}; use a name such as requests.csv"
        )),
        None => Ok(file),
    }
}

fn advertised(text: &str) -> Result<String, String> {
    // Port 0 stands for the port that the system picks.
    let (host, _) = address::host_and_port(text)?;
    let everywhere = host
        .parse::<std::net::IpAddr>()
        .is_ok_and(|ip| ip.to_canonical().is_unspecified());
    if everywhere {
        return Err("expected an address that other nodes can connect to".to_owned());
    }
    Ok(text.to_owned())
}

/// Host names without ports: a client that uses a name may connect through a forwarded port.
fn http_hosts(text: &str) -> Result<Vec<String>, String> {
    list(text, address::host_name, limits::HTTP_HOSTS_MAX, "names")
}

fn links(text: &str) -> Result<Vec<String>, String> {
    list(text, address::of_a_node, LINKS_MAX, "links")
}

/// The items of a comma-separated list; empty ones are skipped.
fn list(
    text: &str,
    parse: fn(&str) -> Result<String, String>,
    most: usize,
    items: &str,
) -> Result<Vec<String>, String> {
    let all = text.split(',').map(str::trim);
    let all: Vec<String> = all
        .filter(|item| !item.is_empty())
        .map(parse)
        .collect::<Result<_, _>>()?;
    if all.len() > most {
        return Err(format!("expected at most {most} {items}"));
    }
    Ok(all)
}
