//! Values typed into fields: the SLO, or the load. What stands in a field is read as on the command line.

use loadgen::arrival::RatePlan;
use loadgen::live::{Command, Snapshot};
use loadgen::schedule::Shape;
use loadgen::slo::Slo;
use loadgen::text::{DurationText, Malformed, parse_duration};
use loadgen::time::Micros;

use crate::format;

/// What a form is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// What makes a request good.
    Slo,
    /// What is sent, and how fast.
    Load,
    /// Where the cursor goes in a recording that ends at this instant.
    Instant(Micros),
}

/// What a form asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// These of the run; none for fields that were not changed.
    OfTheRun(Vec<Command>),
    /// The cursor at this instant.
    Instant(Micros),
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it is for, with an example.
    pub about: &'static str,
    /// What stands in it.
    pub text: String,
    /// What stood in it when the form was opened.
    pub before: String,
}

/// Fields, one of them being typed into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// What it is about.
    pub subject: Subject,
    /// Its fields.
    pub fields: Vec<Field>,
    /// The one being typed into.
    pub selected: usize,
}

/// A field that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Its place.
    pub field: usize,
    /// Why.
    pub why: String,
}

const BOUNDS: [(&str, &str); 5] = [
    ("ttft", "first token after due, such as 400ms; empty for no bound"),
    ("tpot", "time per output token, such as 25ms"),
    ("itl.p99", "p99 of the gaps between tokens of a request"),
    ("itl.mean", "mean of the gaps between tokens of a request"),
    ("e2e", "last token after due, such as 10s"),
];

fn field(name: &'static str, about: &'static str, text: String) -> Field {
    Field { name, about, before: text.clone(), text }
}

impl Form {
    /// The SLO as it is.
    pub fn slo(now: &Snapshot) -> Self {
        let slo = now.slo.unwrap_or_default();
        let bounds = [slo.ttft, slo.tpot, slo.itl_p99, slo.itl_mean, slo.e2e];
        let text = |bound: Option<Micros>| bound.map_or_else(String::new, |b| DurationText(b).to_string());
        let fields = BOUNDS.into_iter().zip(bounds).map(|((name, about), bound)| field(name, about, text(bound)));
        Self { subject: Subject::Slo, fields: fields.collect(), selected: 0 }
    }

    /// The load as it is. A trace has only a rate.
    pub fn load(now: &Snapshot) -> Self {
        let mut fields = vec![field("rate", "requests per second, such as 12.5", format::rate(now.rate_rps))];
        if let Some(Shape { arrival, isl, osl }) = now.shape {
            fields.push(field("arrival", "gaps between requests: poisson or constant", arrival.to_string()));
            fields.push(field("isl", "tokens of a prompt: 600, uniform:100..900, lognormal:600,0.7", isl.to_string()));
            fields.push(field("osl", "tokens of an answer, written the same way", osl.to_string()));
        }
        Self { subject: Subject::Load, fields, selected: 0 }
    }

    /// Where to go in a recording that ends at `end`.
    pub fn instant(end: Micros) -> Self {
        let about = "minutes and seconds such as 4:31, or a duration such as 271s";
        Self { subject: Subject::Instant(end), fields: vec![field("time", about, String::new())], selected: 0 }
    }

    /// What the fields ask for.
    ///
    /// # Errors
    /// The first field that cannot be read.
    pub fn asked(&self) -> Result<Asked, Wrong> {
        match self.subject {
            Subject::Slo => self.slo_commands().map(Asked::OfTheRun),
            Subject::Load => self.load_commands().map(Asked::OfTheRun),
            Subject::Instant(end) => self.typed_instant(end).map(Asked::Instant),
        }
    }

    fn typed_instant(&self, end: Micros) -> Result<Micros, Wrong> {
        let text = self.fields.first().map_or("", |field| field.text.trim());
        let wrong = |why: String| Wrong { field: 0, why };
        let at = match format::read_clock(text) {
            Some(at) => at,
            None => parse_duration(text).map_err(|_| {
                wrong("a time is minutes and seconds such as 4:31, or a duration such as 271s".to_owned())
            })?,
        };
        if at > end {
            return Err(wrong(format!("the recording ends at {}", format::clock(end))));
        }
        Ok(at)
    }

    fn slo_commands(&self) -> Result<Vec<Command>, Wrong> {
        let mut bounds = Vec::new();
        for (place, field) in self.fields.iter().enumerate().filter(|(_, field)| !field.text.trim().is_empty()) {
            let wrong = |error: Malformed| Wrong { field: place, why: error.to_string() };
            // A duration alone first: a comma would bring in a bound of another field.
            parse_duration(field.text.trim()).map_err(wrong)?;
            let bound = format!("{}={}", field.name, field.text.trim());
            bound.parse::<Slo>().map_err(wrong)?;
            bounds.push(bound);
        }
        if !self.is_changed() {
            return Ok(Vec::new());
        }
        let slo = match bounds.join(",") {
            none if none.is_empty() => None,
            text => Some(text.parse().map_err(|error: Malformed| Wrong { field: 0, why: error.to_string() })?),
        };
        Ok(vec![Command::SetSlo(slo)])
    }

