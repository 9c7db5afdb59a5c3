//! What is refused before anything runs, and at which line.

use std::path::Path;

use super::*;

#[test]
fn what_makes_no_sense_is_refused_with_its_line() {
    check_refused(
        "[nodse]\n",
        1,
        "there is no section `nodse`; the sections are topology",
    );
    check_refused("[nodes]\ncapcity = 5\n", 2, "unknown field `capcity`");
    check_refused(
        "[[compare]]\nname = \"one\"\n",
        2,
        "two entries are named `one`",
    );
    check_refused("[[compare]]\nname = \"\"\n", 2, "a name has 1 to 64 bytes");
    check_refused(
        "[[compare]]\nname = \"x\"\neviction = \"lru\"\n",
        3,
        "there is no eviction policy `lru`",
    );
    check_refused(
        "[[compare]]\nname = \"x\"\n\neviction = \"no.wasm\"\n",
        4,
        "no.wasm can't be read",
    );
    check_refused(
        "[[compare]]\nname = \"x\"\neviction = 5\n",
        3,
        "expected the name of a policy",
    );
    check_refused("[run]\nrepetitions = 0\n", 2, "choose 1 to");
    check_refused(
        "[run]\nbaseline = \"three\"\n",
        2,
        "no compare entry is named `three`",
    );
    check_refused("[run]\nseed = -1\n", 2, "invalid value: integer `-1`");
    check_refused("[run]\nrequests = 0\n", 2, "a run has 1 to");
    check_refused("[event]\nat = 1\n", 1, "write [[event]]");
    check_refused(
        "[[event]]\nat = 1\nkind = \"explode\"\n",
        3,
        "unknown variant `explode`",
    );
    check_refused("[[event]]\nat = 1\nkind = \"fail\"\n", 3, "needs `node`");
}

#[test]
fn a_sweep_is_checked_like_the_sections() {
    check_refused(
        "[sweep]\n\"nodes.capcity\" = [1]\n",
        2,
        "unknown field `capcity`",
    );
    check_refused(
        "[sweep]\n\"nodse.capacity\" = [1]\n",
        2,
        "there is no section `nodse`",
    );
    check_refused(
        "[sweep]\n\"nodes.factor\" = [1,\n \"two\"]\n",
        3,
        "invalid type: string \"two\"",
    );
    check_refused(
        "[sweep]\n\"compare.eviction\" = [\"baseline\",\n\"lru\"]\n",
        3,
        "no eviction policy",
    );
    check_refused("[sweep]\n\"run.requests\" = [9,\n0]\n", 3, "a run has 1 to");
}

#[test]
fn an_assertion_names_what_there_is() {
    let measure = "[[expect]]\nmeasure = \"hit_ratio\"\n";
    check_refused(
        "[[expect]]\nmeasure = \"hit_rate\"\nat_least = 1\n",
        2,
        "no measure `hit_rate`",
    );
    check_refused(
        &format!("{measure}of = \"six\"\nat_least = 1\n"),
        3,
        "is named `six`",
    );
    check_refused(
        &format!("{measure}more_than = \"six\"\n"),
        3,
        "is named `six`",
    );
    check_refused(measure, 1, "it expects nothing");
    check_refused(
        &format!("{measure}of = \"one\"\nmore_than = \"one\"\n"),
        4,
        "can't be compared with itself",
    );
    check_refused(
        &format!("{measure}at_least = 0.1\nsure = true\n[run]\nrepetitions = 1\n"),
        4,
        "one repetition has no interval",
    );
}

#[test]
fn what_is_missing_as_a_whole_has_no_line() {
    let (line, reason) = refused("[[compare]]\nname = \"x\"\n");
    assert_eq!(line, None);
    assert!(reason.contains("there is no [topology]"), "{reason}");
    let (line, reason) = refused("[topology]\nkind = \"demo\"\n");
    assert_eq!(line, None);
    assert!(reason.contains("1 to 64 [[compare]] entries"), "{reason}");
    let missing = Experiment::read(
        Path::new("/nowhere/it.toml"),
        &Reading::new(&policy_library()),
    );
    let told = missing.expect_err("it does not exist").to_string();
    assert!(
        told.starts_with("/nowhere/it.toml: can't be read: "),
        "{told}"
    );
}

