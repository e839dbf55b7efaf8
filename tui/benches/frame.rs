//! One frame at 200×60 with an hour of history, `cargo bench -p pdtune --bench frame`. The budget is 5 ms.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use crossterm::event::{KeyCode, KeyEvent};
use loadgen::live::Snapshot;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tui::model::Span;
use tui::scene::{self, Script};
use tui::theme::{Depth, Theme};
use tui::update::{Msg, update};
use tui::view::view;

fn frame(c: &mut Criterion) {
    let run = Script { seconds: 3_600, turn: 1_800, ..Script::default() }.run();
    let hour = Snapshot { history: run.history, now: run.now, ..scene::crowded() };
    let area = Rect::new(0, 0, 200, 60);
    let theme = Theme::dark(Depth::True);
    for (name, keys) in [("lines", ""), ("heatmaps", "m"), ("the past", "[")] {
        let mut model = scene::model(hour.clone());
        model.scrub(|line, now| line.show(Span::HOUR, now));
        for key in keys.chars() {
            update(&mut model, Msg::Key(KeyEvent::from(KeyCode::Char(key))));
        }
        let mut buffer = Buffer::empty(area);
        c.bench_function(&format!("frame 200x60, 3600 slots, {name}"), |bench| {
            bench.iter(|| {
                buffer.reset();
                view(black_box(&model), &theme, area, &mut buffer);
                black_box(&buffer);
            });
        });
    }
}

criterion_group!(benches, frame);
criterion_main!(benches);
