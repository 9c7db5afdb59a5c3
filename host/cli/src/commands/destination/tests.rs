//! How a destination treats each kind of existing file.

use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn claim(path: &Path, force: bool) -> Result<Destination, Failure> {
    let (mut data, mut notes) = (Vec::new(), Vec::new());
    Destination::claim(path, force, &mut Screen::of(&mut data, &mut notes))
}

fn write(path: &Path, force: bool, bytes: &[u8]) -> Result<(), Failure> {
    let (mut data, mut notes) = (Vec::new(), Vec::new());
    let mut screen = Screen::of(&mut data, &mut notes);
    Destination::claim(path, force, &mut screen)?.write(bytes, &mut screen)
}

fn refused(path: &Path, force: bool, reason: &str) {
    let failure = write(path, force, b"new").expect_err("it is refused");
    let failure = failure.to_string();
    assert!(failure.contains(reason), "{reason:?} in {failure:?}");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("it is a folder");
    let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let names = entries.map(|entry| name(entry).into_string().expect("UTF-8"));
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn what_is_not_there_appears_with_the_mode_of_a_new_file() {
    let folder = folder();
    let (plain, new) = (folder.path().join("plain"), folder.path().join("new"));
    File::create(&plain).expect("it is created");
    write(&new, false, b"new").expect("it is written");
    assert_eq!(fs::read(&new).expect("it exists"), b"new");
    let mode = |path: &Path| fs::metadata(path).expect("it exists").permissions().mode();
    assert_eq!(mode(&new), mode(&plain));
    assert_eq!(names(folder.path()), ["new", "plain"]);
}

#[test]
fn a_file_that_appears_meanwhile_is_left_alone() {
    let folder = folder();
    let (part, file) = (folder.path().join("part"), folder.path().join("file"));
    let destination = claim(&file, true).expect("nothing exists there");
    fs::write(&part, b"new").expect("it is written");
    fs::write(&file, b"theirs").expect("it is written");
    let error = destination.take(&part).expect_err("something exists there");
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&file).expect("it exists"), b"theirs");
    assert_eq!(fs::read(&part).expect("it is kept"), b"new");
}

#[test]
fn a_file_that_is_there_is_overwritten_only_by_force_and_stays_the_same_file() {
    let folder = folder();
    let (file, other) = (folder.path().join("file"), folder.path().join("other"));
    fs::write(&file, b"a longer old one").expect("it is written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("its mode is set");
    fs::hard_link(&file, &other).expect("it gets another name");
    refused(&file, false, "--force");
    assert_eq!(fs::read(&file).expect("it exists"), b"a longer old one");
    write(&file, true, b"new").expect("it is written");
    assert_eq!(fs::read(&other).expect("it exists"), b"new");
    let metadata = fs::metadata(&file).expect("it exists");
    assert_eq!(
        (metadata.nlink(), metadata.permissions().mode() & 0o777),
        (2, 0o640)
    );
    assert_eq!(names(folder.path()), ["file", "other"]);
}

#[test]
fn another_file_in_the_place_of_the_one_that_was_claimed_is_left_alone() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    for name in ["part", "file", "other"] {
        fs::write(path(name), name).expect("it is written");
    }
    let destination = claim(&path("file"), true).expect("it may be overwritten");
    let refused = || {
        let error = destination
            .take(&path("part"))
            .expect_err("it is another one");
        assert!(error.to_string().contains("another file"), "{error}");
        assert_eq!(fs::read(path("file")).expect("it exists"), b"other");
        assert_eq!(fs::read(path("part")).expect("it is kept"), b"part");
    };
    fs::rename(path("file"), path("old")).expect("it is moved");
    fs::rename(path("other"), path("file")).expect("it is moved");
    refused();
    fs::rename(path("file"), path("other")).expect("it is moved");
    symlink("other", path("file")).expect("it is linked");
    refused();
    fs::remove_file(path("file")).expect("it is removed");
    fs::rename(path("old"), path("file")).expect("it is moved back");
    destination
        .take(&path("part"))
        .expect("it is the same file");
    assert_eq!(fs::read(path("file")).expect("it exists"), b"part");
}

