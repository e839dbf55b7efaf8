//! A sample as it is written.

mod session;
mod told;

use std::sync::Arc;

use engine::remote::one_line;
use serde::{Deserialize, Serialize};

use super::text;
use crate::sample::{Account, CountedBy, CutBy, Failure, FailureKind, Gap, Outcome, Reasoning, Sample, ServerSide};
use crate::schedule::Segment;
use crate::time::Micros;
use session::Session;
use told::Told;

/// The `req` record. Its keys are short because there is one for every request.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Req {
    i: u64,
    due: Micros,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    sent: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    first: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    last: Option<Micros>,
    end: Micros,
    outcome: Name,
    /// The kind of a failure.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    failure: Option<String>,
    /// It was refused because the target took no more for now.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    limited: bool,
    /// It could not be sent because this machine had no file or port left.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    unsent: bool,
    /// Its message, or how a request that was cut was.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "text::sentence_option")]
    why: Option<String>,
    #[serde(rename = "in")]
    input: u32,
    asked: u32,
    out: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    clamped: bool,
    /// Tokens in the first arrival.
    n1: u32,
    /// Gaps between arrivals.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    itl: Vec<Micros>,
    /// Tokens of each of those arrivals, left out when each brought one.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    itl_n: Vec<u32>,
    segments: Vec<Segment>,
    #[serde(with = "text::hex")]
    tokens: u64,
    #[serde(with = "text::hex_option", skip_serializing_if = "Option::is_none", default)]
    logits: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    server: Option<Server>,
    /// How tokens were counted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    by: Option<CountedBy>,
    /// Tokens of the answer as its usage says, where their ids say another number.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    out_usage: Option<u32>,
    /// Tokens of the prompt as the server counted them, where that is not `in`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    in_counted: Option<u32>,
    /// Tokens of reasoning among `out`, where some was sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    reasoning: Option<u32>,
    /// When the first token behind them came.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    answer: Option<Micros>,
    /// Which address it went to, where there are several.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    at: Option<u16>,
    /// Which turn of a session it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    session: Option<Session>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Name {
    Completed,
    Failed,
    Cut,
    Cancelled,
    Shed,
}

#[derive(Debug, Serialize, Deserialize)]
struct Server {
    #[serde(rename = "p", skip_serializing_if = "Option::is_none", default)]
    prefill_unit: Option<u16>,
    #[serde(rename = "d", skip_serializing_if = "Option::is_none", default)]
    decode_unit: Option<u16>,
    queried: u32,
    hit: u32,
    preempted: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    arrived: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    prefill_start: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    prefill_end: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    handoff_start: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    handoff_end: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    decode_start: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    told: Option<Told>,
}

impl From<&Sample> for Req {
    fn from(sample: &Sample) -> Self {
        let bundled = sample.gaps.iter().any(|gap| gap.tokens != 1);
        let outcome = match &sample.outcome {
            Outcome::Completed => Name::Completed,
            Outcome::Failed(_) => Name::Failed,
            Outcome::Cut => Name::Cut,
            Outcome::Cancelled => Name::Cancelled,
            Outcome::Shed => Name::Shed,
        };
        let failure = match &sample.outcome {
            Outcome::Failed(failure) => Some(failure),
            _ => None,
        };
        Self {
            i: sample.index,
            due: sample.due,
            sent: sample.sent,
            first: sample.first,
            last: sample.last,
            end: sample.ended,
            outcome,
            failure: failure.map(|failure| written(failure.kind).name().to_owned()),
            limited: failure.is_some_and(|failure| failure.kind == FailureKind::Limited),
            unsent: failure.is_some_and(|failure| failure.kind == FailureKind::Client),
            why: why(sample),
            input: sample.input_tokens,
            asked: sample.output_asked,
            out: sample.output_tokens,
            clamped: sample.clamped,
            n1: sample.first_tokens,
            itl: sample.gaps.iter().map(|gap| gap.gap).collect(),
            itl_n: if bundled { sample.gaps.iter().map(|gap| gap.tokens).collect() } else { Vec::new() },
            segments: sample.segments.clone(),
            tokens: sample.token_hash,
            logits: sample.logits_hash,
            server: sample.server.as_ref().map(Server::from),
            by: sample.account.counted,
            out_usage: sample.account.usage_tokens,
            in_counted: sample.account.prompt_tokens.filter(|counted| *counted != sample.input_tokens),
            reasoning: sample.account.reasoning.map(|reasoning| reasoning.tokens),
            answer: sample.account.reasoning.and_then(|reasoning| reasoning.answer),
            at: sample.account.address,
            session: sample.turn.map(Session::from),
        }
    }
}

