//! From a configuration to an open engine. Blocking.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::Engine;
use super::balance::{candidates, first_layout};
use super::config::EngineConfig;
use super::data_dir::{self, DescribedDrive, Description, KnownDrive};
use super::drives::{self, DriveOpener, Fresh, OpenDrives};
use super::evacuate::Watch;
use super::moves::Moves;
use super::packing::Packing;
use super::reclaim::Reclaim;
use super::roster::Roster;
use crate::blob::{BlobConfig, BlobStore};
use crate::budget::Budget;
use crate::drive::{DataMetrics, Drive, DriveSet, rocks_index};
use crate::env::Env;
use crate::error::{OpenError, StateError, chain};
use crate::ids::{ClusterId, DriveId};
use crate::log::LogConfig;
use crate::mend::Mender;
use crate::namespace::command::{JournalIdentity, Layout, Op, Outcome};
use crate::namespace::drives::{DriveRole, DriveRow, DriveTable};
use crate::solo::{Opened, Solo, SoloConfig};
use crate::state::rocks::{RocksConfig, RocksMemory};
use crate::state::{StateConfig, StateMachine};

const INDEX_NAME: &str = "index";

/// Opens everything; answers what a new installation has to say first, which is in the log only after
/// [`Engine::name_journal_and_drives`].
pub(super) fn open(config: &EngineConfig, env: Env) -> Result<(Engine, First), OpenError> {
    config.check()?;
    let lock = data_dir::lock(&config.data_dir)?;
    let metrics = Arc::new(DataMetrics::default());
    let Bootstrap { cluster, opener, drives, lost, active } = open_drives(config, &env, &metrics)?;
    let set = DriveSet::from(drives);
    let Opened { solo, replayed, rebuilt, .. } = open_solo(config, cluster, &set)?;
    tracing::info!(replayed, rebuilt, drives = set.len(), lost = lost.len(), "log recovered");

    let machine = solo.machine().clone();
    let layouts = machine.layouts().map_err(unreadable)?;
    let newest = layouts.values().next_back().cloned();
    let stored = machine.drive_table().map_err(unreadable)?;
    // Not yet in the log on the first start: nothing is written before it is.
    let table = if stored.version == 0 { first_table(&set, &active, &env) } else { stored.clone() };
    let active = candidates(table.active().map(|row| row.id), |id| set.get(id));
    let first_layout = if newest.is_none() { first_layout(config.k, config.m, &active) } else { None };
    let layout = newest.or_else(|| first_layout.clone()).ok_or_else(|| too_few_for_layout(config, active.len()))?;
    let data_dir = config.data_dir.clone();
    let roster = Roster::new(set.clone(), opener, data_dir, cluster, (config.k, config.m));
    roster.set_table(table.clone());
    roster.open_absent();
    check_layout(config, &layout, &roster)?;
    let first = First { table: (stored.version == 0).then_some(table), layout: first_layout };
    let blob_config =
        BlobConfig { inline_bytes: config.inline_limit, pack_bytes: config.pack.limit_bytes, stripe_rows: None };
    let budget = Budget::new(config.memory_budget_bytes);
    let unknown = |error: crate::codec::UnknownGeometry| OpenError::Config(error.to_string());
    let blobs = BlobStore::new(set, layout, blob_config, budget, env.clone(), metrics).map_err(unknown)?;
    blobs.follow_packs(machine.clone());
    for older in layouts.into_values() {
        blobs.add_layout(older);
    }

    // What replayed commands freed has its rows, as has what was left before the last stop.
    let reclaim = Reclaim::new(config.reclaim.clone(), env.clock.now_us());
    let (dead, clock) = (reclaim.dead.clone(), env.clock.clone());
    solo.on_freed(Box::new(move |runs| dead.take(runs, clock.now_us())));
    machine.wait_for_space(true);

    let mender = Mender::new(blobs.clone(), machine.clone(), config.mend);
    let (moves, tasks) = (Moves::default(), Mutex::default());
    let packing = Packing::new(config.pack);
    let (watch, evacuate_after_s) = (Watch::default(), config.mend.evacuate_after_s);
    let engine = Engine {
        cluster,
        solo,
        machine,
        blobs,
        reclaim,
        packing,
        mender,
        roster,
        moves,
        watch,
        evacuate_after_s,
        env,
        tasks,
        lock,
    };
    Ok((engine, first))
}

