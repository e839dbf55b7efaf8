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
    fn what_is_written_as_a_key_can_be_clicked_and_the_screen_is_a_picture_on_demand() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut terminal = Terminal::start_in(folder.path(), &LIVE, &[], WIDE);
        terminal.wait("the screen is up", |text| text.contains("LIVE") && text.contains("EVENTS"));
        terminal.click("s:shift");
        terminal.wait("all of the dialog", |text| text.contains("SHIFT from 2P2D") && text.contains("[ Cancel ]"));
        terminal.click("[ Cancel ]");
        terminal.wait("no dialog", |text| !text.contains("SHIFT from 2P2D"));
        terminal.press("S");
        terminal.wait("where it is", |text| text.contains("wrote pdtune-shot-"));
        let pictures: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").flatten().collect();
        assert_eq!(pictures.len(), 1, "{pictures:?}");
        let picture = std::fs::read_to_string(pictures[0].path()).expect("a picture");
        assert!(picture.starts_with("<svg ") && picture.contains("GOODPUT") && picture.ends_with("</svg>\n"));
        drop(folder);
        terminal.press("S");
        terminal.wait("a polite refusal", |text| text.contains("no picture: pdtune-shot-"));
        terminal.signal("TERM");
        terminal.wait_for_end().assert_restored();
    }

    /// What an asciicast shows at its end, before the terminal is given back, and the sizes it tells of.
    fn play(cast: &str) -> (String, Vec<(u16, u16)>) {
        let cells = |count: u64| u16::try_from(count).ok().and_then(std::num::NonZeroU16::new).expect("cells");
        let mut lines = cast.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        let header = lines.next().expect("a header");
        assert_eq!(header["version"], 2);
        assert_eq!(header["env"], serde_json::json!({"TERM": "xterm-256color"}), "nothing else of the environment");
        let (width, height) =
            (header["width"].as_u64().expect("a width"), header["height"].as_u64().expect("a height"));
        let mut emulator = vt100::Parser::new(cells(height), cells(width), 0);
        let mut sizes = vec![(cells(width).get(), cells(height).get())];
        let mut before = 0.0;
        for event in lines {
            let (at, data) = (event[0].as_f64().expect("a time"), event[2].as_str().expect("a text"));
            assert!(at >= before, "time goes on");
            before = at;
            match event[1].as_str() {
                Some("o") if data.contains("\x1b[?1049l") => break,
                Some("o") => emulator.process(data.as_bytes()),
                Some("r") => {
                    let (width, height) = data.split_once('x').expect("a size");
                    let (width, height) = (width.parse().expect("columns"), height.parse().expect("rows"));
                    emulator.screen_mut().set_size(cells(height), cells(width));
                    sizes.push((cells(width).get(), cells(height).get()));
                }
                other => panic!("{other:?} is no event of ours"),
            }
        }
        (emulator.screen().contents(), sizes)
    }

    #[test]
    fn an_asciicast_shows_what_was_on_the_screen() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.cast");
        let mut arguments = LIVE.to_vec();
        arguments.extend(["--asciicast", file.to_str().expect("a name")]);
        let mut terminal = Terminal::start(&arguments, &[], WIDE);
        terminal.wait("the first answers", |text| headline(text).contains("req/s"));
        // One thing after the other: of a key and another size at the same moment, the key may be read with the one after it.
        terminal.press("m");
        terminal.wait("the heatmaps", |text| text.contains("by requests"));
        terminal.resize((100, 30));
        terminal.wait("the other size", |text| {
            text.lines().count() == 30 && text.lines().next().is_some_and(|head| head.trim_end().ends_with("?:help"))
        });
        terminal.press("q");
        terminal.wait("the question", |text| text.contains("LEAVE?"));
        terminal.press("q");
        let end = terminal.wait_for_end();
        assert_eq!(end.code, 0, "{}", end.text);
        end.assert_restored();
        let cast = std::fs::read_to_string(&file).expect("a cast");
        assert!(cast.ends_with('\n') && cast.contains("\\u001b[?1049l"), "the terminal is given back in it as well");
        let (last, sizes) = play(&cast);
        assert_eq!(last, end.last);
        assert_eq!(sizes, [WIDE, (100, 30)]);

        let refused = Terminal::start(&arguments, &[], WIDE).wait_for_end();
        assert_eq!(refused.code, 2);
        assert!(refused.text.contains("a.cast exists already"), "{}", refused.text);
        assert_eq!(std::fs::read_to_string(&file).expect("a cast"), cast);
    }

    #[test]
    fn a_panic_leaves_a_cast_that_can_be_played() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.cast");
        let mut arguments = LIVE.to_vec();
        arguments.extend(["--asciicast", file.to_str().expect("a name")]);
        let mut terminal = Terminal::start(&arguments, &[("PDTUNE_TEST_PANIC", "1")], WIDE);
        terminal.wait("the screen is up", |text| text.contains("LIVE") && text.contains("EVENTS"));
        terminal.press("!");
        let end = terminal.wait_for_end();
        assert_ne!(end.code, 0);
        end.assert_restored();
        let (last, _) = play(&std::fs::read_to_string(&file).expect("a cast"));
        assert_eq!(last, end.last);
    }

    #[test]
    fn a_recording_that_is_lost_ends_the_run_and_says_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut arguments = LIVE.to_vec();
        arguments.extend(["--out", "run.jsonl.zst"]);
        let mut terminal = Terminal::start_with_little_disk(folder.path(), 8, &arguments, WIDE);
        terminal.wait("the loss", |text| text.contains("LOST") && text.contains("recording lost: "));
        terminal.wait("the end", |text| text.contains("DONE, q to quit"));
        terminal.press("q");
        let end = terminal.wait_for_end();
        assert_eq!(end.code, 2, "{}", end.text);
        assert!(end.text.contains("run.jsonl.zst.partial"), "{}", end.text);
        end.assert_restored();
    }

    #[test]
    fn a_cast_that_cannot_be_written_ends_and_the_run_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut arguments = LIVE.to_vec();
        arguments.extend(["--asciicast", "a.cast"]);
        let mut terminal = Terminal::start_with_little_disk(folder.path(), 64, &arguments, WIDE);
        terminal.wait("the end of the cast", |text| text.contains("the cast a.cast ends before the screen did"));
        terminal.wait("the run goes on", |text| text.contains("LIVE") && headline(text).contains("req/s"));
        terminal.press("qq");
        let end = terminal.wait_for_end();
        assert_eq!(end.code, 0, "{}", end.text);
        assert!(end.text.contains("warning: the cast a.cast ends before the screen did"), "{}", end.text);
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
    fn a_hang_up_gives_the_terminal_back_and_the_recording_has_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut arguments = LIVE.to_vec();
        arguments.extend(["--out", "run.jsonl.zst"]);
        let mut terminal = Terminal::start_in(folder.path(), &arguments, &[], WIDE);
        terminal.wait("the first answers", |text| headline(text).contains("req/s"));
        terminal.signal("HUP");
        let end = terminal.wait_for_end();
        assert_eq!(end.code, 0, "{}", end.text);
        end.assert_restored();
        assert!(has_its_end(&folder.path().join("run.jsonl.zst")));
    }

    /// A terminal that is closed takes everything with it: nothing is there to be restored or printed on.
    #[test]
    fn a_terminal_that_is_gone_leaves_a_recording_with_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut arguments = LIVE.to_vec();
        arguments.extend(["--out", "run.jsonl.zst"]);
        let mut terminal = Terminal::start_in(folder.path(), &arguments, &[], WIDE);
        terminal.wait("the first answers", |text| headline(text).contains("req/s"));
        terminal.close();
        assert!(has_its_end(&folder.path().join("run.jsonl.zst")));
    }

    fn has_its_end(recording: &std::path::Path) -> bool {
        let mut reader = loadgen::recording::Reader::open(recording).expect("a recording");
        while reader.next().transpose().expect("a record").is_some() {}
        reader.end().is_some()
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
