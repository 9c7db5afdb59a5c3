use serde_json::json;
use tempfile::TempDir;

use super::super::view::Origin;
use super::*;
use crate::policies::spec::LimitsWish;

fn past(name: &str) -> Past {
    Past {
        pick: Pick {
            name: name.parse().unwrap(),
            origin: Origin::Folder,
            digest: Digest::of(name.as_bytes()),
            config: json!({"of": name}),
            limits: LimitsWish::default(),
        },
        loaded_at: "2026-01-02T03:04:05Z".to_owned(),
    }
}

fn names<'a>(pasts: impl IntoIterator<Item = &'a Past>) -> Vec<&'a str> {
    pasts
        .into_iter()
        .map(|past| past.pick.name.as_str())
        .collect()
}

fn open(root: &TempDir) -> Kept {
    Kept::open(root.path().join("kept")).unwrap()
}

#[test]
fn the_last_good_ones_and_the_bar_outlive_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let mut kept = open(&root);
    for name in ["a", "b", "c", "d", "e", "c"] {
        kept.put(past(name).pick.digest, name.as_bytes()).unwrap();
        kept.note_good(Kind::Eviction, past(name));
    }
    let (pick, reason) = (past("d").pick, "it trapped".to_owned());
    kept.bar(Kind::Eviction, Barred { pick, reason });
    kept.save(&BTreeSet::new()).unwrap();

    let mut kept = open(&root);
    let now = past("c").pick;
    assert_eq!(names(kept.good(Kind::Eviction)), ["c", "e", "d", "b"]);
    assert_eq!(names(kept.before(Kind::Eviction, Some(&now))), ["e", "b"]);
    assert_eq!(names(kept.good(Kind::Placement)), [""; 0]);
    assert_eq!(
        kept.bar_of(Kind::Eviction, &past("d").pick),
        Some("it trapped")
    );
    assert_eq!(kept.get(past("b").pick.digest).unwrap(), "b");
    assert!(kept.get(past("a").pick.digest).is_err(), "a is forgotten");
    assert!(kept.lift(Kind::Eviction));
    assert_eq!(
        names(kept.before(Kind::Eviction, Some(&now))),
        ["e", "d", "b"]
    );
}

#[test]
fn what_is_barred_is_code_and_how_it_is_run() {
    let root = tempfile::tempdir().unwrap();
    let mut kept = open(&root);
    let (pick, reason) = (past("d").pick, String::new());
    kept.bar(Kind::Eviction, Barred { pick, reason });
    let renamed = Pick {
        name: "other".parse().unwrap(),
        ..past("d").pick
    };
    assert!(kept.bar_of(Kind::Eviction, &renamed).is_some());
    let configured = Pick {
        config: json!({}),
        ..past("d").pick
    };
    assert!(kept.bar_of(Kind::Eviction, &configured).is_none());
    assert!(kept.bar_of(Kind::Placement, &past("d").pick).is_none());
}

