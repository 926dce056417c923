//! What is moved because drives came or went, and what follows when it is there.
//!
//! A layout is in force at once; the shards follow. A pass looks at every stripe for shards that are not
//! where the newest layout wants them and has the mender bring them there. When a whole pass
//! found nothing left the layout is settled: that is state, and so is what then becomes of
//! drives that were left. A start in the middle begins the pass again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use crate::drive::DriveState;
use crate::error::{StateError, StorageError, chain};
use crate::failpoint::{Step, failpoint};
use crate::ids::DriveId;
use crate::mend::{Rebuild, RebuildProgress};
use crate::namespace::command::{Layout, Op, Outcome};
use crate::namespace::drives::{DriveRole, DriveTable, Then};

/// Before a pass that could not bring everything home is begun again.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// How often a change of drives is proposed while the log has too few mirrors, and after how long again.
const PROPOSE_TRIES: u32 = 60;
const PROPOSE_AGAIN: Duration = Duration::from_millis(500);
/// How long a blob that is written may take to get its row: a drive that is left waits so long, once
/// nobody writes to it any more, before the last pass.
const COMMIT_GRACE: Duration = if cfg!(test) { Duration::from_millis(500) } else { Duration::from_secs(5) };

/// The moves of one engine.
#[derive(Default)]
pub(super) struct Moves(Mutex<State>);

#[derive(Default)]
struct State {
    pass: Option<Pass>,
    /// The last pass that ended.
    last: Option<MoveProgress>,
    not_before: Option<Instant>,
    /// Since when nobody writes by an older layout than this one.
    quiet: Option<(u32, Instant)>,
}

/// One look at every stripe.
struct Pass {
    layout: u32,
    began_us: u64,
    began: Instant,
    /// One for each drive that gained places.
    rebuilds: Vec<Rebuild>,
    /// Nobody wrote by an older layout any more when it began.
    is_last: bool,
}

/// How far the shards have followed the newest layout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MoveProgress {
    /// The layout that is followed.
    pub layout: u32,
    /// When the pass began, in microseconds of the Unix epoch.
    pub began_us: u64,
    /// How long it has taken, or took.
    pub took_ms: u64,
    /// Shards found elsewhere than where they belong, or nowhere.
    pub missing: u64,
    /// Those that are there now.
    pub moved: u64,
    /// Those that could not be brought there: they are tried again.
    pub failed: u64,
    /// Bytes of cells written.
    pub bytes: u64,
    /// Whether the pass ended.
    pub done: bool,
}

impl Moves {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A layout or a role changed: looks again at once.
    pub(super) fn wake(&self) {
        let mut state = self.lock();
        state.not_before = None;
        state.pass = None;
        state.quiet = None;
    }

    /// The pass under way, or the last one.
    pub(super) fn progress(&self) -> Option<MoveProgress> {
        let state = self.lock();
        state.pass.as_ref().map(Pass::progress).or(state.last)
    }
}

impl Pass {
    fn progress(&self) -> MoveProgress {
        let sum = |of: fn(&RebuildProgress) -> u64| self.rebuilds.iter().map(|one| of(&one.progress())).sum();
        MoveProgress {
            layout: self.layout,
            began_us: self.began_us,
            took_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            missing: sum(|one| one.missing),
            moved: sum(|one| one.rebuilt),
            failed: sum(|one| one.failed),
            bytes: sum(|one| one.bytes),
            done: self.rebuilds.iter().all(|one| one.progress().done),
        }
    }
}

impl Engine {
    /// Begins, watches and ends passes. Called every second.
    pub(super) async fn follow_layout(self: &Arc<Self>) {
        if let Err(error) = self.try_follow_layout().await {
            tracing::warn!(error = chain(&error), "shards wait to follow the layout");
            self.moves.lock().not_before = Some(Instant::now() + RETRY_AFTER);
        }
    }

    async fn try_follow_layout(self: &Arc<Self>) -> Result<(), StorageError> {
        let table = self.roster.table();
        let layouts = self.machine.layouts()?;
        let Some(newest) = layouts.values().next_back() else { return Ok(()) };
        let leaving = table.drives.iter().any(|row| matches!(row.role, DriveRole::Leaving(_)));
        if table.version == 0 || (table.settled >= newest.version && !leaving) {
            return Ok(());
        }
        if self.begin_pass_if_due(newest, &table)? {
            return Ok(());
        }
        let ended = {
            let mut state = self.moves.lock();
            let done = state.pass.as_ref().is_some_and(|pass| pass.progress().done);
            if done { state.pass.take() } else { None }
        };
        let Some(pass) = ended else { return Ok(()) };
        let progress = pass.progress();
        self.moves.lock().last = Some(progress);
        if pass.layout != newest.version {
            return Ok(());
        }
        if progress.failed > 0 {
            tracing::warn!(failed = progress.failed, "shards could not be brought to their drives yet");
            self.moves.lock().not_before = Some(Instant::now() + RETRY_AFTER);
            return Ok(());
        }
        if pass.is_last || !self.some_leaving_drive_reads(&table) {
            failpoint(Step::LayoutFollowed);
            return self.settle(newest.version, progress).await;
        }
        Ok(())
    }

