//! Instants as leaves write them: `2026-11-22T04:45:40.123456Z`, UTC, always six decimals.

/// Last instant that the text form can say: the end of year 9999, in microseconds of Unix time.
pub const TIME_US_MAX: u64 = 253_402_300_799_999_999;

const TEXT_LEN: usize = 27;
const US_PER_DAY: u64 = 86_400_000_000;

/// The RFC 3339 text of a Unix time in microseconds; `None` over [`TIME_US_MAX`].
pub fn format_time(time_us: u64) -> Option<String> {
    if time_us > TIME_US_MAX {
        return None;
    }
    let (year, month, day) = civil_from_days(time_us / US_PER_DAY);
    let of_day = time_us % US_PER_DAY;
    let (second, micros) = (of_day / 1_000_000, of_day % 1_000_000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z"))
}

/// The Unix time in microseconds of a text of [`format_time`]; `None` for any other text.
pub fn parse_time(text: &str) -> Option<u64> {
    if text.len() != TEXT_LEN {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second, micros) = (number(11..13)?, number(14..16)?, number(17..19)?, number(20..26)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let seconds = (days_from_civil(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
    let time_us = seconds * 1_000_000 + micros;
    // The 31st of February, second 60, a sign or another separator do not come back to the letter.
    (format_time(time_us)? == text).then_some(time_us)
}

// Days are counted from the first of March of year 0, so that the leap day ends a year:
// <https://howardhinnant.github.io/date_algorithms.html>.
const DAYS_PER_ERA: u64 = 146_097; // 400 years
const DAYS_TO_1970: u64 = 719_468;

fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - DAYS_TO_1970
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_instants() {
        // From `date -u -d @… +%FT%T`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_709_164_800, "2024-02-29T00:00:00"),
            (1_795_322_740, "2026-11-22T04:45:40"),
            (4_107_542_400, "2100-03-01T00:00:00"),
            (253_402_300_799, "9999-12-31T23:59:59"),
        ] {
            let text = format!("{text}.000007Z");
            assert_eq!(format_time(seconds * 1_000_000 + 7).unwrap(), text);
            assert_eq!(parse_time(&text), Some(seconds * 1_000_000 + 7));
        }
        assert_eq!(format_time(TIME_US_MAX + 1), None);
        assert_eq!(format_time(u64::MAX), None);
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            "2026-11-22T04:45:40Z",
            "2026-11-22T04:45:40.123Z",
            "2026-11-22T04:45:40.123456+00:00",
            "2026-02-29T00:00:00.000000Z",
            "2026-13-01T00:00:00.000000Z",
            "2026-00-01T00:00:00.000000Z",
            "2026-01-00T00:00:00.000000Z",
            "2026-01-01T24:00:00.000000Z",
            "2026-01-01T23:59:60.000000Z",
            "1969-12-31T23:59:59.000000Z",
            "2026-01-01 00:00:00.000000Z",
            "2026-01-01t00:00:00.000000z",
            "+026-01-01T00:00:00.000000Z",
            "2026-01-01T00:00:00.+00000Z",
            "é26-01-01T00:00:00.000000Z",
        ] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_comes_back(time_us in 0..=TIME_US_MAX) {
            prop_assert_eq!(parse_time(&format_time(time_us).unwrap()), Some(time_us));
        }

        #[test]
        fn no_text_panics(text in "[0-9TZ:.+-]{20,30}|\\PC{0,40}") {
            let _ = parse_time(&text);
        }
    }
}
