//! What is sent, and which steps that makes a target compute: pure.

use std::fmt;

use serde::Serialize;

/// Tokens that every answer of a decode probe may have at the least, so that a steady stretch can be seen.
const LEAST_ANSWER: u32 = 64;
/// Tokens that such an answer has at most: all others have long begun by then.
const MOST_ANSWER: u32 = 4_096;
/// Prompts are multiples of so many tokens: those at which a simulated cluster's times are exact, and whole KV blocks nearly everywhere.
const GRAIN: u32 = 32;
/// Contexts of probes that are to tell little of contexts.
const SHORT: u32 = 256;
/// Most prompt tokens that are put between decodes.
const CHUNK: u32 = 2_048;

/// One question to an idle target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Probe {
    /// Sequences that decode together on every unit that decodes.
    Decode {
        /// Sequences of each unit.
        batch: u32,
        /// Tokens of each prompt.
        context: u32,
        /// Tokens that each answer may have.
        answer: u32,
    },
    /// A prompt alone.
    Prompt {
        /// Its tokens.
        tokens: u32,
        /// Those of them that the target has seen before.
        cached: u32,
    },
    /// A prompt of one step put between sequences that decode.
    Mixed {
        /// Sequences of each unit.
        batch: u32,
        /// Tokens of their prompts.
        context: u32,
        /// Tokens of each of their answers.
        answer: u32,
        /// Tokens of the prompt between them.
        chunk: u32,
    },
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Decode { batch, context, .. } => write!(f, "decode {batch} x {context}"),
            Self::Prompt { tokens, cached: 0 } => write!(f, "prompt {tokens}"),
            Self::Prompt { tokens, cached } => write!(f, "prompt {tokens}, {cached} cached"),
            Self::Mixed { batch, context, chunk, .. } => write!(f, "decode {batch} x {context} + prompt {chunk}"),
        }
    }
}

impl Probe {
    /// Prompt tokens that the target has to compute for it, by `decoders` units that decode.
    pub(super) fn prompt_tokens(&self, decoders: u32) -> u64 {
        match *self {
            Self::Decode { batch, context, .. } => u64::from(batch) * u64::from(decoders) * u64::from(context),
            Self::Prompt { tokens, .. } => u64::from(tokens),
            Self::Mixed { batch, context, chunk, .. } => {
                u64::from(batch) * u64::from(decoders) * u64::from(context) + u64::from(chunk)
            }
        }
    }
}

/// A probe, and whether its answer is kept from the fit, to be predicted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    /// The probe.
    pub(super) probe: Probe,
    /// Kept from the fit.
    pub(super) held_out: bool,
}

/// What a target has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Tokens of a sequence.
    pub(super) context_tokens: u32,
    /// Tokens of one unit's KV.
    pub(super) kv_tokens: u32,
    /// Sequences that one unit decodes together.
    pub(super) sequences: u32,
    /// Tokens of a step of a unit that does both; `None` where prompts and decodes are computed apart.
    pub(super) mixed_tokens: Option<u32>,
    /// Whether prompts seen before are cached.
    pub(super) prefix_cache: bool,
}

/// Not even the smallest probe fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the target is too small to be probed: it has room for {context_tokens} tokens of a sequence and {kv_tokens} of a unit's KV, \
     and {least} are needed of both"
)]
pub struct TooSmall {
    /// Tokens of a sequence.
    pub context_tokens: u32,
    /// Tokens of a unit's KV.
    pub kv_tokens: u32,
    /// The least of both.
    pub least: u32,
}

impl Room {
    /// KV that probes fill: the rest is left for hand-offs and rounding.
    fn usable(self) -> u32 {
        self.kv_tokens / 5 * 4
    }

    /// Answers that so many sequences behind prompts of `context` may have; `None` where there is no room for any worth it.
    fn answer(self, batch: u32, context: u32) -> Option<u32> {
        let of_each = (self.usable() / batch.max(1)).min(self.context_tokens);
        let answer = of_each.checked_sub(context)?.min(MOST_ANSWER);
        (batch <= self.sequences && context >= GRAIN && answer >= LEAST_ANSWER).then_some(answer)
    }

    fn decode(self, batch: u32, context: u32) -> Option<Probe> {
        let context = context / GRAIN * GRAIN;
        self.answer(batch, context).map(|answer| Probe::Decode { batch, context, answer })
    }

    /// A short prompt for so many sequences, which leaves most of the KV to their answers.
    fn short(self, batch: u32) -> u32 {
        (self.usable() / batch.max(1) / 4).clamp(GRAIN, SHORT)
    }
}

