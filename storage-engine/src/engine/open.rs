//! From a configuration to an open engine. Blocking.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::Engine;
use super::config::EngineConfig;
use super::data_dir::{self, Description};
use super::dead::DeadRuns;
use super::drives::{self, Fresh, OpenDrives};
use super::status::LostDrive;
use crate::blob::{BlobConfig, BlobStore, rotated_layout};
use crate::budget::Budget;
use crate::drive::{DataMetrics, Drive, rocks_index};
use crate::env::Env;
use crate::error::{OpenError, StateError};
use crate::ids::{ClusterId, DriveId};
use crate::log::LogConfig;
use crate::mend::Mender;
use crate::meta::MetaReads;
use crate::namespace::command::{JournalIdentity, Layout, Op, Outcome};
use crate::solo::{Opened, Solo, SoloConfig};
use crate::state::rocks::{RocksConfig, RocksMemory};
use crate::state::{StateConfig, StateMachine};

const INDEX_NAME: &str = "index";
/// Dead runs read at once when they are handed to the drives again.
const DEAD_PAGE: usize = 1024;

/// Opens everything; answers the layout that blobs are written by, too. A new installation's is in
/// the log only after [`Engine::name_journal_and_layout`].
pub(super) fn open(config: &EngineConfig, env: Env) -> Result<(Engine, Layout), OpenError> {
    config.check()?;
    let lock = data_dir::lock(&config.data_dir)?;
    let metrics = Arc::new(DataMetrics::default());
    let (cluster, OpenDrives { drives, mut lost }) = open_drives(config, &env, &metrics)?;
    let Opened { solo, freed, replayed, rebuilt } = open_solo(config, cluster, &drives)?;
    tracing::info!(replayed, rebuilt, drives = drives.len(), lost = lost.len(), "log recovered");

    let machine = solo.machine().clone();
    let layouts = machine.layouts().map_err(unreadable)?;
    let newest = layouts.values().next_back().cloned();
    if let Some(layout) = &newest {
        check_layout(config, layout, &drives, &mut lost)?;
    }
    let ids: Vec<DriveId> = drives.iter().map(|drive| drive.id()).collect();
    // Not yet in the log on the first start: nothing is written by it before it is.
    let layout = newest.unwrap_or_else(|| rotated_layout(1, config.k, config.m, &ids));
    let blob_config = BlobConfig { inline_bytes: config.inline_limit, stripe_rows: None };
    let budget = Budget::new(config.memory_budget_bytes);
    let unknown = |error: crate::codec::UnknownGeometry| OpenError::Config(error.to_string());
    let blobs = BlobStore::new(drives, layout.clone(), blob_config, budget, env.clone(), metrics).map_err(unknown)?;
    for older in layouts.into_values() {
        blobs.add_layout(older);
    }

    let dead = Arc::new(DeadRuns::default());
    let hook = {
        let (blobs, dead, env) = (blobs.clone(), dead.clone(), env.clone());
        move |runs: &[_]| dead.take(runs, &blobs, env.clock.now_us())
    };
    hook(&freed);
    free_what_was_left(&machine, &hook).map_err(unreadable)?;
    solo.on_freed(Box::new(hook));
    machine.wait_for_space(true);

    let mender = Mender::new(blobs.clone(), machine.clone(), config.mend);
    let engine =
        Engine { cluster, solo, machine, blobs, dead, mender, lost_drives: lost, env, ticker: Mutex::new(None), lock };
    Ok((engine, layout))
}

