//! Names of recordings, and wall-clock instants as text.

/// Longest part of a file name that comes from the name of a run.
const NAME_CHARS: usize = 64;

/// The name of the file that a run is recorded in unless another is asked for: `2026-11-23T090112Z-chat.jsonl.zst`.
/// `unix` is the wall-clock start of the run in seconds since 1970.
pub fn default_name(unix: u64, name: &str) -> String {
    let name: String = name
        .chars()
        .take(NAME_CHARS)
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
        .collect();
    format!("{}-{name}.jsonl.zst", file_stamp(unix))
}

/// A wall-clock instant, in seconds since 1970, as a part of a file name: `2026-11-23T090112Z`.
pub fn file_stamp(unix: u64) -> String {
    let utc = Utc::from_unix(unix);
    let Utc { hour, minute, second, .. } = utc;
    format!("{}T{hour:02}{minute:02}{second:02}Z", utc.date())
}

/// A wall-clock instant in RFC 3339, such as `2026-11-23T09:01:12.000345Z`.
pub fn rfc3339(unix: u64, micros: u32) -> String {
    let utc = Utc::from_unix(unix);
    let Utc { hour, minute, second, .. } = utc;
    format!("{}T{hour:02}:{minute:02}:{second:02}.{:06}Z", utc.date(), micros.min(999_999))
}

/// An instant of the proleptic Gregorian calendar.
#[derive(Clone, Copy)]
struct Utc {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Utc {
    /// Counts years from 1 March, so that the leap day is the last of its year: month `m` of such a year starts on day
    /// `(153 m + 2) / 5`, and the calendar repeats every 146 097 days.
    fn from_unix(unix: u64) -> Self {
        let seconds = unix % 86_400;
        // Days since 1 March of the year 0.
        let days = unix / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Self {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * march_month + 2) / 5 + 1,
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
        }
    }

    fn date(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_dates() {
        // Checked with `date -u -d @SECONDS`.
        for (unix, text) in [
            (0, "1970-01-01T00:00:00.000007Z"),
            (951_782_399, "2000-02-28T23:59:59.000007Z"),
            (951_782_400, "2000-02-29T00:00:00.000007Z"),
            (951_868_800, "2000-03-01T00:00:00.000007Z"),
            (1_704_067_199, "2023-12-31T23:59:59.000007Z"),
            (1_795_424_472, "2026-11-23T09:01:12.000007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000007Z"),
        ] {
            assert_eq!(rfc3339(unix, 7), text);
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut days_in_month = 0;
        for day in 0..146_097_u64 {
            let utc = Utc::from_unix(day * 86_400);
            days_in_month = if utc.day == 1 { 1 } else { days_in_month + 1 };
            assert_eq!(utc.day, days_in_month);
            let leap = utc.year.is_multiple_of(if utc.year.is_multiple_of(100) { 400 } else { 4 });
            let length = [31, 28 + u64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][utc.month as usize - 1];
            let next = Utc::from_unix((day + 1) * 86_400);
            assert_eq!(next.day == 1, utc.day == length, "{}", utc.date());
        }
    }

    #[test]
    fn names_cannot_leave_their_folder() {
        assert_eq!(default_name(1_795_424_472, "chat"), "2026-11-23T090112Z-chat.jsonl.zst");
        assert_eq!(default_name(0, "../a b/é"), "1970-01-01T000000Z-..-a-b--.jsonl.zst");
    }
}
