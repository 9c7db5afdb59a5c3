//! The conformance suites, on guests.

use dataverse_core::policy::{Fault, FaultKind, Kind};
use dataverse_sandbox::conformance::{self, Report};
use dataverse_sandbox::{Program, Refusal};

use super::{compile, guests, patient};

fn report(program: &Program) -> Report {
    let fault = |refusal: Refusal| Fault::trap(refusal.to_string());
    let setup = patient();
    match program.kind() {
        Kind::Placement => conformance::placement(&mut || {
            program
                .placement(&setup)
                .map(|guest| Box::new(guest) as _)
                .map_err(fault)
        }),
        Kind::Eviction => conformance::eviction(&mut || {
            program
                .eviction(&setup)
                .map(|guest| Box::new(guest) as _)
                .map_err(fault)
        }),
        Kind::Relocation => conformance::relocation(&mut || {
            program
                .relocation(&setup)
                .map(|guest| Box::new(guest) as _)
                .map_err(fault)
        }),
    }
}

#[test]
fn honest_guests_pass() {
    for kind in Kind::ALL {
        let report = report(&compile(&guests::honest(kind)));
        assert!(report.passed(), "{kind}: {report:?}");
        assert!(report.questions >= 500);
    }
}

#[test]
fn a_guest_that_answers_by_the_number_of_its_calls_passes() {
    let report = report(&compile(&guests::evil("answers-differently")));
    assert!(report.passed(), "{report:?}");
}

#[test]
fn evil_guests_fail_by_name() {
    for (name, kind) in [
        ("slot-that-is-not-cached", FaultKind::Verdict),
        ("slot-named-twice", FaultKind::Verdict),
        ("names-nothing", FaultKind::Verdict),
        ("index-out-of-range", FaultKind::Verdict),
        ("index-named-twice", FaultKind::Verdict),
        ("path-index-out-of-range", FaultKind::Verdict),
        ("trap-later", FaultKind::Trap),
        ("trap-in-restore", FaultKind::Trap),
        ("endless-loop-later", FaultKind::Fuel),
        ("a-million-slots", FaultKind::TooLong),
    ] {
        let report = report(&compile(&guests::evil(name)));
        assert!(!report.passed(), "{name}");
        assert!(
            report.faults.iter().any(|fault| fault.kind == kind),
            "{name}: {report:?}"
        );
    }
}