#[test]
fn a_write_protected_file_is_overwritten_by_force_and_stays_protected() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, b"old").expect("it is written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).expect("its mode is set");
    refused(&file, false, "--force");
    write(&file, true, b"new").expect("it is written");
    assert_eq!(fs::read(&file).expect("it exists"), b"new");
    let metadata = fs::metadata(&file).expect("it exists");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o444);
}

#[test]
fn a_file_that_can_not_be_opened_is_replaced_unless_it_has_other_names() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
    for name in ["part", "file"] {
        fs::write(path(name), name).expect("it is written");
    }
    fs::set_permissions(path("file"), fs::Permissions::from_mode(0o400)).expect("it is set");
    fs::hard_link(path("file"), path("other")).expect("it gets another name");
    let error = replace(&path("part"), &path("file"), denied()).expect_err("it has two names");
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    fs::remove_file(path("other")).expect("it is removed");
    replace(&path("part"), &path("file"), denied()).expect("it is replaced");
    assert_eq!(fs::read(path("file")).expect("it exists"), b"part");
    let mode = fs::metadata(path("file"))
        .expect("it exists")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o400);
}

#[test]
fn a_link_stays_a_link_and_what_it_leads_to_is_written() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("elsewhere")).expect("it is created");
    let file = path("elsewhere").join("file");
    fs::write(&file, b"old").expect("it is written");
    symlink("elsewhere/file", path("link")).expect("it is linked");
    symlink("link", path("link to link")).expect("it is linked");
    refused(&path("link to link"), false, "--force");
    write(&path("link to link"), true, b"new").expect("it is written");
    assert_eq!(fs::read(&file).expect("it exists"), b"new");
    assert!(path("link").is_symlink() && path("link to link").is_symlink());
    assert_eq!(names(&path("elsewhere")), ["file"]);
}

#[test]
fn what_can_be_no_file_is_refused_with_the_reason() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    symlink("nowhere", path("dangling")).expect("it is linked");
    symlink("loop", path("loop")).expect("it is linked");
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).expect("a socket");
    for force in [false, true] {
        refused(
            &path("dangling"),
            force,
            "a link to nowhere, which does not exist",
        );
        refused(&path("loop"), force, "can't write");
        refused(&path("socket"), force, "socket");
        refused(folder.path(), force, "it is a folder");
        refused(&path("no/such"), force, "is not an existing folder");
        refused(&path("new/"), force, "no such folder");
        refused(Path::new(""), force, "a file name can't be empty");
    }
    assert_eq!(names(folder.path()), ["dangling", "loop", "socket"]);
}

#[test]
fn a_device_is_written_through() {
    write(Path::new("/dev/null"), false, b"gone").expect("it takes everything");
    let kind = fs::metadata("/dev/null").expect("it exists").file_type();
    assert!(kind.is_char_device());
    refused(Path::new("/dev/full"), false, "No space left");
}

#[test]
fn a_fifo_is_written_through_and_stays_one() {
    let folder = folder();
    let fifo = folder.path().join("fifo");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).expect("it is created");
    let reading = std::thread::spawn({
        let fifo = fifo.clone();
        move || fs::read(fifo).expect("it is read")
    });
    write(&fifo, false, b"through").expect("it is written");
    assert_eq!(reading.join().expect("it does not panic"), b"through");
    let kind = fs::symlink_metadata(&fifo).expect("it exists").file_type();
    assert!(kind.is_fifo());
    assert_eq!(names(folder.path()), ["fifo"]);
}

#[test]
fn an_open_file_of_this_process_is_added_to_and_not_overwritten() {
    use std::os::fd::AsRawFd as _;
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(b"before, ").expect("it is written");
    let path = format!("/dev/fd/{}", file.as_raw_fd());
    write(Path::new(&path), false, b"after").expect("it is written");
    let mut text = String::new();
    io::Seek::rewind(&mut file).expect("it is a file");
    file.read_to_string(&mut text).expect("it is read");
    assert_eq!(text, "before, after");
    for stdout in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        assert_eq!(descriptor(Path::new(stdout)), Some(1), "{stdout}");
    }
    for none in ["/dev/null", "/proc/self/status", "file", "/dev/fd/x"] {
        assert_eq!(descriptor(Path::new(none)), None, "{none}");
    }
}
