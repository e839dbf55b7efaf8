//! A gateway and its engines, made up here and spoken to over HTTP: what the two real ones were seen to answer, row by row, and
//! what becomes of a flip that fails anywhere.

mod flip;
mod mock;
mod quirks;

use std::time::Duration;

use ::engine::units::Split;

use super::{EngineSwitch, Flavor, Gateway, GatewayAddress, GatewayOptions};
use crate::control::conduct::{Conduct, Turn};
use crate::control::plane::{Adapter, Topology};
use crate::control::prepare::prepared;
use crate::http::HttpOptions;
use crate::target::TargetEvent;
use crate::time::Micros;
use ::engine::cluster::How;
use mock::Mock;

/// How long a step may take here.
const PATIENCE: Duration = Duration::from_mins(1);
/// Looks after which a shift has been over for long.
const LOOKS: usize = 600;

pub(super) fn split(text: &str) -> Split {
    text.parse().expect("a split")
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// The adapter for a mock, with what it is told.
fn gateway(mock: &Mock, options: GatewayOptions) -> Gateway {
    let scheme = if mock.flavor() == Flavor::Smg { "smg" } else { "sglang" };
    let address: GatewayAddress = format!("{scheme}+{}", mock.url()).parse().expect("an address");
    Gateway::new(&address, options, None, &HttpOptions::default()).expect("a client")
}

/// How a shift ended.
struct Ended {
    /// Why it was given up, if it was.
    why: Option<String>,
    /// As last seen.
    seen: Topology,
    told: Vec<TargetEvent>,
}

/// Shifts, a second from look to look; `meddle` is called before each.
async fn shift(gateway: &mut Gateway, to: &str, mut meddle: impl FnMut(usize)) -> Result<Ended, String> {
    let first = gateway.observe().await.map_err(|unseen| unseen.to_string())?;
    let plan = prepared(gateway, &first, split(to), How::Drain)?;
    let mut conduct = Conduct::new(first, PATIENCE, Micros::ZERO);
    let accepted = conduct.accept(split(to), How::Drain, Micros::ZERO);
    let order = conduct.take_next().expect("an order");
    let mut turn = conduct.begin(order, plan, Micros::ZERO);
    let mut told = vec![accepted];
    for look in 1..LOOKS {
        let now = Micros(look as u64 * 1_000_000);
        loop {
            let Turn { events, call } = turn;
            told.extend(events);
            let Some(action) = call else { break };
            let answer = gateway.apply(&action.call).await;
            turn = conduct.answered(answer, now);
        }
        if !conduct.is_shifting() {
            let why = told.iter().find_map(|event| match event {
                TargetEvent::ShiftEnded { report, .. } => Some(report.abandoned.clone()),
                _ => None,
            });
            let seen = gateway.observe().await.map_err(|unseen| unseen.to_string())?;
            return Ok(Ended { why: why.expect("it ended"), seen, told });
        }
        meddle(look);
        turn = match gateway.observe().await {
            Ok(seen) => conduct.saw(seen, now),
            Err(unseen) => conduct.unseen(&unseen.to_string(), now),
        };
    }
    panic!("it never ends: {told:?}")
}
