//! Where the client's TTFT goes, as far as servers tell, beside what it is for the client.

use serde::Serialize;

use super::servers::{Mean, ServerRow};
use super::text::figure;
use super::{Statistics, Summary};

/// More or fewer than this share of the client's requests is not the client's requests alone.
const SAME: f64 = 0.05;

/// A mean of the client's, taken apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Account {
    /// What the client measured.
    pub client_ms: f64,
    /// What servers tell of it.
    pub parts: Vec<Part>,
    /// What is in none of the parts. Below zero where parts overlap, or tell of other requests.
    pub rest_ms: f64,
    /// What the rest consists of.
    pub rest: String,
    /// What makes the comparison doubtful.
    pub doubts: Vec<String>,
}

/// A part of a mean.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// What takes it.
    pub what: &'static str,
    /// How long.
    pub ms: f64,
}

/// Whose figures are asked for: all of a role together, or all that speak for the whole, which stand before single ones.
fn of<'a>(rows: &'a [ServerRow], role: Option<&str>, whole: bool) -> Option<&'a ServerRow> {
    rows.iter().find(|row| row.whole == whole && row.role.as_deref() == role && (whole || row.name.is_none()))
}

fn ms(mean: Option<Mean>) -> Option<f64> {
    mean.map(|mean| mean.mean)
}

/// TTFT. Where some units prefill and others decode, a request passes both, one after the other.
pub(super) fn ttft(rows: &[ServerRow], client: &Statistics) -> Option<Account> {
    let client_ms = client.mean?;
    let (prefill, decode) = (of(rows, Some("prefill"), false), of(rows, Some("decode"), false));
    let whole = of(rows, None, true);
    let one = of(rows, Some("aggregated"), false).or_else(|| of(rows, None, false));
    let sides = prefill.zip(decode);
    let computing = prefill.filter(|_| decode.is_some()).filter(|row| row.prefill_ms.is_some());
    let computing = computing.or_else(|| whole.filter(|row| row.prefill_ms.is_some())).or(one);
    // A service that tells of its prefill tells of its transfers, too, if there are such.
    let of_sides = || sides.map(|(prefill, decode)| if decode.kv_transfer_ms.is_some() { decode } else { prefill });
    let transferring = computing.filter(|row| row.whole).or_else(of_sides);
    let known = [
        ("prefill queue", computing.and_then(|row| ms(row.queue_ms))),
        ("prefill", computing.and_then(|row| ms(row.prefill_ms))),
        ("KV transfer", transferring.and_then(|row| ms(row.kv_transfer_ms))),
    ];
    let mut parts: Vec<Part> = known.into_iter().filter_map(|(what, ms)| Some(Part { what, ms: ms? })).collect();
    let sum = |parts: &[Part]| parts.iter().map(|part| part.ms).sum::<f64>();
    let by_sides = sides.and_then(|(prefill, decode)| Some(ms(decode.ttft_ms)? + ms(prefill.ttft_ms).unwrap_or(0.0)));
    let served = whole.and_then(|row| ms(row.ttft_ms)).or(by_sides).or_else(|| one.and_then(|row| ms(row.ttft_ms)));
    if let Some(more) = served.map(|served| served - sum(&parts)).filter(|more| *more > 0.0) {
        parts.push(Part {
            what: if parts.is_empty() { "TTFT as the server has it" } else { "else on the server" },
            ms: more,
        });
    }
    if parts.is_empty() {
        return None;
    }
    let rest_ms = client_ms - sum(&parts);
    let rest = match (rest_ms < 0.0, served.is_some() || computing.is_some_and(|row| row.whole), sides.is_some()) {
        (true, ..) => "parts that overlap, or belong to other requests",
        (false, true, _) | (false, false, false) => "network, gateway and the client's own lag",
        (false, false, true) => "network, gateway, waiting for room to decode and the first decode step",
    };
    let counted =
        computing.and_then(|row| row.prefill_ms.or(row.ttft_ms)).or_else(|| whole.and_then(|row| row.ttft_ms));
    let mut doubts = doubts(counted, client.n);
    doubts.extend(unsure(&[
        ("prefill queue", computing.and_then(|row| row.queue_ms)),
        ("prefill", computing.and_then(|row| row.prefill_ms)),
        ("KV transfer", transferring.and_then(|row| row.kv_transfer_ms)),
        ("TTFT of decode", decode.and_then(|row| row.ttft_ms)),
    ]));
    Some(Account { client_ms, parts, rest_ms, rest: rest.to_owned(), doubts })
}

/// TPOT.
pub(super) fn tpot(rows: &[ServerRow], client: &Statistics) -> Option<Account> {
    let told = |row: Option<&ServerRow>| row.and_then(|row| row.itl_ms);
    let one = || told(of(rows, Some("aggregated"), false)).or_else(|| told(of(rows, None, false)));
    let whole = || told(of(rows, None, true));
    let itl = whole().or_else(|| told(of(rows, Some("decode"), false))).or_else(one)?;
    let ms = itl.mean;
    let client_ms = client.mean?;
    let rest = "network and gateway; servers average over gaps, the client over requests".to_owned();
    let parts = vec![Part { what: "between tokens on the server", ms }];
    Some(Account {
        client_ms,
        parts,
        rest_ms: client_ms - ms,
        rest,
        doubts: unsure(&[("ITL", Some(itl))]).into_iter().collect(),
    })
}

/// What is known by its bounds alone.
fn unsure(means: &[(&str, Option<Mean>)]) -> Option<String> {
    let bounds = means.iter().filter_map(|(what, mean)| {
        let [least, most] = (*mean)?.between?;
        Some(format!("{what} {} to {}", figure(least), figure(most)))
    });
    let bounds: Vec<String> = bounds.collect();
    (!bounds.is_empty()).then(|| format!("known by buckets alone, whose middles are shown: {} ms", bounds.join(", ")))
}

