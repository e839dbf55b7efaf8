//! One frame at 200×60 with an hour of history, `cargo bench -p pdtune --bench frame`. The budget is 5 ms.

#[path = "../tests/screen/fixture.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod fixture;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use loadgen::live::Snapshot;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tui::model::Span;
use tui::theme::{Depth, Theme};
use tui::view::view;

fn frame(c: &mut Criterion) {
    let hour = Snapshot {
        now: fixture::seconds(3_600.0),
        history: Arc::new(fixture::history(3_600, 1_800)),
        ..fixture::crowded()
    };
    let mut model = fixture::model(hour);
    model.span = Span::Sixty;
    let theme = Theme::dark(Depth::True);
    let area = Rect::new(0, 0, 200, 60);
    let mut buffer = Buffer::empty(area);
    c.bench_function("frame 200x60, 3600 slots", |bench| {
        bench.iter(|| {
            buffer.reset();
            view(black_box(&model), &theme, area, &mut buffer);
            black_box(&buffer);
        });
    });
}

criterion_group!(benches, frame);
criterion_main!(benches);