    /// Begins a pass if none is under way and its time has come. True if nothing else is to be done now.
    fn begin_pass_if_due(self: &Arc<Self>, newest: &Layout, table: &DriveTable) -> Result<bool, StateError> {
        let mut state = self.moves.lock();
        let now = Instant::now();
        if state.pass.is_some() {
            return Ok(false);
        }
        if state.not_before.is_some_and(|at| now < at) {
            return Ok(true);
        }
        let quiet = self.note_quiet(&mut state, newest.version, now);
        let first = state.last.is_none_or(|last| last.layout != newest.version);
        if !first && !quiet && self.some_leaving_drive_reads(table) {
            return Ok(true);
        }
        // From a drive that is left everything must go, also what an earlier move had no time for.
        let gained = if self.some_leaving_drive_reads(table) {
            table.active().map(|row| row.id).collect()
        } else {
            self.drives_that_gained(newest, table)?
        };
        let rebuilds = self.mender.rebuild_drives(&gained);
        let began_us = self.env.clock.now_us();
        tracing::info!(layout = newest.version, drives = gained.len(), "shards follow the layout");
        state.pass = Some(Pass { layout: newest.version, began_us, began: now, rebuilds, is_last: quiet });
        Ok(true)
    }

    /// Whether nobody has written by an older layout for long enough that all of it has its rows.
    fn note_quiet(&self, state: &mut State, layout: u32, now: Instant) -> bool {
        if self.blobs.older_layouts_in_use() {
            state.quiet = None;
            return false;
        }
        match state.quiet {
            Some((since_layout, since)) if since_layout == layout => now >= since + COMMIT_GRACE,
            _ => {
                state.quiet = Some((layout, now));
                false
            }
        }
    }

    /// Active drives that hold a place which another drive held in some layout since the settled one.
    fn drives_that_gained(&self, newest: &Layout, table: &DriveTable) -> Result<Vec<DriveId>, StateError> {
        let layouts = self.machine.layouts()?;
        let before: Vec<&Layout> = layouts
            .values()
            .filter(|layout| layout.version >= table.settled.max(1) && layout.version < newest.version)
            .collect();
        let mut gained: Vec<DriveId> = Vec::new();
        for (group, drives) in newest.groups.iter().enumerate() {
            for (place, drive) in drives.iter().enumerate() {
                let moved = before.iter().any(|older| older.groups[group][place] != *drive);
                if moved && !gained.contains(drive) {
                    gained.push(*drive);
                }
            }
        }
        Ok(gained)
    }

    fn some_leaving_drive_reads(&self, table: &DriveTable) -> bool {
        let leaving = table.drives.iter().filter(|row| matches!(row.role, DriveRole::Leaving(_)));
        leaving.filter_map(|row| self.roster.drives.get(row.id)).any(|drive| drive.state() != DriveState::Failed)
    }

    /// Every shard is where the newest layout wants it: drives that were left are done with.
    async fn settle(self: &Arc<Self>, layout: u32, progress: MoveProgress) -> Result<(), StorageError> {
        let _changing = self.roster.changing.lock().await;
        let mut table = (*self.roster.table()).clone();
        if self.machine.layouts()?.keys().next_back() != Some(&layout) {
            return Ok(());
        }
        table.version += 1;
        table.settled = layout;
        let now_us = self.env.clock.now_us();
        for row in &mut table.drives {
            let next = match row.role {
                DriveRole::Leaving(Then::Drain) => DriveRole::Drained,
                DriveRole::Leaving(Then::Retire) => DriveRole::Retired,
                _ => continue,
            };
            tracing::info!(drive = %row.id, path = row.path, role = next.word(), "the drive holds nothing that is needed");
            (row.role, row.since_us) = (next, now_us);
        }
        tracing::info!(layout, moved = progress.moved, bytes = progress.bytes, "every shard is on its drive");
        match self.change_drives(table, None).await? {
            Outcome::Refused(refusal) => {
                tracing::error!(?refusal, "the end of a move was refused");
                Ok(())
            }
            Outcome::Done | Outcome::Deleted { .. } => Ok(()),
        }
    }

    /// Proposes a table until it is known whether it holds: drives are replaced just when log mirrors were
    /// lost, and then others are being made.
    async fn propose_drives(&self, table: &DriveTable, layout: Option<&Layout>) -> Result<Outcome, StorageError> {
        let mut tries = 0;
        loop {
            let op = Op::SetDrives { table: table.clone(), layout: layout.cloned() };
            tries += 1;
            match self.propose(self.internal(op)).await.map(|applied| applied.outcome) {
                // An earlier try, in doubt when it was answered, held after all.
                Ok(Outcome::Refused(_)) if tries > 1 && self.machine.drive_table()? == *table => {
                    return Ok(Outcome::Done);
                }
                Err(StorageError::Unavailable { why }) if tries < PROPOSE_TRIES => {
                    tracing::info!(why, "the change of drives waits for the log");
                    tokio::time::sleep(PROPOSE_AGAIN).await;
                }
                other => return other,
            }
        }
    }

    /// Proposes a table, and a layout with it, and follows them when they hold. The caller holds `changing`.
    pub(super) async fn change_drives(
        self: &Arc<Self>,
        table: DriveTable,
        layout: Option<Layout>,
    ) -> Result<Outcome, StorageError> {
        let outcome = self.propose_drives(&table, layout.as_ref()).await?;
        if matches!(outcome, Outcome::Refused(_)) {
            return Ok(outcome);
        }
        failpoint(Step::DrivesChanged);
        if let Some(layout) = layout {
            self.blobs.add_layout(layout);
        }
        let out: Vec<_> = self.roster.drives.all();
        self.roster.set_table(table.clone());
        for drive in out.into_iter().filter(|drive| self.roster.drives.get(drive.id()).is_none()) {
            // Nothing durable depends on it: the drive is out.
            let _ = drive.close().await;
        }
        let engine = self.clone();
        let described = tokio::task::spawn_blocking(move || engine.roster.describe(&table, &[])).await;
        if let Ok(Err(error)) = described {
            tracing::warn!(
                error = chain(&error),
                "engine.json is not up to date: it is written again at the next start"
            );
        }
        self.solo.drives_changed();
        Ok(outcome)
    }
}
