//! Resolves a node's configuration from its sources: flags take precedence over the environment, the environment
//! over the file, and the file over the defaults.
//!
//! Every source maps names to text; the tables of settings parse it. Nothing here reads the environment or the
//! disk: the command line collects the sources and passes them in.

pub(crate) mod file;
mod node;

use std::collections::BTreeMap;
use std::net::IpAddr;

use dataverse_node::settings::setting::{Setting, nearest, variable};
pub(crate) use node::{NodeConfig, authority_folder};

use dataverse_node::settings::Settings;

/// Values by the name of their setting, or of their environment variable.
pub(crate) type Values = BTreeMap<String, String>;

/// Whether only programs on the same machine reach this address.
pub(crate) fn is_local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// All sources of a node's configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// From the command line, by setting.
    pub flags: Values,
    /// Every `DATAVERSE_…` variable, and those that defaults depend on.
    pub environment: Values,
    /// From the file, by setting; empty without a file.
    pub file: Values,
}

/// Where a setting's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A flag.
    Flag,
    /// The environment.
    Environment,
    /// The file.
    File,
    /// The setting's default.
    Default,
}

impl Origin {
    /// The origin in one word.
    #[must_use]
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        }
    }
}

/// A setting and its value, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The name, as in the file.
    pub name: &'static str,
    /// The value; `None` if it isn't set.
    pub value: Option<String>,
    /// The default.
    pub default: Option<String>,
    /// Where the value comes from.
    pub origin: Origin,
    /// What the setting means.
    pub meaning: &'static str,
}

/// A checked configuration, and the origin of its values.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    /// The node's configuration.
    pub config: NodeConfig,
    /// Every setting.
    pub lines: Vec<Line>,
    /// Variables that look like misspelt settings.
    pub suspicions: Vec<String>,
}

impl Resolved {
    /// Whether the setting of this name has its default.
    #[must_use]
    pub(crate) fn is_default(&self, name: &str) -> bool {
        let mut lines = self.lines.iter();
        lines.any(|line| line.name == name && line.origin == Origin::Default)
    }
}

/// Why a configuration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file can't be read.
    #[error("can't read the configuration {path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// A name of no setting.
    #[error("unknown setting `{name}` ({}){hint}; --print-config lists all settings", .origin.word())]
    Unknown {
        /// The name.
        name: String,
        /// Where it was given.
        origin: Origin,
        /// A similar name.
        hint: String,
    },
    /// An invalid value.
    #[error("{name} = {text:?} ({}): {reason}", .origin.word())]
    Value {
        /// The setting.
        name: &'static str,
        /// The value.
        text: String,
        /// Where it was given.
        origin: Origin,
        /// What is expected.
        reason: String,
    },
    /// Values that contradict each other.
    #[error("{0}")]
    Contradiction(String),
}

/// Merges the sources and checks the result.
///
/// # Errors
/// The first mistake.
pub(crate) fn resolve(sources: &Sources) -> Result<Resolved, ConfigError> {
    refuse_unknown(&sources.flags, Origin::Flag)?;
    refuse_unknown(&sources.file, Origin::File)?;
    let defaults = NodeConfig::new(node::default_folder(&sources.environment));
    let mut config = defaults.clone();
    let mut origins = Vec::new();
    for entry in entries() {
        origins.push(match said(sources, entry.name()) {
            Some((text, origin)) => {
                entry.read(&mut config, text, origin)?;
                origin
            }
            None => Origin::Default,
        });
    }
    config.check().map_err(ConfigError::Contradiction)?;
    // A default may depend on another setting, as that of the policies folder on the data folder.
    let lines = entries()
        .zip(origins)
        .map(|(entry, origin)| Line {
            name: entry.name(),
            value: entry.show(&config),
            default: entry.show(&defaults),
            origin,
            meaning: entry.meaning(),
        })
        .collect();
    Ok(Resolved {
        config,
        lines,
        suspicions: suspicions(&sources.environment),
    })
}

/// A setting of either table.
enum Entry {
    Node(&'static Setting<NodeConfig>),
    Driver(&'static Setting<Settings>),
}

impl Entry {
    fn name(&self) -> &'static str {
        match self {
            Self::Node(setting) => setting.name,
            Self::Driver(setting) => setting.name,
        }
    }

    fn meaning(&self) -> &'static str {
        match self {
            Self::Node(setting) => setting.meaning,
            Self::Driver(setting) => setting.meaning,
        }
    }

    fn show(&self, config: &NodeConfig) -> Option<String> {
        match self {
            Self::Node(setting) => (setting.show)(config),
            Self::Driver(setting) => (setting.show)(&config.settings),
        }
    }

    fn read(&self, config: &mut NodeConfig, text: &str, origin: Origin) -> Result<(), ConfigError> {
        match self {
            Self::Node(setting) => (setting.read)(config, text),
            Self::Driver(setting) => (setting.read)(&mut config.settings, text),
        }
        .map_err(|reason| ConfigError::Value {
            name: self.name(),
            text: text.to_owned(),
            origin,
            reason,
        })
    }
}

fn entries() -> impl Iterator<Item = Entry> {
    let node = NodeConfig::TABLE.iter().map(Entry::Node);
    node.chain(Settings::TABLE.iter().map(Entry::Driver))
}

fn names() -> impl Iterator<Item = &'static str> {
    entries().map(|entry| entry.name())
}

/// The value of a setting in the source that takes precedence. An empty variable counts as unset.
fn said<'a>(sources: &'a Sources, name: &str) -> Option<(&'a str, Origin)> {
    let flag = sources.flags.get(name).map(|text| (text, Origin::Flag));
    let environment = || {
        variables(name)
            .find_map(|variable| sources.environment.get(&variable))
            .filter(|text| !text.is_empty())
            .map(|text| (text, Origin::Environment))
    };
    let file = || sources.file.get(name).map(|text| (text, Origin::File));
    flag.or_else(environment)
        .or_else(file)
        .map(|(text, origin)| (text.as_str(), origin))
}

/// The variables of a setting: by its own name, and by its flag's where that differs.
fn variables(name: &str) -> impl Iterator<Item = String> {
    let flag = (name == "links").then(|| variable("link"));
    std::iter::once(variable(name)).chain(flag)
}

fn refuse_unknown(values: &Values, origin: Origin) -> Result<(), ConfigError> {
    match values
        .keys()
        .find(|name| names().all(|known| known != *name))
    {
        None => Ok(()),
        Some(name) => Err(ConfigError::Unknown {
            name: name.clone(),
            origin,
            hint: nearest(name, names())
                .map(|known| format!(", similar to `{known}`"))
                .unwrap_or_default(),
        }),
    }
}

/// Variables whose names are close to a setting's. They can't be refused, because container platforms add
/// `DATAVERSE_…` variables of their own to a service of that name.
fn suspicions(environment: &Values) -> Vec<String> {
    const FOR_COMMANDS: [&str; 3] = ["DATAVERSE_NODE", "DATAVERSE_CONFIG", "DATAVERSE_LOG_FORMAT"];
    let known: Vec<String> = names().flat_map(variables).collect();
    environment
        .keys()
        .filter(|name| name.starts_with("DATAVERSE_"))
        .filter(|name| !known.contains(name) && !FOR_COMMANDS.contains(&name.as_str()))
        .filter_map(|name| {
            let meant = nearest(name, known.iter().map(String::as_str))?;
            Some(format!("{name} is not a setting; did you mean {meant}?"))
        })
        .collect()
}

#[cfg(test)]
mod tests;
