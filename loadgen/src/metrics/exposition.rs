//! Prometheus' text format (0.0.4), and as much of `OpenMetrics` as servers send in its place.
//!
//! ```text
//!   name{label="value",other="a \"b\""} 12.5 1700000000000
//! ```
//!
//! A line that is no sample is passed over: one bad line in the page of an exporter is no reason to see nothing. A page that
//! holds bad lines alone is no page.

use std::borrow::Cow;

/// The longest line that is looked at.
const LINE: usize = 16 << 10;
/// Labels of a sample that are looked at.
const LABELS: usize = 64;

/// A page that is not in the text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not in Prometheus' text format")]
pub struct NotText;

/// A value with its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<'a> {
    /// The name.
    pub name: &'a str,
    /// What stands between the braces, checked to be labels.
    labels: &'a str,
    /// The value; it may be infinite or no number.
    pub value: f64,
}

impl<'a> Sample<'a> {
    /// The labels in their order.
    pub fn labels(&self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        let mut rest = self.labels;
        std::iter::from_fn(move || {
            let (name, value, behind) = label(rest)?;
            rest = behind;
            Some((name, value))
        })
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<Cow<'a, str>> {
        self.labels().find(|(of, _)| *of == name).map(|(_, value)| value)
    }

    /// The labels as they were written: what tells two samples of a name apart.
    pub(super) fn written_labels(&self) -> &'a str {
        self.labels
    }
}

/// The samples of a page, in order.
///
/// # Errors
/// When the page is no text, or nothing in it is a sample although something is there.
pub fn samples(page: &[u8]) -> Result<impl Iterator<Item = Sample<'_>>, NotText> {
    let text = std::str::from_utf8(page).map_err(|_| NotText)?;
    let mut lines = text.lines().filter(|line| !is_remark(line)).peekable();
    // An empty page, or one of comments alone, is a server that has nothing to tell yet.
    if lines.peek().is_some() && text.lines().all(|line| is_remark(line) || sample(line).is_none()) {
        return Err(NotText);
    }
    Ok(lines.filter_map(sample))
}

fn is_remark(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let line = line.trim();
    if line.len() > LINE {
        return None;
    }
    let end = line.find(|c: char| !is_name(c)).filter(|end| *end > 0)?;
    let (name, rest) = line.split_at(end);
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let rest = rest.trim_start();
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inner) => {
            let length = labels_length(inner)?;
            (&inner[..length], &inner[length + 1..])
        }
        None => ("", rest),
    };
    // Behind the value there may be an instant, and in `OpenMetrics` an exemplar.
    let value = rest.split_ascii_whitespace().next()?;
    Some(Sample { name, labels, value: number(value)? })
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// How many bytes the labels take up to the closing brace.
fn labels_length(inner: &str) -> Option<usize> {
    let mut rest = inner;
    for _ in 0..=LABELS {
        let open = rest.trim_start_matches([' ', '\t', ',']);
        if open.starts_with('}') {
            return Some(inner.len() - open.len());
        }
        rest = label(rest)?.2;
    }
    None
}

/// The first label, and what comes behind it.
fn label(text: &str) -> Option<(&str, Cow<'_, str>, &str)> {
    let text = text.trim_start_matches([' ', '\t', ',']);
    let end = text.find(|c: char| !is_name(c)).filter(|end| *end > 0)?;
    let (name, rest) = text.split_at(end);
    let quoted = rest.trim_start().strip_prefix('=')?.trim_start().strip_prefix('"')?;
    let mut escaped = false;
    let close = quoted.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })?;
    Some((name, unescaped(&quoted[..close]), &quoted[close + 1..]))
}

