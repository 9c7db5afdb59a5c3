//! `lab search`, as a user runs it.

use std::process::{Command, Output};

fn lab_search(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dataverse"));
    command.args(["lab", "search"]).args(arguments);
    command.output().expect("the program starts")
}

#[test]
fn the_numbers_come_as_json() {
    let topology = ["--topology", "erdos-renyi:200,probability=0.03"];
    let output = lab_search(
        &[
            &topology[..],
            &["--copies", "1,4%", "--searches", "200", "--json"],
        ]
        .concat(),
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let rows = rows.as_array().expect("it is a list");
    assert_eq!(rows.len(), 8);
    assert_eq!(rows[0]["method"], "breadth-first");
    assert_eq!(
        (&rows[0]["copies"], &rows[4]["copies"]),
        (&1.0.into(), &8.0.into())
    );
    assert_eq!(
        (&rows[3]["method"], &rows[3]["walkers"]),
        (&"random-walks".into(), &32.into())
    );
    let messages = |at: usize| rows[at]["messages"].as_f64().expect("it is a number");
    assert!(
        messages(0) < messages(1),
        "a flood costs more than asking each node once"
    );
    assert!(messages(4) < messages(0), "more copies are found sooner");
}

#[test]
fn a_table_is_for_people() {
    let output = lab_search(&["--topology", "ring:20", "--copies", "2", "--searches", "50"]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        told.contains("expanding ring") && told.contains("nodes asked"),
        "{told}"
    );
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    for (arguments, reason) in [
        (["--topology", "rind:20"], "unknown variant `rind`"),
        (["--topology", "ring"], "needs `nodes`"),
        (["--topology", "no/such.graphml"], "can't be read"),
    ] {
        let output = lab_search(&arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(reason), "{told}");
    }
    let crowded = lab_search(&["--topology", "ring:4", "--copies", "5"]);
    assert_eq!(crowded.status.code(), Some(2));
}
