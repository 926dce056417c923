//! Where the server of a run keeps its data, and how the run is repeated.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::power::{self, Cut, Disk, Mounted};
use crate::random::Random;

/// What every run that kills a server is told.
#[derive(Debug, Args)]
pub struct SiteOptions {
    /// The server's binary
    #[arg(long)]
    pub server: PathBuf,
    /// Folder for the server's data; a new one under the temporary folder if not given
    #[arg(long)]
    data: Option<PathBuf>,
    /// Cut the power at each kill: what was not synced is lost, torn or kept. Needs the right to mount FUSE
    #[arg(long)]
    pub power_cut: bool,
    /// With `--power-cut`: a disk that ignores syncs. The run must fail, which shows that it can
    #[arg(long, requires = "power_cut")]
    lying_disk: bool,
    /// Seed of the random choices; of the clock if not given
    #[arg(long)]
    seed: Option<u64>,
    /// Further arguments for the server
    #[arg(last = true)]
    pub server_arguments: Vec<String>,
}

impl SiteOptions {
    /// The folder of the run's data; `run` names it, if it is made.
    ///
    /// # Errors
    /// If the disk of a run with power cuts cannot be mounted.
    pub fn set_up(&self, run: &str) -> io::Result<Site> {
        let disk = match (self.power_cut, self.lying_disk) {
            (false, _) => None,
            (true, false) => Some(Disk::new()),
            (true, true) => Some(Disk::lying()),
        };
        Site::new(self.data.as_deref(), run, disk)
    }

    /// The seed of the run's random choices; without one that was asked for, another at each call.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(Random::clock_seed)
    }
}

/// The folder of a run. What is mounted on it is unmounted with this.
pub struct Site {
    folder: PathBuf,
    /// The server's data.
    pub data: PathBuf,
    disk: Option<Mounted>,
    /// Made by the run, which removes it.
    own: bool,
}

impl Site {
    /// The folder that was asked for, or a new one; with a disk, that is mounted on it.
    ///
    /// # Errors
    /// If the disk cannot be mounted.
    pub fn new(asked: Option<&Path>, run: &str, disk: Option<Disk>) -> io::Result<Self> {
        let new = || std::env::temp_dir().join(format!("chartrier-{run}-{}", std::process::id()));
        let folder = asked.map_or_else(new, Path::to_owned);
        let disk = disk.map(|disk| power::mount(disk, &folder)).transpose()?;
        let data = if disk.is_some() { folder.join("data") } else { folder.clone() };
        Ok(Self { folder, data, disk, own: asked.is_none() })
    }

    /// Cuts the power of the disk, if there is one. No process may have a file of it open.
    ///
    /// # Errors
    /// If it cannot be unmounted or mounted again.
    pub fn cut(&mut self, seed: u64) -> io::Result<Option<Cut>> {
        self.disk.as_mut().map(|disk| disk.cut(seed)).transpose()
    }

    /// A file beside the folder, named as it is.
    pub fn beside(&self, extension: &str) -> PathBuf {
        self.folder.with_extension(extension)
    }

    /// Unmounts the disk; removes the folder if the run made it, and the files beside it that are named.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn remove(mut self, beside: &[&str]) -> io::Result<()> {
        drop(self.disk.take());
        if !self.own {
            return Ok(());
        }
        std::fs::remove_dir_all(&self.folder)?;
        beside
            .iter()
            .map(|extension| self.beside(extension))
            .filter(|path| path.exists())
            .try_for_each(std::fs::remove_file)
    }
}
