//! Versioning and object lock: what a bucket asks for, and when a version may be destroyed.
//!
//! Pure rules on given times; `state/apply` calls them with the time of the command.

use serde::{Deserialize, Serialize};

/// Whether a bucket keeps what is overwritten or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Versioning {
    /// Never enabled: every object has one version, `null`.
    #[default]
    Unversioned,
    /// Every write makes a version, every simple delete a marker.
    Enabled,
    /// Writes and simple deletes replace the `null` version; others stay.
    Suspended,
}

/// Object lock of a bucket. Once a bucket has it, it has it for good, and versioning stays enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ObjectLock {
    /// What a new version gets that names no retention of its own.
    pub default_retention: Option<DefaultRetention>,
}

/// Retention counted from when a version is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultRetention {
    /// Who may shorten it.
    pub mode: RetentionMode,
    /// For how long.
    pub period: RetentionPeriod,
}

/// A span of time as S3 says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionPeriod {
    /// Days of 24 hours.
    Days(u32),
    /// Years of the calendar.
    Years(u32),
}

/// Who may shorten a retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionMode {
    /// Whoever has `s3:BypassGovernanceRetention` and says so in the request.
    Governance,
    /// Nobody.
    Compliance,
}

/// Until when a version may not be destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Who may shorten it.
    pub mode: RetentionMode,
    /// Unix time in microseconds.
    pub until_us: u64,
}

/// The end of year 9999: no later time can be written in a leaf or a header.
pub const UNTIL_US_MAX: u64 = 253_402_300_799_999_999;

const DAY_US: u64 = 86_400_000_000;

impl RetentionMode {
    /// S3's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }
}

impl DefaultRetention {
    /// The retention of a version made at `now_us`.
    pub fn from_time(self, now_us: u64) -> Retention {
        let until_us = match self.period {
            RetentionPeriod::Days(days) => now_us.saturating_add(u64::from(days).saturating_mul(DAY_US)),
            RetentionPeriod::Years(years) => add_years(now_us, years),
        };
        Retention { mode: self.mode, until_us: until_us.min(UNTIL_US_MAX) }
    }
}

impl Retention {
    /// Whether it still holds.
    pub fn is_in_force(&self, now_us: u64) -> bool {
        now_us < self.until_us
    }

    /// Whether it forbids to destroy the version.
    pub fn forbids_removal(&self, now_us: u64, bypass_governance: bool) -> bool {
        self.is_in_force(now_us) && (self.mode == RetentionMode::Compliance || !bypass_governance)
    }

    /// Whether it may be replaced by `next`: lengthened in its mode by anyone, otherwise in
    /// governance mode only and with the bypass.
    pub fn allows_change(&self, next: Option<Retention>, now_us: u64, bypass_governance: bool) -> bool {
        let lengthens = next.is_some_and(|next| next.mode == self.mode && next.until_us >= self.until_us);
        lengthens || !self.forbids_removal(now_us, bypass_governance)
    }
}

/// Adds years of the calendar: 29 February becomes 1 March where there is none.
fn add_years(time_us: u64, years: u32) -> u64 {
    let (days, rest) = (time_us / DAY_US, time_us % DAY_US);
    let (year, month, day) = civil_of_days(days);
    let later = days_of_civil(year.saturating_add(u64::from(years)).min(YEAR_MAX), month, day);
    later.saturating_mul(DAY_US).saturating_add(rest)
}

/// Past it nothing can be written; small enough that no sum below overflows.
const YEAR_MAX: u64 = 1_000_000;

/// Days since 1970-01-01 to year, month, day, after Howard Hinnant's algorithm.
fn civil_of_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn days_of_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let month_index = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_index + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn retention(mode: RetentionMode, until_us: u64) -> Retention {
        Retention { mode, until_us }
    }

    #[test]
    fn compliance_is_never_shortened_and_governance_only_with_the_bypass() {
        use RetentionMode::{Compliance, Governance};
        let change = |from: RetentionMode, to: Option<(RetentionMode, u64)>, now: u64, bypass: bool| {
            retention(from, 100).allows_change(to.map(|(mode, until)| retention(mode, until)), now, bypass)
        };
        for (from, to, now, bypass, allowed) in [
            (Compliance, Some((Compliance, 100)), 50, false, true),
            (Compliance, Some((Compliance, 101)), 50, false, true),
            (Compliance, Some((Compliance, 99)), 50, true, false),
            (Compliance, Some((Governance, 200)), 50, true, false),
            (Compliance, None, 50, true, false),
            (Compliance, None, 100, false, true),
            (Governance, Some((Governance, 101)), 50, false, true),
            (Governance, Some((Governance, 99)), 50, false, false),
            (Governance, Some((Governance, 99)), 50, true, true),
            (Governance, Some((Compliance, 200)), 50, false, false),
            (Governance, Some((Compliance, 100)), 50, true, true),
            (Governance, None, 50, false, false),
            (Governance, None, 50, true, true),
            (Governance, Some((Governance, 1)), 100, false, true),
        ] {
            assert_eq!(change(from, to, now, bypass), allowed, "{from:?} to {to:?} at {now}, bypass {bypass}");
        }
        assert!(retention(Compliance, 100).forbids_removal(99, true));
        assert!(!retention(Governance, 100).forbids_removal(99, true));
        assert!(retention(Governance, 100).forbids_removal(99, false));
        assert!(!retention(Compliance, 100).forbids_removal(100, false));
    }

    #[test]
    fn years_are_of_the_calendar() {
        let day = |year: u64, month: u64, day: u64| days_of_civil(year, month, day) * DAY_US;
        assert_eq!(day(1970, 1, 1), 0);
        assert_eq!(day(2026, 11, 22), 1_795_305_600_000_000);
        for (from, years, to) in [
            ((2026, 11, 22), 1, (2027, 11, 22)),
            ((2023, 3, 1), 1, (2024, 3, 1)),
            ((2024, 2, 29), 4, (2028, 2, 29)),
            ((2024, 2, 29), 1, (2025, 3, 1)),
            ((2000, 2, 29), 100, (2100, 3, 1)),
        ] {
            assert_eq!(add_years(day(from.0, from.1, from.2) + 7, years), day(to.0, to.1, to.2) + 7, "{from:?}");
        }
        let until = |period| DefaultRetention { mode: RetentionMode::Governance, period }.from_time(5).until_us;
        assert_eq!(until(RetentionPeriod::Days(2)), 2 * DAY_US + 5);
        assert_eq!(until(RetentionPeriod::Years(u32::MAX)), UNTIL_US_MAX);
        assert_eq!(until(RetentionPeriod::Days(u32::MAX)), UNTIL_US_MAX);
    }

    #[test]
    fn dates_there_and_back() {
        for days in (0..3_000_000).step_by(37) {
            let (year, month, day) = civil_of_days(days);
            assert_eq!(days_of_civil(year, month, day), days);
        }
    }
}
