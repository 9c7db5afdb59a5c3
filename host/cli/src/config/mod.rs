//! What a node is told before it starts, and who said it: flags go before the environment, the
//! environment before the file, the file before the defaults.
//!
//! Every source is text by name; the tables of settings read it. Nothing here touches the environment or
//! the disk: the command line collects the sources and hands them over.

pub(crate) mod file;
mod node;

use std::collections::BTreeMap;

use dataverse_node::settings::setting::{Setting, nearest, variable};
pub(crate) use node::NodeConfig;

use dataverse_node::settings::Settings;

/// Values by the name of their setting, or by variable in the environment.
pub(crate) type Values = BTreeMap<String, String>;

/// Everything that was said about a node's configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// From the command line, by setting.
    pub flags: Values,
    /// Every `DATAVERSE_…` variable, and those that the defaults come from.
    pub environment: Values,
    /// From the file, by setting; empty without one.
    pub file: Values,
}

/// Who decided a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A flag.
    Flag,
    /// The environment.
    Environment,
    /// The file.
    File,
    /// Nobody.
    Default,
}

impl Origin {
    /// In one word.
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

/// One setting as it stands, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// As in the file.
    pub name: &'static str,
    /// What it is; `None` when it isn't set.
    pub value: Option<String>,
    /// What it would be if nobody said otherwise.
    pub default: Option<String>,
    /// Who decided it.
    pub origin: Origin,
    /// What it means.
    pub meaning: &'static str,
}

/// A checked configuration, and how it came about.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    /// What the node is to be.
    pub config: NodeConfig,
    /// Every setting.
    pub lines: Vec<Line>,
    /// Variables that look like a misspelt setting.
    pub suspicions: Vec<String>,
}

impl Resolved {
    /// Whether nobody decided the setting of this name.
    #[must_use]
    pub(crate) fn is_default(&self, name: &str) -> bool {
        let mut lines = self.lines.iter();
        lines.any(|line| line.name == name && line.origin == Origin::Default)
    }
}

/// Why a configuration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file can't be had.
    #[error("can't read the configuration {path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// A name that no setting has.
    #[error("`{name}` ({}) is no setting{hint}; --print-config lists them all", .origin.word())]
    Unknown {
        /// What was named.
        name: String,
        /// Where.
        origin: Origin,
        /// What was probably meant.
        hint: String,
    },
    /// A value that its setting can't have.
    #[error("{name} = {text:?} ({}): {reason}", .origin.word())]
    Value {
        /// The setting.
        name: &'static str,
        /// What was given.
        text: String,
        /// Where.
        origin: Origin,
        /// What would have been right.
        reason: String,
    },
    /// Values that can't stand together.
    #[error("{0}")]
    Contradiction(String),
}

/// Puts the sources together and checks what comes out.
///
/// # Errors
/// The first thing that is wrong.
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
    // A default may follow another setting, as the policies' folder follows the data folder.
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

/// What was said of a setting by whoever goes first. An empty variable is no variable.
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

/// The variables of a setting: its own name, and the flag's where that differs.
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
                .map(|known| format!("; did you mean `{known}`?"))
                .unwrap_or_default(),
        }),
    }
}

/// Variables close to a setting's. They can't be refused: container platforms add `DATAVERSE_…` variables
/// of their own to a service of that name.
fn suspicions(environment: &Values) -> Vec<String> {
    const FOR_COMMANDS: [&str; 3] = ["DATAVERSE_NODE", "DATAVERSE_CONFIG", "DATAVERSE_LOG_FORMAT"];
    let known: Vec<String> = names().flat_map(variables).collect();
    environment
        .keys()
        .filter(|name| name.starts_with("DATAVERSE_"))
        .filter(|name| !known.contains(name) && !FOR_COMMANDS.contains(&name.as_str()))
        .filter_map(|name| {
            let meant = nearest(name, known.iter().map(String::as_str))?;
            Some(format!("{name} is no setting; did you mean {meant}?"))
        })
        .collect()
}

#[cfg(test)]
mod tests;
