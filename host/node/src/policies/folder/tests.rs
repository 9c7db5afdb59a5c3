use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

fn folder() -> (TempDir, Folder) {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::new(root.path().join("policies"));
    folder.make().unwrap();
    (root, folder)
}

fn list(folder: &Folder) -> Listing {
    folder.list(&Listing::default()).unwrap()
}

fn names(listing: &Listing) -> Vec<&str> {
    listing.files.keys().map(PolicyName::as_str).collect()
}

fn name(text: &str) -> PolicyName {
    text.parse().unwrap()
}

#[test]
fn it_is_made_with_an_example_that_is_not_written_again() {
    let (_root, folder) = folder();
    let specs = list(&folder).specs.unwrap().unwrap();
    assert_eq!(specs, spec_file::TEMPLATE);
    folder.put_specs("# mine").unwrap();
    folder.make().unwrap();
    assert_eq!(list(&folder).specs.unwrap().unwrap(), "# mine");
}

#[test]
fn only_policies_and_their_toml_matter() {
    let (_root, folder) = folder();
    for file in [
        "b.wasm",
        "a.wasm",
        ".c.wasm",
        "d.wasm~",
        "e.txt",
        ".f.wasm.swp",
    ] {
        fs::write(folder.path().join(file), file).unwrap();
    }
    fs::create_dir(folder.path().join("g.wasm")).unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("sub/h.wasm"), "h").unwrap();
    let listing = list(&folder);
    assert_eq!(names(&listing), ["a", "b"]);
    let found = listing.files[&name("a")].clone().unwrap();
    assert_eq!(found.digest, Digest::of(b"a.wasm"));
    assert_eq!((found.size, listing.ignored), (6, None));
}

#[test]
fn a_name_that_no_policy_can_have_is_told_and_passed_over() {
    let (_root, folder) = folder();
    fs::write(folder.path().join("two words.wasm"), "x").unwrap();
    let listing = list(&folder);
    assert_eq!(names(&listing), [""; 0]);
    assert!(listing.ignored.unwrap().contains("two words.wasm"));
}

