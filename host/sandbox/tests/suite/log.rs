//! What policies log.

use dataverse_core::policy::{Eviction, FaultKind};
use dataverse_sandbox::{GuestLimits, Setup};

use super::{evil, listening};

#[test]
fn a_flood_is_cut_and_harms_nobody() {
    let (setup, lines) = listening();
    let mut guest = evil("log-flood", &setup);
    guest.hit(&[1]).unwrap();
    guest.hit(&[1]).unwrap();
    drop(guest);
    let lines = lines.lock();
    // A slow machine may take more than a second for this.
    assert!((20..1000).contains(&lines.len()), "{}", lines.len());
    assert_eq!(lines[0], "Info again");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("more lines were dropped"))
    );
}

#[test]
fn a_long_line_is_cut() {
    let (setup, lines) = listening();
    evil("long-log-line", &setup).hit(&[1]).unwrap();
    let lines = lines.lock();
    // Zeros, escaped.
    assert!(lines[0].starts_with("Info \\u{0}"), "{}", lines[0]);
    assert!(lines[0].len() < 6000);
}

#[test]
fn a_line_of_sixty_megabytes_is_not_even_looked_at() {
    let (setup, lines) = listening();
    let limits = GuestLimits {
        memory_mib: 128,
        ..setup.limits
    };
    let fault = evil("huge-log-line", &Setup { limits, ..setup })
        .hit(&[1])
        .unwrap_err();
    assert_eq!(fault.kind, FaultKind::TooLong);
    assert!(lines.lock().is_empty());
}

#[test]
fn what_is_not_text_is_a_trap() {
    let (setup, _) = listening();
    let fault = evil("log-that-is-not-text", &setup).hit(&[1]).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.reason.contains("utf-8"), "{fault}");
}
