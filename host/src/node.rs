//! One node from its configuration to its end.

use crate::config::NodeConfig;

/// Runs a node until it is told to stop.
///
/// # Errors
/// What kept it from starting, or from stopping cleanly.
pub async fn run(config: NodeConfig) -> anyhow::Result<()> {
    anyhow::bail!("a node in {} can't run yet", config.folder.display())
}
