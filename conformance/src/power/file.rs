//! A file's bytes, as programs see them and as the disk has them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::disk::Random;

pub(super) const PAGE: usize = 4096;
const SECTOR: usize = 512;

type Page = [u8; PAGE];

/// Bytes by page; a page that is not there is zero.
#[derive(Clone, Default)]
struct Content {
    len: u64,
    pages: HashMap<u64, Arc<Page>>,
}

impl Content {
    fn page(&self, index: u64) -> Page {
        self.pages.get(&index).map_or([0; PAGE], |page| **page)
    }

    fn set_page(&mut self, index: u64, page: Option<Arc<Page>>) {
        match page {
            Some(page) => self.pages.insert(index, page),
            None => self.pages.remove(&index),
        };
    }

    /// What lies past the end is gone, not hidden: a longer file shows zeros there.
    fn cut_at_end(&mut self) {
        let (whole, rest) = (self.len / PAGE as u64, (self.len % PAGE as u64) as usize);
        self.pages.retain(|&index, _| index < whole || (index == whole && rest > 0));
        if rest > 0 && self.pages.contains_key(&whole) {
            let mut page = self.page(whole);
            page[rest..].fill(0);
            self.pages.insert(whole, Arc::new(page));
        }
    }
}

/// What a power cut does to the unsynced pages of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Luck {
    /// All are lost.
    None,
    /// Each is kept, lost, or torn at a sector.
    Some,
    /// All are kept.
    All,
}

/// One file.
#[derive(Default)]
pub(super) struct File {
    now: Content,
    durable: Content,
    dirty: HashSet<u64>,
}

impl File {
    pub(super) fn len(&self) -> u64 {
        self.now.len
    }

    pub(super) fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let end = self.now.len.min(offset.saturating_add(len as u64));
        let mut bytes = Vec::with_capacity(end.saturating_sub(offset) as usize);
        let mut at = offset;
        while at < end {
            let (index, from) = (at / PAGE as u64, (at % PAGE as u64) as usize);
            let take = (PAGE - from).min((end - at) as usize);
            match self.now.pages.get(&index) {
                Some(page) => bytes.extend_from_slice(&page[from..from + take]),
                None => bytes.resize(bytes.len() + take, 0),
            }
            at += take as u64;
        }
        bytes
    }

    pub(super) fn write(&mut self, offset: u64, mut bytes: &[u8]) {
        let mut at = offset;
        self.now.len = self.now.len.max(offset + bytes.len() as u64);
        while !bytes.is_empty() {
            let (index, from) = (at / PAGE as u64, (at % PAGE as u64) as usize);
            let (piece, rest) = bytes.split_at((PAGE - from).min(bytes.len()));
            let mut page = self.now.page(index);
            page[from..from + piece.len()].copy_from_slice(piece);
            self.now.set_page(index, (page != [0; PAGE]).then(|| Arc::new(page)));
            self.dirty.insert(index);
            at += piece.len() as u64;
            bytes = rest;
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.now.len {
            let first = len / PAGE as u64;
            self.dirty.extend(self.now.pages.keys().filter(|&&index| index >= first));
        }
        self.now.len = len;
        self.now.cut_at_end();
    }

    /// Zeros a range without changing the length.
    pub(super) fn punch(&mut self, offset: u64, len: u64) {
        let end = offset.saturating_add(len).min(self.now.len);
        let mut at = offset;
        while at < end {
            let take = (PAGE as u64 - at % PAGE as u64).min(end - at);
            self.write(at, &vec![0; take as usize]);
            at += take;
        }
    }

    pub(super) fn sync(&mut self) {
        self.durable.len = self.now.len;
        for index in self.dirty.drain() {
            self.durable.set_page(index, self.now.pages.get(&index).cloned());
        }
        self.durable.cut_at_end();
    }

    /// Afterwards the file is what the disk has. Returns how many unsynced pages were not kept whole.
    pub(super) fn cut(&mut self, luck: Luck, random: &mut Random) -> u64 {
        let mut lost = 0;
        let new_len = match luck {
            Luck::None => false,
            Luck::All => true,
            Luck::Some => random.below(2) == 0,
        };
        let mut dirty: Vec<u64> = self.dirty.drain().collect();
        dirty.sort_unstable();
        for index in dirty {
            let outcome = match luck {
                Luck::None => 0,
                Luck::All => 1,
                Luck::Some => random.below(3),
            };
            match outcome {
                0 => lost += 1,
                1 => self.durable.set_page(index, self.now.pages.get(&index).cloned()),
                _ => {
                    lost += 1;
                    self.tear(index, random);
                }
            }
        }
        if new_len {
            self.durable.len = self.now.len;
        }
        self.durable.cut_at_end();
        self.now = self.durable.clone();
        lost
    }

    /// Any of the page's sectors are new, the others old.
    fn tear(&mut self, index: u64, random: &mut Random) {
        let (mut page, new) = (self.durable.page(index), self.now.page(index));
        for sector in 0..PAGE / SECTOR {
            if random.below(2) == 0 {
                let range = sector * SECTOR..(sector + 1) * SECTOR;
                page[range.clone()].copy_from_slice(&new[range]);
            }
        }
        self.durable.pages.insert(index, Arc::new(page));
    }
}
