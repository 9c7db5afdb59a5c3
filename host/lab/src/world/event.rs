//! The tables `[[event]]` of an experiment: what happens during a run.

use dataverse_core::policy::Kind;
use serde::{Deserialize, Serialize};

use super::policy_spec::PolicySpec;
use crate::library::Chosen;
use crate::quantity::Moment;
use crate::wrong::Wrong;

/// The kind of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occurrence {
    /// A new node `node` joins and is linked with `links`.
    Join,
    /// `node` is drained and then leaves: its replicas move away first.
    Leave,
    /// `node` fails immediately and takes everything it holds with it.
    Fail,
    /// `node` comes back with everything it held.
    Return,
    /// The link between the two nodes of `link` is cut.
    Cut,
    /// The two nodes of `link` are linked.
    Link,
    /// Policies are swapped on every node: those of `placement`, `eviction`, `relocation` that are given.
    Swap,
}

/// One table `[[event]]`. Resolving the events checks which keys belong to which kind.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSpec {
    /// When.
    pub at: Moment,
    /// What.
    pub kind: Occurrence,
    /// The name of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The names of the two ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<(String, String)>,
    /// The nodes that a new node is linked with, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<Vec<String>>,
    /// The new placement policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<PolicySpec>,
    /// The new eviction policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eviction: Option<PolicySpec>,
    /// The new relocation policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relocation: Option<PolicySpec>,
}

/// One event, resolved.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Moment,
    /// What.
    pub what: What,
}

/// What happens, with everything that it needs. Nodes are given by name.
#[derive(Clone, Debug)]
pub enum What {
    /// A new node joins.
    Join {
        /// Its name.
        node: String,
        /// The nodes it is linked with.
        links: Vec<String>,
    },
    /// A node is drained and then leaves.
    Leave(String),
    /// A node fails immediately.
    Fail(String),
    /// A node that failed comes back.
    Return(String),
    /// A link is cut.
    Cut(String, String),
    /// A link is made.
    Link(String, String),
    /// These policies decide from now on.
    Swap(Vec<(Kind, Chosen)>),
}

impl Event {
    /// Resolves the `index`-th table of the file, counted from 0. `choose` compiles a policy, by kind, name or
    /// path, and configuration.
    ///
    /// # Errors
    /// The key that is missing, does not belong to the kind, or names an unavailable policy.
    pub fn resolve(
        index: usize,
        spec: &EventSpec,
        choose: &mut dyn FnMut(Kind, &str, &str) -> Result<Chosen, String>,
    ) -> Result<Self, Wrong> {
        let table = Table { index, spec };
        table.refuse_strangers()?;
        let what = match spec.kind {
            Occurrence::Join => What::Join {
                node: table.node()?,
                links: table.wanted("links", spec.links.clone())?,
            },
            Occurrence::Leave => What::Leave(table.node()?),
            Occurrence::Fail => What::Fail(table.node()?),
            Occurrence::Return => What::Return(table.node()?),
            Occurrence::Cut => {
                let (a, b) = table.wanted("link", spec.link.clone())?;
                What::Cut(a, b)
            }
            Occurrence::Link => {
                let (a, b) = table.wanted("link", spec.link.clone())?;
                What::Link(a, b)
            }
            Occurrence::Swap => What::Swap(table.chosen(choose)?),
        };
        Ok(Self { at: spec.at, what })
    }
}

/// A table `[[event]]` and its index.
struct Table<'a> {
    index: usize,
    spec: &'a EventSpec,
}

impl Table<'_> {
    fn wrong(&self, key: &str, reason: impl Into<String>) -> Wrong {
        Wrong::new(format!("event.{}.{key}", self.index), reason)
    }

    fn wanted<T>(&self, key: &str, value: Option<T>) -> Result<T, Wrong> {
        let kind = self.spec.kind.as_str();
        value.ok_or_else(|| self.wrong("kind", format!("an event of kind `{kind}` needs `{key}`")))
    }

    fn node(&self) -> Result<String, Wrong> {
        self.wanted("node", self.spec.node.clone())
    }

    fn policies(&self) -> [(Kind, &Option<PolicySpec>); 3] {
        [
            (Kind::Placement, &self.spec.placement),
            (Kind::Eviction, &self.spec.eviction),
            (Kind::Relocation, &self.spec.relocation),
        ]
    }

    /// A key without a meaning for this kind is more likely a mistake than a comment.
    fn refuse_strangers(&self) -> Result<(), Wrong> {
        use Occurrence::{Cut, Fail, Join, Leave, Link, Return, Swap};
        let (spec, kind) = (self.spec, self.spec.kind);
        let swaps = self
            .policies()
            .map(|(kind, policy_spec)| (kind.as_str(), policy_spec.is_some()));
        let strangers = [
            (
                "node",
                spec.node.is_some() && !matches!(kind, Join | Leave | Fail | Return),
            ),
            ("link", spec.link.is_some() && !matches!(kind, Cut | Link)),
            ("links", spec.links.is_some() && kind != Join),
        ];
        let policies = swaps.map(|(key, given)| (key, given && kind != Swap));
        let stranger = strangers.into_iter().chain(policies).find(|&(_, is)| is);
        match stranger {
            None => Ok(()),
            Some((key, _)) => {
                let reason = format!("an event of kind `{}` has no `{key}`", kind.as_str());
                Err(self.wrong(key, reason))
            }
        }
    }

    fn chosen(
        &self,
        choose: &mut dyn FnMut(Kind, &str, &str) -> Result<Chosen, String>,
    ) -> Result<Vec<(Kind, Chosen)>, Wrong> {
        let mut chosen = Vec::new();
        for (kind, policy_spec) in self.policies() {
            let Some(policy_spec) = policy_spec else {
                continue;
            };
            let wrong = |reason: String| self.wrong(kind.as_str(), reason);
            let config = policy_spec.config().map_err(wrong)?;
            chosen.push((
                kind,
                choose(kind, policy_spec.policy(), &config).map_err(wrong)?,
            ));
        }
        if chosen.is_empty() {
            let reason = "an event of kind `swap` needs `placement`, `eviction` or `relocation`";
            return Err(self.wrong("kind", reason));
        }
        Ok(chosen)
    }
}

impl Occurrence {
    /// Its name in a file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Fail => "fail",
            Self::Return => "return",
            Self::Cut => "cut",
            Self::Link => "link",
            Self::Swap => "swap",
        }
    }
}
