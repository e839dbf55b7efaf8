//! What a watcher is sent, made as it is asked for.
//!
//! A watcher that does not read pulls nothing; the news wait for it in the hub's one buffer, which is bounded and holds up
//! nobody. Once it is further behind than that, it is told so and ended.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::Status;

use super::seats::Seat;
use super::{status, turned};
use crate::remote::Topology;
use crate::serve::hub::{News, NewsReader};
use crate::units::Nanos;
use crate::wire::{self, v1};

type Next = Pin<Box<dyn Future<Output = (Option<News>, NewsReader)> + Send>>;

/// The events of one watcher.
pub(super) struct Changes {
    first: Option<Topology>,
    next: Option<Next>,
    /// What happened before is in the first state.
    since: Nanos,
    parted: Pin<Box<dyn Future<Output = ()> + Send>>,
    _seat: Seat,
}

impl Changes {
    /// `news` has to have been there before `first` was looked at.
    pub(super) fn new(first: Topology, news: NewsReader, parted: watch::Receiver<bool>, seat: Seat) -> Self {
        let since = first.observed.at;
        let next = Some(read(news));
        Self { first: Some(first), next, since, parted: Box::pin(turned(parted)), _seat: seat }
    }

    fn end(&mut self, status: Status) -> Poll<Option<Result<v1::WatchEvent, Status>>> {
        self.next = None;
        Poll::Ready(Some(Err(status)))
    }
}

fn read(mut news: NewsReader) -> Next {
    Box::pin(async move { (news.next().await, news) })
}

impl Stream for Changes {
    type Item = Result<v1::WatchEvent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(first) = this.first.take() {
            let what = v1::watch_event::What::Topology(wire::topology(&first));
            return Poll::Ready(Some(Ok(v1::WatchEvent { at_ns: this.since.0, what: Some(what) })));
        }
        loop {
            let Some(next) = &mut this.next else { return Poll::Ready(None) };
            let Poll::Ready((news, reader)) = next.as_mut().poll(context) else {
                if this.parted.as_mut().poll(context).is_ready() {
                    return this.end(status::stopping());
                }
                return Poll::Pending;
            };
            this.next = Some(read(reader));
            match news {
                Some(News::Event(event)) => {
                    let change = wire::change(&event).filter(|change| change.at_ns >= this.since.0);
                    if let Some(change) = change {
                        return Poll::Ready(Some(Ok(change)));
                    }
                }
                Some(News::Missed(missed)) => {
                    let why = format!("the watcher was too slow and has missed {missed} events; it may watch again");
                    return this.end(Status::aborted(why));
                }
                None => return this.end(Status::unavailable("the engine has stopped")),
            }
        }
    }
}
