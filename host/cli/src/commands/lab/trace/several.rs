//! Opens all requested traces before anything runs.

use std::path::PathBuf;

use dataverse_lab::trace::{Options, Trace, TraceError};

use crate::commands::failure::Failure;
use crate::commands::lab::chosen::Mistakes;
use crate::limits;

/// A trace's name, and the opened trace or why it can't be read.
pub(super) type Opened = (String, Result<Trace, TraceError>);

/// Opens all traces. An invalid name is a usage error; a file that can't be read is reported later, in its turn.
pub(super) fn open(names: &[String], options: &Options) -> Result<Vec<Opened>, Failure> {
    let mut mistakes = Mistakes::default();
    if names.len() > limits::TRACES_MAX {
        let most = limits::TRACES_MAX;
        return Err(Failure::Usage(format!(
            "--trace: {} traces are given; at most {most} are allowed",
            names.len()
        )));
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for name in names {
        if name.is_empty() {
            mistakes.add(
                "--trace: the name is empty; give a file, - or zipf:OBJECTS,REQUESTS,SEED"
                    .to_owned(),
            );
        }
        // The same file may have several names.
        let file = std::fs::canonicalize(name).unwrap_or_else(|_| PathBuf::from(name));
        match files.contains(&file) {
            true => mistakes.add(format!("--trace {name} is given twice")),
            false => files.push(file),
        }
    }
    mistakes.check()?;
    let mut mistakes = Mistakes::default();
    let mut opened = Vec::new();
    for name in names {
        let trace = Trace::open(name, options.clone());
        if let Err(error @ TraceError::Spec { .. }) = &trace {
            mistakes.add(format!("--trace {error}"));
        }
        opened.push((name.clone(), trace));
    }
    mistakes.check()?;
    Ok(opened)
}
