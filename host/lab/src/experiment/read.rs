//! Reads an experiment and checks all of it: sections, files, policies, sweep and assertions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::limits;
use dataverse_core::policy::Kind;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::DeValue;

use super::document::{Document, Malformed, Table, Value};
use super::settings::{Compare, Run, check_names};
use super::sweep::{Sweep, SweepPoint};
use super::{Experiment, PlannedCell, expect};
use crate::quantity::Portion;
use crate::results::{self, Digests, ExperimentFile, Plan, Versions};
use crate::shelf::{BASELINE, Chosen, Shelf};
use crate::topology::{self, Network};
use crate::workload::{self, OnResizeWord, Workload};
use crate::world::{Event, EventSpec, Judges, Nodes, Scenario};
use crate::wrong::Wrong;

/// Every section that there is.
const SECTIONS: &[&str] = &[
    "topology", "workload", "nodes", "compare", "sweep", "event", "run", "expect",
];

/// What reading an experiment depends on besides its text.
pub struct Reading<'a> {
    /// Where policies come from.
    pub shelf: &'a Shelf,
    /// Who decides where a compare entry names no policy.
    pub default_policy: fn(Kind) -> &'static str,
    /// In the place of the experiment's own seed.
    pub seed: Option<u64>,
    /// In the place of the experiment's own number of requests, if that is greater: for trying it out.
    pub requests_max: Option<u64>,
    /// The same for repetitions.
    pub repetitions_max: Option<u32>,
}

impl<'a> Reading<'a> {
    /// As the experiment says, with the native baseline for kinds that an entry names no policy for.
    #[must_use]
    pub fn new(shelf: &'a Shelf) -> Self {
        Self {
            shelf,
            default_policy: |_| BASELINE,
            seed: None,
            requests_max: None,
            repetitions_max: None,
        }
    }
}

impl Experiment {
    /// Reads an experiment and everything that it names.
    ///
    /// # Errors
    /// [`Malformed`] with the file, the line and the reason.
    pub fn read(file: &Path, reading: &Reading<'_>) -> Result<Self, Malformed> {
        let document = Document::read(file)?;
        Reader {
            folder: document.folder().to_owned(),
            document: &document,
            reading,
            policies: BTreeMap::new(),
            networks: Vec::new(),
            workloads: Vec::new(),
            digests: Digests::default(),
        }
        .read()
    }
}