/// What there is to say of a request that did not come to its end.
fn why(sample: &Sample) -> Option<String> {
    match &sample.outcome {
        Outcome::Failed(failure) => Some(failure.message.clone()),
        Outcome::Cut => sample.account.cut.map(|cut| cut.why().to_owned()),
        Outcome::Completed | Outcome::Cancelled | Outcome::Shed => None,
    }
}

/// The kind that is written. Older readers take a kind that they do not know for a damaged file, and read past `limited` and
/// `unsent`.
fn written(kind: FailureKind) -> FailureKind {
    match kind {
        FailureKind::Limited => FailureKind::Refused,
        FailureKind::Client => FailureKind::Connect,
        kind => kind,
    }
}

/// The failure of this kind; one of a kind that is not known here is the engine's.
fn failure(kind: &str, limited: bool, unsent: bool, message: String) -> Failure {
    match FailureKind::ALL.into_iter().find(|known| known.name() == kind) {
        Some(FailureKind::Refused) if limited => Failure { kind: FailureKind::Limited, message },
        Some(FailureKind::Connect) if unsent => Failure { kind: FailureKind::Client, message },
        Some(kind) => Failure { kind, message },
        None => Failure { kind: FailureKind::Engine, message: one_line(&format!("{kind}: {message}")) },
    }
}

impl TryFrom<Req> for Sample {
    type Error = String;

    fn try_from(req: Req) -> Result<Self, String> {
        // Words that are not known here are those of a later version.
        let is_cut = req.outcome == Name::Cut;
        let cut = req.why.as_deref().filter(|_| is_cut);
        let cut = cut.and_then(|why| CutBy::ALL.into_iter().find(|cut| cut.why() == why));
        let outcome = match (req.outcome, req.failure) {
            (Name::Completed, None) => Outcome::Completed,
            (Name::Failed, Some(kind)) => {
                Outcome::Failed(failure(&kind, req.limited, req.unsent, req.why.unwrap_or_default()))
            }
            (Name::Cut, None) => Outcome::Cut,
            (Name::Cancelled, None) => Outcome::Cancelled,
            (Name::Shed, None) => Outcome::Shed,
            (_, Some(_)) => return Err("`failure` stands in a request that did not fail".to_owned()),
            (Name::Failed, None) => return Err("a failed request lacks `failure`".to_owned()),
        };
        let gap = |(gap, tokens)| Gap { gap, tokens };
        let gaps = if req.itl_n.is_empty() {
            req.itl.into_iter().map(|span| gap((span, 1))).collect()
        } else if req.itl_n.len() == req.itl.len() {
            req.itl.into_iter().zip(req.itl_n).map(gap).collect()
        } else {
            return Err(format!("`itl` has {} entries, `itl_n` {}", req.itl.len(), req.itl_n.len()));
        };
        if req.answer.is_some() && req.reasoning.is_none() {
            return Err("`answer` stands in a request without `reasoning`".to_owned());
        }
        let account = Account {
            counted: req.by,
            usage_tokens: req.out_usage,
            prompt_tokens: req.in_counted,
            reasoning: req.reasoning.map(|tokens| Reasoning { tokens, answer: req.answer }),
            address: req.at,
            cut,
        };
        Ok(Self {
            index: req.i,
            due: req.due,
            sent: req.sent,
            first: req.first,
            last: req.last,
            ended: req.end,
            first_tokens: req.n1,
            gaps,
            input_tokens: req.input,
            output_asked: req.asked,
            output_tokens: req.out,
            segments: req.segments,
            clamped: req.clamped,
            turn: req.session.map(Session::into),
            outcome,
            token_hash: req.tokens,
            logits_hash: req.logits,
            server: req.server.map(ServerSide::from),
            account,
        })
    }
}

