//! What the study of one cache promises, without Wasm: the cache's own order is LRU. The program's own tests run
//! Wasm policies through it.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use dataverse_core::policy::Kind as PolicyKind;
use dataverse_sandbox::{Sandbox, SandboxOptions};
use proptest::prelude::*;

use super::*;
use crate::library::{BASELINE, Chosen, PolicyLibrary};
use crate::trace::{Options, Trace};

static LRU: LazyLock<Chosen> = LazyLock::new(|| {
    let sandbox: Arc<Sandbox> =
        Sandbox::new(SandboxOptions::default()).expect("an engine can be created");
    let library = PolicyLibrary::new(sandbox, Vec::new());
    let chosen = library.choose(PolicyKind::Eviction, BASELINE, "{}");
    chosen.expect("the baseline always exists")
});

fn plan(trace: &Trace, capacities: &[u64]) -> Plan {
    Plan {
        trace: trace.clone(),
        unit: Unit::Objects,
        on_resize: OnResize::Keep,
        warm_up: WarmUp::Requests(0),
        contenders: vec![
            Contender::Policy("lru".to_owned(), LRU.clone()),
            Contender::Belady,
        ],
        capacities: capacities.to_vec(),
        seed: 1,
        jobs: 1,
    }
}

fn survey(plan: &Plan) -> Survey {
    Survey::of(&plan.trace, plan.unit, plan.on_resize, &mut |_| {}).expect("it is a trace")
}

/// Policy, capacity and counts of every cache.
fn counts(plan: &Plan) -> Vec<(String, u64, Counts)> {
    let rows = run(plan, &survey(plan), &mut |_| {}).expect("the plan is valid");
    let row = |row: Row| {
        let figures = row.figures.expect("it starts");
        assert_eq!((figures.faults.total(), figures.fuel), (0, 0));
        (row.policy, row.capacity, figures.counts)
    };
    rows.into_iter().map(row).collect()
}

fn opened(name: &str) -> Trace {
    Trace::open(name, Options::default()).expect("it is a trace")
}

/// Calls `then` with a trace of this content.
fn with_table<T>(table: &str, then: impl FnOnce(&Trace) -> T) -> T {
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be created");
    std::fs::write(file.path(), table).expect("a temporary file can be written");
    then(&opened(&file.path().to_string_lossy()))
}

#[test]
fn the_caches_own_order_misses_as_often_as_lru_in_libcachesim() {
    let plan = plan(&opened("zipf:10000,1000000,7"), &[100, 500, 1000, 2500]);
    let found: Vec<String> = counts(&plan)
        .into_iter()
        .map(|(_, _, counts)| format!("{:.6}", counts.object_miss()))
        .collect();
    assert_eq!(found[..4], ["0.609019", "0.413457", "0.324776", "0.201703"]);
    // An optimum that must keep what it misses, such as libCacheSim's, misses up to 0.0009 more.
    let reference = [0.417849, 0.252411, 0.183901, 0.098946];
    for (found, reference) in found[4..].iter().zip(reference) {
        let found: f64 = found.parse().expect("a ratio");
        assert!(found < reference && reference - found < 0.0009, "{found}");
    }
}

#[test]
fn files_are_missed_as_often_as_in_libcachesim() {
    let plan = Plan {
        unit: Unit::Bytes,
        ..plan(&opened("zipf:10000,1000000,7"), &[64 << 20, 256 << 20])
    };
    let found: Vec<(String, String)> = counts(&plan)
        .into_iter()
        .map(|(_, _, it)| {
            let (objects, bytes) = (it.object_miss(), it.byte_miss());
            (format!("{objects:.6}"), format!("{bytes:.6}"))
        })
        .collect();
    let expected = [("0.453452", "0.558897"), ("0.276462", "0.345760")];
    let expected = expected.map(|(one, other)| (one.to_owned(), other.to_owned()));
    assert_eq!(found[..2], expected);
}

#[test]
fn lru_on_zipf_is_what_che_says() {
    let objects = 10_000;
    let capacities = [100, 500, 1000, 2500, 5000];
    let plan = Plan {
        warm_up: WarmUp::Share(0.2),
        ..plan(&opened("zipf:10000,1000000,7"), &capacities)
    };
    let popularity = che::zipf(objects);
    for (policy, capacity, counts) in counts(&plan) {
        if policy == "lru" {
            let (found, said) = (counts.object_miss(), che::lru_miss(&popularity, capacity));
            assert!((found - said).abs() <= 0.002, "{capacity}: {found}, {said}");
        }
    }
}

