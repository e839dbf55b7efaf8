//! The lines of an asciicast, version 2.

use loadgen::time::Micros;
use ratatui::layout::Size;
use serde_json::json;

/// The first line. `unix` is the wall-clock start in seconds since 1970.
pub(super) fn header(size: Size, unix: u64, term: Option<&str>) -> Vec<u8> {
    let mut header = json!({ "version": 2, "width": size.width, "height": size.height, "timestamp": unix });
    if let Some(term) = term {
        header["env"] = json!({ "TERM": term });
    }
    line(&header)
}

/// The terminal has another size.
pub(super) fn resized(at: Micros, size: Size) -> Vec<u8> {
    line(&json!([at.as_secs_f64(), "r", format!("{}x{}", size.width, size.height)]))
}

fn line(value: &serde_json::Value) -> Vec<u8> {
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}

/// Bytes on their way to the terminal, gathered into events of whole letters: a write can end in the middle of one.
#[derive(Debug, Default)]
pub(super) struct Events {
    pending: Vec<u8>,
}

impl Events {
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// What was sent since the last time, if anything. The beginning of a letter is kept for its end.
    pub(super) fn take(&mut self, at: Micros) -> Option<Vec<u8>> {
        let mut rest = Vec::new();
        if let Err(error) = std::str::from_utf8(&self.pending)
            && error.error_len().is_none()
        {
            rest = self.pending.split_off(error.valid_up_to());
        }
        let bytes = std::mem::replace(&mut self.pending, rest);
        // What is no text at all, which nothing here sends, becomes the letter for that.
        (!bytes.is_empty()).then(|| line(&json!([at.as_secs_f64(), "o", String::from_utf8_lossy(&bytes)])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: Option<Vec<u8>>) -> String {
        String::from_utf8(line.unwrap_or_default()).expect("text")
    }

    #[test]
    fn the_lines_are_those_of_the_format() {
        let size = Size { width: 100, height: 30 };
        let header = text(Some(header(size, 1_795_424_472, Some("xterm-256color"))));
        assert_eq!(
            header,
            "{\"env\":{\"TERM\":\"xterm-256color\"},\"height\":30,\"timestamp\":1795424472,\"version\":2,\"width\":100}\n"
        );
        assert_eq!(text(Some(resized(Micros(1_500_000), size))), "[1.5,\"r\",\"100x30\"]\n");
        let mut events = Events::default();
        assert_eq!(events.take(Micros(1)), None);
        events.sent(b"\x1b[1m");
        events.sent("┄\"\r\n".as_bytes());
        assert_eq!(text(events.take(Micros(2_000_001))), "[2.000001,\"o\",\"\\u001b[1m┄\\\"\\r\\n\"]\n");
    }

    #[test]
    fn a_letter_is_never_cut() {
        let whole = "a┄b".as_bytes();
        for cut in 0..=whole.len() {
            let mut events = Events::default();
            let mut seen = String::new();
            for part in [&whole[..cut], &whole[cut..]] {
                events.sent(part);
                if let Some(line) = events.take(Micros(0)) {
                    let event: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
                    seen.push_str(event[2].as_str().expect("text"));
                }
            }
            assert_eq!(seen, "a┄b", "cut at {cut}");
        }
        let mut events = Events::default();
        events.sent(b"a\xffb");
        assert_eq!(text(events.take(Micros(0))), "[0.0,\"o\",\"a\u{fffd}b\"]\n");
    }
}
