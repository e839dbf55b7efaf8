//! Numbers as short texts.

use engine::units::Split;
use loadgen::time::Micros;

/// A split as it is written, or that the target does not tell one.
pub fn split(split: Split) -> String {
    if split.units() == 0 { "split ?".to_owned() } else { split.to_string() }
}

/// A duration or instant as `02:31`, or `1:02:31` from an hour on.
pub fn clock(at: Micros) -> String {
    let seconds = at.0 / 1_000_000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes:02}:{seconds:02}") }
}

/// Reads what [`clock`] writes; `None` for anything else.
pub fn read_clock(text: &str) -> Option<Micros> {
    let parts: Vec<&str> = text.split(':').collect();
    let (first, rest) = parts.split_first().filter(|(_, rest)| matches!(rest.len(), 1 | 2))?;
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let mut seconds = number(first)?;
    for part in rest {
        seconds = seconds.checked_mul(60)?.checked_add(number(part).filter(|part| *part < 60)?)?;
    }
    seconds.checked_mul(1_000_000).map(Micros)
}

/// A short duration: `850us`, `12.3ms`, `420ms`, `3.2s`, `75s`.
pub fn duration(of: Micros) -> String {
    let millis = of.as_millis_f64();
    match of.0 {
        0 => "0ms".to_owned(),
        1..1_000 => format!("{}us", of.0),
        1_000..100_000 => format!("{millis:.1}ms"),
        100_000..1_000_000 => format!("{millis:.0}ms"),
        1_000_000..60_000_000 => format!("{:.1}s", millis / 1e3),
        _ => format!("{:.0}s", millis / 1e3),
    }
}

/// Milliseconds without their unit, at most five columns for anything below a day: `18.9`, `318`, `12.4s`.
pub fn millis(of: Micros) -> String {
    let millis = of.as_millis_f64();
    match of.0 {
        0..100_000 => format!("{millis:.1}"),
        100_000..10_000_000 => format!("{millis:.0}"),
        10_000_000..100_000_000 => format!("{:.1}s", millis / 1e3),
        _ => format!("{:.0}s", millis / 1e3),
    }
}

/// A count or rate with a suffix from ten thousand on: `14.6`, `152`, `8900`, `31.2k`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "?".to_owned()
    } else if size >= 1e15 {
        format!("{value:.0e}")
    } else if size >= 9_999.5 {
        let (scaled, suffix) = [(1e12, "T"), (1e9, "G"), (1e6, "M")]
            .into_iter()
            .find(|(unit, _)| size >= unit * 0.999_95)
            .map_or((value / 1e3, "k"), |(unit, suffix)| (value / unit, suffix));
        let decimals = usize::from(scaled.abs() < 99.95);
        format!("{scaled:.decimals$}{suffix}")
    } else if size >= 99.95 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

/// A rate as the operator set it: as few decimals as it needs.
pub fn rate(value: f64) -> String {
    if !value.is_finite() || value.abs() >= 9_999.5 {
        return number(value);
    }
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A count, abbreviated like [`number`] but without decimals while it is small.
pub fn count(value: u64) -> String {
    if value < 10_000 { value.to_string() } else { number(value as f64) }
}

/// A share as a percentage without the sign, clamped to 0..=100; a value that is not a number reads 0.
pub fn percent(share: f64) -> u8 {
    (share.clamp(0.0, 1.0) * 100.0).round() as u8
}

/// Bytes: `812 B`, `412 KB`, `5.1 MB`.
pub fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{} KB", count / 1_000),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.1} GB", count as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_short() {
        for (value, text) in
            [(0.0, "0.0"), (14.61, "14.6"), (99.97, "100"), (152.4, "152"), (8_900.0, "8900"), (31_240.0, "31.2k")]
        {
            assert_eq!(number(value), text);
        }
        assert_eq!(number(1.5e6), "1.5M");
        assert_eq!(number(999_999.0), "1.0M");
        assert_eq!(number(f64::NAN), "?");
        assert_eq!(rate(12.5), "12.5");
        assert_eq!(rate(20.0), "20");
        assert_eq!(rate(0.1), "0.1");
    }

    #[test]
    fn durations_pick_their_unit() {
        for (micros, text) in
            [(0, "0ms"), (850, "850us"), (400, "400us"), (12_340, "12.3ms"), (420_000, "420ms"), (3_240_000, "3.2s")]
        {
            assert_eq!(duration(Micros(micros)), text);
        }
        assert_eq!(clock(Micros(151_000_000)), "02:31");
        assert_eq!(clock(Micros(3_751_000_000)), "1:02:31");
        assert_eq!(millis(Micros(23_600)), "23.6");
        assert_eq!(millis(Micros(1_310_000)), "1310");
        assert_eq!(bytes(412_300), "412 KB");
    }

    #[test]
    fn shares_outside_their_range_are_clamped() {
        assert_eq!((percent(-0.5), percent(0.934), percent(7.0), percent(f64::NAN)), (0, 93, 100, 0));
    }
}
