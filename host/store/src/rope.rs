//! `Rope`: bytes in memory, kept as the chunks in which they arrived and addressed by offset.
//!
//! A read hands out parts of the chunks and copies only when it spans several of them.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Consecutive chunks without gaps, each with the offset of its first byte.
#[derive(Debug, Clone, Default)]
pub(super) struct Rope {
    chunks: VecDeque<(u64, Bytes)>,
    end: u64,
}

impl Rope {
    /// The offset after the last byte.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Adds bytes at the end.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            let start = self.end;
            self.end += bytes.len() as u64;
            self.chunks.push_back((start, bytes));
        }
    }

    /// Drops the chunks that end at or before `offset`.
    pub(super) fn forget_before(&mut self, offset: u64) {
        while let Some((start, bytes)) = self.chunks.front()
            && start + bytes.len() as u64 <= offset
        {
            self.chunks.pop_front();
        }
    }

    /// The chunks from `offset` on; the first one is cut there.
    pub(super) fn from(&self, offset: u64) -> Vec<Bytes> {
        let first = self.chunk_at(offset);
        let cut = |(start, bytes): &(u64, Bytes)| {
            let skip = usize::try_from(offset.saturating_sub(*start)).unwrap_or(usize::MAX);
            bytes.slice(skip.min(bytes.len())..)
        };
        self.chunks.range(first..).map(cut).collect()
    }

    /// At most `max` bytes at `offset`, from a single chunk: at least one byte, or none at the end.
    ///
    /// # Panics
    /// When the bytes at `offset` were dropped.
    pub(super) fn part(&self, offset: u64, max: usize) -> Bytes {
        if offset >= self.end {
            return Bytes::new();
        }
        let (start, bytes) = &self.chunks[self.chunk_at(offset)];
        let skip = usize::try_from(offset - start).expect("an offset within a chunk fits");
        bytes.slice(skip..bytes.len().min(skip.saturating_add(max)))
    }

    /// `length` bytes at `offset`, or up to the end. Copied only when they span chunks.
    pub(super) fn read(&self, offset: u64, length: usize) -> Bytes {
        let first = self.part(offset, length);
        let left = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = length.min(left);
        if first.len() == length {
            return first;
        }
        let mut whole = BytesMut::with_capacity(length);
        whole.extend_from_slice(&first);
        while whole.len() < length {
            let part = self.part(offset + whole.len() as u64, length - whole.len());
            whole.extend_from_slice(&part);
        }
        whole.freeze()
    }

    fn chunk_at(&self, offset: u64) -> usize {
        self.chunks
            .partition_point(|(start, bytes)| start + bytes.len() as u64 <= offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope() -> Rope {
        let mut rope = Rope::default();
        for part in ["abc", "", "defg", "h"] {
            rope.push(Bytes::from_static(part.as_bytes()));
        }
        rope
    }

    #[test]
    fn any_range_reads_as_the_whole_does() {
        let whole = b"abcdefgh";
        let rope = rope();
        for from in 0..=8usize {
            for length in 0..=9usize {
                let expected = &whole[from..(from + length).min(8)];
                assert_eq!(&rope.read(from as u64, length)[..], expected);
            }
            assert_eq!(rope.from(from as u64).concat(), &whole[from..]);
        }
    }

    #[test]
    fn what_was_forgotten_is_gone_and_the_rest_keeps_its_place() {
        let mut rope = rope();
        rope.forget_before(5);
        assert_eq!(&rope.read(3, 5)[..], b"defgh");
        rope.forget_before(8);
        assert_eq!(rope.end(), 8);
        assert!(rope.from(8).is_empty());
    }
}
