//! `Recorder`: records the requests of a node in a file, for the lab to replay.
//!
//! Each request becomes a line, which goes through a bounded queue to the thread that owns the file. A request never
//! waits for it: when the queue is full or the disk fails, lines are left out and counted. A file that has reached
//! its size is rotated: it becomes `FILE.1`, the one before `FILE.2`, and so on, and the oldest is deleted. The
//! format is `dataverse_core::recording`; names of files are recorded only when the operator asks for them.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, ensure};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::recording::{self, Line, Writer};
use dataverse_core::version::Millis;
use parking_lot::Mutex;

use crate::limits;
pub use dataverse_core::recording::{Op, RequestOutcome};

/// How long a line may stay in the write buffer when no other follows.
const FLUSH_AFTER: Duration = Duration::from_secs(1);
/// Bytes at the beginning of a file that show whether it is a recording.
const BEGINNING_BYTES: u64 = 256;

/// Where a recording is written, what it contains and when it is rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// The file. An existing recording is appended to; any other file is refused. Devices such as `/dev/null` are
    /// written to and never rotated.
    pub file: PathBuf,
    /// Whether names of files are recorded and not only their ids.
    pub names: bool,
    /// Bytes after which the file is rotated.
    pub bytes: u64,
    /// Rotated files that are kept.
    pub kept: u32,
}

/// A request and its outcome.
#[derive(Debug, Clone)]
pub struct Asked {
    /// When it was answered.
    pub time: Millis,
    /// The operation.
    pub op: Op,
    /// The file.
    pub key: Key,
    /// Bytes of the content; 0 if unknown.
    pub size: u64,
    /// How the node answered.
    pub outcome: RequestOutcome,
    /// Hops that the content travelled.
    pub hops: u32,
}