fn open_drives(
    config: &EngineConfig,
    env: &Env,
    metrics: &Arc<DataMetrics>,
) -> Result<(ClusterId, OpenDrives), OpenError> {
    let description = data_dir::read_description(&config.data_dir)?;
    let described = description.as_ref().map(|found| found.ids(&config.data_dir)).transpose()?;
    if let Some(found) = &description
        && (found.k, found.m) != (config.k, config.m)
    {
        return Err(geometry_differs(config, found.k, found.m));
    }
    let formatted = described.as_ref().is_some_and(|(_, drives)| !drives.is_empty());
    if formatted && !config.drives.iter().any(|path| path.is_dir()) {
        return Err(too_few(config, 0, config.drives.len(), "none of their directories is there".to_owned()));
    }
    // Without a description, directories that are drives already decide what this start is.
    let blank_start = !formatted;
    let places = drives::probe(&config.drives, if blank_start { Fresh::Format } else { Fresh::Refuse })?;
    let on_drives = drives::cluster_of(&places)?;
    let cluster = match (described.as_ref().map(|(cluster, _)| *cluster), on_drives) {
        (Some(ours), Some(theirs)) if ours != theirs => {
            return Err(OpenError::Mismatch(format!(
                "the drives belong to installation {theirs}, {} to {ours}",
                config.data_dir.display()
            )));
        }
        (Some(cluster), _) | (None, Some(cluster)) => cluster,
        (None, None) => ClusterId::from_bytes(env.random_bytes()),
    };
    // `engine.json` was lost with its disk: the drives stay what they are, and none is made.
    let fresh = if formatted || (description.is_none() && on_drives.is_some()) { Fresh::Refuse } else { Fresh::Format };
    if fresh == Fresh::Format {
        data_dir::write_description(&config.data_dir, &Description::new(cluster, config.k, config.m, &[]))?;
    }
    let memory = RocksMemory::new(config.drive_index_bytes / 2, config.drive_index_bytes / 2);
    let index = rocks_index(RocksConfig::drive_index(memory));
    let opened = drives::open_all(places, fresh, cluster, config, &index, env, metrics)?;
    let present = opened.drives.len();
    let total = described.map_or(0, |(_, drives)| drives.len()).max(config.drives.len());
    if present + usize::from(config.m) < total || (fresh == Fresh::Format && present < total) {
        return Err(too_few(config, present, total, losses(&opened.lost)));
    }
    if fresh == Fresh::Format {
        let ids: Vec<DriveId> = opened.drives.iter().map(|drive| drive.id()).collect();
        data_dir::write_description(&config.data_dir, &Description::new(cluster, config.k, config.m, &ids))?;
    }
    Ok((cluster, opened))
}

fn open_solo(
    config: &EngineConfig,
    cluster: ClusterId,
    drives: &[Arc<Drive>],
) -> Result<Opened<StateMachine>, OpenError> {
    let solo_config = SoloConfig {
        index_dir: config.data_dir.join(INDEX_NAME),
        log: LogConfig { cluster, parity: usize::from(config.m), segment_bytes: config.log_segment_bytes },
        checkpoint_log_bytes: config.checkpoint_log_bytes,
    };
    let state = StateConfig::new(config.index_cache_bytes, config.index_buffer_bytes);
    let open = move |path: &Path| StateMachine::open(path, &state).map(Arc::new);
    Solo::open(drives.to_vec(), solo_config, open)
}

/// The drives of the layout: those that are missing must be few enough, and no stranger is among them.
fn check_layout(
    config: &EngineConfig,
    layout: &Layout,
    drives: &[Arc<Drive>],
    lost: &mut Vec<LostDrive>,
) -> Result<(), OpenError> {
    if (layout.k, layout.m) != (config.k, config.m) {
        return Err(geometry_differs(config, layout.k, layout.m));
    }
    let mut known: Vec<DriveId> = layout.groups.iter().flatten().copied().collect();
    known.sort();
    known.dedup();
    if let Some(stranger) = drives.iter().find(|drive| !known.contains(&drive.id())) {
        return Err(OpenError::Mismatch(format!(
            "drive {} at {} is not one of this installation's {} drives",
            stranger.id(),
            stranger.io().label(),
            known.len()
        )));
    }
    let present = |id: &DriveId| drives.iter().any(|drive| drive.id() == *id);
    // Drives that the configuration does not name at all are lost too.
    let unnamed = known.iter().filter(|id| !present(id)).skip(lost.len());
    lost.extend(unnamed.map(|id| LostDrive {
        path: config.data_dir.clone(),
        reason: format!("drive {id} or another of this installation is not in the configuration"),
    }));
    let worst = layout.groups.iter().map(|group| group.iter().filter(|id| present(id)).count()).min().unwrap_or(0);
    if worst < usize::from(layout.k) {
        return Err(too_few(config, drives.len(), known.len(), losses(lost)));
    }
    Ok(())
}