#[test]
fn everything_is_for_its_owner_alone() {
    let root = tempfile::tempdir().unwrap();
    let kept = open(&root);
    kept.put(Digest::of(b"x"), b"x").unwrap();
    kept.save(&BTreeSet::from([Digest::of(b"x").0])).unwrap();
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
fn a_damaged_copy_is_refused_and_mended() {
    let root = tempfile::tempdir().unwrap();
    let kept = open(&root);
    let digest = Digest::of(b"x");
    kept.put(digest, b"x").unwrap();
    fs::write(kept.file(digest), "y").unwrap();
    assert_eq!(
        kept.get(digest).unwrap_err().kind(),
        io::ErrorKind::InvalidData
    );
    kept.put(digest, b"x").unwrap();
    assert_eq!(kept.get(digest).unwrap(), "x");
}

#[test]
fn a_list_that_makes_no_sense_is_set_aside_and_the_files_stay() {
    let root = tempfile::tempdir().unwrap();
    let mut kept = open(&root);
    assert!(!kept.was_lost());
    let digest = past("a").pick.digest;
    kept.put(digest, b"a").unwrap();
    kept.note_good(Kind::Eviction, past("a"));
    kept.save(&BTreeSet::new()).unwrap();
    let folder = root.path().join("kept");
    let list = folder.join(LIST);
    let good = fs::read_to_string(&list).unwrap();
    for bad in ["", "{}", "[", &good.replace("\"a\"", "\"../a\"")] {
        fs::write(&list, bad).unwrap();
        let kept = open(&root);
        assert_eq!(names(kept.good(Kind::Eviction)), [""; 0], "{bad}");
        assert!(kept.was_lost());
        assert_eq!(fs::read_to_string(folder.join(SET_ASIDE)).unwrap(), bad);
        kept.save(&BTreeSet::new()).unwrap();
        assert_eq!(kept.get(digest).unwrap(), "a");
    }
    assert!(open(&root).was_lost(), "until someone has seen to it");
    fs::remove_file(folder.join(SET_ASIDE)).unwrap();
    let kept = open(&root);
    assert!(!kept.was_lost());
    kept.save(&BTreeSet::new()).unwrap();
    assert!(kept.get(digest).is_err());
}

#[test]
fn the_longest_list_can_be_read_again() {
    let root = tempfile::tempdir().unwrap();
    let mut kept = open(&root);
    for kind in Kind::ALL {
        for index in 0..=limits::POLICIES_KEPT + 1 {
            let mut past = past(&format!("{index}{}", "x".repeat(63)));
            // As many short values as there may be, which would be far longer written for people.
            let mut values = vec![json!(0); (limits::POLICY_CONFIG_BYTES_MAX - 9) / 2];
            values[0] = json!(index);
            past.pick.config = json!({ "of": values });
            past.pick.wish(None).check().unwrap();
            let (pick, reason) = (past.pick.clone(), "é".repeat(5000));
            kept.bar(kind, Barred { pick, reason });
            kept.note_good(kind, past);
        }
    }
    kept.save(&BTreeSet::new()).unwrap();
    let again = open(&root);
    assert!(!again.was_lost());
    for kind in Kind::ALL {
        assert_eq!(again.good(kind), kept.good(kind));
        assert_eq!(again.good(kind).len(), limits::POLICIES_KEPT + 1);
    }
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let root = tempfile::tempdir().unwrap();
    let mut kept = open(&root);
    kept.note_good(Kind::Eviction, past("a"));
    kept.save(&BTreeSet::new()).unwrap();
    let mut long = past("b");
    long.pick.config = json!({ "of": "x".repeat(limits::POLICY_CONFIG_BYTES_MAX) });
    kept.note_good(Kind::Eviction, long);
    kept.save(&BTreeSet::new()).unwrap_err();
    assert_eq!(names(open(&root).good(Kind::Eviction)), ["a"]);
}

#[test]
fn going_back_changes_no_order_and_choosing_anew_does() {
    let root = tempfile::tempdir().unwrap();
    let mut kept = open(&root);
    for name in ["a", "b", "c", "d"] {
        kept.note_good(Kind::Eviction, past(name));
    }
    let before = |kept: &Kept, now: &str| {
        let now = past(now).pick;
        let earlier: Vec<_> = kept.earlier(Kind::Eviction, Some(&now)).cloned().collect();
        let all: Vec<_> = kept.before(Kind::Eviction, Some(&now)).cloned().collect();
        (names(&earlier).join(""), names(&all).join(""))
    };
    assert_eq!(before(&kept, "d"), ("cba".into(), "cba".into()));
    kept.note_still_good(Kind::Eviction, past("b"));
    assert_eq!(before(&kept, "b"), ("a".into(), "adc".into()));
    assert_eq!(before(&kept, "a"), (String::new(), "dcb".into()));
    kept.note_anew(Kind::Eviction, &past("b").pick);
    assert_eq!(before(&kept, "b"), ("dca".into(), "dca".into()));
    assert_eq!(before(&kept, "new"), ("bdca".into(), "bdc".into()));
}

#[test]
fn at_a_start_the_one_that_is_wished_comes_first_and_one_that_was_rolled_away_from_last() {
    let root = tempfile::tempdir().unwrap();
    let mut kept = open(&root);
    for name in ["a", "b", "c"] {
        kept.note_good(Kind::Eviction, past(name));
    }
    let at_start = |kept: &Kept, table: Option<&KindWish>, file: Option<Digest>| {
        names(kept.at_start(Kind::Eviction, table, file)).join("")
    };
    let table = past("b").pick.wish(None);
    assert_eq!(at_start(&kept, Some(&table), None), "bac");
    assert_eq!(at_start(&kept, None, None), "cba");
    let other = KindWish::plain("b");
    assert_eq!(at_start(&kept, Some(&other), None), "cba");
    // Another file of that name, which began to decide later.
    let mut later = past("b");
    later.pick.digest = Digest::of(b"later");
    kept.note_good(Kind::Eviction, later);
    let first = |file: Digest| {
        let all = kept.at_start(Kind::Eviction, Some(&table), Some(file));
        all[0].pick.digest
    };
    for file in [b"b".as_slice(), b"later"] {
        assert_eq!(first(Digest::of(file)), Digest::of(file));
    }
    let (pick, reason) = (past("b").pick, String::new());
    kept.bar(Kind::Eviction, Barred { pick, reason });
    let file = Some(Digest::of(b"b"));
    assert_eq!(at_start(&kept, Some(&table), file), "abc");
}