/// A server counts what everybody sends to it, and some tell late.
fn doubts(counted: Option<Mean>, completed: u64) -> Vec<String> {
    let Some(Mean { n, .. }) = counted else { return Vec::new() };
    let share = n as f64 / completed.max(1) as f64 - 1.0;
    let why = if share > SAME {
        "others use it, too, or requests are counted that did not complete here"
    } else if share < -SAME {
        "it has not told of all of them yet, or not all came to it"
    } else {
        return Vec::new();
    };
    vec![format!("the server counted {n} requests, this client {completed} that completed: {why}")]
}

impl Summary {
    /// Puts beside the client's means what servers tell of them.
    pub(super) fn accounted(mut self) -> Self {
        if let Some(server) = &mut self.server {
            server.ttft = ttft(&server.rows, &self.ttft_ms);
            server.tpot = tpot(&server.rows, &self.tpot_ms);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(mean: f64, n: u64) -> Statistics {
        Statistics { mean: Some(mean), n, ..Statistics::default() }
    }

    fn row(role: Option<&str>, whole: bool) -> ServerRow {
        let name = whole.then(|| "gateway:8000".to_owned());
        ServerRow { name, role: role.map(str::to_owned), whole, units: 1, ..ServerRow::default() }
    }

    fn mean(mean: f64) -> Mean {
        Mean { mean, between: None, n: 100 }
    }

    fn parts(account: &Account) -> Vec<(&'static str, f64)> {
        account.parts.iter().map(|part| (part.what, part.ms.round())).collect()
    }

    #[test]
    fn sides_are_passed_one_after_the_other() {
        let prefill = ServerRow {
            queue_ms: Some(mean(10.0)),
            prefill_ms: Some(mean(100.0)),
            ttft_ms: Some(mean(115.0)),
            ..row(Some("prefill"), false)
        };
        let decode =
            ServerRow { kv_transfer_ms: Some(mean(15.0)), itl_ms: Some(mean(20.0)), ..row(Some("decode"), false) };
        let told = ttft(&[prefill.clone(), decode.clone()], &client(180.0, 100)).expect("an account");
        assert_eq!(parts(&told), [("prefill queue", 10.0), ("prefill", 100.0), ("KV transfer", 15.0)]);
        assert!(told.rest.contains("waiting for room to decode") && (told.rest_ms - 55.0).abs() < 1e-9, "{told:?}");
        let decode = ServerRow { ttft_ms: Some(mean(45.0)), ..decode };
        let told = ttft(&[prefill, decode.clone()], &client(180.0, 100)).expect("an account");
        assert_eq!(parts(&told)[3], ("else on the server", 35.0), "of 115 and 45");
        assert_eq!((told.rest_ms.round(), told.doubts.len()), (20.0, 0));
        let told = tpot(&[decode], &client(21.5, 100)).expect("an account");
        assert_eq!((told.parts[0].ms, told.rest_ms), (20.0, 1.5));
    }

    #[test]
    fn what_the_whole_service_tells_goes_before_what_an_engine_does() {
        let whole = ServerRow { ttft_ms: Some(mean(150.0)), ..row(None, true) };
        let engine = ServerRow {
            queue_ms: Some(mean(30.0)),
            prefill_ms: Some(mean(90.0)),
            ttft_ms: Some(mean(125.0)),
            ..row(None, false)
        };
        let told = ttft(&[engine, whole], &client(160.0, 100)).expect("an account");
        assert_eq!(parts(&told), [("prefill queue", 30.0), ("prefill", 90.0), ("else on the server", 30.0)]);
        assert_eq!(told.rest, "network, gateway and the client's own lag");
    }

    #[test]
    fn figures_of_other_requests_are_doubted() {
        let engine = |n| ServerRow { ttft_ms: Some(Mean { n, ..mean(200.0) }), ..row(None, false) };
        let told = ttft(&[engine(300)], &client(160.0, 100)).expect("an account");
        assert_eq!(told.rest, "parts that overlap, or belong to other requests");
        assert!(told.doubts[0].starts_with("the server counted 300 requests, this client 100"), "{told:?}");
        let late = ttft(&[engine(90)], &client(210.0, 100)).expect("an account");
        assert!(late.doubts[0].contains("not told of all"), "{late:?}");
    }

    #[test]
    fn what_is_known_by_its_bounds_alone_is_said_to_be() {
        let between = |least, most| Some(Mean { between: Some([least, most]), ..mean(f64::midpoint(least, most)) });
        let engine = ServerRow {
            queue_ms: Some(mean(5.0)),
            prefill_ms: between(80.0, 160.0),
            itl_ms: between(10.0, 25.0),
            ..row(None, false)
        };
        let told = ttft(std::slice::from_ref(&engine), &client(180.0, 100)).expect("an account");
        assert_eq!(parts(&told), [("prefill queue", 5.0), ("prefill", 120.0)]);
        assert_eq!(told.doubts, ["known by buckets alone, whose middles are shown: prefill 80.0 to 160 ms"]);
        let told = tpot(&[engine], &client(18.0, 100)).expect("an account");
        assert_eq!(told.doubts, ["known by buckets alone, whose middles are shown: ITL 10.0 to 25.0 ms"]);
    }

    #[test]
    fn without_figures_there_is_no_account() {
        assert_eq!(ttft(&[row(Some("decode"), false)], &client(1.0, 1)), None);
        assert_eq!(ttft(&[ServerRow { ttft_ms: Some(mean(1.0)), ..row(None, false) }], &Statistics::default()), None);
        assert_eq!(tpot(&[], &client(1.0, 1)), None);
    }
}
