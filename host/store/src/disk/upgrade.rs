//! Upgrades an index of an older format, after making a copy of it.
//!
//! The copy is durable before the first byte of the index changes, and all steps to the present format are a single
//! transaction. So a crash at any point leaves an index of the old format, which upgrades at the next start, or one of
//! the present format; never anything in between. The copy stays until somebody removes it and is never overwritten:
//! another upgrade, for example after the copy was put back, makes a second copy next to it.
//!
//! A new format is a new [`Step`] at the end of the list, and [`codec::FORMAT`] increased by one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use redb::{ReadOnlyDatabase, ReadableDatabase, ReadableTable, WriteTransaction};

use super::super::files;
use super::codec::{self, Damaged, Decoder};
use super::index::{self, HOLDINGS, LIFETIME, LoadError, META, MISSING, Older};
use super::layout::{Layout, sync_folder};
use crate::crash;

/// The upgrade from one format to the next.
struct Step {
    from: u32,
    /// What it changes, for the log.
    what: &'static str,
    take: fn(&WriteTransaction) -> Result<(), LoadError>,
}

/// Each step begins where the one before ends.
const STEPS: &[Step] = &[Step {
    from: 1,
    what: "the node's facts about itself are always present, tombstones say when they were stored, and missing \
           replicas are listed",
    take: from_1_to_2,
}];

/// Why an index was not upgraded. It was not changed.
#[derive(Debug)]
pub(super) enum UpgradeError {
    /// The copy could not be made.
    Backup(PathBuf, io::Error),
    /// The upgrade itself failed.
    Index(LoadError),
}

impl From<LoadError> for UpgradeError {
    fn from(error: LoadError) -> Self {
        Self::Index(error)
    }
}

/// Upgrades the index in this folder, which must be closed.
pub(super) fn upgrade(layout: &Layout, older: &Older) -> Result<(), UpgradeError> {
    let from = older.format;
    let backup = back_up(layout, older)?;
    crash::point("upgrade.backed_up");
    index::without_panic(|| {
        let database = index::open_database(&layout.index())?;
        let mut transaction = database.begin_write()?;
        transaction.set_quick_repair(true);
        take_steps(&transaction, from)?;
        crash::point("upgrade.stepped");
        transaction.commit()?;
        Ok(())
    })?;
    crash::point("upgrade.committed");
    for step in STEPS.iter().filter(|step| step.from >= from) {
        tracing::info!(
            from = step.from,
            to = step.from + 1,
            changed = step.what,
            "upgraded the index by one format"
        );
    }
    tracing::warn!(
        backup = %backup.display(),
        from,
        to = codec::FORMAT,
        "upgraded the index; a copy from before the upgrade is kept, and can be removed once everything works"
    );
    Ok(())
}

/// Takes every step from this format on. Nothing takes effect before the transaction is committed.
pub(super) fn take_steps(transaction: &WriteTransaction, from: u32) -> Result<(), LoadError> {
    for step in STEPS.iter().filter(|step| step.from >= from) {
        (step.take)(transaction)?;
    }
    let mut meta = transaction.open_table(META)?;
    meta.insert(index::FORMAT, codec::FORMAT.to_le_bytes().as_slice())?;
    Ok(())
}

/// Makes sure that a durable copy of the index exists and returns its path.
fn back_up(layout: &Layout, older: &Older) -> Result<PathBuf, UpgradeError> {
    for number in 1u32.. {
        let backup = layout.backup(older.format, number);
        if !files::is_there(&backup) {
            copy(&layout.index(), &backup, layout.root())
                .map_err(|error| UpgradeError::Backup(backup.clone(), error))?;
            return Ok(backup);
        }
        // An unfinished upgrade of this very index made this copy.
        if commits_in(&backup, older.format).is_ok_and(|commits| commits == older.commits) {
            return Ok(backup);
        }
    }
    unreachable!("a folder holds fewer files than there are numbers")
}

/// How many commits were made to this index, which must have that format.
fn commits_in(path: &Path, format: u32) -> Result<u64, LoadError> {
    index::without_panic(|| {
        // Anything else under that name is not a copy that we made.
        if !path.symlink_metadata().is_ok_and(|it| it.is_file()) {
            return Err(Damaged.into());
        }
        let database = ReadOnlyDatabase::open(path)?;
        let meta = database.begin_read()?.open_table(META)?;
        if index::format_in(&meta)? != format {
            return Err(Damaged.into());
        }
        index::number_in(&meta, index::COMMITS)
    })
}

/// Makes a complete, durable copy, or none.
fn copy(from: &Path, to: &Path, folder: &Path) -> io::Result<()> {
    let unfinished = to.with_added_extension("new");
    let copied = copy_bytes(from, &unfinished)
        .inspect(|()| crash::point("upgrade.copied"))
        .and_then(|()| fs::rename(&unfinished, to));
    if let Err(error) = copied {
        // An incomplete copy only takes up space.
        let _ = fs::remove_file(&unfinished);
        return Err(error);
    }
    sync_folder(folder)
}

fn copy_bytes(from: &Path, to: &Path) -> io::Result<()> {
    let mut index = File::open(from)?;
    let mut copy = files::create_anew(to)?;
    io::copy(&mut index, &mut copy)?;
    copy.sync_all()
}

/// Format 2: the row of the node's facts is always present and says when the last scrub ended; tombstones carry how
/// long the node had run when they were stored (unknown for existing ones, which get 0: when the node began to
/// count); a table lists the replicas that must be restored.
fn from_1_to_2(transaction: &WriteTransaction) -> Result<(), LoadError> {
    transaction.open_table(MISSING)?;
    let mut meta = transaction.open_table(META)?;
    let lifetime = match meta.get(LIFETIME)? {
        Some(row) => codec::decode_life_1(row.value())?,
        None => super::super::Lifetime::default(),
    };
    meta.insert(LIFETIME, codec::encode_life(lifetime).as_slice())?;
    let mut holdings = transaction.open_table(HOLDINGS)?;
    let mut decoder = Decoder::default();
    let mut tombstones = Vec::new();
    for row in holdings.iter()? {
        let (key, row) = row?;
        let mut entry = decoder.entry(key.value(), row.value())?;
        if entry.holding.record.deleted {
            entry.holding.verified = 0;
            tombstones.push(entry);
        }
    }
    for entry in tombstones {
        let row = codec::encode_entry(&entry);
        holdings.insert(entry.holding.record.key.as_str(), row.as_slice())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_lead_from_the_first_format_to_the_present_one() {
        let from: Vec<u32> = STEPS.iter().map(|step| step.from).collect();
        assert_eq!(from, (1..codec::FORMAT).collect::<Vec<_>>());
    }
}
