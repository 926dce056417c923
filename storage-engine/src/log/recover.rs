//! Opening the log: choose it, mend every mirror, begin a new term.
//!
//! Order: read the newest membership; scan its mirrors; choose; write to each mirror what it lacks
//! and sync; publish the new term and the mirrors that are whole; only then may an entry be
//! applied or appended. A crash in between repeats it all from the same facts.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::choose::{ChosenLog, Position, choose};
use super::config::LogConfig;
use super::entry::{Chain, ENTRY_HEADER_BYTES};
use super::error::{LogError, drive_list};
use super::files::MirrorFiles;
use super::membership::{self, Herald};
use super::mirrored::{LogStart, MirroredLog, ReadyMirror};
use super::repair::{Sources, put_away_after, repair_mirror};
use super::scan::MirrorScan;
use super::segment::{LOG_DIR, SEGMENT_HEADER_BYTES, SegmentHeader, segment_name};
use super::shared::SegmentSpan;
use crate::drive::{Drive, DriveSet, LogMembership};
use crate::io::Fill;

/// What the caller knows before the log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownState {
    /// The last entry in the state that the log is to continue.
    pub applied: u64,
    /// The last entry in the newest checkpoint: the log is kept whole from the one after it.
    pub checkpoint: u64,
}

/// A log open for appending, and the entries that the state does not hold yet.
pub struct Recovered {
    /// The log, its mirrors running.
    pub log: MirroredLog,
    /// Entries after [`KnownState::applied`].
    pub replay: Replay,
}

/// Entries to be applied, in order.
pub struct Replay {
    log: ChosenLog,
    holders: Vec<Arc<Drive>>,
    config: LogConfig,
    applied: u64,
    from_state: bool,
}

impl std::fmt::Debug for Recovered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recovered").field("applied", &self.replay.applied).finish_non_exhaustive()
    }
}

