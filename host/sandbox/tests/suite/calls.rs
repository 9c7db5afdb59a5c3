//! Arguments and answers cross the border between host and guest unchanged.

use dataverse_core::policy::{
    Admission, Eviction, Kind, Placement, Relocation, RelocationVerdict, RemoteRead,
};
use dataverse_sandbox::{EvictionGuest, PlacementGuest, Refusal, RelocationGuest, Setup};

use super::{compile, entry, file, fill, guests, nodes, patient, request};

#[test]
fn guests_can_be_sent_to_other_threads() {
    fn check<T: Send>() {}
    check::<PlacementGuest>();
    check::<EvictionGuest>();
    check::<RelocationGuest>();
}

#[test]
fn a_core_module_and_its_component_are_the_same_policy() {
    for kind in Kind::ALL {
        for bytes in [guests::honest(kind), guests::component(kind)] {
            let program = compile(&bytes);
            assert_eq!(program.kind(), kind);
            assert_eq!(program.size_bytes(), bytes.len());
            let about = program.canary(&patient()).unwrap().about;
            assert_eq!((&*about.name, &*about.version), ("test guest", "1.2.3"));
            assert_eq!(program.imports()[0], "dataverse:policy/host@0.1.0");
            assert!(
                program
                    .exports()
                    .contains(&"dataverse:policy/policy@0.1.0".to_owned())
            );
        }
    }
}

#[test]
fn a_policy_of_another_kind_is_refused() {
    let program = compile(&guests::honest(Kind::Placement));
    let refused = program.eviction(&patient()).err();
    let (found, wanted) = (Kind::Placement, Kind::Eviction);
    assert_eq!(refused, Some(Refusal::OtherKind { found, wanted }));
}

#[test]
fn a_complaint_about_the_configuration_is_passed_on() {
    let setup = Setup {
        config: "!".to_owned(),
        ..patient()
    };
    for kind in Kind::ALL {
        let refused = compile(&guests::honest(kind)).canary(&setup).unwrap_err();
        assert_eq!(refused, Refusal::Config("no such setting".to_owned()));
    }
}

#[test]
fn candidates_come_back_in_their_order() {
    let mut guest = compile(&guests::honest(Kind::Placement))
        .placement(&patient())
        .unwrap();
    for count in [0, 1, 16, 4096, 5000] {
        let order = guest.place(&request(), &nodes(count)).unwrap();
        assert!(order.into_iter().eq(0..count.min(4096)));
    }
    assert!(guest.last_cost().fuel > 0);
}

#[test]
fn the_first_in_goes_first() {
    let program = compile(&guests::honest(Kind::Eviction));
    let mut guest = program.eviction(&patient()).unwrap();
    fill(&mut guest).unwrap();
    guest.hit(&[0, 1, 2]).unwrap();
    guest.removed(&[1]).unwrap();
    assert_eq!(
        guest.admit(entry(1, 15), 15),
        Ok(Admission::Admit(vec![0, 2]))
    );
    assert_eq!(guest.make_room(70, 9), Ok(vec![3, 4, 5, 6, 7, 8, 9]));
    assert_eq!(guest.make_room(70, 9), Ok(vec![1]));
    assert_eq!(guest.make_room(70, 9), Ok(vec![]));
}

#[test]
fn a_cache_is_taken_over_in_its_order() {
    let program = compile(&guests::honest(Kind::Eviction));
    let mut guest = program.eviction(&patient()).unwrap();
    let entries: Vec<_> = (0..4096).rev().map(|slot| entry(slot, 1)).collect();
    guest.restore(&entries).unwrap();
    assert_eq!(guest.make_room(3, 9), Ok(vec![4095, 4094, 4093]));
}

#[test]
fn the_reader_keeps_a_copy() {
    let program = compile(&guests::honest(Kind::Relocation));
    let mut guest = program.relocation(&patient()).unwrap();
    let read = RemoteRead {
        file: file(),
        reads: 3,
        path: nodes(4),
        now: 5,
    };
    let verdict = RelocationVerdict {
        copy_to: vec![0],
        move_to: None,
    };
    assert_eq!(guest.on_read(&read), Ok(verdict));
}

#[test]
fn instances_of_one_program_know_nothing_of_each_other() {
    let program = compile(&guests::honest(Kind::Eviction));
    let (mut one, mut other) = (
        program.eviction(&patient()).unwrap(),
        program.eviction(&patient()).unwrap(),
    );
    fill(&mut one).unwrap();
    assert_eq!(other.make_room(10, 0), Ok(vec![]));
    assert_eq!(one.make_room(10, 0), Ok(vec![0]));
}

#[test]
fn an_instance_whose_calls_are_not_timed_still_tells_its_fuel() {
    let program = compile(&guests::honest(Kind::Eviction));
    let cost = |mut guest: EvictionGuest| {
        fill(&mut guest).unwrap();
        guest.admit(entry(77, 15), 15).unwrap();
        guest.last_cost()
    };
    let timed = cost(program.eviction(&patient()).unwrap());
    let untimed = cost(program.eviction(&patient()).unwrap().untimed());
    assert!(!timed.elapsed.is_zero() && untimed.elapsed.is_zero());
    assert_eq!(timed.fuel, untimed.fuel);
}