/// Records requests. Its thread ends with [`Recorder::stop`] or when it is dropped.
#[derive(Debug)]
pub struct Recorder {
    queue: Mutex<Option<SyncSender<Asked>>>,
    lost: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Recorder {
    /// Begins or continues a recording of this node's requests.
    ///
    /// # Errors
    /// When the file can't be written, or is something other than a recording.
    pub fn start(recording: Recording, node: NodeId) -> anyhow::Result<Self> {
        let lost = Arc::new(AtomicU64::new(0));
        let file = RecordingFile::open(recording, node, Arc::clone(&lost))?;
        let (queue, asked) = sync_channel(limits::RECORDING_QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || file.run(&asked))?;
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            lost,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Records a request, or leaves it out and counts it when the queue is full.
    pub fn take_down(&self, asked: Asked) {
        let queue = self.queue.lock();
        let sent = queue
            .as_ref()
            .is_some_and(|queue| queue.try_send(asked).is_ok());
        if !sent {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines left out so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Writes the queued lines and closes the file. Blocks for as long as the disk takes.
    pub fn stop(&self) {
        drop(self.queue.lock().take());
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the recorder panicked; the end of the recording may be missing");
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The file being written, on the thread that owns it.
struct RecordingFile {
    recording: Recording,
    reader: u64,
    lost: Arc<AtomicU64>,
    /// Lost lines that have been logged.
    logged: u64,
    written: u64,
    /// Whether it is a plain file, which can be rotated.
    is_file: bool,
    out: Option<Writer<BufWriter<File>>>,
}

impl RecordingFile {
    fn open(recording: Recording, node: NodeId, lost: Arc<AtomicU64>) -> anyhow::Result<Self> {
        let mut opened = Self {
            reader: node.short(),
            lost,
            logged: 0,
            written: 0,
            is_file: true,
            out: None,
            recording,
        };
        opened.check()?;
        opened.begin().with_context(|| {
            let file = opened.recording.file.display();
            format!("the recording {file} can't be written; give --record a file in a folder that exists")
        })?;
        Ok(opened)
    }

    /// Makes sure that only recordings are appended to now and overwritten later.
    fn check(&mut self) -> anyhow::Result<()> {
        let file = &self.recording.file;
        let shown = file.display();
        if let Ok(metadata) = std::fs::metadata(file) {
            let kind = metadata.file_type();
            self.is_file = kind.is_file();
            ensure!(
                kind.is_file() || kind.is_char_device(),
                "{shown} is not a file; give --record a file to write to"
            );
        }
        if !self.is_file {
            return Ok(());
        }
        self.follow_links();
        let file = &self.recording.file;
        let rotated = (1..=self.recording.kept).map(|number| rotated_name(file, number));
        let existing = file.exists().then(|| file.clone());
        for file in existing.into_iter().chain(rotated) {
            ensure!(
                !is_something_else(&file)?,
                "{} exists and is not a recording; move it away, or give --record another file",
                file.display()
            );
        }
        Ok(())
    }

    /// A symbolic link stays one: its target is what is rotated, within the target's folder.
    fn follow_links(&mut self) {
        if let Ok(target) = self.recording.file.canonicalize() {
            self.recording.file = target;
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&self.recording.file)?;
        self.follow_links();
        self.written = file.metadata()?.len();
        let mut writer = Writer::begin(BufWriter::new(file), self.recording.names)?;
        // The first line is readable at once.
        writer.flush()?;
        self.out = Some(writer);
        Ok(())
    }

    fn run(mut self, asked: &Receiver<Asked>) {
        loop {
            match asked.recv_timeout(FLUSH_AFTER) {
                Ok(asked) => {
                    let written = self.write(&asked);
                    self.end_on_error(written);
                }
                Err(RecvTimeoutError::Timeout) => {
                    let flushed = self.flush();
                    self.end_on_error(flushed);
                    self.log_lost();
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let flushed = self.flush();
        self.end_on_error(flushed);
        self.log_lost();
    }

    fn write(&mut self, asked: &Asked) -> io::Result<()> {
        if self.is_file && self.written >= self.recording.bytes {
            self.rotate()?;
        }
        let Some(out) = &mut self.out else {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        };
        self.written += out.write(&Line {
            time: asked.time,
            reader: self.reader,
            op: asked.op,
            id: asked.key.file_id().0,
            size: asked.size,
            outcome: asked.outcome,
            hops: asked.hops,
            key: Some(asked.key.as_str()),
        })?;
        Ok(())
    }

    /// Renames `FILE` to `FILE.1`, `FILE.1` to `FILE.2` and so on; the oldest is overwritten. Renames nothing if a
    /// file of one of these names is not a recording.
    fn rotate(&mut self) -> io::Result<()> {
        self.flush()?;
        self.out = None;
        let file = &self.recording.file;
        let rotated = (1..=self.recording.kept).map(|number| rotated_name(file, number));
        for path in std::iter::once(file.clone()).chain(rotated) {
            if is_something_else(&path)? {
                let reason = format!("{} exists and is not a recording", path.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, reason));
            }
        }
        if self.recording.kept == 0 {
            std::fs::remove_file(file)?;
            return self.begin();
        }
        for number in (1..self.recording.kept).rev() {
            match std::fs::rename(rotated_name(file, number), rotated_name(file, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(file, rotated_name(file, 1))?;
        self.begin()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Writer::flush)
    }

    /// Writes nothing more after an error, so that at most the last line of the file is cut off.
    fn end_on_error(&mut self, done: io::Result<()>) {
        if let Err(error) = done {
            self.out = None;
            self.written = 0;
            let file = self.recording.file.display();
            tracing::error!(
                %file,
                %error,
                "the recording ends because its file can't be written; requests go on, restart the node to record again"
            );
        }
    }

    fn log_lost(&mut self) {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > self.logged {
            tracing::warn!(
                lines = lost - self.logged,
                "requests were left out of the recording"
            );
            self.logged = lost;
        }
    }
}

/// Whether a file exists that is not a recording.
fn is_something_else(file: &Path) -> io::Result<bool> {
    let opened = match std::fs::symlink_metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.is_file() => return Ok(true),
        Ok(_) => File::open(file)?,
    };
    let mut beginning = Vec::new();
    opened.take(BEGINNING_BYTES).read_to_end(&mut beginning)?;
    Ok(!beginning.is_empty() && !recording::begins(&beginning))
}

fn rotated_name(file: &Path, number: u32) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use dataverse_lab::trace::{Options, Trace};

    use super::*;

    fn asked(number: u64) -> Asked {
        Asked {
            time: 1_000 + number,
            op: Op::Read,
            key: Key::parse(&format!("ada/{number}, \"so\"")).unwrap(),
            size: number,
            outcome: RequestOutcome::Remote,
            hops: 2,
        }
    }

    fn recorded(folder: &Path, recording: &Recording, numbers: std::ops::Range<u64>) {
        assert!(folder.is_dir());
        let recorder = Recorder::start(recording.clone(), NodeId::from(5)).unwrap();
        numbers.for_each(|number| recorder.take_down(asked(number)));
        recorder.stop();
        assert_eq!(recorder.lost(), 0);
    }

    fn times(file: &Path) -> Vec<u64> {
        let trace = Trace::open(file.to_str().unwrap(), Options::default()).unwrap();
        let requests = trace.requests().unwrap();
        requests.map(|request| request.unwrap().time).collect()
    }

    fn recording(folder: &Path, names: bool, bytes: u64) -> Recording {
        Recording {
            file: folder.join("requests.csv"),
            names,
            bytes,
            kept: 2,
        }
    }

    #[test]
    fn what_was_taken_down_is_read_by_the_lab_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let recording = recording(folder.path(), true, 1 << 20);
        recorded(folder.path(), &recording, 0..10);
        recorded(folder.path(), &recording, 10..20);
        assert_eq!(times(&recording.file), (1_000..1_020).collect::<Vec<_>>());
        let text = std::fs::read_to_string(&recording.file).unwrap();
        assert!(text.contains("\"ada/3, \"\"so\"\"\""), "{text}");
    }

    #[test]
    fn names_are_written_only_when_they_are_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let recording = recording(folder.path(), false, 1 << 20);
        recorded(folder.path(), &recording, 0..3);
        let text = std::fs::read_to_string(&recording.file).unwrap();
        assert!(!text.contains("ada"), "{text}");
        assert_eq!(times(&recording.file).len(), 3);
    }

    #[test]
    fn a_file_that_is_full_is_put_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let recording = recording(folder.path(), false, 500);
        recorded(folder.path(), &recording, 0..100);
        let mut names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["requests.csv", "requests.csv.1", "requests.csv.2"]);
        let mut kept = times(&rotated_name(&recording.file, 2));
        kept.extend(times(&rotated_name(&recording.file, 1)));
        kept.extend(times(&recording.file));
        assert!(kept.len() < 100, "{kept:?}");
        let last = 1_100 - kept.len() as u64;
        assert_eq!(kept, (last..1_100).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_but_recordings_is_added_to_or_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let recording = recording(folder.path(), false, 500);
        let refused = |file: &Path| {
            let refused = Recorder::start(recording.clone(), NodeId::from(5)).unwrap_err();
            let refused = format!("{refused:#}");
            assert!(refused.contains("is not a recording"), "{refused}");
            assert!(refused.contains(file.to_str().unwrap()), "{refused}");
            std::fs::remove_file(file).unwrap();
        };
        std::fs::write(&recording.file, "dear diary\n").unwrap();
        refused(&recording.file);
        std::fs::write(rotated_name(&recording.file, 2), "dear diary\n").unwrap();
        refused(&rotated_name(&recording.file, 2));
        recorded(folder.path(), &recording, 0..3);
        assert_eq!(times(&recording.file).len(), 3);
    }

    #[test]
    fn what_appears_meanwhile_and_is_no_recording_ends_the_recording() {
        let folder = tempfile::tempdir().unwrap();
        let recording = recording(folder.path(), false, 500);
        let recorder = Recorder::start(recording.clone(), NodeId::from(5)).unwrap();
        let diary = rotated_name(&recording.file, 2);
        std::fs::write(&diary, "dear diary\n").unwrap();
        (0..100).for_each(|number| recorder.take_down(asked(number)));
        recorder.stop();
        assert!(recorder.lost() > 0);
        assert_eq!(std::fs::read(&diary).unwrap(), b"dear diary\n");
        assert!(recording.file.is_file() && !rotated_name(&recording.file, 1).exists());
    }

    #[test]
    fn a_device_is_never_put_aside_and_a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut recording = recording(folder.path(), false, 500);
        let linked = folder.path().join("linked.csv");
        std::os::unix::fs::symlink("linked.csv", &recording.file).unwrap();
        recorded(folder.path(), &recording, 0..100);
        assert!(recording.file.is_symlink());
        assert!(linked.is_file() && rotated_name(&linked, 1).is_file());
        recording.file = PathBuf::from("/dev/null");
        recorded(folder.path(), &recording, 0..100);
        let null = std::fs::symlink_metadata("/dev/null").unwrap();
        assert!(null.file_type().is_char_device());
    }

    #[test]
    fn a_file_that_cannot_be_written_is_refused_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = recording(&folder.path().join("not there"), false, 500);
        let refused = Recorder::start(nowhere, NodeId::from(5)).unwrap_err();
        assert!(format!("{refused:#}").contains("--record"), "{refused:#}");
    }
}