impl From<&ServerSide> for Server {
    fn from(side: &ServerSide) -> Self {
        Self {
            prefill_unit: side.prefill_unit,
            decode_unit: side.decode_unit,
            queried: side.prefix_queried,
            hit: side.prefix_hit,
            preempted: side.preemptions,
            arrived: side.arrived,
            prefill_start: side.prefill_start,
            prefill_end: side.prefill_end,
            handoff_start: side.handoff_start,
            handoff_end: side.handoff_end,
            decode_start: side.decode_start,
            told: side.told.as_deref().map(Told::from),
        }
    }
}

impl From<Server> for ServerSide {
    fn from(server: Server) -> Self {
        Self {
            prefill_unit: server.prefill_unit,
            decode_unit: server.decode_unit,
            prefix_queried: server.queried,
            prefix_hit: server.hit,
            preemptions: server.preempted,
            arrived: server.arrived,
            prefill_start: server.prefill_start,
            prefill_end: server.prefill_end,
            handoff_start: server.handoff_start,
            handoff_end: server.handoff_end,
            decode_start: server.decode_start,
            told: server.told.map(|told| Arc::new(told.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::testing;

    fn read_again(written: serde_json::Value) -> Outcome {
        let req: Req = serde_json::from_value(written).expect("a record");
        Sample::try_from(req).expect("a sample").outcome
    }

    #[test]
    fn how_a_request_was_cut_is_written_where_it_is_known() {
        let cut = Some(CutBy::Connection);
        let account = Account { cut, ..Account::default() };
        let sample = Sample { outcome: Outcome::Cut, account, ..testing::completed(0, 0, 10, &[]) };
        let mut written = serde_json::to_value(Req::from(&sample)).expect("JSON");
        assert_eq!(written["why"], "the connection was lost");
        let read = |written| Sample::try_from(serde_json::from_value::<Req>(written).expect("a record"));
        assert_eq!(read(written.clone()), Ok(sample.clone()));
        written["why"] = "the moon was full".into();
        let unknown = Sample { account: Account::default(), ..sample };
        assert_eq!(read(written), Ok(unknown), "a word of a later version");
    }

    #[test]
    fn a_request_that_was_never_sent_had_no_connection_to_whoever_knows_no_more() {
        let unsent = Failure { kind: FailureKind::Client, message: "Too many open files".to_owned() };
        let sample = Sample { outcome: Outcome::Failed(unsent), ..testing::completed(0, 0, 10, &[]) };
        let written = serde_json::to_value(Req::from(&sample)).expect("JSON");
        assert_eq!((&written["failure"], &written["unsent"]), (&"connect".into(), &true.into()));
        assert_eq!(read_again(written), sample.outcome);
    }

    #[test]
    fn a_request_that_was_limited_is_refused_to_whoever_does_not_know_that() {
        let limited = Failure { kind: FailureKind::Limited, message: "429".to_owned() };
        let sample = Sample { outcome: Outcome::Failed(limited), ..testing::completed(0, 0, 10, &[]) };
        let mut written = serde_json::to_value(Req::from(&sample)).expect("JSON");
        assert_eq!((&written["failure"], &written["limited"]), (&"refused".into(), &true.into()));
        assert_eq!(read_again(written.clone()), sample.outcome);
        written["limited"] = false.into();
        written["failure"] = "limited".into();
        assert_eq!(read_again(written.clone()), sample.outcome, "as it was written for a while");
        written["failure"] = "drained".into();
        let other = Failure { kind: FailureKind::Engine, message: "drained: 429".to_owned() };
        assert_eq!(read_again(written), Outcome::Failed(other));
    }
}
