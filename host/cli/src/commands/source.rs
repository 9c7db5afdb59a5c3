//! The sources of uploads: files, devices, pipes and standard input, read to their end.
//!
//! The size that the system reports for a file is not trusted: files in `/proc` report 0 bytes, those in `/sys`
//! 4096, and others change while they are read. A size is announced only where the disk blocks confirm it. The
//! last bytes are passed on only once the end is reached and the file has not changed; otherwise the upload breaks
//! off, so that no node takes a part of a file for the whole.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use dataverse_overlay::limits;
use futures_util::Stream;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

/// Something to read to its end.
pub(super) struct UploadSource {
    file: File,
    /// Read in advance to find out whether there is anything.
    first: Bytes,
    /// The total size in bytes, where it can be relied on.
    size: Option<u64>,
    /// The metadata of a regular file.
    stated: Option<Stated>,
}

/// The metadata that reveals a change of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stated {
    size: u64,
    modified: (i64, i64),
}

impl Stated {
    fn of(metadata: &Metadata) -> Option<Self> {
        metadata.is_file().then(|| Self {
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

/// The state of reading.
struct Reading {
    source: UploadSource,
    read: u64,
    held: Bytes,
    is_over: bool,
}

impl UploadSource {
    /// Opens a file or anything else of this name. Waits until a FIFO has a writer.
    pub(super) async fn open(path: &Path) -> Result<Self, String> {
        let about = |error: io::Error| error.to_string();
        let metadata = tokio::fs::metadata(path).await.map_err(about)?;
        if metadata.is_dir() {
            return Err("it is a folder; give the files in it".to_owned());
        }
        if metadata.file_type().is_socket() {
            return Err("it is a socket, which can't be read as a file".to_owned());
        }
        let file = File::open(path).await.map_err(about)?;
        Self::of(file, true).await.map_err(about)
    }

    /// Opens standard input. Nothing is read ahead of an upload.
    pub(super) async fn stdin() -> Result<Self, String> {
        use std::os::fd::AsFd as _;
        let opened = io::stdin().as_fd().try_clone_to_owned();
        let file = opened.map_err(|error| error.to_string())?;
        // Some of what it refers to may have been read already.
        let file = File::from_std(file.into());
        Self::of(file, false)
            .await
            .map_err(|error| error.to_string())
    }

    async fn of(mut file: File, is_at_start: bool) -> io::Result<Self> {
        let metadata = file.metadata().await?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let stated = Stated::of(&metadata);
        let is_backed = metadata.blocks() > 0;
        let (mut first, mut size) = (Bytes::new(), None);
        match stated.filter(|_| is_at_start) {
            Some(Stated { size: 0, .. }) => {
                first = next(&mut file).await?;
                size = first.is_empty().then_some(0);
            }
            Some(stated) if is_backed => size = Some(stated.size),
            _ => {}
        }
        Ok(Self {
            file,
            first,
            size,
            stated,
        })
    }

    /// The total size in bytes, where it can be relied on.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// The content. Ends with an error if the file changed in the meantime.
    pub(super) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let reading = Reading {
            source: self,
            read: 0,
            held: Bytes::new(),
            is_over: false,
        };
        futures_util::stream::try_unfold(reading, |mut reading| async move {
            let chunk = reading.advance().await?;
            Ok(chunk.map(|chunk| (chunk, reading)))
        })
    }

    /// Why having read this many bytes is wrong, if it is.
    async fn objection(&self, read: u64) -> io::Result<Option<String>> {
        let Some(before) = self.stated else {
            return Ok(None);
        };
        let after = Stated::of(&self.file.metadata().await?);
        // The system keeps no metadata of files that it generates while they are read.
        let is_made_up = before.size == 0 && read > 0 && after.is_some_and(|it| it.size == 0);
        if !is_made_up && after != Some(before) {
            let size = after.map_or(0, |after| after.size);
            return Ok(Some(format!(
                "it changed while it was read ({} bytes before, {size} after, {read} read), so it was not stored; try \
                 again when nothing writes to it",
                before.size
            )));
        }
        let is_short = self.size.is_some_and(|size| size != read);
        Ok(is_short.then(|| {
            format!(
                "the system reports {} bytes, but {read} can be read, so it was not stored; to store what can be read, \
                 pass it through a pipe: `… | dataverse put - --as NAME`",
                before.size
            )
        }))
    }
}

impl Reading {
    /// The next bytes. The last bytes read are held back until they are known to be right.
    async fn advance(&mut self) -> io::Result<Option<Bytes>> {
        while !self.is_over {
            let chunk = match std::mem::take(&mut self.source.first) {
                first if first.is_empty() => next(&mut self.source.file).await?,
                first => first,
            };
            self.read += chunk.len() as u64;
            self.is_over = chunk.is_empty();
            let is_too_long = self.source.size.is_some_and(|size| self.read > size);
            if (self.is_over || is_too_long)
                && let Some(reason) = self.source.objection(self.read).await?
            {
                return Err(io::Error::other(reason));
            }
            let ready = std::mem::replace(&mut self.held, chunk);
            if !ready.is_empty() {
                return Ok(Some(ready));
            }
        }
        Ok(None)
    }
}

/// What can be read now; empty at the end.
async fn next(file: &mut File) -> io::Result<Bytes> {
    let mut chunk = BytesMut::with_capacity(limits::CHUNK_BYTES);
    file.read_buf(&mut chunk).await?;
    Ok(chunk.freeze())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use futures_util::TryStreamExt as _;

    use super::*;

    async fn read(source: UploadSource) -> Result<Vec<u8>, String> {
        let chunks: Result<Vec<Bytes>, _> = source.into_stream().try_collect().await;
        chunks
            .map(|it| it.concat())
            .map_err(|error| error.to_string())
    }

    fn file_of(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(content).expect("it is written");
        file
    }

    #[tokio::test]
    async fn a_file_is_read_whole_whatever_its_size() {
        for size in [0, 1, limits::CHUNK_BYTES, 3 * limits::CHUNK_BYTES + 1] {
            let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let file = file_of(&content);
            let source = UploadSource::open(file.path()).await.expect("it opens");
            assert_eq!(source.size(), Some(size as u64));
            assert!(read(source).await.expect("it is read") == content, "{size}");
        }
    }

    #[tokio::test]
    async fn what_the_system_makes_up_as_it_is_read_is_read_to_its_end() {
        let expected = std::fs::read("/proc/version").expect("it can be read");
        let source = UploadSource::open(Path::new("/proc/version")).await;
        let source = source.expect("it opens");
        assert_eq!(source.size(), None);
        assert_eq!(read(source).await.expect("it is read"), expected);
    }

    #[tokio::test]
    async fn a_file_that_changes_while_it_is_read_is_no_file_to_store() {
        let content = vec![7; 3 * limits::CHUNK_BYTES];
        let check = async |change: &dyn Fn(&std::fs::File)| {
            let file = file_of(&content);
            let source = UploadSource::open(file.path()).await.expect("it opens");
            let mut stream = Box::pin(source.into_stream());
            let mut passed = 0;
            passed += stream
                .try_next()
                .await
                .expect("a chunk")
                .expect("one")
                .len();
            change(file.as_file());
            loop {
                match stream.try_next().await {
                    Ok(Some(chunk)) => passed += chunk.len(),
                    Ok(None) => panic!("it was taken for whole"),
                    Err(error) => {
                        assert!(error.to_string().contains("changed"), "{error}");
                        break;
                    }
                }
            }
            assert!(passed < content.len(), "the last bytes are held back");
        };
        check(&|file| {
            file.set_len(limits::CHUNK_BYTES as u64 + 5)
                .expect("it shrinks")
        })
        .await;
        check(&|file| {
            file.set_len(5 * limits::CHUNK_BYTES as u64)
                .expect("it grows")
        })
        .await;
        check(&|file| {
            let time = std::time::SystemTime::UNIX_EPOCH;
            file.set_modified(time).expect("its time is set");
        })
        .await;
    }
}
