//! The test questions that a policy must answer before a node installs it, and the cost of its decisions. `policy
//! check` asks them too.
//!
//! The questions are those of the conformance suite of the policy's kind. They are bounded in time and stop after a
//! few faults. Fuel is limited as on a node. The wall-clock limit is many times higher, since a busy machine is not
//! the policy's fault and an endless loop runs out of fuel.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dataverse_core::policy::Kind;
use dataverse_sandbox::conformance::{self, Report};
use dataverse_sandbox::{Cost, Program, Setup};
use parking_lot::Mutex;

use super::measured::{Measured, Meter};
use super::view::Spread;
use crate::limits::{CHECK_COSTS_MAX, CHECK_MS_MAX};

/// The seed of a policy that is checked. It is fixed, so that every check of a file finds the same.
pub const SEED: u64 = 1;

/// Costs of decisions: of the first ones, if there were very many.
#[derive(Clone, Default)]
pub struct Costs(Arc<Mutex<Vec<Cost>>>);

/// Asks a policy the test questions of its kind.
pub fn examine(program: &Program, setup: &Setup) -> (Report, Costs) {
    let costs = Costs::default();
    let mut setup = setup.clone();
    setup.limits = setup.limits.patient();
    let until = Instant::now() + Duration::from_millis(CHECK_MS_MAX);
    let mut patience = || Instant::now() < until;
    let report = match program.kind() {
        Kind::Placement => conformance::placement_while(
            &mut || {
                let guest = program.placement(&setup)?;
                Ok(Box::new(Measured::new(guest, costs.clone())))
            },
            &mut patience,
        ),
        Kind::Eviction => conformance::eviction_while(
            &mut || {
                let guest = program.eviction(&setup)?;
                Ok(Box::new(Measured::new(guest, costs.clone())))
            },
            &mut patience,
        ),
        Kind::Relocation => conformance::relocation_while(
            &mut || {
                let guest = program.relocation(&setup)?;
                Ok(Box::new(Measured::new(guest, costs.clone())))
            },
            &mut patience,
        ),
    };
    (report, costs)
}

/// Whether a policy with this report may be installed. The error says why not, in the same words wherever it is
/// refused.
///
/// # Errors
/// If there was a fault.
pub fn judge(report: &Report) -> Result<(), String> {
    let Some(first) = report.faults.first() else {
        return Ok(());
    };
    let (faulted, questions) = (report.faulted, report.questions);
    Err(format!(
        "{faulted} of {questions} questions end in a fault, the first one: {first}; a node answers such questions with its \
         baseline, and suspends a policy with too many faults"
    ))
}

impl Costs {
    /// Fuel of a decision.
    pub fn fuel(&self) -> Spread {
        self.spread(|cost| cost.fuel as f64)
    }

    /// Microseconds of a decision.
    pub fn elapsed_us(&self) -> Spread {
        self.spread(|cost| cost.elapsed.as_secs_f64() * 1e6)
    }

    fn spread(&self, of: impl Fn(&Cost) -> f64) -> Spread {
        let costs = self.0.lock();
        Spread::of(costs.iter().map(of).collect())
    }
}

impl Meter for Costs {
    fn decided(&mut self, cost: Cost) {
        let mut costs = self.0.lock();
        if costs.len() < CHECK_COSTS_MAX {
            costs.push(cost);
        }
    }

    fn told(&mut self, _: Cost) {}
}

#[cfg(test)]
mod tests {
    use dataverse_core::policy::{Fault, FaultKind};

    use super::*;

    #[test]
    fn a_policy_that_breaks_a_rule_does_not_pass() {
        let mut report = Report {
            questions: 512,
            ..Report::default()
        };
        report.warned = 512;
        assert_eq!(judge(&report), Ok(()), "warnings are no faults");
        report.faulted = 2;
        report.faults = vec![Fault::new(
            FaultKind::Verdict,
            "index 7 is named twice (question 3)",
        )];
        let reason = judge(&report).expect_err("it broke a rule");
        assert!(reason.starts_with("2 of 512 questions"), "{reason}");
        assert!(
            reason.contains("verdict: index 7 is named twice (question 3)"),
            "{reason}"
        );
    }

    #[test]
    fn what_is_usual_is_told_from_what_is_not() {
        let check = |fuels: &mut dyn Iterator<Item = u64>, p50: f64, p99: f64| {
            let mut costs = Costs::default();
            fuels.for_each(|fuel| {
                costs.decided(Cost {
                    fuel,
                    ..Cost::default()
                });
            });
            assert_eq!(costs.fuel(), Spread { p50, p99 });
        };
        check(&mut std::iter::empty(), 0.0, 0.0);
        check(&mut [7].into_iter(), 7.0, 7.0);
        check(&mut (1..=200).rev(), 100.0, 198.0);
    }
}