#[test]
fn a_mistyped_key_beside_a_policy_is_refused_where_it_stands() {
    let policy_spec = "{ policy = \"baseline\", conifg = { depth = 3 } }";
    check_refused(
        &format!("[[compare]]\nname = \"x\"\n\nplacement = {policy_spec}\n"),
        4,
        "unknown field `conifg`, expected `policy` or `config`",
    );
    check_refused(
        "[[compare]]\nname = \"x\"\n[compare.eviction]\npolicy = \"baseline\"\nname = \"y\"\n",
        5,
        "unknown field `name`",
    );
    check_refused(
        "[[compare]]\nname = \"x\"\neviction = { config = {} }\n",
        3,
        "missing field `policy`",
    );
    check_refused(
        &format!("[[event]]\nat = 1\nkind = \"swap\"\neviction = {policy_spec}\n"),
        4,
        "unknown field `conifg`",
    );
    check_refused(
        &format!("[sweep]\n\"compare.eviction\" = [\"baseline\",\n{policy_spec}]\n"),
        3,
        "unknown field `conifg`",
    );
}

#[test]
fn the_native_stand_in_takes_no_configuration() {
    let policy_spec = "{ policy = \"baseline\", config = { depth = 3 } }";
    check_refused(
        &format!("[[compare]]\nname = \"x\"\nrelocation = {policy_spec}\n"),
        3,
        "`baseline` takes no configuration",
    );
}

#[test]
fn an_assertion_needs_a_number_to_compare_with() {
    let measure = "[[expect]]\nmeasure = \"hit_ratio\"\n";
    for number in ["nan", "inf", "-inf"] {
        check_refused(
            &format!("{measure}at_least = {number}\n"),
            3,
            "is not a finite number",
        );
        check_refused(
            &format!("{measure}at_least = 0\nby = {number}\n"),
            4,
            "it is not a finite number",
        );
    }
}

#[test]
fn a_link_that_is_never_there_is_not_cut() {
    let cut = "[[event]]\nat = 1\nkind = \"cut\"\nlink = [\"n0\", \"n2\"]\n";
    check_refused(cut, 4, "there is no link between n0 and n2 to cut");
    let made = "[[event]]\nat = 0.5\nkind = \"link\"\nlink = [\"n2\", \"n0\"]\n";
    read(&format!("{TWO}{cut}{made}")).expect("the link is made before");
}

#[test]
fn rooms_are_dealt_and_none_of_them_is_nothing() {
    check_refused(
        "[nodes]\ncapacity = [\"1 GiB\", 0]\n",
        2,
        "a node without space",
    );
    check_refused("[nodes]\ncapacity = []\n", 2, "the list is empty");
    check_refused(
        "[nodes]\ncache = [1,\n \"much\"]\n",
        3,
        "\"much\" is not an amount",
    );
    check_refused(
        "[sweep]\n\"nodes.capacity\" = [[1, 2],\n[3, -4]]\n",
        3,
        "-4 is below 0",
    );
}

#[test]
fn an_assertion_about_nobody_is_refused() {
    let one = TWO.replace("[[compare]]\nname = \"two\"\n", "");
    let text = format!("{one}[[expect]]\nmeasure = \"hit_ratio\"\nat_most = \"one\"\n");
    let (line, reason) = refused(&text);
    assert_eq!(line, u32::try_from(text.lines().count()).ok());
    assert!(reason.contains("no other compare entry"), "{reason}");
}

#[test]
fn a_configuration_that_is_swept_is_refused_at_the_sweep() {
    check_refused(
        "[[compare]]\nname = \"x\"\nrelocation = \"baseline\"\n[sweep]\n\n\"compare.2.relocation.config.depth\" = [1]\n",
        6,
        "`baseline` takes no configuration",
    );
}