/// What a new installation puts into its log first.
pub(super) struct First {
    table: Option<DriveTable>,
    layout: Option<Layout>,
}

/// What is at hand before the log is read.
struct Bootstrap {
    cluster: ClusterId,
    opener: DriveOpener,
    drives: Vec<Arc<Drive>>,
    lost: Vec<(PathBuf, String)>,
    /// Drives that should be there, and where; empty if nothing says so.
    active: Vec<KnownDrive>,
}

/// All drives active: those that were found, and those that should have been.
fn first_table(set: &DriveSet, known: &[KnownDrive], env: &Env) -> DriveTable {
    let since_us = env.clock.now_us();
    let row = |id, path: String| DriveRow { id, path, role: DriveRole::Active, since_us };
    let mut drives: Vec<DriveRow> = set
        .all()
        .iter()
        .map(|drive| row(drive.id(), absolute(Path::new(&drive.io().label())).display().to_string()))
        .collect();
    for missing in known {
        if set.get(missing.id).is_none() {
            drives.push(row(missing.id, missing.path.display().to_string()));
        }
    }
    DriveTable { version: 1, drives, settled: 0 }
}

/// A path that does not depend on where the process was started.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

fn open_drives(config: &EngineConfig, env: &Env, metrics: &Arc<DataMetrics>) -> Result<Bootstrap, OpenError> {
    let description = data_dir::read_description(&config.data_dir)?;
    let described = description.as_ref().map(|found| found.ids(&config.data_dir)).transpose()?;
    if let Some(found) = &description
        && (found.k, found.m) != (config.k, config.m)
    {
        return Err(geometry_differs(config, found.k, found.m));
    }
    let known: Vec<KnownDrive> = described.as_ref().map_or_else(Vec::new, |(_, known)| known.clone());
    let formatted = !known.is_empty();
    let paths = paths_to_look_at(config, &known);
    if formatted && !paths.iter().any(|path| path.is_dir()) {
        return Err(too_few(config, 0, known.len(), "none of their directories is there".to_owned()));
    }
    // Without a description, directories that are drives already decide what this start is: none is made before.
    let mut places = drives::probe(&paths)?;
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
        drives::make_missing(&mut places)?;
        data_dir::write_description(&config.data_dir, &Description::new(cluster, config.k, config.m, Vec::new()))?;
    }
    if formatted {
        places.retain(|place| is_known_or_lost(place, &known));
    }
    let memory = RocksMemory::new(config.drive_index_bytes / 2, config.drive_index_bytes / 2);
    let index = rocks_index(RocksConfig::drive_index(memory));
    let opener = DriveOpener::new(cluster, config, index, env, metrics)?;
    let OpenDrives { drives, lost } = drives::open_all(places, fresh, &opener)?;
    let active: Vec<KnownDrive> = known.into_iter().filter(|drive| drive.active).collect();
    let is_active = |drive: &&Arc<Drive>| !formatted || active.iter().any(|known| known.id == drive.id());
    let present = drives.iter().filter(is_active).count();
    let total = if formatted { active.len() } else { config.drives.len() };
    if present + usize::from(config.m) < total || (fresh == Fresh::Format && present < total) {
        return Err(too_few(config, present, total, losses(&lost)));
    }
    if fresh == Fresh::Format {
        let path = |drive: &Drive| absolute(Path::new(&drive.io().label())).display().to_string();
        let all = drives.iter().map(|drive| DescribedDrive::new(drive.id(), &path(drive), true)).collect();
        data_dir::write_description(&config.data_dir, &Description::new(cluster, config.k, config.m, all))?;
    }
    Ok(Bootstrap { cluster, opener, drives, lost, active })
}