/// All probes that there is room for, those first that tell most for the time they take.
///
/// # Errors
/// When not even the smallest fits.
pub(super) fn probes(room: Room) -> Result<Vec<Planned>, TooSmall> {
    let least = GRAIN + LEAST_ANSWER;
    let too_small =
        TooSmall { context_tokens: room.context_tokens, kv_tokens: room.kv_tokens, least: least / 4 * 5 + 5 };
    let alone = room.decode(1, room.short(1)).ok_or(too_small)?;
    let used = |probe| Planned { probe, held_out: false };
    let kept = |probe| Planned { probe, held_out: true };
    let prompt = |tokens: u32, cached| {
        let fits = tokens + 2 <= room.context_tokens && tokens + 2 <= room.usable();
        fits.then_some(Probe::Prompt { tokens, cached })
    };
    let mut probes = vec![];
    probes.extend(prompt(SHORT, 0).or_else(|| prompt(GRAIN, 0)).map(used));
    probes.push(used(alone));
    probes.extend(prompt(1_024, 0).map(used));
    for batch in [8, 64] {
        probes.extend(room.decode(batch, room.short(batch)).map(used));
    }
    // Contexts: as many sequences as fit with the longest, so that only their length differs.
    let longest = [32_768, 16_384, 8_192, 4_096, 1_024].into_iter().find(|&tokens| room.decode(2, tokens).is_some());
    if let Some(longest) = longest {
        let batch = (room.usable() / (longest + LEAST_ANSWER)).min(room.sequences).clamp(1, 64);
        // Long prompts take long to compute: few sequences will do where they are most of a step.
        let batch = if longest > 1_024 { batch.min(16) } else { batch };
        let long = |tokens| room.decode(batch, tokens);
        probes.extend(long(1_024).map(used));
        probes.extend(prompt(4_096, 0).map(used));
        let mut longer = vec![4_096, longest];
        longer.dedup();
        probes.extend(longer.into_iter().filter(|tokens| *tokens > 1_024).filter_map(long).map(used));
    }
    probes.extend(prompt(2_048, 0).map(kept));
    probes.extend(room.decode(16, room.short(16)).map(kept));
    if room.prefix_cache {
        let whole = [4_096, 2_048, 1_024].into_iter().find(|&tokens| prompt(tokens, 0).is_some());
        // 90 %, in whole grains.
        probes.extend(whole.and_then(|tokens| prompt(tokens, tokens * 9 / 10 / 128 * 128)).map(used));
    }
    probes.extend(room.decode(256, room.short(256)).map(used));
    for tokens in [8_192, 32_000] {
        probes.extend(prompt(tokens, 0).map(used));
    }
    probes.extend(mixed(room).into_iter().map(kept));
    Ok(probes)
}

/// Probes of steps that mix prompts and decodes: two batches, where such steps are computed.
fn mixed(room: Room) -> Vec<Probe> {
    let Some(tokens) = room.mixed_tokens else { return Vec::new() };
    let of_batch = |batch: u32| {
        let context = room.short(batch) / GRAIN * GRAIN;
        let answer = room.answer(batch, context)?;
        let chunk = tokens.saturating_sub(batch).min(CHUNK).min(room.context_tokens / 2).min(room.kv_tokens / 10)
            / GRAIN
            * GRAIN;
        (chunk > 0).then_some(Probe::Mixed { batch, context, answer, chunk })
    };
    // The prompt needs a place beside them.
    [8, 64].into_iter().filter(|batch| *batch < room.sequences).filter_map(of_batch).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngSeed};

    use super::*;

    fn room(context_tokens: u32, kv_tokens: u32) -> Room {
        Room { context_tokens, kv_tokens, sequences: 256, mixed_tokens: Some(8_192), prefix_cache: true }
    }

    #[test]
    fn a_large_target_is_asked_everything_and_a_tiny_one_is_refused() {
        let names: Vec<String> =
            probes(room(32_768, 1_000_000)).expect("room").iter().map(|planned| planned.probe.to_string()).collect();
        for name in [
            "prompt 256",
            "decode 1 x 256",
            "decode 64 x 256",
            "decode 16 x 16384",
            "prompt 4096, 3584 cached",
            "prompt 32000",
        ] {
            assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
        }
        assert!(names.last().is_some_and(|name| name == "decode 64 x 256 + prompt 2048"), "{names:?}");
        let error = probes(room(64, 1_000_000)).expect_err("too small").to_string();
        assert_eq!(
            error,
            "the target is too small to be probed: it has room for 64 tokens of a sequence and 1000000 of a unit's KV, and 125 are \
             needed of both"
        );
    }

    proptest! {
        #![proptest_config(Config { rng_seed: RngSeed::Fixed(5), failure_persistence: None, ..Config::default() })]

        #[test]
        fn every_probe_has_room(context in 1..200_000u32, kv in 1..2_000_000u32, sequences in 1..512u32, mixed in proptest::option::of(1..20_000u32)) {
            let room = Room { context_tokens: context, kv_tokens: kv, sequences, mixed_tokens: mixed, prefix_cache: true };
            for Planned { probe, .. } in probes(room).unwrap_or_default() {
                match probe {
                    Probe::Decode { batch, context: prompt, answer } | Probe::Mixed { batch, context: prompt, answer, .. } => {
                        prop_assert!(batch <= sequences && prompt + answer <= context && batch * (prompt + answer) <= kv);
                    }
                    Probe::Prompt { tokens, cached } => prop_assert!(cached < tokens && tokens + 2 <= context && tokens + 2 <= kv),
                }
                if let Probe::Mixed { batch, chunk, .. } = probe {
                    prop_assert!(batch < sequences);
                    prop_assert!(chunk > 0 && mixed.is_some_and(|tokens| batch + chunk <= tokens));
                }
            }
        }
    }
}
