//! One pass: asks the policy about every file, in order, while the nodes fill up.

use dataverse_core::id::FileId;
use dataverse_core::placement::{Candidate, rank};
use dataverse_core::policy::{FileView, Placement, PlacementRequest};

use super::Study;
use super::nodes::{Nodes, node_of};

/// All files together take up this fraction of all bytes (1 / 100), so that no node is full.
const FILLED_DIVISOR: u128 = 100;
/// Files between two progress reports.
const TOLD_EVERY: u32 = 256;
/// Milliseconds between two files.
const FILE_EVERY_MS: u64 = 1000;

/// Where the copies of all files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    /// Copies of each file.
    pub(super) factor: usize,
    /// The nodes with a copy, file by file; ascending in each file.
    pub(super) nodes: Vec<u32>,
    /// Decisions at which the policy failed.
    pub(super) faults: u64,
}

impl Placed {
    /// The nodes with a copy of each file.
    pub(super) fn files(&self) -> std::slice::ChunksExact<'_, u32> {
        self.nodes.chunks_exact(self.factor)
    }
}

/// Asks about all files of the study. Now and then reports to `watch` how many more are done.
pub(super) fn ask(
    policy: &mut dyn Placement,
    nodes: &Nodes,
    study: &Study,
    watch: &(dyn Fn(u64) + Sync),
) -> Placed {
    let mut candidates = nodes.candidates().to_vec();
    let factor = candidates.len().min(study.factor as usize);
    let copies = u128::from(study.files) * factor as u128;
    let size = (nodes.capacity() / FILLED_DIVISOR / copies).max(1);
    let mut request = PlacementRequest {
        file: FileView {
            id: 0,
            user: "lab".to_owned(),
            name: String::new(),
            size: u64::try_from(size).unwrap_or(u64::MAX),
        },
        factor: study.factor,
        now: 0,
    };
    let mut placed = Placed {
        factor,
        nodes: Vec::with_capacity(copies as usize),
        faults: 0,
    };
    let places = places(&candidates);
    for file in 0..study.files {
        request.file.name = format!("{:x}/{file}", study.seed);
        request.file.id = FileId::of(&format!("lab/{}", request.file.name)).0;
        request.now = u64::from(file) * FILE_EVERY_MS;
        let ranked = rank(policy, &request, candidates.clone(), &[]);
        placed.faults += u64::from(ranked.fault.is_some());
        let start = placed.nodes.len();
        for &id in &ranked.order[..factor] {
            let node = node_of(id);
            let view = &mut candidates[places[node as usize] as usize].view;
            view.free = view.free.saturating_sub(request.file.size);
            placed.nodes.push(node);
        }
        placed.nodes[start..].sort_unstable();
        if (file + 1).is_multiple_of(TOLD_EVERY) {
            watch(u64::from(TOLD_EVERY));
        }
    }
    watch(u64::from(study.files % TOLD_EVERY));
    placed
}

/// The position of each node among the candidates.
fn places(candidates: &[Candidate]) -> Vec<u32> {
    let last = candidates.iter().map(|it| node_of(it.id)).max();
    let mut places = vec![0; last.map_or(0, |node| node as usize + 1)];
    for (place, candidate) in (0..).zip(candidates) {
        places[node_of(candidate.id) as usize] = place;
    }
    places
}
