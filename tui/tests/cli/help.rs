//! Help texts.

use clap::CommandFactory;
use tui::cli::Cli;

fn help(words: &[&str]) -> String {
    let words = std::iter::once("pdtune").chain(words.iter().copied());
    // A width of our own: by itself the parser takes that of the terminal the test happens to run in.
    let command = <Cli as CommandFactory>::command().term_width(100);
    command.try_get_matches_from(words).expect_err("help is no command").render().to_string()
}

#[test]
fn help_of_the_program() {
    insta::assert_snapshot!(help(&["--help"]));
}

#[test]
fn help_of_live() {
    insta::assert_snapshot!(help(&["live", "--help"]));
}

#[test]
fn help_of_record() {
    insta::assert_snapshot!(help(&["record", "--help"]));
}

#[test]
fn help_of_view() {
    insta::assert_snapshot!(help(&["view", "--help"]));
}

#[test]
fn help_of_replay() {
    insta::assert_snapshot!(help(&["replay", "--help"]));
}

#[test]
fn help_of_report() {
    insta::assert_snapshot!(help(&["report", "--help"]));
}

#[test]
fn help_of_serve() {
    insta::assert_snapshot!(help(&["serve", "--help"]));
}

#[test]
fn help_of_calibrate() {
    insta::assert_snapshot!(help(&["calibrate", "--help"]));
}

#[test]
fn help_of_search() {
    insta::assert_snapshot!(help(&["search", "--help"]));
}

#[test]
fn help_of_shift() {
    insta::assert_snapshot!(help(&["shift", "--help"]));
}

#[test]
fn help_of_plan() {
    insta::assert_snapshot!(help(&["plan", "--help"]));
}

#[test]
fn help_of_profiles() {
    insta::assert_snapshot!(help(&["profiles", "--help"]));
}

#[test]
fn the_version_is_the_packages() {
    let refusal = Cli::read(["pdtune", "--version"]).expect_err("no command");
    assert_eq!(refusal.asked_for(), Some(format!("pdtune {}\n", env!("CARGO_PKG_VERSION"))));
}
