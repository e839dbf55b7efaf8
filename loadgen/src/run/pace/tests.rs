//! The pacing thread's doings one by one: what comes first, and what is kept.

use std::num::NonZeroU32;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{SyncSender, sync_channel};

use super::*;
use crate::arrival::RatePlan;
use crate::schedule::{Answer, LoadSpec, Traffic, Turns};
use crate::target::Shed;
use crate::workload::Limits;

/// Keeps the numbers of what it was handed.
#[derive(Debug, Default)]
struct Kept(Mutex<Vec<u64>>);

impl Target for Kept {
    fn submit(&self, dispatch: Dispatch) -> Result<(), Shed> {
        self.0.lock().expect("the numbers").push(dispatch.index);
        Ok(())
    }

    fn cancel(&self, _index: u64) {}
}

struct Rig {
    pacer: Pacer,
    orders: SyncSender<Order>,
    kept: Arc<Kept>,
    _notes: Receiver<Note>,
}

/// Ten sessions a second, or twenty requests, each session of two turns, of which the second is due `think` after the answer to the first. To the clock, a second
/// passes with every microsecond: everything is due.
fn rig(think: Micros) -> Rig {
    let traffic = Traffic::Synthetic {
        arrival: "constant".parse().expect("an arrival"),
        rate: RatePlan::parse_rate("20").expect("a rate"),
        isl: "40".parse().expect("lengths"),
        osl: "2".parse().expect("lengths"),
    };
    let sessions = Some(Turns { turns: 2, think });
    let load = LoadSpec { requests: Some(200), sessions, ..LoadSpec::new("paced", traffic) };
    let limits = Limits { context_tokens: 1 << 20, kv_tokens: 1 << 20 };
    let schedule = Schedule::new(&load, limits).expect("a schedule");
    let (orders, told) = sync_channel(64);
    let (notes, unread) = sync_channel(64);
    let kept = Arc::new(Kept::default());
    let pacer = Pacer {
        clock: RunClock::scaled(1e6),
        content: schedule.content(NonZeroU32::MAX),
        schedule,
        target: Arc::<Kept>::clone(&kept),
        shifts: VecDeque::new(),
        orders: told,
        notes: Notes::new(notes, Arc::new(AtomicU64::new(0))),
        meters: Arc::new(CpuMeters::new(None, None)),
    };
    Rig { pacer, orders, kept, _notes: unread }
}

impl Rig {
    /// The first request has left, and the next is ready.
    fn begun(think: Micros) -> (Self, Progress) {
        let mut rig = rig(think);
        let mut at = Progress { ready: rig.pacer.prepare(&mut Vec::new()), ended: false };
        rig.send_what_is_due(&mut at);
        at.ready = rig.pacer.prepare(&mut Vec::new());
        (rig, at)
    }

    fn send_what_is_due(&mut self, at: &mut Progress) {
        let due = self.pacer.schedule.next_due().expect("a request");
        while self.pacer.clock.now() < due {
            std::hint::spin_loop();
        }
        assert!(self.pacer.do_what_is_due(at).is_continue());
    }

    fn sent(&self) -> Vec<u64> {
        self.kept.0.lock().expect("the numbers").clone()
    }
}

fn answered(session: u64) -> Order {
    Order::Answered(Answered { session, at: Micros::ZERO, answer: Some(Answer::Ids(vec![1, 2])) })
}

/// Of which session and turn the request is that was prepared.
fn prepared(at: &Progress) -> Option<(u64, u32)> {
    at.ready.as_ref()?.turn.map(|turn| (turn.session, turn.turn))
}

#[test]
fn what_is_due_is_sent_before_the_answers_that_wait_and_these_are_taken_a_few_at_a_time() {
    let (mut rig, mut at) = Rig::begun(Micros::ZERO);
    assert_eq!((rig.sent(), prepared(&at)), (vec![0], Some((1, 0))));
    for _ in 0..40 {
        rig.orders.send(answered(77)).expect("room");
    }
    rig.send_what_is_due(&mut at);
    assert_eq!(rig.sent(), [0, 1]);
    assert_eq!(rig.pacer.orders.try_iter().count(), 40 - ORDERS_BETWEEN);
}

#[test]
fn what_was_prepared_is_kept_as_long_as_it_is_what_leaves_next() {
    let prompt = |at: &Progress| at.ready.as_ref().map(|ready| Arc::clone(&ready.dispatch.prompt));
    // The second turn comes long after the next session.
    let (mut rig, mut at) = Rig::begun(Micros(60_000_000));
    let before = prompt(&at).expect("it is prepared");
    for session in [77, 0] {
        assert!(rig.pacer.take(answered(session), &mut at).is_continue());
        assert!(prompt(&at).is_some_and(|now| Arc::ptr_eq(&now, &before)), "{session}");
    }
    let order = Order::Command(Command::SetRate(40.0));
    assert!(rig.pacer.take(order, &mut at).is_continue());
    assert_eq!(prepared(&at), None, "an operator may have changed anything");
    // It comes before.
    let (mut rig, mut at) = Rig::begun(Micros::ZERO);
    assert!(rig.pacer.take(answered(0), &mut at).is_continue());
    assert_eq!(prepared(&at), None);
    at.ready = rig.pacer.prepare(&mut Vec::new());
    assert_eq!(prepared(&at), Some((0, 1)));
    assert!(rig.pacer.take(Order::Command(Command::Finish), &mut at).is_break());
}