impl Replay {
    /// Calls `apply` with the index and payload of each entry, in order.
    ///
    /// # Errors
    /// Those of `apply`, and [`LogError::Damaged`] if an entry that was whole no longer is.
    pub fn for_each<E: From<LogError>>(&self, mut apply: impl FnMut(u64, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let sources = Sources { cluster: self.config.cluster, drives: &self.holders };
        let all: Vec<usize> = (0..self.holders.len()).collect();
        for (entry, _) in self.log.segments.iter().flat_map(|segment| &segment.entries) {
            let index = entry.header.index;
            if index > self.applied {
                let bytes = sources.read(entry, &all).map_err(|_| damaged(index, self.last(), &self.holders))?;
                apply(index, &bytes[ENTRY_HEADER_BYTES..])?;
            }
        }
        Ok(())
    }

    /// How many entries there are.
    pub fn count(&self) -> u64 {
        self.last().saturating_sub(self.applied)
    }

    /// Whether the log is whole only from the state on, so that a checkpoint of it is needed at once.
    pub fn is_from_state(&self) -> bool {
        self.from_state
    }

    fn last(&self) -> u64 {
        self.log.end.next_index - 1
    }
}

impl MirroredLog {
    /// Opens the log of `drives`, mends its mirrors and begins a new term; begins the log on blank drives.
    ///
    /// On return every entry of the log is durable on every live mirror, and so is the new term.
    ///
    /// # Errors
    /// [`LogError`] says which; nothing that was acknowledged is ever truncated.
    pub fn recover(drives: impl Into<DriveSet>, config: LogConfig, known: KnownState) -> Result<Recovered, LogError> {
        let set = drives.into();
        let drives = set.all();
        let membership = membership::newest(&drives);
        if membership.epoch == 0 {
            return begin(set, &drives, config, known);
        }
        let members: Vec<Arc<Drive>> =
            drives.iter().filter(|drive| membership.mirrors.contains(&drive.id())).cloned().collect();
        if members.is_empty() {
            let mirrors = drive_list(&membership.mirrors);
            return Err(LogError::MirrorsMissing { epoch: membership.epoch, mirrors });
        }
        let scans = scan_all(&members, &config);
        let (log, from_state) = choose_log(&scans, &members, known)?;
        let whole = mend(&members, &scans, &log, &config)?;
        let mut herald = Herald::default();
        let membership = begin_term(&mut herald, &drives, &members, &whole, membership, log.end.term)?;
        let mirrors = ready_mirrors(&members, &scans, &log, &config, &membership)?;
        let holders = mirrors.iter().map(|mirror| mirror.drive.clone()).collect();
        let segments = spans(&scans, &log);
        let start =
            LogStart { config: config.clone(), drives: set, mirrors, membership, herald, position: log.end, segments };
        let replay = Replay { log, holders, config, applied: known.applied, from_state };
        Ok(Recovered { log: MirroredLog::start(start)?, replay })
    }
}

/// Scans every mirror at once: each has its own disk.
fn scan_all(members: &[Arc<Drive>], config: &LogConfig) -> Vec<MirrorScan> {
    std::thread::scope(|scope| {
        let scans: Vec<_> =
            members.iter().map(|drive| scope.spawn(|| MirrorScan::of(&**drive.io(), config.cluster))).collect();
        let unfinished = || MirrorScan { unreadable: Some("the scan panicked".into()), ..MirrorScan::default() };
        scans.into_iter().map(|scan| scan.join().unwrap_or_else(|_| unfinished())).collect()
    })
}

/// The log from the checkpoint on; from the state on, if what lies between is lost and no longer needed.
fn choose_log(scans: &[MirrorScan], members: &[Arc<Drive>], known: KnownState) -> Result<(ChosenLog, bool), LogError> {
    let mut from_state = false;
    let from_checkpoint = choose(scans, known.checkpoint.min(known.applied), known.applied);
    let chosen = match from_checkpoint {
        Err(error @ (LogError::Damaged { .. } | LogError::Gap { .. })) if known.checkpoint < known.applied => {
            tracing::warn!(%error, "the log is damaged before the end of the index; going on from the index");
            from_state = true;
            choose(scans, known.applied, known.applied)
        }
        other => other,
    };
    match chosen {
        Ok(Some(log)) => Ok((log, from_state)),
        Ok(None) => Err(damaged(known.applied + 1, known.applied, members)),
        Err(LogError::Damaged { first_bad, durable, .. }) => Err(damaged(first_bad, durable, members)),
        Err(other) => Err(other),
    }
}

/// Makes each member hold the log; answers the places of those that do.
fn mend(
    members: &[Arc<Drive>],
    scans: &[MirrorScan],
    log: &ChosenLog,
    config: &LogConfig,
) -> Result<Vec<usize>, LogError> {
    let sources = Sources { cluster: config.cluster, drives: members };
    let mut whole = Vec::new();
    let mut last_error = None;
    for (place, (drive, scan)) in members.iter().zip(scans).enumerate() {
        let repaired = match &scan.unreadable {
            Some(why) => Err(io::Error::other(why.clone())),
            None => repair_mirror(&sources, scan, place, log),
        };
        match repaired {
            Ok(0) => whole.push(place),
            Ok(lacked) => {
                tracing::warn!(drive = %drive.id(), entries = lacked, "log mirror mended");
                whole.push(place);
            }
            Err(error) => {
                tracing::error!(drive = %drive.id(), %error, "log mirror left out");
                last_error = Some(LogError::Io { op: "mend a log mirror", drive: drive.id(), source: error });
            }
        }
    }
    match last_error {
        Some(error) if whole.is_empty() => Err(error),
        _ => Ok(whole),
    }
}

/// Publishes a new term with the whole members as mirrors, leaving out those that refuse it.
fn begin_term(
    herald: &mut Herald,
    drives: &[Arc<Drive>],
    members: &[Arc<Drive>],
    whole: &[usize],
    last: LogMembership,
    log_term: u64,
) -> Result<LogMembership, LogError> {
    let term = last.term.max(log_term) + 1;
    let mirrors = whole.iter().map(|&place| members[place].id()).collect();
    let mut next = LogMembership { epoch: last.epoch, term, mirrors };
    loop {
        next.epoch += 1;
        let refused = herald.publish(drives, &next);
        let before = next.mirrors.len();
        next.mirrors.retain(|id| refused.iter().all(|(drive, _)| drive != id));
        if next.mirrors.is_empty() {
            return Err(match refused.into_iter().next() {
                Some((drive, source)) => LogError::Io { op: "begin a log term", drive, source },
                None => LogError::MirrorsMissing { epoch: next.epoch, mirrors: String::new() },
            });
        }
        if next.mirrors.len() == before {
            return Ok(next);
        }
    }
}

fn ready_mirrors(
    members: &[Arc<Drive>],
    scans: &[MirrorScan],
    log: &ChosenLog,
    config: &LogConfig,
    membership: &LogMembership,
) -> Result<Vec<ReadyMirror>, LogError> {
    let mut ready = Vec::new();
    for (drive, scan) in members.iter().zip(scans).filter(|(drive, _)| membership.mirrors.contains(&drive.id())) {
        let failed = |op| move |source| LogError::Io { op, drive: drive.id(), source };
        let last = log.end.segment;
        let files = MirrorFiles::new(drive.io().clone(), config.segment_bytes, last, &scan.spares);
        put_away_after(&files, scan, last).map_err(failed("put away old log segments"))?;
        let file = drive.io().open(&segment_name(last)).map_err(failed("open the log"))?;
        ready.push(ReadyMirror { drive: drive.clone(), files: Arc::new(files), file });
    }
    Ok(ready)
}

/// The segments that the mirrors keep: those chosen, and older ones that no checkpoint has released.
fn spans(scans: &[MirrorScan], log: &ChosenLog) -> Vec<SegmentSpan> {
    let first = log.segments.first().expect("a chosen log has a segment").header.sequence;
    let found = scans.iter().flat_map(|scan| scan.segments.values()).filter_map(|segment| segment.header);
    let mut old: Vec<SegmentHeader> = found.filter(|header| header.sequence < first).collect();
    old.sort_by_key(|header| header.sequence);
    old.dedup_by_key(|header| header.sequence);
    let old = old.iter().map(|header| SegmentSpan {
        sequence: header.sequence,
        first_index: header.first_index,
        end: header.len_bytes,
        end_index: header.first_index,
    });
    let chosen = log.segments.iter().map(|segment| {
        let last = segment.entries.last().map(|(entry, _)| entry.header);
        SegmentSpan {
            sequence: segment.header.sequence,
            first_index: segment.header.first_index,
            end: last.map_or(SEGMENT_HEADER_BYTES, |last| last.next_offset()),
            end_index: last.map_or(segment.header.first_index, |last| last.index + 1),
        }
    });
    let mut spans: Vec<SegmentSpan> = old.chain(chosen).collect();
    spans.last_mut().expect("a chosen log has a segment").end = log.end.offset;
    spans
}

/// Begins the log on drives that never held one.
fn begin(set: DriveSet, drives: &[Arc<Drive>], config: LogConfig, known: KnownState) -> Result<Recovered, LogError> {
    let applied = known.applied.max(known.checkpoint);
    if applied > 0 {
        return Err(LogError::NoLog { applied });
    }
    let header = SegmentHeader {
        sequence: 1,
        len_bytes: config.segment_bytes,
        term: 1,
        first_index: 1,
        before: Chain::genesis(config.cluster),
    };
    let mut mirrors = Vec::new();
    for drive in drives.iter().take(config.mirrors_wanted()) {
        let begun = begin_on(drive, &config, &header);
        mirrors.push(begun.map_err(|source| LogError::Io { op: "begin the log", drive: drive.id(), source })?);
    }
    let members: Vec<Arc<Drive>> = mirrors.iter().map(|mirror| mirror.drive.clone()).collect();
    let places: Vec<usize> = (0..members.len()).collect();
    let mut herald = Herald::default();
    let membership = begin_term(&mut herald, drives, &members, &places, LogMembership::default(), 0)?;
    mirrors.retain(|mirror| membership.mirrors.contains(&mirror.drive.id()));
    let end = Position {
        segment: 1,
        segment_bytes: config.segment_bytes,
        offset: SEGMENT_HEADER_BYTES,
        next_index: 1,
        chain: header.before,
        term: 1,
    };
    let log = ChosenLog { segments: Vec::new(), end };
    let segments = vec![SegmentSpan { sequence: 1, first_index: 1, end: SEGMENT_HEADER_BYTES, end_index: 1 }];
    let start = LogStart { config: config.clone(), drives: set, mirrors, membership, herald, position: end, segments };
    Ok(Recovered {
        log: MirroredLog::start(start)?,
        replay: Replay { log, holders: Vec::new(), config, applied: 0, from_state: false },
    })
}

fn begin_on(drive: &Arc<Drive>, config: &LogConfig, header: &SegmentHeader) -> io::Result<ReadyMirror> {
    let io = drive.io();
    clear(drive)?;
    let file = io.create(&segment_name(header.sequence), config.segment_bytes, Fill::Zero)?;
    file.write_at(0, &[IoSlice::new(&header.encode(config.cluster))])?;
    file.sync_data()?;
    let files = Arc::new(MirrorFiles::new(io.clone(), config.segment_bytes, header.sequence, &[]));
    Ok(ReadyMirror { drive: drive.clone(), files, file })
}

/// Removes what an unfinished first start, or an earlier time as a mirror, left in the log's folder.
pub(crate) fn clear(drive: &Arc<Drive>) -> io::Result<()> {
    for file in drive.io().list(LOG_DIR)? {
        drive.io().remove(&format!("{LOG_DIR}/{}", file.name))?;
    }
    Ok(())
}

fn damaged(first_bad: u64, durable: u64, drives: &[Arc<Drive>]) -> LogError {
    let ids: Vec<_> = drives.iter().map(|drive| drive.id()).collect();
    LogError::Damaged { first_bad, durable, mirrors: drive_list(&ids) }
}