    fn load_commands(&self) -> Result<Vec<Command>, Wrong> {
        let mut commands = Vec::new();
        if let Some(field) = self.fields.first().filter(|field| field.is_changed()) {
            let wrong = |why: String| Wrong { field: 0, why };
            // The command line's own reader says what is wrong; what it accepts is a number.
            RatePlan::parse_rate(field.text.trim()).map_err(|error| wrong(error.to_string()))?;
            let rps: f64 = field.text.trim().parse().map_err(|_| wrong("a rate is a number".to_owned()))?;
            commands.push(Command::SetRate(rps));
        }
        if let [_, arrival, isl, osl] = self.fields.as_slice() {
            let wrong = |field: usize| move |error: Malformed| Wrong { field, why: error.to_string() };
            let shape = Shape {
                arrival: arrival.text.trim().parse().map_err(wrong(1))?,
                isl: isl.text.trim().parse().map_err(wrong(2))?,
                osl: osl.text.trim().parse().map_err(wrong(3))?,
            };
            if [arrival, isl, osl].into_iter().any(Field::is_changed) {
                commands.push(Command::Reshape(shape));
            }
        }
        Ok(commands)
    }

    fn is_changed(&self) -> bool {
        self.fields.iter().any(Field::is_changed)
    }
}

impl Field {
    /// Whether something else stands in it than when the form was opened.
    pub fn is_changed(&self) -> bool {
        self.text.trim() != self.before
    }
}

#[cfg(test)]
mod tests {
    use loadgen::arrival::Arrival;
    use loadgen::workload::Lengths;

    use super::*;
    use crate::scene;

    fn typed(mut form: Form, texts: &[(usize, &str)]) -> Result<Vec<Command>, Wrong> {
        for (field, text) in texts {
            form.fields[*field].text = (*text).to_owned();
        }
        match form.asked()? {
            Asked::OfTheRun(commands) => Ok(commands),
            Asked::Instant(at) => panic!("{at:?} is no command"),
        }
    }

    #[test]
    fn only_what_was_changed_is_asked_for() {
        let now = scene::normal();
        assert_eq!(typed(Form::slo(&now), &[]), Ok(Vec::new()));
        assert_eq!(typed(Form::load(&now), &[(0, " 15 ")]), Ok(Vec::new()));
        assert_eq!(typed(Form::load(&now), &[(0, "16.5")]), Ok(vec![Command::SetRate(16.5)]));
        let shape = Shape { arrival: Arrival::Constant, isl: Lengths::Uniform(10, 90), osl: Lengths::Fixed(12) };
        let changed = [(1, "constant"), (2, "uniform:10..90"), (3, "12")];
        assert_eq!(typed(Form::load(&now), &changed), Ok(vec![Command::Reshape(shape)]));
    }

    #[test]
    fn bounds_are_set_taken_away_and_emptied_into_no_slo() {
        let now = scene::normal();
        let slo = "ttft=1s,e2e=10s".parse().expect("an SLO");
        assert_eq!(typed(Form::slo(&now), &[(0, "1s"), (1, ""), (4, "10s")]), Ok(vec![Command::SetSlo(Some(slo))]));
        assert_eq!(typed(Form::slo(&now), &[(0, ""), (1, " ")]), Ok(vec![Command::SetSlo(None)]));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_field() {
        let now = scene::normal();
        for (form, field, text) in [
            (Form::slo(&now), 1, "25"),
            (Form::slo(&now), 0, "0s"),
            (Form::slo(&now), 0, "1s,tpot=5ms"),
            (Form::load(&now), 0, "fast"),
            (Form::load(&now), 0, "-1"),
            (Form::load(&now), 1, "gamma"),
            (Form::load(&now), 2, "0"),
        ] {
            let wrong = typed(form, &[(field, text)]);
            assert_eq!(wrong.as_ref().map_err(|wrong| wrong.field), Err(field), "{text}: {wrong:?}");
        }
    }

    #[test]
    fn an_instant_is_typed_as_it_is_shown_or_as_a_duration() {
        let typed = |text: &str| {
            let mut form = Form::instant(scene::seconds(600.0));
            text.clone_into(&mut form.fields[0].text);
            form.asked().map_err(|wrong| wrong.why)
        };
        for (text, seconds) in [("4:31", 271.0), ("04:31", 271.0), (" 0:10:00 ", 600.0), ("271s", 271.0), ("2m", 120.0)]
        {
            assert_eq!(typed(text), Ok(Asked::Instant(scene::seconds(seconds))), "{text}");
        }
        assert_eq!(typed("10:01"), Err("the recording ends at 10:00".to_owned()));
        for text in ["", "soon", "4:61", "1:2:3:4", "-1:00", "99999999999999999999:00"] {
            assert!(typed(text).is_err_and(|why| why.starts_with("a time is minutes")), "{text}");
        }
    }

    #[test]
    fn a_trace_has_a_rate_and_no_shape() {
        let form = Form::load(&Snapshot { shape: None, ..scene::normal() });
        assert_eq!(form.fields.len(), 1);
        assert_eq!(typed(form, &[(0, "30")]), Ok(vec![Command::SetRate(30.0)]));
    }
}
