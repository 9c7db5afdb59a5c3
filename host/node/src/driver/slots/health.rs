//! `Health`: what is recorded about a policy while it decides: faults, costs, probation and suspension. The core
//! decides what follows from a fault.

use std::collections::VecDeque;
use std::time::Duration;

use dataverse_core::policy::{Conduct, Fault, FaultKind, Kind, PolicyRecord, Trouble};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits;

/// Cost of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Fuel consumed.
    pub fuel: u64,
    /// Time taken.
    pub elapsed: Duration,
}

/// Called when a policy has failed too often. It runs on the thread that asked, and the slot's policy can't be
/// replaced before it returns.
pub type OnTrouble = Box<dyn Fn(Trouble) + Send + Sync>;

/// The record of a policy from when it is swapped in until it is replaced.
pub struct Health {
    kind: Kind,
    name: String,
    wall_ms: u64,
    is_shadow: bool,
    began: Instant,
    record: Mutex<PolicyRecord>,
    costs: Mutex<VecDeque<Cost>>,
    last_fault: Mutex<Option<String>>,
    on_trouble: OnTrouble,
}

impl Health {
    /// The record of a policy that starts now, on probation or not, and may take `wall_ms` for a decision.
    #[must_use]
    pub fn new(
        kind: Kind,
        name: &str,
        wall_ms: u64,
        on_probation: bool,
        on_trouble: OnTrouble,
    ) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            wall_ms,
            is_shadow: false,
            began: Instant::now(),
            record: Mutex::new(if on_probation {
                PolicyRecord::on_probation(0)
            } else {
                PolicyRecord::proven(0)
            }),
            costs: Mutex::default(),
            last_fault: Mutex::default(),
            on_trouble,
        }
    }

    /// The record of a shadow: it is asked but not obeyed, so there is nothing to roll back.
    #[must_use]
    pub fn of_shadow(kind: Kind, name: &str, wall_ms: u64) -> Self {
        Self {
            is_shadow: true,
            ..Self::new(kind, name, wall_ms, false, Box::new(|_| {}))
        }
    }

    /// The kind of decision.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// How long a decision may take.
    #[must_use]
    pub const fn wall_ms(&self) -> u64 {
        self.wall_ms
    }

    /// What it may do now.
    #[must_use]
    pub fn conduct(&self) -> Conduct {
        self.record.lock().conduct(self.now())
    }

    /// Its behaviour so far.
    #[must_use]
    pub fn behaviour(&self) -> PolicyRecord {
        self.record.lock().clone()
    }

    /// Costs of its last decisions, oldest first.
    #[must_use]
    pub fn costs(&self) -> Vec<Cost> {
        self.costs.lock().iter().copied().collect()
    }

    /// Whether it is not suspended.
    pub(crate) fn may_decide(&self) -> bool {
        self.conduct() != Conduct::Suspended
    }

    /// Records a decision. True if it was one fault too many.
    pub(super) fn note(&self, fault: Option<&Fault>, cost: Cost) -> bool {
        {
            let mut costs = self.costs.lock();
            if costs.len() == limits::POLICY_COSTS_KEPT {
                costs.pop_front();
            }
            costs.push_back(cost);
        }
        if let Some(fault) = fault {
            *self.last_fault.lock() = Some(fault.to_string());
        }
        let trouble = {
            let fault = fault.map(|fault| fault.kind);
            self.record.lock().note(fault, self.now())
        };
        if let Some(fault) = fault {
            let (policy, decision) = (self.name.as_str(), self.kind.as_str());
            tracing::warn!(decision, policy, shadow = self.is_shadow, %fault, "a policy gave no usable verdict; the baseline answered");
        }
        if let Some(trouble) = trouble {
            (self.on_trouble)(trouble);
        }
        trouble.is_some()
    }

    /// Faults by kind, without the kinds that did not occur.
    #[must_use]
    pub fn faults(&self) -> Vec<(FaultKind, u64)> {
        let record = self.record.lock();
        let counted = FaultKind::ALL.map(|kind| (kind, record.faults(kind)));
        counted
            .into_iter()
            .filter(|&(_, times)| times > 0)
            .collect()
    }

    /// The last fault, with the question.
    #[must_use]
    pub fn last_fault(&self) -> Option<String> {
        self.last_fault.lock().clone()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
