//! Which entries are the log: the longest valid chain of the highest term, over all mirrors.
//!
//! Pure: it looks at what was scanned and decides. An entry that no mirror gives ends the log when
//! nothing says it was acknowledged, and is an error otherwise.

use std::collections::BTreeMap;

use super::entry::{BATCH_ALIGN, Chain, CheckedEntry};
use super::error::LogError;
use super::scan::{MirrorScan, SegmentScan};
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};

/// Where the next entry goes, and what it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) segment: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) offset: u64,
    /// Index of the next entry.
    pub(crate) next_index: u64,
    /// The chain before the next entry.
    pub(crate) chain: Chain,
    /// Term of the last entry.
    pub(crate) term: u64,
}

/// The log that recovery settled on.
#[derive(Debug)]
pub(crate) struct ChosenLog {
    pub(crate) segments: Vec<ChosenSegment>,
    pub(crate) end: Position,
}

/// One segment of the chosen log.
#[derive(Debug)]
pub(crate) struct ChosenSegment {
    pub(crate) header: SegmentHeader,
    /// In order of offset, each with the mirrors (by place in the scans) that hold it.
    pub(crate) entries: Vec<(CheckedEntry, Vec<usize>)>,
}

/// Chooses the log that continues a state holding entries up to `applied`.
///
/// `durable` is the highest index known from elsewhere to have been acknowledged. `None` when no
/// mirror holds any segment.
pub(crate) fn choose(scans: &[MirrorScan], applied: u64, durable: u64) -> Result<Option<ChosenLog>, LogError> {
    let Some(first) = first_segment(scans, applied)? else { return Ok(None) };
    let durable = durable.max(durable_mark(scans)).max(applied);
    let mut chosen = ChosenLog { end: start_of(&first), segments: vec![ChosenSegment::begun(first)] };
    loop {
        let entry = next_entry(scans, &chosen.end)?;
        let header = next_header(scans, &chosen.end);
        match (entry, header) {
            // A segment begun in a later term than the entry: its writer did not know the entry.
            (Some((entry, _)), Some(header)) if header.term > entry.header.term => chosen.begin(header),
            (Some((entry, holders)), _) => chosen.push(entry, holders),
            (None, Some(header)) => chosen.begin(header),
            (None, None) => break,
        }
    }
    // A torn batch may end in its middle; what is appended next starts a batch.
    chosen.end.offset = chosen.end.offset.next_multiple_of(BATCH_ALIGN);
    let last = chosen.end.next_index - 1;
    if last < durable {
        return Err(LogError::Damaged { first_bad: last + 1, durable, mirrors: String::new() });
    }
    Ok(Some(chosen))
}

impl ChosenLog {
    fn push(&mut self, entry: CheckedEntry, holders: Vec<usize>) {
        self.end.offset = entry.header.next_offset();
        self.end.next_index = entry.header.index + 1;
        self.end.chain = entry.chain;
        self.end.term = entry.header.term;
        self.segments.last_mut().expect("there is a first segment").entries.push((entry, holders));
    }

    fn begin(&mut self, header: SegmentHeader) {
        let term = self.end.term.max(header.term);
        self.end = Position { term, ..start_of(&header) };
        self.segments.push(ChosenSegment::begun(header));
    }
}

impl ChosenSegment {
    fn begun(header: SegmentHeader) -> Self {
        Self { header, entries: Vec::new() }
    }
}

fn start_of(header: &SegmentHeader) -> Position {
    Position {
        segment: header.sequence,
        segment_bytes: header.len_bytes,
        offset: SEGMENT_HEADER_BYTES,
        next_index: header.first_index,
        chain: header.before,
        term: header.term,
    }
}

/// The last segment that begins at or before entry `applied + 1`.
fn first_segment(scans: &[MirrorScan], applied: u64) -> Result<Option<SegmentHeader>, LogError> {
    let mut by_sequence: BTreeMap<u64, SegmentHeader> = BTreeMap::new();
    for header in scans.iter().flat_map(|scan| scan.segments.values()).filter_map(|segment| segment.header) {
        let held = by_sequence.entry(header.sequence).or_insert(header);
        if header.term > held.term {
            *held = header;
        }
    }
    let Some(oldest) = by_sequence.values().next() else { return Ok(None) };
    let first = by_sequence.values().rev().find(|header| header.first_index <= applied + 1);
    first.copied().map(Some).ok_or(LogError::Gap { first: oldest.first_index, applied })
}

/// The highest index that any entry, whole or behind a hole, says was durable.
fn durable_mark(scans: &[MirrorScan]) -> u64 {
    let entries = scans.iter().flat_map(|scan| scan.segments.values()).flat_map(|segment| segment.entries.values());
    entries.map(|entry| entry.header.durable).max().unwrap_or(0)
}

/// The entry that continues the chain at `end`, of the highest term, and who holds it.
fn next_entry(scans: &[MirrorScan], end: &Position) -> Result<Option<(CheckedEntry, Vec<usize>)>, LogError> {
    let mut best: Option<(CheckedEntry, Vec<usize>)> = None;
    for (mirror, scan) in scans.iter().enumerate() {
        let found = scan
            .segments
            .get(&end.segment)
            .and_then(|segment| segment.following(end.offset, end.next_index, &end.chain));
        let Some(entry) = found else { continue };
        match &mut best {
            Some((held, holders)) if *held == entry => holders.push(mirror),
            Some((held, _)) if held.header.term == entry.header.term => {
                return Err(LogError::Forked { index: end.next_index, term: entry.header.term });
            }
            Some((held, _)) if held.header.term > entry.header.term => {}
            _ => best = Some((entry, vec![mirror])),
        }
    }
    Ok(best)
}

/// The header of the segment that was begun after `end`.
fn next_header(scans: &[MirrorScan], end: &Position) -> Option<SegmentHeader> {
    let headers = scans.iter().filter_map(|scan| scan.segments.get(&(end.segment + 1))?.header);
    headers
        .filter(|header| header.first_index == end.next_index && header.before == end.chain)
        .max_by_key(|header| header.term)
}

impl SegmentScan {
    /// The entry that continues a chain at `offset`. After a torn batch that is at the next block.
    pub(crate) fn following(&self, offset: u64, index: u64, before: &Chain) -> Option<CheckedEntry> {
        let follows = |entry: &&CheckedEntry| entry.header.index == index && before.then(&entry.digest) == entry.chain;
        let at = |offset| self.entries.get(&offset).filter(follows);
        let (here, block) = (at(offset), at(offset.next_multiple_of(BATCH_ALIGN)));
        here.into_iter().chain(block).max_by_key(|entry| entry.header.term).copied()
    }
}
