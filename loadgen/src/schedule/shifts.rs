//! Shifts planned before the run.

use std::fmt;
use std::str::FromStr;

use engine::cluster::How;
use engine::units::Split;

use crate::text::{DurationText, Malformed, parse_duration, serde_as_text};
use crate::time::Micros;

/// A shift asked for at an instant of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedShift {
    /// When it is asked for; it starts when those before it have converged.
    pub at: Micros,
    /// Where it leads.
    pub to: Split,
    /// How.
    pub how: How,
}

/// Shifts in order of time, as text `30s=1P3D,60s=2P2D:migrate`. The empty text is no shift.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShiftScript(
    /// In order of `at`.
    Vec<ScriptedShift>,
);

impl ShiftScript {
    /// The shifts in order of time.
    pub fn shifts(&self) -> &[ScriptedShift] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for ScriptedShift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", DurationText(self.at), self.to)?;
        if self.how == How::default() { Ok(()) } else { write!(f, ":{}", self.how) }
    }
}

impl FromStr for ScriptedShift {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = |allowed: String| Malformed::new("a scheduled shift", text, allowed);
        let (at, rest) = text
            .split_once('=')
            .ok_or_else(|| malformed("write TIME=SPLIT or TIME=SPLIT:HOW, such as 30s=1P3D:migrate".to_owned()))?;
        let (to, how) = rest.split_once(':').unwrap_or((rest, "drain"));
        let named = How::ALL.into_iter().find(|known| known.to_string() == how);
        let how = named.ok_or_else(|| malformed("a shift is drain, migrate or restart".to_owned()))?;
        let to = to.parse().map_err(|error: engine::units::SplitError| malformed(error.to_string()))?;
        Ok(Self { at: parse_duration(at)?, to, how })
    }
}

impl fmt::Display for ShiftScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for shift in &self.0 {
            write!(f, "{comma}{shift}")?;
            comma = ",";
        }
        Ok(())
    }
}

impl FromStr for ShiftScript {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let shifts = text.split(',').map(|part| part.trim().parse()).collect::<Result<Vec<ScriptedShift>, _>>()?;
        if !shifts.is_sorted_by_key(|shift| shift.at) {
            return Err(Malformed::new("a script of shifts", text, "shifts stand in the order of their times"));
        }
        Ok(Self(shifts))
    }
}

serde_as_text!(ShiftScript);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_reads_back_what_it_prints() {
        let script: ShiftScript = "30s=1P3D, 60s=2P2D:migrate,60s=4A:drain,90s=2P2D:restart".parse().expect("a script");
        assert_eq!(script.to_string(), "30s=1P3D,1m=2P2D:migrate,1m=4A,90s=2P2D:restart");
        assert_eq!(script.to_string().parse(), Ok(script.clone()));
        assert_eq!(script.shifts().len(), 4);
        assert_eq!(script.shifts()[1].how, How::Migrate);
        assert_eq!("".parse(), Ok(ShiftScript::default()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, why) in [
            ("30s", "write TIME=SPLIT"),
            ("30s=3P0D", "no unit that can decode"),
            ("30s=1P3D:reboot", "drain, migrate or restart"),
            ("30=1P3D", "`30` is not a duration"),
            ("60s=1P3D,30s=2P2D", "in the order of their times"),
            ("30s=1P3D,", "write TIME=SPLIT"),
        ] {
            let error = text.parse::<ShiftScript>().expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
