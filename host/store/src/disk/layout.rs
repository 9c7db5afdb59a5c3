//! All paths in a data folder. ([`Layout`] is that of the folder; a record's layout, which names the holders of its
//! replicas, is another.) Names are made of hashes and versions: no byte that a user chose is ever part of a path.
//!
//! ```text
//! lock                    locked by the running node
//! node.id                 the node that owns the folder
//! index.redb              the index, including small contents
//! index.redb.format-<n>   copy of the index from before it was upgraded from format <n>
//! index.redb.rescued      copy of an index that was removed while the node ran
//! content/ab/cd/<id>      content of one version; its group tree is <id>.tree. `ab/cd` is a *bucket folder*:
//!                         contents that are committed together share one, so one sync makes their names durable
//! incoming/               content that is not committed yet
//! orphans/                files that had no entry when the node started; kept for seven days
//! quarantine/             content that did not match its digest, or was deleted while the node was away; kept for
//!                         thirty days
//! ```

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use dataverse_core::id::FileId;
use dataverse_core::record::Record;
use dataverse_core::version::Version;

/// Identifies one content: the file and the version.
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

/// A folder that contains content files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct BucketFolder(pub(super) u16);

/// Commits that share a bucket folder. A folder of a thousand files is no slower, and creating a folder costs as
/// much as a commit.
const COMMITS_IN_A_BUCKET: u64 = 64;

impl BucketFolder {
    /// The bucket folder for the contents of this commit.
    pub(super) fn of_commit(number: u64) -> Self {
        Self((number / COMMITS_IN_A_BUCKET) as u16)
    }
}

/// Where one content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentPlace {
    pub(super) id: ContentId,
    pub(super) bucket: BucketFolder,
}

/// A file name that the store did not give.
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

    /// The path of a copy that is made of an index of this format before it is upgraded: the first, the second, …
    pub(super) fn backup(&self, format: u32, number: u32) -> PathBuf {
        let index = self.index();
        let first = index.with_added_extension(format!("format-{format}"));
        match number {
            0 | 1 => first,
            number => first.with_added_extension(number.to_string()),
        }
    }

    /// The path of the copy that is made of an index that was removed while the node ran.
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

    /// The path of a bucket folder.
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

    /// Creates every folder of the store.
    pub(super) fn make_folders(&self) -> io::Result<()> {
        for folder in [self.contents()].into_iter().chain(self.lesser_folders()) {
            std::fs::create_dir_all(folder)?;
        }
        sync_folder(&self.root)
    }

    /// The folders that contain no acknowledged content.
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
