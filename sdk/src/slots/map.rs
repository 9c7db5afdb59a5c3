//! `SlotMap`: a value for each slot.

use std::ops::{Index, IndexMut};

use crate::Slot;

/// Values per page. With pages, a growing map is never copied, which would need its size once more.
const PAGE: usize = 1024;

type Page<T> = Box<[T; PAGE]>;

/// A value for every possible slot: the same one for all until another is written.
///
/// ```
/// let mut reads = dataverse_sdk::slots::SlotMap::new(0);
/// reads[7] += 1;
/// assert_eq!((reads[7], reads[8]), (1, 0));
/// ```
#[derive(Clone, Debug)]
pub struct SlotMap<T> {
    blank: T,
    pages: Vec<Option<Page<T>>>,
}

impl<T: Copy> SlotMap<T> {
    /// A map in which every slot has this value.
    #[must_use]
    pub const fn new(blank: T) -> Self {
        Self {
            blank,
            pages: Vec::new(),
        }
    }

    /// The value of a slot, if its page was ever written. Cheaper than indexing when only existing values are to
    /// be changed, because indexing may have to allocate a page.
    #[must_use]
    #[inline]
    pub fn existing_mut(&mut self, slot: Slot) -> Option<&mut T> {
        let page = self.pages.get_mut(slot as usize / PAGE)?.as_mut()?;
        Some(&mut page[slot as usize % PAGE])
    }

    #[cold]
    fn add_page(&mut self, number: usize) {
        if number >= self.pages.len() {
            self.pages.resize_with(number + 1, || None);
        }
        // Built from a vector, because an array would be built on the stack first.
        let page = vec![self.blank; PAGE].into_boxed_slice();
        self.pages[number] = page.try_into().ok();
    }
}

impl<T: Copy> Index<Slot> for SlotMap<T> {
    type Output = T;

    #[inline]
    fn index(&self, slot: Slot) -> &T {
        match self.pages.get(slot as usize / PAGE) {
            Some(Some(page)) => &page[slot as usize % PAGE],
            _ => &self.blank,
        }
    }
}

impl<T: Copy> IndexMut<Slot> for SlotMap<T> {
    #[inline]
    fn index_mut(&mut self, slot: Slot) -> &mut T {
        let number = slot as usize / PAGE;
        if !matches!(self.pages.get(number), Some(Some(_))) {
            self.add_page(number);
        }
        let page = self.pages[number].as_mut();
        let page = page.expect("a missing page has just been added");
        &mut page[slot as usize % PAGE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_written_is_blank() {
        let mut map = SlotMap::new(-1);
        map[5000] = 3;
        assert_eq!(
            [map[0], map[4999], map[5000], map[u32::MAX]],
            [-1, -1, 3, -1]
        );
    }

    #[test]
    fn a_high_slot_takes_one_page() {
        let mut map = SlotMap::new(0u64);
        map[1 << 30] = 1;
        map[3] = 2;
        assert_eq!((map[1 << 30], map[3]), (1, 2));
        assert_eq!(map.pages.iter().flatten().count(), 2);
    }
}
