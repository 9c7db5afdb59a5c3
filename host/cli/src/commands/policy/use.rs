//! `policy use`: chooses the policy that decides.

use dataverse_core::policy::Kind;
use dataverse_node::policies::name::PolicyName;
use dataverse_node::policies::spec::KindSpec;

use super::change::Change;
use super::everywhere::Reach;
use super::{config_of, kind_of};
use crate::commands::failure::Failure;
use crate::commands::offered::{kinds, offered, policies};
use crate::commands::screen::Screen;

/// Choose the policy that decides
///
/// It takes over between two decisions, without a restart. What is not given is as usual, whatever it was
/// before: no configuration, no shadow, the usual limits.
#[derive(Debug, clap::Args)]
pub(super) struct Use {
    /// What it decides: placement, eviction or relocation
    #[arg(value_name = "KIND", value_parser = offered(kind_of, kinds), hide_possible_values = true)]
    kind: Kind,
    /// The policy: a file in the node's folder, else a built-in one
    #[arg(value_name = "NAME", value_parser = offered(PolicyName::said, policies), hide_possible_values = true)]
    name: PolicyName,
    /// Its configuration
    #[arg(long, value_name = "JSON", value_parser = config_of)]
    config: Option<serde_json::Value>,
    /// A policy that is asked as well, and compared instead of obeyed
    #[arg(long, value_name = "NAME", value_parser = offered(PolicyName::said, policies), hide_possible_values = true)]
    shadow: Option<PolicyName>,
    #[command(flatten)]
    pub(super) reach: Reach,
}

impl Use {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let mut spec = KindSpec::plain(self.name.as_str());
        if let Some(config) = self.config {
            spec.config = config;
        }
        spec.shadow = self.shadow.map(|shadow| shadow.to_string());
        let change = Change::Use(self.kind, spec);
        self.reach.make(&change, screen).await
    }
}
