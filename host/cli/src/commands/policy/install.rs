//! `policy install`: puts a policy into a node's folder.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use dataverse_node::policies::name::PolicyName;
use dataverse_sandbox::limits::POLICY_FILE_BYTES_MAX;

use super::change::Change;
use super::everywhere::Reach;
use crate::commands::failure::Failure;
use crate::commands::screen::Screen;

/// Put a policy into a node's folder
///
/// The node checks it first, as `policy check` does, and refuses what that refuses. If a policy of that name decides
/// there, this one takes over; otherwise `policy use` makes it decide.
#[derive(Debug, clap::Args)]
pub(super) struct Install {
    /// The policy, as `policy build` makes it
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// What to call it; the file's own name unless given
    #[arg(long = "as", value_name = "NAME", value_parser = PolicyName::said)]
    name: Option<PolicyName>,
    /// Take it also if it answers questions of its kind badly; what is no policy, or fails at its trial, is refused
    /// all the same
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

/// The name that a file's own name gives a policy.
pub(super) fn own_name(file: &Path) -> Result<PolicyName, Failure> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    PolicyName::said(&name).map_err(|bad| Failure::Usage(format!("{bad}; --as NAME gives it one")))
}

/// The file, unless it is larger than a policy may be.
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
            "a policy has at most {most} bytes, and this has more"
        )));
    }
    Ok(bytes)
}
