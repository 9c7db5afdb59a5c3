//! Where things are in a data folder. Names are made of hashes and versions: no byte that a user chose is
//! ever part of a path.
//!
//! ```text
//! lock                    held by the running node
//! node.id                 whose folder it is
//! index.redb              the index, with small contents in it
//! index.redb.format-<n>   the index as it was before it was upgraded from that format
//! content/ab/cd/<id>      content of a version; <id>.tree beside it: its group tree. `ab/cd` is a *shelf*:
//!                         contents that are committed together share one, and so one sync of it
//! incoming/               not committed yet
//! orphans/                found at start without an entry; kept seven days
//! quarantine/             did not match its digest, or was deleted while the node was away; kept thirty days
//! ```

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use dataverse_core::id::FileId;
use dataverse_core::record::Record;
use dataverse_core::version::Version;

/// Names one content: the file and the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ContentId {
    file: FileId,
    version: Version,
}

impl ContentId {
    pub(super) fn of(record: &Record) -> Self {
        Self {
            file: record.key.file_id(),
            version: record.version,
        }
    }

    /// 32 bytes, most significant first.
    pub(super) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.file.0.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.version.stamp.0.to_be_bytes());
        bytes[16..].copy_from_slice(self.version.writer.as_bytes());
        bytes
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.file, self.version)
    }
}

/// One of the folders that content is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct BucketFolder(pub(super) u16);

/// Commits that share a shelf. A thousand files in one folder are no burden, and a new folder costs as much
/// as a commit.
const COMMITS_ON_A_SHELF: u64 = 64;

impl BucketFolder {
    /// Where the contents of this commit go.
    pub(super) fn of_commit(number: u64) -> Self {
        Self((number / COMMITS_ON_A_SHELF) as u16)
    }
}

/// Where one content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentPlace {
    pub(super) id: ContentId,
    pub(super) bucket: BucketFolder,
}

/// A name that the store did not give.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stray;

impl FromStr for ContentId {
    type Err = Stray;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let (file, version) = name.split_once('-').ok_or(Stray)?;
        let id = Self {
            file: FileId(u64::from_str_radix(file, 16).map_err(|_| Stray)?),
            version: version.parse().map_err(|_| Stray)?,
        };
        // One content has one name: other spellings of the same numbers are strays.
        (id.to_string() == name).then_some(id).ok_or(Stray)
    }
}

/// The paths in one data folder.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(super) fn node_id(&self) -> PathBuf {
        self.root.join("node.id")
    }

    pub(super) fn index(&self) -> PathBuf {
        self.root.join("index.redb")
    }

    /// The copy of an index of this format that is made before it is upgraded: the first, the second, …
    pub(super) fn backup(&self, format: u32, number: u32) -> PathBuf {
        let index = self.index();
        let first = index.with_added_extension(format!("format-{format}"));
        match number {
            0 | 1 => first,
            number => first.with_added_extension(number.to_string()),
        }
    }

    /// The copy that is made of an index which was removed while the node ran.
    pub(super) fn rescued(&self) -> PathBuf {
        self.index().with_added_extension("rescued")
    }

    pub(super) fn contents(&self) -> PathBuf {
        self.root.join("content")
    }

    pub(super) fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    pub(super) fn orphans(&self) -> PathBuf {
        self.root.join("orphans")
    }

    pub(super) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    /// The folder of a shelf.
    pub(super) fn bucket(&self, bucket: BucketFolder) -> PathBuf {
        let [outer, inner] = bucket.0.to_be_bytes();
        self.contents()
            .join(format!("{outer:02x}"))
            .join(format!("{inner:02x}"))
    }

    pub(super) fn content(&self, place: ContentPlace) -> PathBuf {
        self.bucket(place.bucket).join(place.id.to_string())
    }

    pub(super) fn tree(&self, place: ContentPlace) -> PathBuf {
        self.content(place).with_extension("tree")
    }

    /// Makes every folder of the store.
    pub(super) fn make_folders(&self) -> io::Result<()> {
        for folder in [self.contents()].into_iter().chain(self.lesser_folders()) {
            std::fs::create_dir_all(folder)?;
        }
        sync_folder(&self.root)
    }

    /// The folders in which no acknowledged content is.
    pub(super) fn lesser_folders(&self) -> [PathBuf; 3] {
        [self.incoming(), self.orphans(), self.quarantine()]
    }
}

/// Makes the names in this folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::record;

    #[test]
    fn a_content_is_found_again_by_its_name() {
        let id = ContentId::of(&record("ada/x", 7, b"x"));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 16 + 1 + 16 + 1 + 32);
        let name = id.to_string();
        for stray in [
            "",
            "x-y",
            &name[1..],
            &name.to_uppercase(),
            &format!("{name}.tree"),
        ] {
            assert_eq!(stray.parse::<ContentId>(), Err(Stray), "{stray}");
        }
    }

    #[test]
    fn no_part_of_a_key_is_part_of_a_path() {
        let record = record("ada/..a\\..b%2e%2e/secret", 7, b"x");
        let path = Layout::new(Path::new("/data")).content(ContentPlace {
            id: ContentId::of(&record),
            bucket: BucketFolder(0xab_01),
        });
        let path = path.to_str().expect("it is text");
        let rest = path.strip_prefix("/data/content/").expect("it is below");
        assert!(
            rest.bytes()
                .all(|byte| byte.is_ascii_hexdigit() || b"/-".contains(&byte))
        );
    }
}