/// Hands the drives all runs that died before the last stop and that they may still hold.
fn free_what_was_left(
    machine: &StateMachine,
    hook: &impl Fn(&[crate::namespace::rows::StripeRun]),
) -> Result<(), StateError> {
    let mut after = None;
    loop {
        let runs = machine.dead_runs(after, DEAD_PAGE)?;
        hook(&runs);
        match runs.last() {
            Some(last) => after = Some(last.first),
            None => return Ok(()),
        }
    }
}

impl Engine {
    /// Proposes what a new installation lacks: the journal's name and the first layout.
    pub(super) async fn name_journal_and_layout(&self, config: &EngineConfig, layout: Layout) -> Result<(), OpenError> {
        match self.machine.journal_identity() {
            None => {
                let identity = JournalIdentity {
                    origin: config.journal_origin.clone(),
                    tenant: config.tenant.clone(),
                    node: config.node.clone(),
                };
                self.propose_first(Op::SetJournal(identity)).await?;
            }
            Some(named) if named.origin != config.journal_origin || named.tenant != config.tenant => {
                return Err(OpenError::Config(format!(
                    "this installation's journal is {} of tenant {}, the configuration says {} of tenant {}",
                    named.origin, named.tenant, config.journal_origin, config.tenant
                )));
            }
            Some(_) => {}
        }
        if self.machine.layout().map_err(unreadable)?.is_none() {
            self.propose_first(Op::SetLayout(layout)).await?;
        }
        self.describe_again(config)
    }

    /// Writes `engine.json` anew if it was lost with its disk.
    fn describe_again(&self, config: &EngineConfig) -> Result<(), OpenError> {
        if data_dir::read_description(&config.data_dir)?.is_some() {
            return Ok(());
        }
        let layout = self.machine.layout().map_err(unreadable)?;
        let mut ids: Vec<DriveId> = layout.into_iter().flat_map(|layout| layout.groups).flatten().collect();
        ids.sort();
        ids.dedup();
        data_dir::write_description(&config.data_dir, &Description::new(self.cluster, config.k, config.m, &ids))
    }

    async fn propose_first(&self, op: Op) -> Result<(), OpenError> {
        let applied = self.propose(self.internal(op)).await;
        match applied.map(|applied| applied.outcome) {
            Ok(Outcome::Done | Outcome::Deleted { .. }) => Ok(()),
            Ok(Outcome::Refused(refusal)) => {
                Err(OpenError::Config(format!("the journal's name or the layout was refused: {refusal:?}")))
            }
            Err(error) => Err(OpenError::Recovery(format!("the first entries could not be written: {error}"))),
        }
    }
}

fn unreadable(error: StateError) -> OpenError {
    OpenError::Recovery(format!("the index cannot be read: {error}"))
}

fn geometry_differs(config: &EngineConfig, k: u8, m: u8) -> OpenError {
    OpenError::Config(format!(
        "this installation was made with {k}+{m}, the configuration says {}+{}",
        config.k, config.m
    ))
}

fn too_few(config: &EngineConfig, present: usize, total: usize, detail: String) -> OpenError {
    OpenError::TooFewDrives { present, total, needed: total.saturating_sub(usize::from(config.m)), detail }
}

fn losses(lost: &[LostDrive]) -> String {
    lost.iter().map(|drive| format!("{}: {}", drive.path.display(), drive.reason)).collect::<Vec<_>>().join("; ")
}