#[test]
fn the_same_on_one_thread_and_on_many() {
    let trace = opened("zipf:1000,200000,3");
    let one = plan(&trace, &[10, 100, 500]);
    let many = Plan {
        jobs: 4,
        ..one.clone()
    };
    assert_eq!(counts(&one), counts(&many));
}

#[test]
fn the_optimum_misses_least_at_every_capacity() {
    let plan = plan(
        &opened("zipf:1000,100000,5"),
        &[1, 2, 10, 100, 999, 1000, 2000],
    );
    let counts = counts(&plan);
    let (lru, optimum) = counts.split_at(counts.len() / 2);
    for ((_, capacity, lru), (_, _, optimum)) in lru.iter().zip(optimum) {
        assert!(optimum.misses <= lru.misses, "{capacity}");
        assert!(optimum.misses >= optimum.compulsory, "{capacity}");
    }
    let compulsory = survey(&plan).first_reads;
    let (_, _, roomy) = &optimum[optimum.len() - 1];
    assert_eq!((roomy.misses, roomy.compulsory), (compulsory, compulsory));
}

/// What happens to which object.
type Step = (u64, &'static str, u64);

fn table(steps: &[Step]) -> String {
    let mut table = "time,id,size,op\n".to_owned();
    for (second, (id, op, size)) in steps.iter().enumerate() {
        writeln!(table, "{second},{id},{size},{op}").expect("writing to memory never fails");
    }
    table
}

/// The fewest misses that any sequence of decisions has, found by brute force.
fn fewest_misses(steps: &[Step], capacity: u32) -> u64 {
    let sets = 0..1u32 << 6;
    // For each set of cached objects, the fewest misses that lead to it.
    let mut fewest = vec![None; sets.len()];
    fewest[0] = Some(0);
    for &(id, op, _) in steps {
        let this = 1 << id;
        let mut after: Vec<Option<u64>> = vec![None; sets.len()];
        for (before, misses) in sets.clone().zip(&fewest) {
            let Some(misses) = *misses else { continue };
            let missed = u64::from(op == "read" && before & this == 0);
            let may_be_cached = match op {
                "delete" => before & !this,
                _ => before | this,
            };
            for kept in sets.clone() {
                let possible = kept & !may_be_cached == 0 && kept.count_ones() <= capacity;
                let known = after[kept as usize].unwrap_or(u64::MAX);
                if possible && misses + missed < known {
                    after[kept as usize] = Some(misses + missed);
                }
            }
        }
        fewest = after;
    }
    let fewest = fewest.into_iter().flatten().min();
    fewest.expect("some sequence of decisions is always possible")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn nobody_misses_less_than_belady(
        steps in prop::collection::vec(
            (0u64..6, prop::sample::select(vec!["read", "read", "read", "read", "write", "delete"]), Just(1)),
            1..24,
        ),
        capacity in 1u32..5,
    ) {
        prop_assume!(steps.iter().any(|(_, op, _)| *op == "read"));
        let counts = with_table(&table(&steps), |trace| counts(&plan(trace, &[capacity.into()])));
        prop_assert_eq!(counts[1].2.misses, fewest_misses(&steps, capacity));
        prop_assert!(counts[0].2.misses >= counts[1].2.misses);
    }

    #[test]
    fn no_trace_makes_a_cache_panic(
        steps in prop::collection::vec(
            (0u64..9, prop::sample::select(vec!["read", "write", "delete"]), 0u64..7),
            1..60,
        ),
        capacity in 1u64..20,
        on_resize in prop::sample::select(vec![OnResize::Keep, OnResize::Write]),
    ) {
        prop_assume!(steps.iter().any(|(_, op, _)| *op == "read"));
        let reads = steps.iter().filter(|(_, op, _)| *op == "read").count() as u64;
        let counts = with_table(&table(&steps), |trace| counts(&Plan {
            unit: Unit::Bytes,
            on_resize,
            ..plan(trace, &[capacity])
        }));
        for (_, _, counts) in counts {
            prop_assert_eq!(counts.requests, reads);
            prop_assert!(counts.compulsory <= counts.misses && counts.misses <= reads);
            prop_assert!(counts.missed_bytes <= counts.bytes);
        }
    }
}

const CHANGES: [Step; 6] = [
    (1, "read", 10),
    (1, "read", 10),
    (1, "read", 12),
    (1, "read", 12),
    (2, "read", 5),
    (1, "read", 10),
];

/// Misses, bytes read, and bytes missed of LRU with space for everything.
fn check_changes(on_resize: OnResize, expected: (u64, u128, u128)) {
    with_table(&table(&CHANGES), |trace| {
        let plan = Plan {
            unit: Unit::Bytes,
            on_resize,
            ..plan(trace, &[100])
        };
        let resized = survey(&plan).resized;
        let lru = counts(&plan)[0].2;
        assert_eq!((lru.misses, lru.bytes, lru.missed_bytes), expected);
        assert_eq!((resized.objects, resized.examples), (1, vec![(1, 10, 12)]));
        let optimum = counts(&plan)[1].2;
        assert_eq!(optimum.misses, lru.misses);
    });
}

#[test]
fn an_object_that_changes_its_size_keeps_the_first_or_was_written() {
    check_changes(OnResize::Keep, (2, 55, 15));
    check_changes(OnResize::Write, (4, 59, 37));
}

#[test]
fn what_is_written_is_there_and_what_is_deleted_is_not() {
    let steps = [
        (1, "write", 3),
        (1, "read", 3),
        (1, "delete", 0),
        (1, "read", 3),
    ];
    let found = with_table(&table(&steps), |trace| counts(&plan(trace, &[5])));
    for (policy, _, counts) in found {
        assert_eq!((counts.requests, counts.misses), (2, 1), "{policy}");
        assert_eq!(counts.compulsory, 0, "{policy}");
    }
}

#[test]
fn what_is_larger_than_the_cache_is_not_cached() {
    let steps = [
        (1, "read", 5),
        (2, "read", 50),
        (1, "read", 5),
        (2, "read", 50),
    ];
    let counts = with_table(&table(&steps), |trace| {
        counts(&Plan {
            unit: Unit::Bytes,
            ..plan(trace, &[20])
        })
    });
    for (policy, _, counts) in counts {
        assert_eq!(counts.misses, 3, "{policy}");
    }
}

#[test]
fn a_warm_up_is_not_counted() {
    let trace = opened("zipf:100,70000,3");
    let all = counts(&plan(&trace, &[10]))[0].2;
    // Within a chunk, at the end of one, and beyond.
    for first in [1, 1000, 65_536, 69_999] {
        let plan = Plan {
            warm_up: WarmUp::Requests(first),
            ..plan(&trace, &[10])
        };
        let warm = counts(&plan)[0].2;
        assert_eq!(warm.requests, 70_000 - first);
        assert!(warm.misses < all.misses, "{first}");
    }
    let share = Plan {
        warm_up: WarmUp::Share(0.5),
        ..plan(&trace, &[10])
    };
    assert_eq!(counts(&share)[0].2.requests, 35_000);
}

#[test]
fn a_plan_that_makes_no_sense_is_refused() {
    let trace = opened("zipf:100,1000,3");
    let survey = survey(&plan(&trace, &[10]));
    let refused = |plan: &Plan| {
        let refused = run(plan, &survey, &mut |_| {}).expect_err("the plan is refused");
        refused.to_string()
    };
    let cold = Plan {
        warm_up: WarmUp::Share(1.0),
        ..plan(&trace, &[10])
    };
    assert!(refused(&cold).contains("warm-up of 1000 requests"));
    let many: Vec<u64> = (1..4000).collect();
    assert!(refused(&plan(&trace, &many)).contains("7998 caches"));
    for (capacity, says) in [
        (Capacity::Plain(0), "caches nothing"),
        (Capacity::Bytes(7), "--unit bytes"),
        (Capacity::Share(1.5), "150%"),
        (Capacity::Share(f64::NAN), "not a capacity"),
    ] {
        let refused = capacity.resolve(Unit::Objects, &survey);
        assert!(refused.is_err_and(|reason| reason.contains(says)), "{says}");
    }
    let objects = survey.objects;
    assert_eq!(
        Capacity::Share(1.0).resolve(Unit::Objects, &survey),
        Ok(objects)
    );
    assert_eq!(Capacity::Share(1e-9).resolve(Unit::Objects, &survey), Ok(1));
    let nothing = with_table("time,id,size,op\n1,2,3,write\n", |trace| {
        Survey::of(trace, Unit::Objects, OnResize::Keep, &mut |_| {})
    });
    assert!(nothing.is_err_and(|error| error.to_string().contains("no reads")));
}