/// A reader keeps what it has opened: a sweep names the same files and policies over and over.
struct Reader<'a> {
    document: &'a Document,
    folder: PathBuf,
    reading: &'a Reading<'a>,
    policies: BTreeMap<(Kind, String, String), Chosen>,
    networks: Vec<(topology::Spec, Arc<Network>)>,
    workloads: Vec<(workload::Spec, Arc<Workload>)>,
    digests: Digests,
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
            digests: self.digests,
            notes: notes(&cells),
            cells,
            expects: assertions,
        })
    }

    /// One cell a compare entry.
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
        let network = self.network(tree)?;
        let workload = self.workload(tree)?;
        let nodes: Nodes = section(document, tree, "nodes")?.unwrap_or_default();
        let run: Run = section(document, tree, "run")?.unwrap_or_default();
        let events = self.events(tree)?;
        let footprint = workload
            .footprint()
            .map_err(|error| at(Wrong::new("workload.trace", error.to_string())))?;
        let mut requests = run.requests(footprint.map(|footprint| footprint.requests));
        if let Some(most) = self.reading.requests_max {
            requests = requests.min(most);
        }
        let point_named = point.named();
        let mut cells = Vec::new();
        for entry in compare_entries(document, tree)? {
            let scenario = Scenario {
                network: Arc::clone(&network),
                workload: Arc::clone(&workload),
                nodes: nodes.clone(),
                judges: self.judges(&entry)?,
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

    fn network(&mut self, tree: &Table<'_>) -> Result<Arc<Network>, Malformed> {
        let spec: topology::Spec = section(self.document, tree, "topology")?.ok_or_else(|| {
            self.document
                .incomplete("there is no [topology]; say at least `kind = \"demo\"` in it")
        })?;
        if let Some((_, network)) = self.networks.iter().find(|(known, _)| *known == spec) {
            return Ok(Arc::clone(network));
        }
        let network = Network::open(&spec, &self.folder)
            .map_err(|wrong| self.document.wrong(tree, &wrong))?;
        self.note_file(spec.path.as_deref(), network.digest());
        let network = Arc::new(network);
        self.networks.push((spec, Arc::clone(&network)));
        Ok(network)
    }

    fn workload(&mut self, tree: &Table<'_>) -> Result<Arc<Workload>, Malformed> {
        let spec: workload::Spec = section(self.document, tree, "workload")?.unwrap_or_default();
        if let Some((_, workload)) = self.workloads.iter().find(|(known, _)| *known == spec) {
            return Ok(Arc::clone(workload));
        }
        let workload = Workload::open(&spec, &self.folder)
            .map_err(|wrong| self.document.wrong(tree, &wrong))?;
        self.note_file(spec.trace.as_deref(), workload.digest());
        if let Some(sizes) = &spec.sizes_file {
            let content = std::fs::read(self.folder.join(sizes));
            self.note_file(
                Some(sizes),
                content.ok().map(|content| Digest::of(&content)),
            );
        }
        let workload = Arc::new(workload);
        self.workloads.push((spec, Arc::clone(&workload)));
        Ok(workload)
    }

    fn note_file(&mut self, path: Option<&Path>, digest: Option<Digest>) {
        if let (Some(path), Some(digest)) = (path, digest) {
            let name = path.display().to_string();
            self.digests.files.insert(name, digest.to_string());
        }
    }

    fn events(&mut self, tree: &Table<'_>) -> Result<Vec<Event>, Malformed> {
        let document = self.document;
        let tables = list(document, tree.get("event").cloned(), "event")?;
        if tables.len() > limits::LAB_EVENTS_MAX {
            return Err(document.incomplete(format!(
                "an experiment has at most {} events",
                limits::LAB_EVENTS_MAX
            )));
        }
        let mut events = Vec::new();
        for (index, table) in tables.into_iter().enumerate() {
            let spec: EventSpec = document.section(table)?;
            let mut choose = |kind, policy: &str, config: &str| self.choose(kind, policy, config);
            let event = Event::resolve(index, &spec, &mut choose)
                .map_err(|wrong| document.wrong(tree, &wrong))?;
            events.push(event);
        }
        Ok(events)
    }

    fn judges(&mut self, entry: &Compare) -> Result<Judges, Malformed> {
        Ok(Judges {
            placement: self.judge(entry, Kind::Placement)?,
            eviction: self.judge(entry, Kind::Eviction)?,
            relocation: self.judge(entry, Kind::Relocation)?,
        })
    }

    fn judge(&mut self, entry: &Compare, kind: Kind) -> Result<Chosen, Malformed> {
        let document = self.document;
        let Some(wish) = entry.wish(kind) else {
            let policy = (self.reading.default_policy)(kind);
            return self
                .choose(kind, policy, "")
                .map_err(|reason| document.malformed(&entry.name.span(), reason));
        };
        let refused = |reason: String| document.malformed(&wish.span(), reason);
        let config = wish.get_ref().config().map_err(refused)?;
        self.choose(kind, wish.get_ref().policy(), &config)
            .map_err(refused)
    }

    /// The policy of this name, or of this file as seen from the experiment's folder.
    fn choose(&mut self, kind: Kind, policy: &str, config: &str) -> Result<Chosen, String> {
        let key = (kind, policy.to_owned(), config.to_owned());
        if let Some(chosen) = self.policies.get(&key) {
            return Ok(chosen.clone());
        }
        let shelf = self.reading.shelf;
        let is_file = policy.ends_with(".wasm");
        let chosen = match is_file {
            true => shelf.choose(kind, &self.folder.join(policy).to_string_lossy(), config),
            false => shelf.choose(kind, policy, config),
        }
        .map_err(|error| error.to_string())?;
        let digest = chosen.digest().map(|digest| digest.to_string());
        self.digests
            .policies
            .insert(format!("{kind}/{policy}"), digest.unwrap_or_default());
        self.policies.insert(key, chosen.clone());
        Ok(chosen)
    }
}

fn file_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn check_sections(document: &Document, tree: &Table<'_>) -> Result<(), Malformed> {
    match tree
        .keys()
        .find(|key| !SECTIONS.contains(&key.get_ref().as_ref()))
    {
        None => Ok(()),
        Some(key) => Err(document.malformed(
            &key.span(),
            format!(
                "there is no section `{}`; there are {}",
                key.get_ref(),
                SECTIONS.join(", ")
            ),
        )),
    }
}

/// A section, if it is there.
fn section<T: DeserializeOwned>(
    document: &Document,
    tree: &Table<'_>,
    name: &str,
) -> Result<Option<T>, Malformed> {
    let value = tree.get(name).cloned();
    value.map(|value| document.section(value)).transpose()
}

/// The tables of a section of which there are several.
fn list<'a>(
    document: &Document,
    value: Option<Value<'a>>,
    name: &str,
) -> Result<Vec<Value<'a>>, Malformed> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let span = value.span();
    match value.into_inner() {
        DeValue::Array(values) => Ok(values.into_iter().collect()),
        _ => Err(document.malformed(
            &span,
            format!("there can be several of these: write [[{name}]]"),
        )),
    }
}

