//! Server-sent events (HTML standard, 9.2), as far as the protocol uses them.

use bytes::BytesMut;

/// What stands before the JSON of an event, which has no line breaks of its own: JSON escapes those in its texts.
pub(super) const BEGIN: &[u8] = b"data: ";
/// What stands after it.
pub(super) const END: &[u8] = b"\n\n";
/// What ends a stream.
pub(in crate::serve) const DONE: &[u8] = b"data: [DONE]\n\n";

/// Appends one event.
pub(in crate::serve) fn push(json: &str, out: &mut BytesMut) {
    debug_assert!(!json.contains(['\n', '\r']), "an event is one line");
    out.extend_from_slice(BEGIN);
    out.extend_from_slice(json.as_bytes());
    out.extend_from_slice(END);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_event_is_one_line_whatever_the_text(text in "(.|\n|\r){0,40}") {
            let json = serde_json::to_string(&text).expect("JSON");
            let mut out = BytesMut::new();
            push(&json, &mut out);
            let out = String::from_utf8(out.to_vec()).expect("text");
            let data = out.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n")).expect("an event");
            prop_assert!(!data.contains(['\n', '\r']));
            prop_assert_eq!(serde_json::from_str::<String>(data).expect("JSON"), text);
        }
    }
}
