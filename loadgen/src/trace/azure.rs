//! The CSV of the Azure public data set: `2023-11-16 18:15:46.6805900,374,44`.

use super::read::{RawRow, excerpt};
use crate::time::Micros;

pub(super) const HEADER: &str = "TIMESTAMP,ContextTokens,GeneratedTokens";

/// Checks the first line.
pub(super) fn header(line: &str) -> Result<(), String> {
    if line.eq_ignore_ascii_case(HEADER) {
        Ok(())
    } else {
        Err(format!("found `{}`, expected the header {HEADER}", excerpt(line)))
    }
}

/// Reads a row.
pub(super) fn row(line: &str, row: &mut RawRow) -> Result<(), String> {
    let mut fields = line.split(',').map(str::trim);
    let (Some(time), Some(input), Some(output), None) = (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(format!("found `{}`, expected three fields {HEADER}", excerpt(line)));
    };
    let tokens = |name, text: &str| {
        text.parse::<u32>().map_err(|_| format!("{name} is `{}`, expected a whole number", excerpt(text)))
    };
    row.at = instant(time).ok_or_else(|| {
        format!("TIMESTAMP is `{}`, expected YYYY-MM-DD HH:MM:SS with up to 9 decimals", excerpt(time))
    })?;
    row.input = tokens("ContextTokens", input)?;
    row.output = tokens("GeneratedTokens", output)?;
    Ok(())
}

/// Microseconds since 1970 of `2023-11-16 18:15:46.6805900`, optionally with `+00:00`; finer decimals are cut off.
fn instant(text: &str) -> Option<Micros> {
    let text = text.strip_suffix("+00:00").unwrap_or(text);
    let (date, time) = text.split_once([' ', 'T'])?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(clock, ':')?;
    let in_range = (1970..=9999).contains(&year) && hour < 24 && minute < 60 && second < 61;
    if !in_range || !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos = fraction.parse::<u64>().ok()? * 10_u64.pow(9 - fraction.len() as u32);
    let seconds = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(Micros(seconds * 1_000_000 + nanos / 1_000))
}

fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let mut parts = text.split(separator).map(|part| part.parse::<u64>().ok().filter(|_| part.len() <= 4));
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Days of whole years before, leap days before, whole months before, days before.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    years + (1..month).map(|month| days_in_month(year, month)).sum::<u64>() + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_those_of_the_calendar() {
        // 1,700,158,546 s since 1970 is 2023-11-16 18:15:46 UTC.
        assert_eq!(instant("2023-11-16 18:15:46.6805900"), Some(Micros(1_700_158_546_680_590)));
        assert_eq!(instant("1970-01-01 00:00:00"), Some(Micros::ZERO));
        assert_eq!(instant("2024-05-10 00:00:00.009930+00:00"), Some(Micros(1_715_299_200_009_930)));
    }

    #[test]
    fn time_goes_on_over_midnight_and_leap_days() {
        let gap = |a: &str, b: &str| instant(b).expect(b).0 - instant(a).expect(a).0;
        assert_eq!(gap("2023-11-16 23:59:59.9999990", "2023-11-17 00:00:00.0000010"), 2);
        assert_eq!(gap("2023-12-31 23:59:59", "2024-01-01 00:00:00"), 1_000_000);
        assert_eq!(gap("2024-02-28 00:00:00", "2024-03-01 00:00:00"), 2 * 86_400 * 1_000_000);
        assert_eq!(gap("2100-02-28 00:00:00", "2100-03-01 00:00:00"), 86_400 * 1_000_000);
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "2023-11-16",
            "2023-11-16 18:15",
            "2023-13-16 18:15:46",
            "2023-02-29 00:00:00",
            "2023-11-00 00:00:00",
            "2023-11-16 24:00:00",
            "2023-11-16 18:15:46.",
            "2023-11-16 18:15:46.12345678901",
            "1969-01-01 00:00:00",
            "2023-11-16 18:15:46.5+02:00",
            "2023-11-16-1 18:15:46",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
    }
}