/// The configured directories, and those where drives that were added since are.
fn paths_to_look_at(config: &EngineConfig, known: &[KnownDrive]) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = config.drives.clone();
    for drive in known {
        if !paths.iter().any(|path| is_same_path(path, &drive.path)) {
            paths.push(drive.path.clone());
        }
    }
    paths
}

fn is_same_path(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    absolute(a) == absolute(b) || (real(a).is_some() && real(a) == real(b))
}

/// A drive that was replaced or removed may still be in the configuration: it is not used, and its log
/// never asked.
fn is_known_or_lost(place: &drives::Place, known: &[KnownDrive]) -> bool {
    let Some(id) = place.id() else { return true };
    let ours = known.iter().any(|drive| drive.id == id);
    if !ours {
        tracing::warn!(drive = %id, path = %place.path.display(), "the directory holds a drive that was removed or replaced: it is not used");
    }
    ours
}

fn open_solo(config: &EngineConfig, cluster: ClusterId, drives: &DriveSet) -> Result<Opened<StateMachine>, OpenError> {
    let solo_config = SoloConfig {
        index_dir: config.data_dir.join(INDEX_NAME),
        log: LogConfig { cluster, parity: usize::from(config.m), segment_bytes: config.log_segment_bytes },
        checkpoint_log_bytes: config.checkpoint_log_bytes,
    };
    let state = StateConfig::new(config.index_cache_bytes, config.index_buffer_bytes);
    let open = move |path: &Path| StateMachine::open(path, &state).map(Arc::new);
    Solo::open(drives.clone(), solo_config, open)
}

/// Of the drives of the layout, so few may be missing that every group is readable.
fn check_layout(config: &EngineConfig, layout: &Layout, roster: &Roster) -> Result<(), OpenError> {
    if (layout.k, layout.m) != (config.k, config.m) {
        return Err(geometry_differs(config, layout.k, layout.m));
    }
    let present = |id: &DriveId| roster.drives.get(*id).is_some();
    let worst = layout.groups.iter().map(|group| group.iter().filter(|id| present(id)).count()).min().unwrap_or(0);
    if worst < usize::from(layout.k) {
        let active = roster.table().active().count();
        let lost: Vec<_> = roster.lost().into_iter().map(|drive| (drive.path, drive.reason)).collect();
        return Err(too_few(config, active - lost.len().min(active), active, losses(&lost)));
    }
    Ok(())
}

impl Engine {
    /// Proposes what a new installation lacks: the journal's name, its drives and the first layout.
    pub(super) async fn name_journal_and_drives(&self, config: &EngineConfig, first: First) -> Result<(), OpenError> {
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
        if let Some(table) = first.table {
            self.propose_first(Op::SetDrives { table, layout: first.layout }).await?;
        }
        // Whatever it said: the state is the authority.
        self.roster.describe(&self.roster.table(), &[])
    }

    async fn propose_first(&self, op: Op) -> Result<(), OpenError> {
        let applied = self.propose(self.internal(op)).await;
        match applied.map(|applied| applied.outcome) {
            Ok(Outcome::Done | Outcome::Deleted { .. }) => Ok(()),
            Ok(Outcome::Refused(refusal)) => {
                Err(OpenError::Config(format!("the journal's name or the layout was refused: {refusal:?}")))
            }
            Err(error) => {
                Err(OpenError::Recovery(format!("the first entries could not be written: {}", chain(&error))))
            }
        }
    }
}

fn unreadable(error: StateError) -> OpenError {
    OpenError::Recovery(format!("the index cannot be read: {}", chain(&error)))
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

fn too_few_for_layout(config: &EngineConfig, known: usize) -> OpenError {
    let (k, m) = (config.k, config.m);
    OpenError::Config(format!("{k}+{m} needs {} drives, and {known} are known", k + m))
}

fn losses(lost: &[(PathBuf, String)]) -> String {
    lost.iter().map(|(path, reason)| format!("{}: {reason}", path.display())).collect::<Vec<_>>().join("; ")
}