fn compare_entries(document: &Document, tree: &Table<'_>) -> Result<Vec<Compare>, Malformed> {
    let tables = list(document, tree.get("compare").cloned(), "compare")?;
    if tables.is_empty() || tables.len() > limits::EXPERIMENT_COMPARE_MAX {
        return Err(document.incomplete(format!(
            "an experiment has 1 to {} [[compare]] entries, this one has {}",
            limits::EXPERIMENT_COMPARE_MAX,
            tables.len()
        )));
    }
    tables
        .into_iter()
        .map(|table| document.section(table))
        .collect()
}

fn plan(
    document: &Document,
    tree: &Table<'_>,
    sweep: &Sweep<'_>,
    run: &Run,
) -> Result<Plan, Malformed> {
    let entries = compare_entries(document, tree)?;
    check_names(document, &entries)?;
    let compare: Vec<String> = entries
        .into_iter()
        .map(|entry| entry.name.into_inner())
        .collect();
    let baseline = match &run.baseline {
        None => compare.first().cloned().unwrap_or_default(),
        Some(named) if compare.contains(named.get_ref()) => named.get_ref().clone(),
        Some(named) => {
            return Err(document.malformed(
                &named.span(),
                format!(
                    "no compare entry is called `{}`; there are {}",
                    named.get_ref(),
                    compare.join(", ")
                ),
            ));
        }
    };
    Ok(Plan {
        compare,
        baseline,
        sweep: sweep.axes(),
        repetitions: *run.repetitions.get_ref(),
    })
}

/// Every run's numbers are kept until the end.
fn check_runs(document: &Document, plan: &Plan, points: usize) -> Result<(), Malformed> {
    let cells = points.saturating_mul(plan.compare.len());
    let runs = cells.saturating_mul(plan.repetitions as usize);
    if runs <= limits::EXPERIMENT_RUNS_MAX {
        return Ok(());
    }
    Err(document.incomplete(format!(
        "{points} points of the sweep, {} entries and {} repetitions are {runs} runs; at most {} are kept",
        plan.compare.len(),
        plan.repetitions,
        limits::EXPERIMENT_RUNS_MAX
    )))
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

/// What a reader of the numbers has to know.
fn notes(cells: &[PlannedCell]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for cell in cells {
        let scenario = &cell.scenario;
        let warm_up = match scenario.warm_up {
            Portion::Count(0) => "Every request counts: there is no warm-up.".to_owned(),
            Portion::Count(count) => {
                format!(
                    "The first {count} requests of each run warm the caches up and are not counted."
                )
            }
            Portion::Share(share) => format!(
                "The first {} % of each run's requests warm the caches up and are not counted.",
                expect::digits(share * 100.0)
                    .trim_end_matches('0')
                    .trim_end_matches('.')
            ),
        };
        let resized = note_of_sizes(&scenario.workload);
        for note in std::iter::once(warm_up).chain(resized) {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    notes
}

/// What became of objects that change their size in a trace.
fn note_of_sizes(workload: &Workload) -> Option<String> {
    let trace = workload.spec().trace.as_ref()?.display();
    let resized = workload.footprint().ok()??.resized;
    let became = match workload.spec().on_resize {
        Some(OnResizeWord::Write) => "count as writes",
        Some(OnResizeWord::Keep) | None => "are reads of the first size",
    };
    Some(match resized {
        0 => format!("No object of {trace} is read with another size than before."),
        resized => format!("{resized} reads of {trace} with another size than before {became}."),
    })
}

impl Document {
    /// Refuses a key that turned out wrong when everything was put together, where it stands in this tree.
    fn wrong(&self, tree: &Table<'_>, wrong: &Wrong) -> Malformed {
        let whole = Spanned::new(0..0, DeValue::Table(tree.clone()));
        let mut found: Option<std::ops::Range<usize>> = None;
        let mut value = &whole;
        let mut is_whole_key = true;
        for segment in wrong.key.split('.') {
            let next = match value.get_ref() {
                DeValue::Table(table) => table.get(segment),
                DeValue::Array(values) => segment.parse().ok().and_then(|at: usize| values.get(at)),
                _ => None,
            };
            let Some(next) = next else {
                is_whole_key = false;
                break;
            };
            found = Some(next.span());
            value = next;
        }
        let reason = match is_whole_key {
            true => wrong.reason.clone(),
            false => wrong.to_string(),
        };
        match found {
            Some(span) => self.malformed(&span, reason),
            None => self.incomplete(reason),
        }
    }
}
