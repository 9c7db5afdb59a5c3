//! Evil guests: each is stopped, the fault says how it failed, and it is not asked again.

use dataverse_core::policy::{Eviction, Fault, FaultKind, Kind, Placement, Relocation, RemoteRead};
use dataverse_sandbox::{GuestLimits, Refusal, Setup};

use super::{compile, entry, evil, file, fill, guests, nodes, patient, request};

/// The fault of a guest that misbehaves in `hit`. Also checks that it is not entered again.
fn hit(name: &str, setup: &Setup) -> Fault {
    let mut guest = evil(name, setup);
    fill(&mut guest).unwrap();
    let fault = guest.hit(&[3]).unwrap_err();
    check_dead(name, &fault, guest.removed(&[]));
    check_dead(name, &fault, guest.set_capacity(1));
    fault
}

fn check_dead(name: &str, fault: &Fault, later: Result<(), Fault>) {
    let later = later.unwrap_err();
    assert_eq!(later.kind, fault.kind, "{name}");
    assert!(
        later.reason.starts_with("it is not asked again"),
        "{name}: {later}"
    );
}

fn limited(fuel: u64, wall_ms: u64) -> Setup {
    let limits = GuestLimits {
        fuel,
        wall_ms,
        ..GuestLimits::default()
    };
    Setup {
        limits,
        ..patient()
    }
}

#[test]
fn an_endless_loop_ends_with_the_fuel() {
    let fault = hit("endless-loop-in-hit", &limited(1_000_000, 60_000));
    assert_eq!(fault.kind, FaultKind::Fuel);
}

#[test]
fn an_endless_loop_with_fuel_without_end_ends_with_the_time() {
    let fault = hit("endless-loop-in-hit", &limited(u64::MAX, 50));
    assert_eq!(fault.kind, FaultKind::Deadline);
}

#[test]
fn an_endless_copying_of_memory_ends_with_the_time_or_the_fuel() {
    let fault = hit("memory-copy", &limited(u64::MAX, 50));
    assert_eq!(fault.kind, FaultKind::Deadline);
    // Copying costs fuel by the byte.
    let fault = hit("memory-copy", &patient());
    assert_eq!(fault.kind, FaultKind::Fuel);
}

#[test]
fn an_endless_recursion_exhausts_the_stack() {
    let fault = hit("endless-recursion", &patient());
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.reason.contains("stack"), "{fault}");
}

#[test]
fn a_call_runs_on_the_stack_of_a_small_thread() {
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let fault = thread
        .spawn(|| hit("endless-recursion", &patient()))
        .unwrap()
        .join()
        .unwrap();
    assert!(fault.reason.contains("stack"), "{fault}");
}

#[test]
fn bombs_are_put_down_to_memory() {
    for name in ["memory-bomb", "table-bomb"] {
        assert_eq!(hit(name, &patient()).kind, FaultKind::Memory, "{name}");
    }
}

#[test]
fn a_policy_that_takes_all_it_may_have_and_no_more_goes_on() {
    let mut guest = evil("memory-hoard", &patient());
    fill(&mut guest).unwrap();
    guest.hit(&[1]).unwrap();
    guest.hit(&[1]).unwrap();
    assert_eq!(guest.make_room(10, 0), Ok(vec![0]));
}

#[test]
fn what_wants_too_much_from_the_start_is_never_made() {
    for name in ["memory-from-the-start", "table-from-the-start"] {
        let refused = compile(&guests::evil(name)).canary(&patient()).unwrap_err();
        let Refusal::Fault(fault) = refused else {
            panic!("{name}: {refused}")
        };
        assert_eq!(fault.kind, FaultKind::Memory, "{name}");
    }
}

#[test]
fn too_many_core_instances_are_put_down_to_memory() {
    let crowded = crowded(guests::component(Kind::Eviction));
    let refused = compile(&crowded).canary(&patient()).unwrap_err();
    let Refusal::Fault(fault) = refused else {
        panic!("{refused}")
    };
    assert_eq!(fault.kind, FaultKind::Memory, "{fault}");
}

/// This component with 129 more core instances of an empty module; 128 are allowed.
fn crowded(mut component: Vec<u8>) -> Vec<u8> {
    let module = core_modules(&component);
    // The sections of a core module and of core instances: their numbers, sizes and contents.
    component.extend(b"\x01\x08\0asm\x01\0\0\0");
    component.extend([0x02, 0x85, 0x03, 0x81, 0x01]);
    for _ in 0..129 {
        component.extend([0x00, module, 0x00]);
    }
    component
}

