//! Rules as people write them.

use std::fmt;
use std::str::FromStr;

use super::{AbortOn, Bound, LONGEST, Latency, Rank, Rule, WINDOW, Wrong};
use crate::text::{DurationText, Malformed, parse_duration, serde_as_text};
use crate::time::Micros;

const WRONG: [(&str, Wrong); 3] = [("errors", Wrong::Errors), ("cut", Wrong::Cut), ("shed", Wrong::Shed)];
const LATENCIES: [(&str, Latency); 3] = [("ttft", Latency::Ttft), ("tpot", Latency::Tpot), ("e2e", Latency::E2e)];
const RANKS: [(&str, Rank); 4] = [("p50", Rank(50)), ("p90", Rank(90)), ("p95", Rank(95)), ("p99", Rank(99))];
/// What a rule may look like.
const ALLOWED: &str = "write errors, cut or shed with > and a number or a share, or ttft, tpot or e2e with .p50, .p90, .p95 or .p99, \
                       > and a duration, and perhaps @ and a window: errors>5%, cut>0, shed>10%@30s, ttft.p99>10s";

fn named<T: Copy>(table: &[(&'static str, T)], name: &str) -> Option<T> {
    table.iter().find(|(known, _)| *known == name).map(|(_, found)| *found)
}

fn name<T: PartialEq>(table: &[(&'static str, T)], of: &T) -> &'static str {
    table.iter().find(|(_, known)| known == of).map_or("", |(name, _)| name)
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(wrong, most) => write!(f, "{}>{most}", name(&WRONG, wrong)),
            Self::Percent(wrong, most) => write!(f, "{}>{most}%", name(&WRONG, wrong)),
            Self::Latency(latency, rank, most) => {
                write!(f, "{}.{}>{}", name(&LATENCIES, latency), name(&RANKS, rank), DurationText(*most))
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bound)?;
        if self.window == WINDOW { Ok(()) } else { write!(f, "@{}", DurationText(self.window)) }
    }
}

impl fmt::Display for AbortOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for rule in &self.0 {
            write!(f, "{comma}{rule}")?;
            comma = ",";
        }
        Ok(())
    }
}

impl FromStr for Rule {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = |allowed: &str| Malformed::new("a rule of --abort-on", text, allowed);
        let (what, rest) = text.split_once('>').ok_or_else(|| malformed(ALLOWED))?;
        let (most, window) = match rest.split_once('@') {
            Some((most, window)) => (most.trim(), parse_duration(window.trim())?),
            None => (rest.trim(), WINDOW),
        };
        if !(Micros(1_000_000)..=LONGEST).contains(&window) {
            return Err(malformed("a window is from 1s to 1h"));
        }
        let bound = match (named(&WRONG, what.trim()), what.trim().split_once('.')) {
            (Some(wrong), _) => match most.strip_suffix('%') {
                Some(percent) => {
                    let percent = percent.trim().parse().ok().filter(|percent| (0.0..100.0).contains(percent));
                    Bound::Percent(wrong, percent.ok_or_else(|| malformed("a share is from 0% to below 100%"))?)
                }
                None => Bound::Number(wrong, most.parse().map_err(|_| malformed(ALLOWED))?),
            },
            (None, Some((latency, rank))) => {
                let latency = named(&LATENCIES, latency).ok_or_else(|| malformed(ALLOWED))?;
                let rank = named(&RANKS, rank).ok_or_else(|| malformed(ALLOWED))?;
                Bound::Latency(latency, rank, parse_duration(most)?)
            }
            (None, None) => return Err(malformed(ALLOWED)),
        };
        Ok(Self { bound, window })
    }
}

impl FromStr for AbortOn {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.trim().is_empty() {
            return Err(Malformed::new("a rule of --abort-on", text, ALLOWED));
        }
        text.split(',').map(|rule| rule.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

serde_as_text!(AbortOn);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_back_what_they_print() {
        let text = "errors>5%,errors>20@30s,cut>0,shed>0.5%@2m,ttft.p99>10s,tpot.p50>200ms,e2e.p95>1m@1m";
        let rules: AbortOn = text.parse().expect("rules");
        assert_eq!(rules.to_string(), text);
        assert_eq!(
            serde_json::from_str::<AbortOn>(&serde_json::to_string(&rules).expect("text")).expect("rules"),
            rules
        );
        let spaced: AbortOn = "errors > 5 % , ttft.p99 > 10s @ 10s".parse().expect("rules");
        assert_eq!(spaced.to_string(), "errors>5%,ttft.p99>10s");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, why) in [
            ("", "write errors, cut or shed"),
            ("errors", "write errors, cut or shed"),
            ("errors=5%", "write errors, cut or shed"),
            ("errors>lots", "write errors, cut or shed"),
            ("errors>100%", "from 0% to below 100%"),
            ("ttft>10s", "with .p50, .p90"),
            ("ttft.p98>10s", "with .p50, .p90"),
            ("ttft.p99>10", "`10` is not a duration"),
            ("cut>0@2h", "a window is from 1s to 1h"),
            ("cut>0,", "write errors, cut or shed"),
        ] {
            let error = text.parse::<AbortOn>().expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
