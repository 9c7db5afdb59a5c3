//! Relocation: reads over paths of many lengths.

use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::policy::{Fault, FileView, Relocation};
use dataverse_core::relocation::{PathNode, RelocationPlan, plan};
use dataverse_core::version::Millis;

use super::{Patience, Random, Report, unlike};

const QUESTIONS: u64 = 512;
const PATH_MAX: u64 = 8;

/// Asks two instances about many reads over paths of 2 to 8 nodes, of the same file and of others, from a replica
/// and from a cached copy.
///
/// `make` creates instances with the same seed; it is called again after an instance failed.
pub fn relocation(make: &mut dyn FnMut() -> Result<Box<dyn Relocation>, Fault>) -> Report {
    relocation_while(make, &mut || true)
}

/// As [`relocation`], while `patience` returns true.
pub fn relocation_while(
    make: &mut dyn FnMut() -> Result<Box<dyn Relocation>, Fault>,
    patience: Patience<'_>,
) -> Report {
    let mut report = Report::default();
    let mut random = Random(2);
    let mut pair = None;
    for number in 0..QUESTIONS {
        if report.is_over(patience) {
            break;
        }
        let read = Read::drawn(&mut random, number);
        let text = read.described(number);
        report.questions += 1;
        let policies = pair.take().map_or_else(|| Ok((make()?, make()?)), Ok);
        let asked = policies.and_then(|(mut one, mut other)| {
            let plans = (read.ask(&mut *one)?, read.ask(&mut *other)?);
            pair = Some((one, other));
            if plans.0 == plans.1 {
                Ok(())
            } else {
                Err(unlike(&plans.0, &plans.1))
            }
        });
        if let Err(fault) = asked {
            report.note(&text, fault);
        }
    }
    report
}

struct Read {
    file: FileView,
    reads: u32,
    path: Vec<PathNode>,
    role: Role,
    now: Millis,
}

impl Read {
    fn drawn(random: &mut Random, number: u64) -> Self {
        let zones = random.below(3);
        let length = 2 + number % (PATH_MAX - 1);
        let mut ids = Vec::new();
        let node = |place: u64| {
            let view = random.node(&ids, zones, u32::try_from(place).unwrap_or(0));
            ids.push(view.id);
            PathNode {
                id: NodeId::from(u128::from(view.id)),
                view,
                has_copy: place + 1 == length,
            }
        };
        let mut path: Vec<PathNode> = (0..length).map(node).collect();
        let file = random.file();
        // The last node has the file.
        if let Some(PathNode { view, .. }) = path.last_mut() {
            view.capacity = view.capacity.max(file.size);
            view.free = view.free.min(view.capacity - file.size);
        }
        Self {
            path,
            file,
            reads: 1 + u32::try_from(random.magnitude(1_000_000)).unwrap_or(0),
            role: if random.below(2) == 0 {
                Role::Replica
            } else {
                Role::Cached
            },
            now: 1_700_000_000_000 + number * 10,
        }
    }

    /// The question in words.
    fn described(&self, number: u64) -> String {
        let times = match self.reads {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        let nodes = self.path.len();
        format!("question {number}: a path of {nodes} nodes, read {times}")
    }

    fn ask(&self, policy: &mut dyn Relocation) -> Result<RelocationPlan, Fault> {
        let file = self.file.clone();
        let plan = plan(policy, file, self.reads, &self.path, self.role, self.now);
        match plan.fault {
            Some(fault) => Err(fault),
            None => Ok(plan),
        }
    }
}

#[cfg(test)]
mod tests {
    use dataverse_core::policy::{ReaderKeepsCopy, RelocationVerdict, RemoteRead};

    use super::*;

    struct Scripted(fn(u32) -> RelocationVerdict);

    impl Relocation for Scripted {
        fn on_read(&mut self, read: &RemoteRead) -> Result<RelocationVerdict, Fault> {
            Ok((self.0)(
                u32::try_from(read.path.len()).expect("they are few"),
            ))
        }
    }

    #[test]
    fn the_baseline_passes() {
        let report = relocation(&mut || Ok(Box::new(ReaderKeepsCopy)));
        assert!(report.passed(), "{report:?}");
        assert_eq!(report.questions, QUESTIONS);
    }

    #[test]
    fn nodes_that_are_not_on_the_path_fail() {
        for verdict in [
            (|length| RelocationVerdict {
                copy_to: vec![length],
                move_to: None,
            }) as fn(u32) -> RelocationVerdict,
            |length| RelocationVerdict {
                copy_to: Vec::new(),
                move_to: Some(length),
            },
            |_| RelocationVerdict {
                copy_to: vec![0, 0],
                move_to: None,
            },
        ] {
            let report = relocation(&mut || Ok(Box::new(Scripted(verdict))));
            assert!(!report.passed());
        }
    }
}
