//! Where a key stands in a TOML text, for errors that are found after it was read.

use toml::de::{DeTable, DeValue};

/// The line, from 1, of a key such as `limits.prefill.tokens`, or of the last table on the way to it that there is.
pub(super) fn line_of(text: &str, key: &str) -> usize {
    let Ok(root) = DeTable::parse(text) else { return 1 };
    let (mut start, mut table) = (0, Some(root.get_ref()));
    for part in key.split('.') {
        let Some((name, value)) =
            table.and_then(|table| table.iter().find(|(name, _)| name.get_ref().as_ref() == part))
        else {
            break;
        };
        start = name.span().start;
        table = match value.get_ref() {
            DeValue::Table(inner) => Some(inner),
            _ => None,
        };
    }
    text.get(..start).unwrap_or_default().matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_tables_inline_tables_and_where_they_are_missing() {
        let text = "a = 1\n\n[b]\nc = 2\nd = { e = 3 }\n[b.f]\ng = 4\n";
        for (key, line) in [("a", 1), ("b.c", 4), ("b.d.e", 5), ("b.f.g", 7), ("b.missing", 3), ("missing", 1)] {
            assert_eq!(line_of(text, key), line, "{key}");
        }
        assert_eq!(line_of("a = \n", "a"), 1);
    }
}
