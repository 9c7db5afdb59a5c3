//! Relocation: whether data moves towards its readers.
//!
//! [`Reads`] counts how often files are read through this node. [`plan`] asks the policy about a read that another
//! node serves, checks its verdict and returns what to do. Neither performs anything: a node that should cache a
//! copy may refuse, and a replica moves only by a relayout that its holder performs.

use std::collections::BTreeMap;

use crate::holdings::Role;
use crate::id::{FileId, NodeId};
use crate::limits;
use crate::policy::{
    Fault, FileView, NodeView, ReaderKeepsCopy, Relocation, RelocationVerdict, RemoteRead,
    distinct_indices,
};
use crate::version::Millis;

/// How often each file was read through this node recently. Each read counts one, and half as much ten minutes
/// later.
///
/// Exponential decay as in Cormode et al., "Forward decay", 2009. Bounded: when the table is full, the less read
/// half is dropped.
#[derive(Debug, Default)]
pub struct Reads {
    by_file: BTreeMap<FileId, Count>,
}

/// Thousandths of reads, as of some time.
#[derive(Debug, Clone, Copy)]
struct Count {
    milli_reads: u64,
    at: Millis,
}

impl Count {
    fn at(self, now: Millis) -> u64 {
        let age_ms = now.saturating_sub(self.at) as f64;
        // `libm`, so that the same reads give the same count on every machine.
        let worth = libm::exp2(-age_ms / limits::READS_HALVE_AFTER_MS as f64);
        libm::round(self.milli_reads as f64 * worth) as u64
    }
}

impl Reads {
    /// Counts a read of this file and returns its recent reads, this one included.
    pub fn count(&mut self, file: FileId, now: Millis) -> u32 {
        if self.by_file.len() >= limits::READS_FILES_MAX && !self.by_file.contains_key(&file) {
            self.forget_half(now);
        }
        let count = self.by_file.entry(file).or_insert(Count {
            milli_reads: 0,
            at: now,
        });
        *count = Count {
            milli_reads: count.at(now).saturating_add(1000),
            // A clock that jumps back must not make old reads recent again.
            at: now.max(count.at),
        };
        reads(count.milli_reads)
    }

    /// The recent reads of this file.
    #[must_use]
    pub fn of(&self, file: FileId, now: Millis) -> u32 {
        self.by_file
            .get(&file)
            .map_or(0, |count| reads(count.at(now)))
    }

    /// Drops half of the table in one go, so that the cost of finding the least read files is shared by many
    /// reads.
    fn forget_half(&mut self, now: Millis) {
        let mut worth: Vec<(u64, FileId)> = self
            .by_file
            .iter()
            .map(|(file, count)| (count.at(now), *file))
            .collect();
        worth.sort_unstable();
        for (_, file) in &worth[..worth.len() / 2] {
            self.by_file.remove(file);
        }
    }
}

/// Whole reads, rounded to the nearest.
fn reads(milli_reads: u64) -> u32 {
    u32::try_from(milli_reads.saturating_add(500) / 1000).unwrap_or(u32::MAX)
}

/// One node on the path from the reader to the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathNode {
    /// The node.
    pub id: NodeId,
    /// What the policy sees of it.
    pub view: NodeView,
    /// Whether it is known to hold a copy of this version already.
    pub has_copy: bool,
}

/// What to do about a read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RelocationPlan {
    /// Nodes that should cache a copy and have none, in the policy's order.
    pub copy_to: Vec<NodeId>,
    /// The node to which the holder's replica should move. May be in `copy_to` as well: its cached copy then
    /// becomes the replica.
    pub move_to: Option<NodeId>,
    /// The policy's fault, if the baseline answered instead.
    pub fault: Option<Fault>,
}

/// Asks `policy` about a read at the first node of `path` that the last node serves, and checks its answer.
///
/// Nodes that already have a copy are skipped. A move counts only when the hit was a replica. An index that is out
/// of range, or named twice, is a fault, and the baseline answers.
pub fn plan(
    policy: &mut dyn Relocation,
    file: FileView,
    reads: u32,
    path: &[PathNode],
    hit: Role,
    now: Millis,
) -> RelocationPlan {
    let read = RemoteRead {
        file,
        reads,
        path: path.iter().map(|node| node.view.clone()).collect(),
        now,
    };
    let verdict = policy
        .on_read(&read)
        .and_then(|verdict| check(verdict, path, hit));
    verdict.unwrap_or_else(|fault| RelocationPlan {
        fault: Some(fault),
        ..ReaderKeepsCopy
            .on_read(&read)
            .and_then(|verdict| check(verdict, path, hit))
            .unwrap_or_default()
    })
}

