//! `lab new`: writes an example experiment to start from.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use dataverse_lab::experiment::TEMPLATE;

use crate::commands::failure::Failure;
use crate::commands::screen::{Screen, printable};

/// Write an experiment to start from
///
/// The experiment runs as it is, and a comment explains each line.
#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// The experiment's name; `.toml` is added
    #[arg(value_name = "NAME")]
    name: PathBuf,
}

impl New {
    pub(super) fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let file = file_of(&self.name)?;
        let shown = printable(&file.display().to_string());
        write(&file).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::refused(format!(
                "{shown} already exists; choose another name or remove it"
            )),
            _ => Failure::refused(format!("can't write {shown}: {error}")),
        })?;
        screen.line(&shown)?;
        screen.note(&format!("next: dataverse lab run {shown}"));
        Ok(())
    }
}

/// The file of an experiment of this name.
fn file_of(name: &Path) -> Result<PathBuf, Failure> {
    let Some(last) = name.file_name() else {
        return Err(Failure::Usage(format!(
            "`{}` is not a valid file name",
            name.display()
        )));
    };
    if name.extension().is_some_and(|ending| ending == "toml") {
        return Ok(name.to_owned());
    }
    let mut with_ending = last.to_owned();
    with_ending.push(".toml");
    Ok(name.with_file_name(with_ending))
}

fn write(file: &Path) -> io::Result<()> {
    File::create_new(file)?.write_all(TEMPLATE.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_file() {
        let check = |name: &str, expected: Option<&str>| {
            let found = file_of(Path::new(name)).ok();
            assert_eq!(found.as_deref(), expected.map(Path::new), "{name}");
        };
        check("mine", Some("mine.toml"));
        check("a.b/mine.v2", Some("a.b/mine.v2.toml"));
        check("mine.toml", Some("mine.toml"));
        check("..", None);
        check("", None);
    }
}