fn unescaped(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '\\') {
            (_, true) => match letters.next() {
                Some('n') => out.push('\n'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            _ => out.push(letter),
        }
    }
    Cow::Owned(out)
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        // What Rust takes for a number beyond those: words such as `infinity`.
        _ if text.bytes().any(|byte| byte.is_ascii_alphabetic() && !matches!(byte, b'e' | b'E')) => None,
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Name, labels and value.
    type Read = (String, Vec<(String, String)>, f64);

    fn read(page: &str) -> Vec<Read> {
        let owned = |sample: Sample<'_>| {
            let labels = sample.labels().map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
            (sample.name.to_owned(), labels, sample.value)
        };
        samples(page.as_bytes()).expect("a page").map(owned).collect()
    }

    fn pairs(labels: &[(&str, &str)]) -> Vec<(String, String)> {
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn samples_are_read_with_labels_instants_and_exemplars() {
        let page = "# HELP a Things.\n# TYPE a counter\na 1\n\
            vllm:b_total{engine=\"0\",model_name=\"a \\\"b\\\" \\\\ \\n,}\",} 2.5e3 1700000000000\r\n\
            c_bucket { le = \"+Inf\" } 7 # {trace=\"x\"} 0.5\nd{} -0.25\n# EOF\n";
        let read = read(page);
        assert_eq!(read[0], ("a".to_owned(), pairs(&[]), 1.0));
        let name = "a \"b\" \\ \n,}";
        assert_eq!(read[1], ("vllm:b_total".to_owned(), pairs(&[("engine", "0"), ("model_name", name)]), 2500.0));
        assert_eq!(read[2], ("c_bucket".to_owned(), pairs(&[("le", "+Inf")]), 7.0));
        assert_eq!((read[3].2, read.len()), (-0.25, 4));
    }

    #[test]
    fn what_is_no_number_is_told_as_none_or_passed_over() {
        let values: Vec<f64> =
            read("a NaN\nb +Inf\nc -Inf\nd infinity\ne 0x10\nf\ng 1,5\nh 3").iter().map(|s| s.2).collect();
        assert!(values[0].is_nan());
        assert_eq!(values[1..], [f64::INFINITY, f64::NEG_INFINITY, 3.0]);
    }

    #[test]
    fn a_bad_line_costs_itself_and_a_page_of_bad_lines_is_none() {
        assert_eq!(read("a 1\nb{x=\"1} 2\n{} 3\n9c 1\nd 4").len(), 2);
        for page in ["<html><body>not here</body></html>", "{\"detail\": \"no\"}", "404 page not found\n"] {
            assert_eq!(samples(page.as_bytes()).err(), Some(NotText), "{page}");
        }
        assert_eq!(samples(b"a{x=\"\xff\"} 1\n").err(), Some(NotText));
        assert_eq!(samples(b"").map(Iterator::count), Ok(0));
        assert_eq!(samples(b"# nothing yet\n").map(Iterator::count), Ok(0));
    }

    #[test]
    fn lines_and_labels_without_end_are_passed_over() {
        let long = format!("a{{x=\"{}\"}} 1\nb 2\n", "y".repeat(LINE));
        assert_eq!(read(&long).len(), 1);
        let many: Vec<String> = (0..1000).map(|i| format!("l{i}=\"v\",")).collect();
        assert_eq!(read(&format!("a{{{}}} 1\nb 2\n", many.concat())).len(), 1);
    }

    proptest! {
        /// Whatever is written by the format's rules is read back.
        #[test]
        fn a_sample_is_read_as_it_was_written(
            name in "[a-z_:][a-z0-9_:]{0,20}",
            labels in proptest::collection::vec(("[a-z_][a-z0-9_]{0,8}", ".{0,12}"), 0..6),
            value in -1e12_f64..1e12,
        ) {
            let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            // Other ends of lines are not escaped by the format, and no exporter has them in labels.
            prop_assume!(labels.iter().all(|(_, value)| !value.contains('\r')));
            let inner: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
            let line = format!("{name}{{{}}} {value}\n", inner.join(","));
            prop_assert_eq!(read(&line), vec![(name, labels, value)]);
        }

        #[test]
        fn no_bytes_are_too_strange(page in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(samples) = samples(&page) {
                for sample in samples {
                    prop_assert!(!sample.name.is_empty());
                    prop_assert!(sample.labels().count() <= LABELS + 1);
                }
            }
        }

        /// The same with what the format is made of, which no chance finds.
        #[test]
        fn no_order_of_its_own_letters_is_too_strange(page in "[a{}=\",\\\\ \n#1.+NaInfe:_]{0,200}") {
            if let Ok(samples) = samples(page.as_bytes()) {
                samples.for_each(|sample| assert!(sample.labels().count() <= LABELS + 1));
            }
        }
    }
}
