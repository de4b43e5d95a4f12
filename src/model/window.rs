//! When changes may begin: `22:00-04:00 Europe/Paris`, on some days of the week or on all.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan as _};

/// A span of time that comes again, each day or on some days of the week, in a time zone. One that ends
/// before it begins ends on the next day; its day is that on which it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    text: String,
    days: [bool; 7],
    from: Time,
    to: Time,
    zone: TimeZone,
}

/// Why a text is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// It has another form.
    #[error(
        "this is no window; write it like `22:00-04:00 Europe/Paris`, with days like \
         `sat,sun 08:00-18:00 Europe/Paris` or `mon-fri 22:00-04:00 UTC`"
    )]
    Form,
    /// There is no such time zone.
    #[error("there is no time zone `{0}`; write one like Europe/Paris, or UTC")]
    Zone(String),
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Window {
    /// Whether it is open at a moment.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.around(now).any(|(from, to)| from <= now && now < to)
    }

    /// When it opens next, at `now` or after it; `None` at the end of the calendar.
    #[must_use]
    pub fn opens(&self, now: Timestamp) -> Option<Timestamp> {
        self.around(now).map(|(from, _)| from).find(|from| *from >= now)
    }

    /// When it closes, where it is open.
    #[must_use]
    pub fn closes(&self, now: Timestamp) -> Option<Timestamp> {
        self.around(now).find(|(from, to)| *from <= now && now < *to).map(|(_, to)| to)
    }

    /// The times at which it is open from two days before to nine days after a moment, in order.
    fn around(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> + '_ {
        let today = now.to_zoned(self.zone.clone()).date();
        (-2..=9_i64).filter_map(move |days| {
            let day = today.checked_add(days.days()).ok()?;
            let of_week = usize::try_from(day.weekday().to_monday_zero_offset()).ok()?;
            if !self.days[of_week] {
                return None;
            }
            let end = if self.to <= self.from { day.checked_add(1.day()).ok()? } else { day };
            // Where a clock is put forward or back, jiff decides as calendars do.
            let at = |day: Date, time: Time| {
                let moment = day.to_datetime(time).to_zoned(self.zone.clone()).ok()?;
                Some(moment.timestamp())
            };
            Some((at(day, self.from)?, at(end, self.to)?))
        })
    }
}

fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| -> Option<i8> {
        let digits = matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok())?
    };
    if minute.len() != 2 {
        return None;
    }
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

fn day(text: &str) -> Option<usize> {
    DAYS.iter().position(|day| text.eq_ignore_ascii_case(day))
}

fn days(text: &str) -> Option<[bool; 7]> {
    let mut all = [false; 7];
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(part)?, day(part)?),
        };
        let mut at = first;
        loop {
            all[at] = true;
            if at == last {
                break;
            }
            at = (at + 1) % 7;
        }
    }
    Some(all)
}

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (of_week, hours, zone) = match words[..] {
            [hours, zone] => ([true; 7], hours, zone),
            [some, hours, zone] => (days(some).ok_or(WindowError::Form)?, hours, zone),
            _ => return Err(WindowError::Form),
        };
        let (from, to) = hours.split_once('-').ok_or(WindowError::Form)?;
        let (from, to) = time(from).zip(time(to)).ok_or(WindowError::Form)?;
        // The same zones on every machine, also where there is no /usr/share/zoneinfo.
        let database = TimeZoneDatabase::bundled();
        let zone = database.get(zone).map_err(|_| WindowError::Zone(zone.to_owned()))?;
        Ok(Self { text: words.join(" "), days: of_week, from, to, zone })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(text: &str) -> Window {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_is_open_in_its_zone_and_over_midnight() {
        let nightly = window("22:00-04:00 Europe/Paris");
        // In winter Paris is an hour ahead of UTC.
        for (now, open) in [
            ("2026-11-27T20:59:59Z", false),
            ("2026-11-27T21:00:00Z", true),
            ("2026-11-28T02:59:59Z", true),
            ("2026-11-28T03:00:00Z", false),
            // In summer two.
            ("2026-07-01T20:00:00Z", true),
            ("2026-07-02T02:00:00Z", false),
        ] {
            assert_eq!(nightly.is_open(at(now)), open, "{now}");
        }
        assert_eq!(nightly.opens(at("2026-11-27T12:00:00Z")), Some(at("2026-11-27T21:00:00Z")));
        assert_eq!(nightly.closes(at("2026-11-28T01:00:00Z")), Some(at("2026-11-28T03:00:00Z")));
        assert_eq!(nightly.closes(at("2026-11-27T12:00:00Z")), None);
    }

    #[test]
    fn days_are_those_on_which_it_begins() {
        // 2026-11-27 is a Friday.
        let weekend = window("sat,sun 22:00-02:00 UTC");
        assert!(!weekend.is_open(at("2026-11-27T23:00:00Z")));
        assert!(!weekend.is_open(at("2026-11-28T01:00:00Z")));
        assert!(weekend.is_open(at("2026-11-28T23:00:00Z")));
        assert!(weekend.is_open(at("2026-11-30T01:00:00Z")));
        assert!(!weekend.is_open(at("2026-11-30T23:00:00Z")));
        assert_eq!(weekend.opens(at("2026-11-30T23:00:00Z")), Some(at("2026-12-05T22:00:00Z")));
        let over = window("sat-mon 08:00-09:00 UTC");
        assert!(
            over.is_open(at("2026-11-30T08:30:00Z")) && !over.is_open(at("2026-12-01T08:30:00Z"))
        );
        let whole = window("00:00-00:00 UTC");
        assert!(
            whole.is_open(at("2026-11-27T00:00:00Z")) && whole.is_open(at("2026-11-27T23:59:59Z"))
        );
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in [
            "",
            "22:00",
            "22:00-04:00",
            "22-04 UTC",
            "25:00-04:00 UTC",
            "22:60-04:00 UTC",
            "xyz 22:00-04:00 UTC",
            "22:00-04:0 UTC",
            "a b c d",
            "+1:00-02:00 UTC",
        ] {
            assert_eq!(text.parse::<Window>(), Err(WindowError::Form), "{text}");
        }
        let zone = "22:00-04:00 Mars/Olympus".parse::<Window>();
        assert_eq!(zone, Err(WindowError::Zone("Mars/Olympus".to_owned())));
    }
}
