use serde_json::json;
use tempfile::TempDir;

use super::super::view::Origin;
use super::*;
use crate::policies::spec::LimitsSpec;

fn past(name: &str) -> Past {
    Past {
        policy_ref: PolicyRef {
            name: name.parse().unwrap(),
            origin: Origin::Folder,
            digest: Digest::of(name.as_bytes()),
            config: json!({"of": name}),
            limits: LimitsSpec::default(),
        },
        loaded_at: "2026-01-02T03:04:05Z".to_owned(),
    }
}

fn names<'a>(pasts: impl IntoIterator<Item = &'a Past>) -> Vec<&'a str> {
    pasts
        .into_iter()
        .map(|past| past.policy_ref.name.as_str())
        .collect()
}

fn open(root: &TempDir) -> History {
    History::open(root.path().join("kept")).unwrap()
}

#[test]
fn the_last_good_ones_and_the_bar_outlive_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let mut history = open(&root);
    for name in ["a", "b", "c", "d", "e", "c"] {
        history
            .put(past(name).policy_ref.digest, name.as_bytes())
            .unwrap();
        history.note_good(Kind::Eviction, past(name));
    }
    let (policy_ref, reason) = (past("d").policy_ref, "it trapped".to_owned());
    history.bar(Kind::Eviction, Barred { policy_ref, reason });
    history.save(&BTreeSet::new()).unwrap();

    let mut history = open(&root);
    let now = past("c").policy_ref;
    assert_eq!(names(history.good(Kind::Eviction)), ["c", "e", "d", "b"]);
    assert_eq!(
        names(history.before(Kind::Eviction, Some(&now))),
        ["e", "b"]
    );
    assert_eq!(names(history.good(Kind::Placement)), [""; 0]);
    assert_eq!(
        history.bar_of(Kind::Eviction, &past("d").policy_ref),
        Some("it trapped")
    );
    assert_eq!(history.get(past("b").policy_ref.digest).unwrap(), "b");
    assert!(
        history.get(past("a").policy_ref.digest).is_err(),
        "a is forgotten"
    );
    assert!(history.lift(Kind::Eviction));
    assert_eq!(
        names(history.before(Kind::Eviction, Some(&now))),
        ["e", "d", "b"]
    );
}

#[test]
fn what_is_barred_is_code_and_how_it_is_run() {
    let root = tempfile::tempdir().unwrap();
    let mut history = open(&root);
    let (policy_ref, reason) = (past("d").policy_ref, String::new());
    history.bar(Kind::Eviction, Barred { policy_ref, reason });
    let renamed = PolicyRef {
        name: "other".parse().unwrap(),
        ..past("d").policy_ref
    };
    assert!(history.bar_of(Kind::Eviction, &renamed).is_some());
    let configured = PolicyRef {
        config: json!({}),
        ..past("d").policy_ref
    };
    assert!(history.bar_of(Kind::Eviction, &configured).is_none());
    assert!(
        history
            .bar_of(Kind::Placement, &past("d").policy_ref)
            .is_none()
    );
}

#[test]
fn everything_is_for_its_owner_alone() {
    let root = tempfile::tempdir().unwrap();
    let history = open(&root);
    history.put(Digest::of(b"x"), b"x").unwrap();
    history.save(&BTreeSet::from([Digest::of(b"x").0])).unwrap();
    let folder = root.path().join("kept");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder.clone()), 0o700);
    let files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    assert_eq!(files.len(), 2);
    assert!(files.into_iter().all(|file| mode(file) == 0o600));
}

#[test]
fn a_damaged_copy_is_refused_and_healed() {
    let root = tempfile::tempdir().unwrap();
    let history = open(&root);
    let digest = Digest::of(b"x");
    history.put(digest, b"x").unwrap();
    fs::write(history.file(digest), "y").unwrap();
    assert_eq!(
        history.get(digest).unwrap_err().kind(),
        io::ErrorKind::InvalidData
    );
    history.put(digest, b"x").unwrap();
    assert_eq!(history.get(digest).unwrap(), "x");
}

#[test]
fn a_list_that_makes_no_sense_is_set_aside_and_the_files_stay() {
    let root = tempfile::tempdir().unwrap();
    let mut history = open(&root);
    assert!(!history.was_lost());
    let digest = past("a").policy_ref.digest;
    history.put(digest, b"a").unwrap();
    history.note_good(Kind::Eviction, past("a"));
    history.save(&BTreeSet::new()).unwrap();
    let folder = root.path().join("kept");
    let list = folder.join(LIST);
    let good = fs::read_to_string(&list).unwrap();
    for bad in ["", "{}", "[", &good.replace("\"a\"", "\"../a\"")] {
        fs::write(&list, bad).unwrap();
        let history = open(&root);
        assert_eq!(names(history.good(Kind::Eviction)), [""; 0], "{bad}");
        assert!(history.was_lost());
        assert_eq!(fs::read_to_string(folder.join(SET_ASIDE)).unwrap(), bad);
        history.save(&BTreeSet::new()).unwrap();
        assert_eq!(history.get(digest).unwrap(), "a");
    }
    assert!(open(&root).was_lost(), "until someone has seen to it");
    fs::remove_file(folder.join(SET_ASIDE)).unwrap();
    let history = open(&root);
    assert!(!history.was_lost());
    history.save(&BTreeSet::new()).unwrap();
    assert!(history.get(digest).is_err());
}

