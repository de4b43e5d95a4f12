//! When something ends, as a file says it.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};

/// A day, or a moment, at which something ends. A day belongs to it: it ends when the day does, in the zone
/// that is written, or in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Until {
    text: String,
    end: Timestamp,
}

/// Why a text is no such day or moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UntilError {
    /// It has another form, or there is no such day.
    #[error(
        "this is not a date; write a day like 2027-01-31 (it ends with the day, in UTC), a day with a \
         zone like 2027-01-31+01:00, or a moment like 2027-01-31T18:00+01:00"
    )]
    Form,
    /// A time of day without a zone.
    #[error(
        "a time of day needs its zone, because the file is read in several; write it like \
         2027-01-31T18:00+01:00, or with Z for UTC"
    )]
    Zone,
}

impl Until {
    /// The first moment at which it is over.
    #[must_use]
    pub const fn end(&self) -> Timestamp {
        self.end
    }

    /// Whether it is over at that moment.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.end
    }

    /// Whole days from a moment to the end, rounded up; 0 where it is over.
    #[must_use]
    pub fn days_left(&self, now: Timestamp) -> i64 {
        const DAY: i64 = 24 * 60 * 60;
        let left = self.end.as_second().saturating_sub(now.as_second()).max(0);
        left.saturating_add(DAY - 1) / DAY
    }
}

/// The first moment of a day, or the moment that a text says: what [`Until`] reads, from its beginning.
///
/// # Errors
/// [`UntilError`].
pub fn beginning(text: &str) -> Result<Timestamp, UntilError> {
    read(text).map(|(start, _)| start)
}

/// The first moment that a text means, and the first one after it.
fn read(text: &str) -> Result<(Timestamp, Timestamp), UntilError> {
    // A date is 10 bytes of ASCII: YYYY-MM-DD.
    let (day, rest) = text.split_at_checked(10).ok_or(UntilError::Form)?;
    if !day.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return Err(UntilError::Form);
    }
    let date: Date = day.parse().map_err(|_| UntilError::Form)?;
    let at = |date: Date, offset: Offset| {
        let zoned = date.to_zoned(TimeZone::fixed(offset)).map_err(|_| UntilError::Form)?;
        Ok(zoned.timestamp())
    };
    let whole = |offset: Offset| {
        let next = date.tomorrow().map_err(|_| UntilError::Form)?;
        Ok((at(date, offset)?, at(next, offset)?))
    };
    match rest.as_bytes().first() {
        None => whole(Offset::UTC),
        Some(b'T' | b't' | b' ') => {
            if let Ok(moment) = text.parse() {
                return Ok((moment, moment));
            }
            let without_zone = text.parse::<DateTime>().is_ok();
            Err(if without_zone { UntilError::Zone } else { UntilError::Form })
        }
        Some(_) => whole(offset(rest).ok_or(UntilError::Form)?),
    }
}

/// `Z`, or hours and minutes with a sign.
fn offset(text: &str) -> Option<Offset> {
    if matches!(text, "Z" | "z") {
        return Some(Offset::UTC);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let number = |digits: &str, most: i32| {
        let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|number: &i32| plain && *number <= most)
    };
    let seconds = number(hours, 23)? * 3600 + number(minutes, 59)? * 60;
    Offset::from_seconds(sign * seconds).ok()
}

impl FromStr for Until {
    type Err = UntilError;

    fn from_str(text: &str) -> Result<Self, UntilError> {
        let (_, end) = read(text)?;
        Ok(Self { text: text.to_owned(), end })
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_with_itself_in_its_zone() {
        for (text, end) in [
            ("2027-01-31", "2027-02-01T00:00:00Z"),
            ("2027-01-31Z", "2027-02-01T00:00:00Z"),
            ("2027-01-31+01:00", "2027-01-31T23:00:00Z"),
            ("2027-12-31-05:30", "2028-01-01T05:30:00Z"),
            ("2027-01-31T18:00+01:00", "2027-01-31T17:00:00Z"),
            ("2027-01-31T18:00:30Z", "2027-01-31T18:00:30Z"),
            ("2027-01-31 18:00-02:00", "2027-01-31T20:00:00Z"),
        ] {
            let until: Until = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            let end: Timestamp = end.parse().unwrap();
            assert_eq!((until.end(), until.to_string()), (end, text.to_owned()), "{text}");
            assert!(until.is_over(end) && !until.is_over(end - jiff::SignedDuration::from_secs(1)));
        }
        assert_eq!(beginning("2027-01-31"), Ok("2027-01-31T00:00:00Z".parse().unwrap()));
        let until: Until = "2027-01-31".parse().unwrap();
        for (now, days) in
            [("2027-01-31T23:59:59Z", 1), ("2027-01-31T00:00:00Z", 1), ("2027-01-18T00:00:00Z", 14)]
        {
            assert_eq!(until.days_left(now.parse().unwrap()), days, "{now}");
        }
        assert_eq!(until.days_left("2027-03-01T00:00:00Z".parse().unwrap()), 0);
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "tomorrow",
            "2027-02-30",
            "2027-1-31",
            "31.01.2027",
            "2027-01-31 Europe/Berlin",
            "2027-01-31+1",
            "2027-01-31+24:00",
            "2027-01-31T25:00Z",
            "+27-01-31x",
            "9999-12-31",
            "2027-01-31é",
            "-0001-01-0",
        ] {
            assert_eq!(text.parse::<Until>(), Err(UntilError::Form), "{text}");
        }
        for text in ["2027-01-31T18:00", "2027-01-31 18:00:00"] {
            assert_eq!(text.parse::<Until>(), Err(UntilError::Zone), "{text}");
        }
    }
}
