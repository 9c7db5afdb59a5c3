//! What an experiment says shall happen: the tables `[[event]]`.

use dataverse_core::policy::Kind;
use serde::{Deserialize, Serialize};

use super::spec_of_policy::PolicyWish;
use crate::library::Chosen;
use crate::quantity::Moment;
use crate::wrong::Wrong;

/// What happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occurrence {
    /// A new node `node` appears, linked with `links`.
    Join,
    /// `node` is drained, then gone: its replicas move away first.
    Leave,
    /// `node` is gone at once, with what it holds.
    Fail,
    /// `node` is there again, with what it held.
    Return,
    /// The link between the two nodes of `link` is cut.
    Cut,
    /// Two nodes are linked.
    Link,
    /// Policies are swapped on every node: those of `placement`, `eviction`, `relocation` that are given.
    Swap,
}

/// One table `[[event]]`. Which keys go with which kind is checked when the events are resolved.
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
    /// Whom a newcomer is linked with, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<Vec<String>>,
    /// Who places from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<PolicyWish>,
    /// Who evicts from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eviction: Option<PolicyWish>,
    /// Who relocates from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relocation: Option<PolicyWish>,
}

/// One event, with everything that it needs.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Moment,
    /// What.
    pub what: What,
}

/// What happens, with everything that it needs. Nodes are called by name.
#[derive(Clone, Debug)]
pub enum What {
    /// A new node appears.
    Join {
        /// Its name.
        node: String,
        /// Whom it is linked with.
        links: Vec<String>,
    },
    /// A node is drained, then gone.
    Leave(String),
    /// A node is gone at once.
    Fail(String),
    /// A node that failed is there again.
    Return(String),
    /// A link is cut.
    Cut(String, String),
    /// A link is made.
    Link(String, String),
    /// These policies decide from now on.
    Swap(Vec<(Kind, Chosen)>),
}

impl Event {
    /// The event that a table describes, the `index`-th of the file from 0. `choose` has a policy compiled, by
    /// kind, name or path, and configuration.
    ///
    /// # Errors
    /// The key that is missing, that doesn't go with the kind, or whose policy can't be had.
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

/// A table `[[event]]`, and which one it is.
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
        value.ok_or_else(|| self.wrong("kind", format!("an event `{kind}` needs `{key}`")))
    }

    fn node(&self) -> Result<String, Wrong> {
        self.wanted("node", self.spec.node.clone())
    }

    fn wishes(&self) -> [(Kind, &Option<PolicyWish>); 3] {
        [
            (Kind::Placement, &self.spec.placement),
            (Kind::Eviction, &self.spec.eviction),
            (Kind::Relocation, &self.spec.relocation),
        ]
    }

    /// A key that has no meaning for this kind is more likely a mistake than a remark.
    fn refuse_strangers(&self) -> Result<(), Wrong> {
        use Occurrence::{Cut, Fail, Join, Leave, Link, Return, Swap};
        let (spec, kind) = (self.spec, self.spec.kind);
        let swaps = self
            .wishes()
            .map(|(kind, spec_of_policy)| (kind.as_str(), spec_of_policy.is_some()));
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
                let reason = format!("an event `{}` has no `{key}`", kind.as_str());
                Err(self.wrong(key, reason))
            }
        }
    }

    fn chosen(
        &self,
        choose: &mut dyn FnMut(Kind, &str, &str) -> Result<Chosen, String>,
    ) -> Result<Vec<(Kind, Chosen)>, Wrong> {
        let mut chosen = Vec::new();
        for (kind, spec_of_policy) in self.wishes() {
            let Some(spec_of_policy) = spec_of_policy else {
                continue;
            };
            let wrong = |reason: String| self.wrong(kind.as_str(), reason);
            let config = spec_of_policy.config().map_err(wrong)?;
            chosen.push((
                kind,
                choose(kind, spec_of_policy.policy(), &config).map_err(wrong)?,
            ));
        }
        if chosen.is_empty() {
            let reason = "an event `swap` needs `placement`, `eviction` or `relocation`";
            return Err(self.wrong("kind", reason));
        }
        Ok(chosen)
    }
}

impl Occurrence {
    /// As it is called in a file.
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