#[test]
fn the_longest_list_can_be_read_again() {
    let root = tempfile::tempdir().unwrap();
    let mut history = open(&root);
    for kind in Kind::ALL {
        for index in 0..=limits::POLICY_HISTORY_MAX + 1 {
            let mut past = past(&format!("{index}{}", "x".repeat(63)));
            // As many short values as fit; pretty-printed JSON would be far longer.
            let mut values = vec![json!(0); (limits::POLICY_CONFIG_BYTES_MAX - 9) / 2];
            values[0] = json!(index);
            past.policy_ref.config = json!({ "of": values });
            past.policy_ref.spec(None).check().unwrap();
            let (policy_ref, reason) = (past.policy_ref.clone(), "é".repeat(5000));
            history.bar(kind, Barred { policy_ref, reason });
            history.note_good(kind, past);
        }
    }
    history.save(&BTreeSet::new()).unwrap();
    let again = open(&root);
    assert!(!again.was_lost());
    for kind in Kind::ALL {
        assert_eq!(again.good(kind), history.good(kind));
        assert_eq!(again.good(kind).len(), limits::POLICY_HISTORY_MAX + 1);
    }
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let root = tempfile::tempdir().unwrap();
    let mut history = open(&root);
    history.note_good(Kind::Eviction, past("a"));
    history.save(&BTreeSet::new()).unwrap();
    let mut long = past("b");
    long.policy_ref.config = json!({ "of": "x".repeat(limits::POLICY_CONFIG_BYTES_MAX) });
    history.note_good(Kind::Eviction, long);
    history.save(&BTreeSet::new()).unwrap_err();
    assert_eq!(names(open(&root).good(Kind::Eviction)), ["a"]);
}

#[test]
fn going_back_changes_no_order_and_choosing_anew_does() {
    let root = tempfile::tempdir().unwrap();
    let mut history = open(&root);
    for name in ["a", "b", "c", "d"] {
        history.note_good(Kind::Eviction, past(name));
    }
    let before = |history: &History, now: &str| {
        let now = past(now).policy_ref;
        let earlier: Vec<_> = history
            .earlier(Kind::Eviction, Some(&now))
            .cloned()
            .collect();
        let all: Vec<_> = history
            .before(Kind::Eviction, Some(&now))
            .cloned()
            .collect();
        (names(&earlier).join(""), names(&all).join(""))
    };
    assert_eq!(before(&history, "d"), ("cba".into(), "cba".into()));
    history.note_still_good(Kind::Eviction, past("b"));
    assert_eq!(before(&history, "b"), ("a".into(), "adc".into()));
    assert_eq!(before(&history, "a"), (String::new(), "dcb".into()));
    history.note_anew(Kind::Eviction, &past("b").policy_ref);
    assert_eq!(before(&history, "b"), ("dca".into(), "dca".into()));
    assert_eq!(before(&history, "new"), ("bdca".into(), "bdc".into()));
}

#[test]
fn at_a_start_the_one_that_is_asked_for_comes_first_and_one_that_was_rolled_away_from_last() {
    let root = tempfile::tempdir().unwrap();
    let mut history = open(&root);
    for name in ["a", "b", "c"] {
        history.note_good(Kind::Eviction, past(name));
    }
    let at_start = |history: &History, table: Option<&KindSpec>, file: Option<Digest>| {
        names(history.at_start(Kind::Eviction, table, file)).join("")
    };
    let table = past("b").policy_ref.spec(None);
    assert_eq!(at_start(&history, Some(&table), None), "bac");
    assert_eq!(at_start(&history, None, None), "cba");
    let other = KindSpec::plain("b");
    assert_eq!(at_start(&history, Some(&other), None), "cba");
    // Another file of that name, which became active later.
    let mut later = past("b");
    later.policy_ref.digest = Digest::of(b"later");
    history.note_good(Kind::Eviction, later);
    let first = |file: Digest| {
        let all = history.at_start(Kind::Eviction, Some(&table), Some(file));
        all[0].policy_ref.digest
    };
    for file in [b"b".as_slice(), b"later"] {
        assert_eq!(first(Digest::of(file)), Digest::of(file));
    }
    let (policy_ref, reason) = (past("b").policy_ref, String::new());
    history.bar(Kind::Eviction, Barred { policy_ref, reason });
    let file = Some(Digest::of(b"b"));
    assert_eq!(at_start(&history, Some(&table), file), "abc");
}