#[test]
fn a_pipe_is_not_waited_for_and_a_huge_file_is_not_read() {
    let (_root, folder) = folder();
    let pipe = folder.path().join("pipe.wasm");
    let status = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(status.unwrap().success());
    let huge = File::create(folder.path().join("huge.wasm")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let huge_toml = File::create(folder.path().join(spec_file::FILE)).unwrap();
    huge_toml
        .set_len(limits::POLICIES_TOML_BYTES_MAX + 1)
        .unwrap();
    let listing = list(&folder);
    let pipe = listing.files[&name("pipe")].clone().unwrap_err();
    assert!(pipe.contains("plain file"), "{pipe}");
    let huge = listing.files[&name("huge")].clone().unwrap_err();
    assert!(huge.contains("at most 33554432 are"), "{huge}");
    assert!(folder.read(&name("huge")).is_err());
    assert!(listing.specs.unwrap().unwrap_err().contains("262144"));
}

#[test]
fn a_folder_that_is_gone_is_an_error_and_not_an_empty_one() {
    let (root, folder) = folder();
    fs::remove_dir_all(root.path()).unwrap();
    let error = folder.list(&Listing::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn links_are_followed_the_way_mounts_are_swapped() {
    let (root, _) = folder();
    let mount = root.path().join("mount");
    for (version, text) in [("..1", "one"), ("..2", "two")] {
        fs::create_dir_all(mount.join(version)).unwrap();
        fs::write(mount.join(version).join("p.wasm"), text).unwrap();
    }
    symlink("..1", mount.join("..data")).unwrap();
    symlink("..data/p.wasm", mount.join("p.wasm")).unwrap();
    let folder = Folder::new(mount.clone());
    let first = list(&folder);
    assert_eq!(
        first.files[&name("p")].clone().unwrap().digest,
        Digest::of(b"one")
    );
    symlink("..2", mount.join("..next")).unwrap();
    fs::rename(mount.join("..next"), mount.join("..data")).unwrap();
    let second = folder.list(&first).unwrap();
    assert_eq!(
        second.files[&name("p")].clone().unwrap().digest,
        Digest::of(b"two")
    );
    assert_eq!(folder.read(&name("p")).unwrap(), "two");
}

#[test]
fn a_change_of_the_same_length_and_time_is_seen() {
    let (_root, folder) = folder();
    let path = folder.path().join("p.wasm");
    fs::write(&path, "one").unwrap();
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let first = list(&folder);
    fs::write(&path, "two").unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(time)
        .unwrap();
    let second = folder.list(&first).unwrap();
    assert_eq!(
        second.files[&name("p")].clone().unwrap().digest,
        Digest::of(b"two")
    );
}

#[test]
fn writing_replaces_at_once_and_leaves_nothing_else_behind() {
    let (_root, folder) = folder();
    folder.put(&name("p"), b"one").unwrap();
    let path = folder.path().join("p.wasm");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let open_before = File::open(&path).unwrap();
    folder.put(&name("p"), b"two").unwrap();
    assert_eq!(folder.read(&name("p")).unwrap(), "two");
    assert_eq!(io::read_to_string(open_before).unwrap(), "one");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o640
    );
    let entries = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(entries, 2, "the policy and policies.toml");
    folder.remove(&name("p")).unwrap();
    assert_eq!(
        folder.read(&name("p")).unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
}

#[test]
fn a_write_that_fails_changes_nothing() {
    let (_root, folder) = folder();
    fs::create_dir(folder.path().join("p.wasm")).unwrap();
    assert!(folder.put(&name("p"), b"one").is_err());
    let entries = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(entries, 2, "the folder in the way and policies.toml");
}

#[test]
fn more_policies_than_are_known_are_told() {
    let (_root, folder) = folder();
    for index in 0..=limits::POLICY_FILES_MAX {
        fs::write(folder.path().join(format!("p{index:04}.wasm")), "x").unwrap();
    }
    let listing = list(&folder);
    assert_eq!(listing.files.len(), limits::POLICY_FILES_MAX);
    assert!(listing.ignored.unwrap().contains("p0255"));
}

#[test]
fn what_was_never_finished_is_swept_away_in_time() {
    let (_root, folder) = folder();
    let hours_ago = SystemTime::now() - Duration::from_secs(2 * 60 * 60);
    for (name, is_old) in [
        (".dataverse-old.part", true),
        (".dataverse-new.part", false),
        (".others.part", true),
        ("mine.wasm", true),
    ] {
        let file = File::create(folder.path().join(name)).unwrap();
        if is_old {
            file.set_modified(hours_ago).unwrap();
        }
    }
    folder.make().unwrap();
    let is_there = |name: &str| folder.path().join(name).exists();
    assert!(!is_there(".dataverse-old.part"));
    for name in [".dataverse-new.part", ".others.part", "mine.wasm"] {
        assert!(is_there(name), "{name}");
    }
}

#[test]
fn a_link_is_not_replaced_by_a_file() {
    let (root, folder) = folder();
    let elsewhere = root.path().join("elsewhere");
    fs::write(&elsewhere, "theirs").unwrap();
    for file in [spec_file::FILE, "p.wasm"] {
        let link = folder.path().join(file);
        let _ = fs::remove_file(&link);
        symlink(&elsewhere, &link).unwrap();
    }
    let refused = [
        folder.put_specs("ours").unwrap_err(),
        folder.put(&name("p"), b"ours").unwrap_err(),
        folder.put_new(&name("p"), b"ours").unwrap_err(),
    ];
    // The error shows no path of a temporary file.
    assert_eq!(
        refused[0].to_string(),
        "it is a link: change its target, or remove the link"
    );
    for refused in refused {
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    }
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "theirs");
    assert!(fs::read_link(folder.path().join("p.wasm")).is_ok());
}

#[test]
fn what_is_wrong_with_the_specs_is_said_with_what_to_do() {
    let (_root, folder) = folder();
    let specs = folder.path().join(spec_file::FILE);
    fs::write(&specs, b"a = 1\n# caf\xe9\n").unwrap();
    let reason = list(&folder).specs.unwrap().unwrap_err();
    assert!(reason.contains("line 2: save it as UTF-8"), "{reason}");
    fs::remove_file(&specs).unwrap();
    fs::create_dir(&specs).unwrap();
    let reason = list(&folder).specs.unwrap().unwrap_err();
    assert!(reason.contains("rename it"), "{reason}");
}
