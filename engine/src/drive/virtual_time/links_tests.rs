use proptest::prelude::*;

use super::*;

/// 50 bytes a nanosecond.
const SPEED: u64 = 50_000_000_000;

fn unit(number: u16) -> UnitId {
    UnitId(number)
}

/// Plays transfers (joining instant, ends, bytes) to their end; returns when each of them was through.
fn play(links: &mut Links, transfers: &[(u64, (u16, u16), u64)]) -> Vec<u64> {
    let mut ended = vec![0; transfers.len()];
    let mut joining = transfers.iter().enumerate().peekable();
    loop {
        let joins = joining.peek().map(|(_, transfer)| Nanos(transfer.0));
        match (links.next(), joins) {
            (Some((at, id)), joins) if joins.is_none_or(|joins| at <= joins) => {
                links.leave(at, id);
                ended[id.0 as usize] = at.0;
            }
            (_, Some(at)) => {
                let (number, &(_, (from, to), bytes)) = joining.next().expect("just seen");
                links.join(at, TransferId(number as u64), (unit(from), unit(to)), bytes);
            }
            _ => return ended,
        }
    }
}

#[test]
fn a_transfer_alone_takes_its_bytes_by_the_speed() {
    let mut links = Links::new(2, SPEED);
    assert_eq!(play(&mut links, &[(1000, (0, 1), 50_000)]), [2000]);
    assert_eq!((links.delivered(), links.left()), (50_000, 0));
}

#[test]
fn two_at_one_receiver_get_half_each_and_the_rest_is_faster() {
    // Together until the first is through at 2000; the other has half of its bytes left then.
    assert_eq!(play(&mut Links::new(3, SPEED), &[(0, (0, 2), 50_000), (0, (1, 2), 100_000)]), [2000, 3000]);
    // Both directions at once do not disturb each other.
    assert_eq!(play(&mut Links::new(2, SPEED), &[(0, (0, 1), 50_000), (0, (1, 0), 50_000)]), [1000, 1000]);
}

#[test]
fn shares_are_max_min_fair() {
    let mut links = Links::new(6, 48_000_000_000);
    // Three leave unit 0, so 16 bytes a nanosecond each; unit 1's one then has the rest of what unit 3 can receive.
    for (number, (from, to)) in [(0, 3), (0, 4), (0, 5), (1, 3)].into_iter().enumerate() {
        links.join(Nanos(0), TransferId(number as u64), (unit(from), unit(to)), 1 << 30);
    }
    let rates: Vec<_> = links.flows.iter().map(|flow| flow.rate as f64 / PARCELS as f64).collect();
    for (rate, fair) in rates.iter().zip([16.0, 16.0, 16.0, 32.0]) {
        assert!((rate - fair).abs() < 1e-5, "{rates:?}");
    }
}

#[test]
fn an_aborted_transfer_makes_room_at_once() {
    let mut links = Links::new(3, SPEED);
    links.join(Nanos(0), TransferId(0), (unit(0), unit(2)), 50_000);
    links.join(Nanos(0), TransferId(1), (unit(1), unit(2)), 50_000);
    links.leave(Nanos(1000), TransferId(0));
    assert_eq!(links.next(), Some((Nanos(1500), TransferId(1))));
}

proptest! {
    #[test]
    fn every_byte_is_delivered_once_and_no_link_carries_more_than_it_can(
        transfers in prop::collection::vec((0_u64..5000, (0_u16..4, 0_u16..4), 1_u64..200_000), 1..40),
    ) {
        let mut transfers = transfers;
        transfers.sort_unstable();
        let mut links = Links::new(4, SPEED);
        let ended = play(&mut links, &transfers);
        let bytes: u64 = transfers.iter().map(|transfer| transfer.2).sum();
        prop_assert_eq!((links.delivered(), links.left()), (bytes, 0));
        for (&(at, _, bytes), ended) in transfers.iter().zip(&ended) {
            prop_assert!(*ended >= at + bytes / 50, "faster than a link");
        }
        // A receiving link that is busy from the first to the last of its transfers cannot have done more than its speed allows.
        for to in 0..4 {
            let mine = || transfers.iter().zip(&ended).filter(|(transfer, _)| transfer.1.1 == to);
            let received: u64 = mine().map(|(transfer, _)| transfer.2).sum();
            let (Some(first), Some(last)) = (mine().map(|(t, _)| t.0).min(), mine().map(|(_, end)| *end).max()) else { continue };
            prop_assert!(received <= (last - first) * 50, "{received} bytes in {} ns", last - first);
        }
    }
}

/// Poisson arrivals of lognormal sizes at 70 % of one link: the mean time of a transfer is its size by the speed that the
/// others leave, whatever their sizes.
#[test]
fn processor_sharing_has_its_closed_form() {
    let mut random = crate::drive::virtual_time::random::CounterRandom::new(7, 0);
    let (load, mean_bytes) = (0.7, 400_000.0);
    let gap = mean_bytes / 50.0 / load;
    let sigma = 0.8_f64;
    let mut at = 0.0;
    let transfers: Vec<_> = (0..150_000)
        .map(|_| {
            at += -gap * random.unit().ln();
            let normal = (-2.0 * random.unit().ln()).sqrt() * (std::f64::consts::TAU * random.unit()).cos();
            let bytes = mean_bytes * (sigma * normal - sigma * sigma / 2.0).exp();
            (at as u64, (0, 1), bytes.max(1.0) as u64)
        })
        .collect();
    let ended = play(&mut Links::new(2, SPEED), &transfers);
    for (low, high) in [(0, 200_000), (200_000, 400_000), (400_000, 800_000), (800_000, u64::MAX)] {
        let class = || transfers.iter().zip(&ended).filter(|(transfer, _)| (low..high).contains(&transfer.2));
        let times: f64 = class().map(|(transfer, end)| (end - transfer.0) as f64).sum();
        let alone: f64 = class().map(|(transfer, _)| transfer.2 as f64 / 50.0).sum();
        let slower = times / alone * (1.0 - load);
        assert!((slower - 1.0).abs() < 0.05, "{low}..{high}: {slower} of what the closed form says");
    }
}
