//! `policy install`: installs a policy in a node's policies folder.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use dataverse_node::policies::name::PolicyName;
use dataverse_sandbox::limits::POLICY_FILE_BYTES_MAX;

use super::change::Change;
use super::everywhere::Reach;
use crate::commands::failure::Failure;
use crate::commands::screen::Screen;

/// Install a policy on a node
///
/// The node first checks it as `policy check` does, and refuses what that command refuses. If a policy of that
/// name is active there, this one takes over; otherwise activate it with `policy use`.
#[derive(Debug, clap::Args)]
pub(super) struct Install {
    /// The policy, as `policy build` writes it
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// The policy's name [default: the file's own name]
    #[arg(long = "as", value_name = "NAME", value_parser = PolicyName::said)]
    name: Option<PolicyName>,
    /// Install it even if it answers test questions badly; a file that is not a policy, or that fails its trial,
    /// is still refused
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    pub(super) reach: Reach,
}

impl Install {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let name = match self.name {
            Some(name) => name,
            None => own_name(&self.file)?,
        };
        let change = Change::Install {
            name,
            wasm: read(&self.file)?.into(),
            force: self.force,
        };
        self.reach.make(&change, screen).await
    }
}

/// The policy name that follows from the file's name.
pub(super) fn own_name(file: &Path) -> Result<PolicyName, Failure> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    PolicyName::said(&name)
        .map_err(|bad| Failure::Usage(format!("{bad}; choose a name with --as NAME")))
}

/// Reads the file, unless it is too large for a policy.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let most = POLICY_FILE_BYTES_MAX as u64;
    let refused =
        |reason: &dyn std::fmt::Display| Failure::refused(format!("{}: {reason}", file.display()));
    let opened = std::fs::File::open(file).map_err(|error| refused(&error))?;
    let mut bytes = Vec::new();
    opened
        .take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| refused(&error))?;
    if bytes.len() as u64 > most {
        return Err(refused(&format!(
            "a policy may have at most {most} bytes, and this file has more"
        )));
    }
    Ok(bytes)
}
