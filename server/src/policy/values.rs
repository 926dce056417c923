//! Dates, numbers and networks as policies and requests write them.

use std::net::{IpAddr, Ipv6Addr};

use time::{Date, Month, Time};

/// A network or an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    address: u128,
    /// Of 32 or 128.
    prefix_bits: u8,
    v4: bool,
}

impl Network {
    /// Reads `203.0.113.0/24`, `2001:db8::/32` or an address alone.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((address, prefix)) => (address, Some(prefix)),
        };
        let address: IpAddr = address.parse().ok()?;
        let v4 = address.is_ipv4();
        let whole = if v4 { 32 } else { 128 };
        let prefix_bits = match prefix {
            None => whole,
            Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok()?,
            Some(_) => return None,
        };
        (prefix_bits <= whole).then(|| Self { address: bits(address), prefix_bits, v4 })
    }

    /// Whether an address lies inside. An IPv4 address mapped into IPv6 is the IPv4 address.
    pub(super) fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if address.is_ipv4() != self.v4 {
            return false;
        }
        let whole: u32 = if self.v4 { 32 } else { 128 };
        let free = whole - u32::from(self.prefix_bits);
        let network = |bits: u128| bits.checked_shr(free).unwrap_or(0);
        network(self.address) == network(bits(address))
    }

    /// Whether AWS takes a policy limited to it for one that is not public.
    pub(super) fn is_narrow(&self) -> bool {
        self.prefix_bits >= if self.v4 { 8 } else { 32 }
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(Ipv6Addr::from(v6.octets())),
    }
}

/// A number, whole or decimal.
pub(super) fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if plain { text.parse().ok().filter(|number: &f64| number.is_finite()) } else { None }
}

/// Milliseconds since 1970 of an ISO 8601 date, or of a number of seconds.
pub fn date(text: &str) -> Option<i64> {
    if !text.is_empty() && text.len() <= 12 && text.bytes().all(|b| b.is_ascii_digit()) && text.len() != 8 {
        return text.parse::<i64>().ok()?.checked_mul(1000);
    }
    let (day, clock) = match text.split_once('T') {
        Some((day, clock)) => (day, Some(clock)),
        None => (text, None),
    };
    let mut fields = day.split('-');
    let year = digits(fields.next()?, 4)?;
    let month = Month::try_from(u8::try_from(digits(fields.next()?, 2)?).ok()?).ok()?;
    let date =
        Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(digits(fields.next()?, 2)?).ok()?);
    if fields.next().is_some() {
        return None;
    }
    let midnight = date.ok()?.with_time(Time::MIDNIGHT).assume_utc().unix_timestamp() * 1000;
    Some(midnight + clock.map_or(Some(0), time_of_day)?)
}

/// Milliseconds since midnight UTC of `hh:mm[:ss[.fff]]` with `Z` or an offset.
fn time_of_day(text: &str) -> Option<i64> {
    let (clock, offset_minutes) = match text.strip_suffix('Z') {
        Some(clock) => (clock, 0),
        None => {
            let at = text.rfind(['+', '-'])?;
            let (clock, offset) = text.split_at(at);
            let (hours, minutes) = offset[1..].split_once(':').or_else(|| offset[1..].split_at_checked(2))?;
            let minutes = digits(hours, 2)? * 60 + digits(minutes, 2)?;
            (clock, if offset.starts_with('-') { -minutes } else { minutes })
        }
    };
    let mut fields = clock.split(':');
    let (hours, minutes) = (digits(fields.next()?, 2)?, digits(fields.next()?, 2)?);
    let (seconds, millis) = match fields.next() {
        None => (0, 0),
        Some(seconds) => match seconds.split_once('.') {
            None => (digits(seconds, 2)?, 0),
            Some((seconds, fraction)) => {
                let fraction = fraction.get(..fraction.len().min(3))?;
                let scale = 10_i64.checked_pow(3_u32.checked_sub(u32::try_from(fraction.len()).ok()?)?)?;
                (digits(seconds, 2)?, digits(fraction, fraction.len())?.checked_mul(scale)?)
            }
        },
    };
    if fields.next().is_some() || hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    Some(((hours * 60 + minutes - offset_minutes) * 60 + seconds) * 1000 + millis)
}

/// Exactly `len` digits.
fn digits(text: &str, len: usize) -> Option<i64> {
    (text.len() == len && len > 0 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let holds = |network: &str, address: &str| Network::parse(network).unwrap().holds(address.parse().unwrap());
        assert!(holds("203.0.113.0/24", "203.0.113.9"));
        assert!(!holds("203.0.113.0/24", "203.0.114.9"));
        assert!(holds("10.1.2.3", "10.1.2.3"));
        assert!(holds("0.0.0.0/0", "1.2.3.4"));
        assert!(!holds("0.0.0.0/0", "::1"));
        assert!(holds("0.0.0.0/0", "::ffff:1.2.3.4"));
        assert!(holds("::/0", "::1"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1"));
        assert!(!holds("2001:db8::/32", "2001:db9::1"));
        for bad in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::/129", "x", "10.0.0.0/+8", "10.0.0.1/8/8"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn dates() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("2026-11-22T08:00:00Z"), Some(1_795_334_400_000));
        assert_eq!(date("2026-11-22T10:00:00+02:00"), date("2026-11-22T08:00:00Z"));
        assert_eq!(date("2026-11-22T06:30:00-0130"), date("2026-11-22T08:00:00Z"));
        assert_eq!(date("2026-11-22T08:00:00.25Z"), Some(1_795_334_400_250));
        assert_eq!(date("2026-11-22T08:00Z"), date("2026-11-22T08:00:00Z"));
        assert_eq!(date("1795334400"), date("2026-11-22T08:00:00Z"));
        for bad in
            ["", "2026-13-01", "2026-02-30", "2026-11-22T25:00:00Z", "2026-11-22T08:00:00", "yesterday", "2026-1-1"]
        {
            assert_eq!(date(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(number("10"), Some(10.0));
        assert_eq!(number("-2.5"), Some(-2.5));
        for bad in ["", "x", "1e3", "inf", "NaN", "0x10", "-", "."] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}