/// The number of core modules among the sections of a component.
fn core_modules(component: &[u8]) -> u8 {
    let (mut at, mut count) = (8, 0);
    while at < component.len() {
        count += u8::from(component[at] == 1);
        let (mut size, mut shift) = (0, 0);
        loop {
            at += 1;
            size |= usize::from(component[at] & 0x7f) << shift;
            shift += 7;
            if component[at] < 0x80 {
                break;
            }
        }
        at += 1 + size;
    }
    count
}

#[test]
fn a_trap_before_the_first_decision_is_a_refusal() {
    for name in [
        "trap-in-describe",
        "trap-in-configure",
        "trap-in-set-capacity",
        "trap-in-admit",
    ] {
        let refused = compile(&guests::evil(name)).canary(&patient()).unwrap_err();
        let Refusal::Fault(fault) = refused else {
            panic!("{name}: {refused}")
        };
        assert_eq!(fault.kind, FaultKind::Trap, "{name}");
    }
}

#[test]
fn a_trap_in_any_export_is_a_fault() {
    let in_export = |name: &str| -> Fault {
        let mut guest = evil(name, &patient());
        let asked = match name {
            "trap-in-restore" => guest.restore(&[entry(1, 1)]),
            "trap-in-hit" => guest.hit(&[1]),
            "trap-in-admit" => guest.admit(entry(1, 1), 0).map(drop),
            "trap-in-make-room" => guest.make_room(1, 0).map(drop),
            "trap-in-removed" => guest.removed(&[1]),
            _ => guest.set_capacity(1),
        };
        let fault = asked.unwrap_err();
        check_dead(name, &fault, guest.hit(&[]));
        fault
    };
    for name in [
        "trap-in-set-capacity",
        "trap-in-restore",
        "trap-in-hit",
        "trap-in-admit",
        "trap-in-make-room",
        "trap-in-removed",
    ] {
        let fault = in_export(name);
        assert_eq!(fault.kind, FaultKind::Trap, "{name}");
        assert!(fault.reason.contains("unreachable"), "{name}: {fault}");
    }
}

#[test]
fn placement_and_relocation_fail_as_eviction_does() {
    for (name, kind) in [
        ("trap-in-place", FaultKind::Trap),
        ("endless-loop-in-place", FaultKind::Fuel),
        ("a-million-indices", FaultKind::TooLong),
    ] {
        let mut guest = compile(&guests::evil(name)).placement(&patient()).unwrap();
        assert_eq!(
            guest.place(&request(), &nodes(3)).unwrap_err().kind,
            kind,
            "{name}"
        );
    }
    let read = RemoteRead {
        file: file(),
        reads: 1,
        path: nodes(3),
        now: 0,
    };
    for (name, kind) in [
        ("trap-in-on-read", FaultKind::Trap),
        ("endless-loop-in-on-read", FaultKind::Fuel),
    ] {
        let mut guest = compile(&guests::evil(name)).relocation(&patient()).unwrap();
        assert_eq!(guest.on_read(&read).unwrap_err().kind, kind, "{name}");
    }
}

#[test]
fn a_policy_is_good_until_it_is_not() {
    let mut guest = compile(&guests::evil("trap-on-the-hundredth-call"))
        .placement(&patient())
        .unwrap();
    for _ in 1..100 {
        guest.place(&request(), &nodes(3)).unwrap();
    }
    assert_eq!(
        guest.place(&request(), &nodes(3)).unwrap_err().kind,
        FaultKind::Trap
    );
}

#[test]
fn an_answer_that_is_too_long_is_not_taken() {
    for name in ["a-million-slots", "five-thousand-slots"] {
        let mut guest = evil(name, &patient());
        assert_eq!(
            guest.make_room(1, 0).unwrap_err().kind,
            FaultKind::TooLong,
            "{name}"
        );
    }
}

#[test]
fn an_answer_that_lies_outside_its_memory_is_a_trap() {
    let mut guest = evil("slots-out-of-bounds", &patient());
    let fault = guest.make_room(1, 0).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.reason.contains("out of bounds"), "{fault}");
}

#[test]
fn what_it_said_before_it_trapped_is_in_the_reason() {
    let fault = hit("panic", &patient());
    assert!(
        fault
            .reason
            .ends_with("it said: index out of bounds at line 7"),
        "{fault}"
    );
}

#[test]
fn every_evil_guest_compiles_and_leaves_the_sandbox_whole() {
    for evil in guests::EVIL {
        let program = compile(&evil.bytes());
        assert_eq!(program.kind(), evil.kind, "{}", evil.name);
        // Any outcome will do.
        let _ = program.canary(&limited(1_000_000, 60_000));
    }
    compile(&guests::honest(Kind::Eviction))
        .canary(&patient())
        .unwrap();
}
