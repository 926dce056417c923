//! CPU time and memory of the server's process, from `/proc`.

use std::time::Duration;

/// Linux counts process times in hundredths of a second for every program.
const TICKS_PER_S: u64 = 100;

/// What a process has used so far; empty where there is no process to ask.
#[derive(Clone, Copy, Default)]
pub(crate) struct ServerUsage {
    pub(crate) cpu: Option<Duration>,
    pub(crate) peak_rss_mib: Option<u64>,
}

impl ServerUsage {
    pub(crate) fn read(pid: Option<u32>) -> Self {
        let Some(pid) = pid else { return Self::default() };
        Self { cpu: cpu(pid), peak_rss_mib: peak_rss_mib(pid) }
    }

    /// CPU used since `before`; the peak stays that of the whole run.
    pub(crate) fn since(self, before: &Self) -> Self {
        let cpu = self.cpu.zip(before.cpu).map(|(now, then)| now.saturating_sub(then));
        Self { cpu, peak_rss_mib: self.peak_rss_mib }
    }
}

fn cpu(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold spaces: the fields are counted after it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1000 / TICKS_PER_S))
}

fn peak_rss_mib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? >> 10)
}
