//! `policy check`: reports, without a node, whether a node would accept a policy, and how it performs.
//!
//! It does what a node does: validates the file, compiles it in a separate process with limits, runs the canary,
//! and asks the test questions of the policy's kind. Nothing is written.

use std::path::PathBuf;

use dataverse_core::policy::{Fault, Kind};
use dataverse_node::limits::CHECK_MS_MAX;
use dataverse_node::policies::compiling;
use dataverse_node::policies::trial;
use dataverse_node::policies::trial::{Costs, SEED, examine};
use dataverse_sandbox::conformance::Report;
use dataverse_sandbox::{Canary, CompileBounds, Program, Refusal, Sandbox, SandboxOptions, Setup};
use serde_json::json;

use super::install::read;
use super::{config_of, kind_of, list};
use crate::commands::failure::Failure;
use crate::commands::offered::{kinds, offered};
use crate::commands::screen::{Screen, size};

/// Check whether a node would accept a policy, and measure it
///
/// No node is needed. Exits with 1 if a node would refuse the file, or if one of the policy's answers breaks a
/// rule, which a node would not follow. Compilation has a node's default limits: a node with other values of
/// `policies.compile_time` or `policies.compile_memory` may accept a file that is refused here because of them, or
/// refuse one that is accepted.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// The policy: a component, or a core module with an embedded component type
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// The kind that it must have: placement, eviction or relocation
    #[arg(long, value_name = "KIND", value_parser = offered(kind_of, kinds), hide_possible_values = true)]
    kind: Option<Kind>,
    /// The configuration to check it with
    #[arg(long, value_name = "JSON", value_parser = config_of)]
    config: Option<serde_json::Value>,
    /// Print the results as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// The findings about a policy that a node would accept.
struct Findings {
    program: Program,
    canary: Canary,
    report: Report,
    costs: Costs,
}

impl Check {
    pub(super) fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let found = match self.examine() {
            Ok(found) => found,
            Err(failure) => {
                if self.json {
                    let json = json!({"accepted": false, "error": failure.to_string()});
                    screen.line(&json.to_string())?;
                }
                return Err(failure);
            }
        };
        if self.json {
            screen.line(&found.as_json().to_string())?;
        } else {
            screen.table(&[], found.rows())?;
        }
        self.judge(&found.report)
    }

    fn examine(&self) -> Result<Findings, Failure> {
        let bytes = read(&self.file)?;
        // The compiling process hands over its output through this folder.
        let scratch = tempfile::tempdir()
            .map_err(|error| Failure::refused(format!("can't make a temporary folder: {error}")))?;
        let options = SandboxOptions {
            cache: Some(scratch.path().to_owned()),
            compiler: compiling::process(CompileBounds::default()),
        };
        let sandbox = Sandbox::new(options).map_err(Failure::refused)?;
        let refused = |refusal: Refusal| self.refused(&refusal);
        let program = sandbox.compile(&bytes).map_err(refused)?;
        if let Some(wanted) = self.kind.filter(|wanted| *wanted != program.kind()) {
            let found = program.kind();
            return Err(refused(Refusal::OtherKind { found, wanted }));
        }
        let name = self.file.file_stem().unwrap_or_default();
        let config = self.config.as_ref();
        let setup = Setup {
            name: name.to_string_lossy().into_owned(),
            config: config.map_or_else(|| "{}".to_owned(), ToString::to_string),
            seed: SEED,
            ..Setup::default()
        };
        let canary = program.canary(&setup).map_err(refused)?;
        let (report, costs) = examine(&program, &setup);
        Ok(Findings {
            program,
            canary,
            report,
            costs,
        })
    }

    fn refused(&self, reason: &dyn std::fmt::Display) -> Failure {
        Failure::refused(format!("{}: {reason}", self.file.display()))
    }

    fn judge(&self, report: &Report) -> Result<(), Failure> {
        trial::judge(report).map_err(|reason| self.refused(&reason))
    }
}

impl Findings {
    fn rows(&self) -> Vec<Vec<String>> {
        let (program, about) = (&self.program, &self.canary.about);
        let mut rows = vec![
            ("name", about.name.clone()),
            ("version", about.version.clone()),
            ("kind", program.kind().to_string()),
            ("summary", about.summary.clone()),
            ("imports", program.imports().join(", ")),
            (
                "size",
                format!(
                    "{} ({} bytes)",
                    size(program.size_bytes() as u64),
                    program.size_bytes()
                ),
            ),
            ("digest", program.digest().to_string()),
            ("compiled in", format!("{:.1} ms", self.compile_ms())),
            ("fuel", list::spread(self.costs.fuel())),
            ("µs", list::spread(self.costs.elapsed_us())),
            ("questions", self.questions()),
            ("faults", self.report.faulted.to_string()),
        ];
        let faults = self.report.faults.iter();
        rows.extend(faults.map(|fault| ("", fault.to_string())));
        rows.push(("warnings", self.report.warned.to_string()));
        let warnings = self.report.warnings.iter();
        rows.extend(warnings.map(|warning| ("", warning.clone())));
        rows.into_iter()
            .map(|(name, value)| vec![name.to_owned(), value])
            .collect()
    }

    fn as_json(&self) -> serde_json::Value {
        let (program, about) = (&self.program, &self.canary.about);
        let fault = |fault: &Fault| json!({"kind": fault.kind.as_str(), "reason": fault.reason});
        json!({
            "accepted": self.report.passed(),
            "error": trial::judge(&self.report).err(),
            "name": about.name,
            "version": about.version,
            "kind": program.kind().as_str(),
            "summary": about.summary,
            "config_schema": about.config_schema,
            "imports": program.imports(),
            "exports": program.exports(),
            "size": program.size_bytes(),
            "digest": program.digest().to_string(),
            "compile_ms": self.compile_ms(),
            "fuel": self.costs.fuel(),
            "latency_us": self.costs.elapsed_us(),
            "questions": self.report.questions,
            "cut_short": self.report.is_cut_short,
            "faulted": self.report.faulted,
            "faults": self.report.faults.iter().map(fault).collect::<Vec<_>>(),
            "warned": self.report.warned,
            "warnings": self.report.warnings,
        })
    }

    fn questions(&self) -> String {
        let questions = self.report.questions;
        match self.report.is_cut_short {
            false => questions.to_string(),
            true => format!("{questions}, stopped after {} s", CHECK_MS_MAX / 1000),
        }
    }

    fn compile_ms(&self) -> f64 {
        self.program.compile_time().as_secs_f64() * 1e3
    }
}
