//! `policy check`: tells, without a node, whether a node would take a policy, and how it does.
//!
//! It goes the way of a node: check, compile in a process with bounds, canary, and the questions of the policy's kind.
//! Nothing is written.

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

/// Tell whether a node would take a policy, and how it does
///
/// Asks no node. Ends with 1 when a node would refuse the file, or when one of its answers breaks a rule, which
/// a node would not obey. Compiling may take here what it may take at a node that was told nothing else: one with
/// other `policies.compile_time` or `policies.compile_memory` may take a file that is refused here for that, or
/// refuse one that is taken.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// The policy: a component, or a core module that carries its component type
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// What it has to decide: placement, eviction or relocation
    #[arg(long, value_name = "KIND", value_parser = offered(kind_of, kinds), hide_possible_values = true)]
    kind: Option<Kind>,
    /// The configuration to check it with
    #[arg(long, value_name = "JSON", value_parser = config_of)]
    config: Option<serde_json::Value>,
    /// Print what was found, as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// All that was found of a policy that a node would take.
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
                    let told = json!({"accepted": false, "error": failure.to_string()});
                    screen.line(&told.to_string())?;
                }
                return Err(failure);
            }
        };
        if self.json {
            screen.line(&found.told().to_string())?;
        } else {
            screen.table(&[], found.rows())?;
        }
        self.judge(&found.report)
    }

    fn examine(&self) -> Result<Findings, Failure> {
        let bytes = read(&self.file)?;
        // Through it the process that compiles hands over what it made.
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

    fn told(&self) -> serde_json::Value {
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
            true => format!("{questions}, no more within {} s", CHECK_MS_MAX / 1000),
        }
    }

    fn compile_ms(&self) -> f64 {
        self.program.compile_time().as_secs_f64() * 1e3
    }
}
