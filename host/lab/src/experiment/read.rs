//! Reads an experiment and checks all of it: sections, files, policies, sweep and assertions.

use std::path::Path;
use std::sync::Arc;

use super::document::{Document, Malformed, Table, Value};
use super::notes::notes;
use super::opened::Opened;
use super::plan::{check_runs, plan};
use super::reading::Reading;
use super::sections::{check_sections, compare_entries, list, section};
use super::settings::{Compare, Run};
use super::sweep::{Sweep, SweepPoint};
use super::{Experiment, PlannedCell, expect};
use crate::results::{self, ExperimentFile, Plan, Versions};
use crate::world::{ChosenPolicies, Nodes, Scenario};
use crate::wrong::Wrong;

impl Experiment {
    /// Reads an experiment and everything that it names.
    ///
    /// # Errors
    /// [`Malformed`] with the file, the line and the reason.
    pub fn read(file: &Path, reading: &Reading<'_>) -> Result<Self, Malformed> {
        let document = Document::read(file)?;
        Reader {
            document: &document,
            reading,
            opened: Opened::new(&document, reading),
        }
        .read()
    }
}

struct Reader<'a> {
    document: &'a Document,
    reading: &'a Reading<'a>,
    opened: Opened<'a>,
}

impl<'a> Reader<'a> {
    fn read(mut self) -> Result<Experiment, Malformed> {
        let document = self.document;
        let mut tree = document.tree()?;
        check_sections(document, &tree)?;
        let sweep = Sweep::take(document, &mut tree)?;
        let expects = list(document, tree.remove("expect"), "expect")?;
        let mut run: Run = section(document, &tree, "run")?.unwrap_or_default();
        run.check(document)?;
        if let Some(most) = self.reading.repetitions_max {
            *run.repetitions.get_mut() = most.clamp(1, *run.repetitions.get_ref());
        }
        let plan = plan(document, &tree, &sweep, &run)?;
        check_runs(document, &plan, sweep.points().len())?;
        let assertions = assertions(document, expects, &plan)?;
        let mut cells = Vec::new();
        for point in sweep.points() {
            cells.extend(self.cells_at(&point, &tree)?);
        }
        Ok(Experiment {
            file: document.file.clone(),
            written: ExperimentFile {
                file: file_name(&document.file),
                text: document.text.clone(),
            },
            versions: Versions {
                program: env!("CARGO_PKG_VERSION").to_owned(),
                contract: dataverse_sandbox::CONTRACT_VERSION.to_owned(),
                results: results::FORMAT,
            },
            seed: self.reading.seed.unwrap_or(run.seed),
            plan,
            digests: self.opened.into_digests(),
            notes: notes(&cells),
            cells,
            expects: assertions,
        })
    }

    /// One cell per compare entry.
    fn cells_at(
        &mut self,
        point: &SweepPoint<'_, 'a>,
        tree: &Table<'a>,
    ) -> Result<Vec<PlannedCell>, Malformed> {
        let document = self.document;
        let mut tree = tree.clone();
        point.put_into(document, &mut tree)?;
        check_sections(document, &tree)?;
        let tree = &tree;
        let at = |wrong: Wrong| document.wrong(tree, &wrong);
        let network = self.opened.network(tree)?;
        let workload = self.opened.workload(tree)?;
        let nodes: Nodes = section(document, tree, "nodes")?.unwrap_or_default();
        let run: Run = section(document, tree, "run")?.unwrap_or_default();
        let events = self.opened.events(tree)?;
        let footprint = workload
            .footprint()
            .map_err(|error| at(Wrong::new("workload.trace", error.to_string())))?;
        if footprint.is_some_and(|footprint| footprint.requests == 0) {
            let reason = "it has no request that can be replayed";
            return Err(at(Wrong::new("workload.trace", reason)));
        }
        let mut requests = run.requests(footprint.map(|footprint| footprint.requests));
        if let Some(most) = self.reading.requests_max {
            requests = requests.min(most);
        }
        let point_named = point.named();
        let mut cells = Vec::new();
        let entries = compare_entries(document, tree)?;
        let policies = self.policies(&entries)?;
        for (entry, policies) in entries.into_iter().zip(policies) {
            let scenario = Scenario {
                network: Arc::clone(&network),
                workload: Arc::clone(&workload),
                nodes: nodes.clone(),
                policies,
                events: events.clone(),
                requests,
                warm_up: *run.warm_up.get_ref(),
            };
            scenario.check().map_err(at)?;
            cells.push(PlannedCell {
                compare: entry.name.into_inner(),
                point_shown: results::shown_point(&point_named),
                point: point_named.clone(),
                scenario,
            });
        }
        Ok(cells)
    }

    /// The policies of each entry. Reports the mistakes of all entries together.
    fn policies(&mut self, entries: &[Compare]) -> Result<Vec<ChosenPolicies>, Malformed> {
        let (mut all, mut mistakes) = (Vec::new(), Vec::new());
        for entry in entries {
            match self.opened.policies(entry) {
                Ok(policies) => all.push(policies),
                Err(wrong) => mistakes.extend(wrong),
            }
        }
        Malformed::all(mistakes).map_or(Ok(all), Err)
    }
}

fn file_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn assertions(
    document: &Document,
    tables: Vec<Value<'_>>,
    plan: &Plan,
) -> Result<Vec<expect::Expect>, Malformed> {
    expect::check_count(document, &tables)?;
    let mut read = Vec::new();
    for table in tables {
        read.extend(expect::read(document, table, plan)?);
    }
    Ok(read)
}