fn check(
    verdict: RelocationVerdict,
    path: &[PathNode],
    hit: Role,
) -> Result<RelocationPlan, Fault> {
    let copies = distinct_indices(&verdict.copy_to, path.len())?;
    let moves = distinct_indices(verdict.move_to.as_slice(), path.len())?;
    let lacking = |indices: Vec<usize>| {
        indices
            .into_iter()
            .map(|index| &path[index])
            .filter(|node| !node.has_copy)
            .map(|node| node.id)
    };
    Ok(RelocationPlan {
        copy_to: lacking(copies).collect(),
        move_to: lacking(moves).next().filter(|_| hit == Role::Replica),
        fault: None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HALF_LIFE: Millis = limits::READS_HALVE_AFTER_MS;
    const FILE: FileId = FileId(1);

    struct Says(Result<RelocationVerdict, Fault>);

    impl Relocation for Says {
        fn on_read(&mut self, _: &RemoteRead) -> Result<RelocationVerdict, Fault> {
            self.0.clone()
        }
    }

    fn id(number: u128) -> NodeId {
        NodeId::from(number << 64)
    }

    /// Four nodes; only the last has the file.
    fn path() -> Vec<PathNode> {
        (0..4u32)
            .map(|number| PathNode {
                id: id(number.into()),
                view: NodeView {
                    id: number.into(),
                    zone: String::new(),
                    hops: number,
                    capacity: 1,
                    free: 1,
                    load: 0,
                },
                has_copy: number == 3,
            })
            .collect()
    }

    fn planned(says: Result<RelocationVerdict, Fault>, hit: Role) -> RelocationPlan {
        let file = FileView {
            id: 1,
            user: "ada".to_owned(),
            name: "x".to_owned(),
            size: 1,
        };
        plan(&mut Says(says), file, 1, &path(), hit, 0)
    }

    fn check_plan(
        (copy_to, move_to): (&[u32], Option<u32>),
        hit: Role,
        (copies, moves): (&[u128], Option<u128>),
    ) {
        let verdict = RelocationVerdict {
            copy_to: copy_to.to_vec(),
            move_to,
        };
        let expected = RelocationPlan {
            copy_to: copies.iter().copied().map(id).collect(),
            move_to: moves.map(id),
            fault: None,
        };
        assert_eq!(planned(Ok(verdict), hit), expected);
    }

    fn check_fault(says: Result<RelocationVerdict, Fault>) {
        let plan = planned(says, Role::Replica);
        assert!(plan.fault.is_some());
        assert_eq!((plan.copy_to, plan.move_to), (vec![id(0)], None));
    }

    fn says(copy_to: &[u32], move_to: Option<u32>) -> Result<RelocationVerdict, Fault> {
        Ok(RelocationVerdict {
            copy_to: copy_to.to_vec(),
            move_to,
        })
    }

    #[test]
    fn a_valid_verdict_is_the_plan() {
        check_plan((&[1, 0], Some(2)), Role::Replica, (&[1, 0], Some(2)));
        check_plan((&[], None), Role::Replica, (&[], None));
        check_plan((&[0], Some(0)), Role::Replica, (&[0], Some(0)));
    }

    #[test]
    fn a_node_that_has_a_copy_is_passed_over() {
        check_plan((&[3, 1], Some(3)), Role::Replica, (&[1], None));
    }

    #[test]
    fn only_a_replica_moves() {
        check_plan((&[1], Some(0)), Role::Cached, (&[1], None));
    }

    #[test]
    fn invalid_verdicts_are_faults_and_the_reader_keeps_a_copy() {
        check_fault(says(&[4], None));
        check_fault(says(&[1, 1], None));
        check_fault(says(&[1], Some(4)));
        check_fault(Err(Fault::trap("out of fuel")));
    }

    #[test]
    fn reads_are_worth_half_ten_minutes_later() {
        let mut reads = Reads::default();
        for _ in 0..8 {
            reads.count(FILE, 0);
        }
        assert_eq!(reads.of(FILE, 0), 8);
        assert_eq!(reads.of(FILE, HALF_LIFE), 4);
        assert_eq!(reads.of(FILE, 3 * HALF_LIFE), 1);
        assert_eq!(reads.of(FILE, 5 * HALF_LIFE), 0);
        assert_eq!(reads.count(FILE, HALF_LIFE), 5);
    }

    #[test]
    fn a_clock_that_jumps_back_makes_no_old_read_young() {
        let mut reads = Reads::default();
        reads.count(FILE, HALF_LIFE);
        reads.count(FILE, 0);
        assert_eq!(reads.of(FILE, 2 * HALF_LIFE), 1);
    }

    #[test]
    fn a_flood_of_files_read_once_does_not_hide_one_read_often() {
        let mut reads = Reads::default();
        for _ in 0..10 {
            reads.count(FILE, 0);
        }
        for file in 0..3 * limits::READS_FILES_MAX as u64 {
            reads.count(FileId(file + 2), 1);
            assert!(reads.by_file.len() <= limits::READS_FILES_MAX);
        }
        assert_eq!(reads.of(FILE, 1), 10);
    }

    proptest! {
        #[test]
        fn the_count_is_the_sum_of_decayed_reads(steps in prop::collection::vec(0..HALF_LIFE, 1..200)) {
            let mut reads = Reads::default();
            let (mut now, mut times, mut last) = (0, Vec::new(), 0);
            for step in steps {
                now += step;
                times.push(now);
                last = reads.count(FILE, now);
            }
            let exact: f64 = times.iter()
                .map(|&time| (-((now - time) as f64) / HALF_LIFE as f64).exp2()).sum();
            // Half a read of rounding at the end, and half a thousandth at each step.
            prop_assert!((f64::from(last) - exact).abs() <= 0.5 + 0.0005 * times.len() as f64);
        }

        #[test]
        fn whatever_a_policy_says_copies_go_to_distinct_nodes_without_one(
            copy_to in prop::collection::vec(0u32..6, 0..5), move_to in prop::option::of(0u32..6)
        ) {
            let plan = planned(says(&copy_to, move_to), Role::Replica);
            let distinct: std::collections::BTreeSet<_> = plan.copy_to.iter().collect();
            prop_assert_eq!(distinct.len(), plan.copy_to.len());
            prop_assert!(!plan.copy_to.contains(&id(3)) && plan.move_to != Some(id(3)));
        }
    }
}
