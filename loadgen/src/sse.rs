//! Server-sent events out of bytes, however the network has cut them.
//!
//! Follows the event stream grammar of the HTML standard (section 9.2.6), with two differences. An event that the stream
//! ends without its blank line still counts: servers that close right after the last line exist, and a lost `[DONE]` would
//! turn a complete answer into a cut one. And `id` and `retry` are skipped: a load test never reconnects.

/// What an event says. The bytes are as the server sent them: whether they are UTF-8, or JSON, is for the caller to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event` field, empty where there was none.
    pub kind: &'a [u8],
    /// The `data` fields, joined by line feeds.
    pub data: &'a [u8],
}

/// An event or a line is longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {limit} bytes")]
pub struct TooLong {
    /// Most bytes of an event.
    pub limit: usize,
}

/// Cuts a stream of bytes into events.
#[derive(Clone, Debug)]
pub struct Framer {
    /// Most bytes that an event and the line under way may take together.
    limit: usize,
    line: Vec<u8>,
    kind: Vec<u8>,
    data: Vec<u8>,
    /// A `data` field has been seen since the last event, though it may have been empty.
    has_data: bool,
    /// The last byte was a carriage return: a line feed after it ends no line of its own.
    after_return: bool,
    /// The first line has not ended yet: a byte order mark may begin it.
    at_start: bool,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Framer {
    /// For events of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            kind: Vec::new(),
            data: Vec::new(),
            has_data: false,
            after_return: false,
            at_start: true,
        }
    }

    /// Takes the next bytes and hands over every event that is complete.
    ///
    /// # Errors
    /// When an event grows beyond the limit; the stream is of no use any more then.
    pub fn push(&mut self, mut bytes: &[u8], mut take: impl FnMut(Event<'_>)) -> Result<(), TooLong> {
        if self.after_return && !bytes.is_empty() {
            self.after_return = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.extend(&bytes[..end])?;
            self.end_line(&mut take);
            let returned = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            if returned {
                self.after_return = bytes.is_empty();
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
        }
        self.extend(bytes)
    }

    /// The stream is over: hands over what came without its blank line.
    pub fn finish(&mut self, mut take: impl FnMut(Event<'_>)) {
        self.end_line(&mut take);
        self.dispatch(&mut take);
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + self.kind.len() + self.data.len() + bytes.len() > self.limit {
            return Err(TooLong { limit: self.limit });
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self, take: &mut impl FnMut(Event<'_>)) {
        let mut line = std::mem::take(&mut self.line);
        let start = if self.at_start && line.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        self.at_start = false;
        self.field(&line[start..], take);
        line.clear();
        self.line = line;
    }

    fn field(&mut self, line: &[u8], take: &mut impl FnMut(Event<'_>)) {
        if line.is_empty() {
            return self.dispatch(take);
        }
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            // A comment.
            Some(0) => return,
            Some(colon) => (&line[..colon], line[colon + 1..].strip_prefix(b" ").unwrap_or(&line[colon + 1..])),
            None => (line, &b""[..]),
        };
        match name {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => {
                self.kind.clear();
                self.kind.extend_from_slice(value);
            }
            _ => {}
        }
    }

    fn dispatch(&mut self, take: &mut impl FnMut(Event<'_>)) {
        if self.has_data {
            take(Event { kind: &self.kind, data: &self.data });
        }
        self.has_data = false;
        self.kind.clear();
        self.data.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Owned = (Vec<u8>, Vec<u8>);

    fn events<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Owned> {
        let mut framer = Framer::new(1 << 20);
        let mut events = Vec::new();
        let mut take = |event: Event<'_>| events.push((event.kind.to_vec(), event.data.to_vec()));
        for chunk in chunks {
            framer.push(chunk, &mut take).expect("short events");
        }
        framer.finish(&mut take);
        events
    }

    fn data(stream: &str) -> Vec<String> {
        events([stream.as_bytes()]).into_iter().map(|(_, data)| String::from_utf8(data).expect("text")).collect()
    }

    #[test]
    fn lines_end_in_any_of_three_ways() {
        for end in ["\n", "\r\n", "\r"] {
            let stream = ["data: a", "", "data: b", "", ""].join(end);
            assert_eq!(data(&stream), ["a", "b"], "{end:?}");
        }
    }

    #[test]
    fn fields_are_read_as_the_standard_says() {
        assert_eq!(data("data:a\n\n"), ["a"], "the space is optional");
        assert_eq!(data("data:  a\n\n"), [" a"], "only one is");
        assert_eq!(data("data: a\ndata: b\n\n"), ["a\nb"], "lines are joined");
        assert_eq!(data("data\n\n"), [""], "a field without a colon is empty");
        assert_eq!(data(": ping\n\ndata: a\n: in between\n\n"), ["a"], "comments are no events");
        assert_eq!(data("id: 7\nretry: 5\nfoo: x\n\n"), [""; 0], "nor is anything without data");
        assert_eq!(data("\u{feff}data: a\n\n"), ["a"], "a byte order mark goes first");
        assert_eq!(data("data: [DONE]"), ["[DONE]"], "the end of the stream ends an event");
        assert_eq!(
            events([&b"event: error\ndata: x\n\ndata: y\n\n"[..]]),
            [(b"error".to_vec(), b"x".to_vec()), (Vec::new(), b"y".to_vec())]
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut framer = Framer::new(64);
        let none = |_: Event<'_>| {};
        for _ in 0..1000 {
            framer.push(b"data: short\n\n", none).expect("each event is short");
        }
        for endless in [&b"data: line\n"[..], b"no line end "] {
            let mut framer = Framer::new(64);
            let error = (0..1000).find_map(|_| framer.push(endless, none).err());
            assert_eq!(error, Some(TooLong { limit: 64 }));
        }
    }

    /// The same by the standard's own steps, for a stream that is there as a whole.
    fn by_the_standard(stream: &[u8]) -> Vec<Owned> {
        let text = String::from_utf8(stream.to_vec()).expect("text");
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
        let (mut events, mut kind, mut data) = (Vec::new(), String::new(), None::<String>);
        // The end of the stream ends its last line, and its last event.
        for line in text.split('\n').chain([""]) {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "" if line.is_empty() => {
                    events.extend(data.take().map(|data| (kind.clone().into_bytes(), data.into_bytes())));
                    kind.clear();
                }
                "data" => data = Some(data.map_or_else(|| value.to_owned(), |before| format!("{before}\n{value}"))),
                "event" => value.clone_into(&mut kind),
                _ => {}
            }
        }
        events
    }

    proptest! {
        /// What five projects had to mend: a character, or the two bytes of a line end, cut apart by the network.
        #[test]
        fn any_cutting_gives_the_same_events(
            mark in prop_oneof![Just(""), Just("\u{feff}")],
            stream in prop::collection::vec(prop_oneof![
                Just("data: "), Just("data:"), Just("event: "), Just(": "), Just("\n"), Just("\r"), Just("\r\n"), Just("\n\n"),
                Just("{\"text\":\"grün 🦀\"}"), Just("[DONE]"), Just("\u{feff}"), Just("id: 1"),
            ], 0..60),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let stream = (mark.to_owned() + &stream.concat()).into_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
            let bytes = stream.chunks(1);
            let whole = events([stream.as_slice()]);
            prop_assert_eq!(&events(chunks), &whole);
            prop_assert_eq!(&events(bytes), &whole);
            prop_assert_eq!(&by_the_standard(&stream), &whole);
        }

        #[test]
        fn no_bytes_are_too_strange(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            events(chunks.iter().map(Vec::as_slice));
        }
    }
}
