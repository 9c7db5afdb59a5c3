//! `policy use`: selects the policy that decides.

use dataverse_core::policy::Kind;
use dataverse_node::policies::name::PolicyName;
use dataverse_node::policies::spec::KindSpec;

use super::change::Change;
use super::everywhere::Reach;
use super::{config_of, kind_of};
use crate::commands::failure::Failure;
use crate::commands::offered::{kinds, offered, policies};
use crate::commands::screen::Screen;

/// Select the policy that decides
///
/// The policy takes over between two decisions, without a restart. Options that are not given get their defaults,
/// whatever they were before: no configuration, no shadow, default limits.
#[derive(Debug, clap::Args)]
pub(super) struct Use {
    /// The kind: placement, eviction or relocation
    #[arg(value_name = "KIND", value_parser = offered(kind_of, kinds), hide_possible_values = true)]
    kind: Kind,
    /// The policy: a file in the node's policies folder, otherwise a built-in one
    #[arg(value_name = "NAME", value_parser = offered(PolicyName::said, policies), hide_possible_values = true)]
    name: PolicyName,
    /// The policy's configuration
    #[arg(long, value_name = "JSON", value_parser = config_of)]
    config: Option<serde_json::Value>,
    /// A policy that is asked too and compared, but not obeyed
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
