//! Server-sent events (HTML standard, 9.2), as far as the protocol uses them.

/// What ends a stream.
pub(in crate::serve) const DONE: &str = "data: [DONE]\n\n";

/// Appends one event. `json` has no line breaks of its own: JSON escapes those in its texts.
pub(in crate::serve) fn push(json: &str, out: &mut String) {
    debug_assert!(!json.contains(['\n', '\r']), "an event is one line");
    out.push_str("data: ");
    out.push_str(json);
    out.push_str("\n\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_event_is_one_line_whatever_the_text(text in "(.|\n|\r){0,40}") {
            let json = serde_json::to_string(&text).expect("JSON");
            let mut out = String::new();
            push(&json, &mut out);
            let data = out.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n")).expect("an event");
            prop_assert!(!data.contains(['\n', '\r']));
            prop_assert_eq!(serde_json::from_str::<String>(data).expect("JSON"), text);
        }
    }
}
