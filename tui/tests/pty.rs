//! The real program in a real terminal: it starts, obeys, follows the size, and gives the terminal back on every way out.

#[cfg(test)]
#[path = "pty/terminal.rs"]
mod terminal;
#[cfg(test)]
#[path = "pty/viewing.rs"]
mod viewing;

#[cfg(test)]
mod tests {
    use crate::terminal::Terminal;

    /// A small load on the embedded engine that goes on for longer than any test.
    const LIVE: [&str; 15] = [
        "live",
        "--target",
        "cpu",
        "--split",
        "2P2D",
        "--rate",
        "4",
        "--isl",
        "24",
        "--osl",
        "8",
        "--duration",
        "600s",
        "--slo",
        "ttft=20s,tpot=5s",
    ];
    /// Wide enough for every segment of the header.
    const WIDE: (u16, u16) = (140, 34);

    fn start(variables: &[(&str, &str)]) -> Terminal {
        let mut terminal = Terminal::start(&LIVE, variables, WIDE);
        terminal.wait("the screen is up", |text| text.contains("LIVE") && text.contains("EVENTS"));
        terminal
    }

    /// The line that starts with GOODPUT.
    fn headline(text: &str) -> &str {
        text.lines().find(|line| line.trim_start().starts_with("GOODPUT")).unwrap_or("")
    }

    #[test]
    fn an_operator_raises_the_rate_shifts_a_unit_resizes_and_leaves() {
        let mut terminal = start(&[]);
        terminal.wait("the first answers", |text| headline(text).contains("req/s"));

        terminal.wait("the rate asked for at the start", |text| headline(text).contains("rate 4/s"));
        terminal.press("+");
        terminal.wait("the run has taken the new rate", |text| headline(text).contains("rate 5/s"));

        terminal.press("s");
        terminal.wait("the dialog", |text| text.contains("SHIFT from 2P2D"));
        // To the top of the list: from prefill to decode.
        terminal.press("\x1b[A\x1b[A\x1b[A\x1b[A");
        terminal.wait("the move is selected", |text| text.contains("▸ one prefill → decode"));
        terminal.press("y");
        terminal.wait("the unit serves its new role", |text| {
            headline(text).contains("1P3D") && text.contains("DECODE ×3") && !text.contains('⟳')
        });

        terminal.resize((60, 14));
        terminal.wait("the compact layout", |text| text.contains("TTFT p95") && text.contains("GOODPUT req/s"));
        terminal.resize((20, 5));
        terminal
            .wait("plain lines", |text| text.lines().count() <= 5 && text.contains("TTFT p95") && !text.contains('┌'));
        terminal.resize(WIDE);
        terminal.wait("the full layout", |text| text.contains("EVENTS") && text.contains("DECODE ×3"));

        terminal.press("q");
        terminal.wait("the question", |text| text.contains("LEAVE?"));
        terminal.press("q");
        let end = terminal.wait_for_end();
        assert_eq!(end.code, 0, "{}", end.text);
        assert!(end.text.contains("goodput"), "the summary follows the screen: {}", end.text);
        end.assert_restored();
    }

    #[test]
    fn an_operator_looks_at_the_past_with_keys_and_mouse_and_comes_back() {
        let mut terminal = start(&[]);
        terminal.wait("the first answers", |text| headline(text).contains("req/s"));
        assert!(terminal.mouse_taken());
        terminal.press("+");
        terminal.wait("an event", |text| text.contains("requests/s"));
        terminal.press("[");
        terminal.wait("the cursor at the event", |text| text.contains(" AGO ") && text.contains('┃'));
        terminal.press("\x1b[F");
        terminal.wait("back to now", |text| !text.contains(" AGO "));
        terminal.press("mz");
        terminal.wait("one panel", |text| text.contains("GOODPUT") && !text.contains("EVENTS"));
        terminal.press("\x1b");
        terminal.wait("heatmaps", |text| text.contains("by requests") && text.contains("EVENTS"));
        terminal.wait("a past to drag to", |text| !text.contains(" 00:00/") && !text.contains(" 00:01/"));
        // A press and a drag inside the chart of TTFT, as a terminal reports them.
        terminal.press("\x1b[<0;30;14M\x1b[<32;7;14M\x1b[<0;7;14m");
        terminal.wait("the mouse has scrubbed", |text| text.contains(" AGO "));
        terminal.press(":back to now\r");
        terminal.wait("back by its name", |text| !text.contains(" AGO "));
        terminal.press("M");
        terminal.wait("the mouse is given back", |text| text.contains("the terminal has the mouse"));
        assert!(!terminal.mouse_taken());
        terminal.press("Mqq");
        let end = terminal.wait_for_end();
        assert_eq!(end.code, 0, "{}", end.text);
        end.assert_restored();
    }

    #[test]
    fn a_terminal_without_unicode_and_colour_gets_plain_letters() {
        let mut terminal = start(&[("LC_ALL", "C"), ("NO_COLOR", "1")]);
        terminal.wait("a screen in ASCII", |text| text.contains("+ GOODPUT") && text.is_ascii());
        terminal.signal("TERM");
        terminal.wait_for_end().assert_restored();
    }

    #[test]
    fn ctrl_c_waits_for_what_is_in_flight_and_prints_the_summary() {
        let mut terminal = start(&[]);
        terminal.wait("the first answers", |text| headline(text).contains("req/s"));
        terminal.press("\x03");
        let end = terminal.wait_for_end();
        assert_eq!(end.code, 0, "{}", end.text);
        assert!(end.text.contains("goodput"), "{}", end.text);
        end.assert_restored();
    }

    #[test]
    fn being_terminated_gives_the_terminal_back() {
        let terminal = start(&[]);
        terminal.signal("TERM");
        terminal.wait_for_end().assert_restored();
    }

    #[test]
    fn a_panic_gives_the_terminal_back_and_is_read_afterwards() {
        let mut terminal = start(&[("PDTUNE_TEST_PANIC", "1")]);
        terminal.press("!");
        let end = terminal.wait_for_end();
        assert_ne!(end.code, 0);
        assert!(end.text.contains("asked for by PDTUNE_TEST_PANIC"), "{}", end.text);
        end.assert_restored();
    }
}
