//! A cluster profile with what a calibration found, and its text.

use std::collections::BTreeMap;
use std::fmt::Write;

use engine::perf::fit::Fitted;
use engine::perf::{Constant, Phase, PriorKind};
use toml::Value;

use super::{BatchTable, ClusterProfile, PosteriorTable, PriorText};

impl ClusterProfile {
    /// The profile with the constants that `fitted` has moved, and what is believed of them together. `source` says what they
    /// were fitted to; a constant of which that tells little is called so and stays what it was called before.
    #[must_use]
    pub fn calibrated(mut self, fitted: &Fitted, source: &str) -> Self {
        for estimate in &fitted.estimates {
            let (constant, phase) = (estimate.free.constant, estimate.free.phase);
            let tables = &mut self.constants;
            let own = if phase == Phase::Prompt { tables.prompt.get_mut(&constant) } else { None };
            let Some(text) = own.or_else(|| tables.all.get_mut(&constant)) else { continue };
            let variance = estimate.log_spread * estimate.log_spread;
            let (low, high) = constant.range();
            text.value = rounded(estimate.value.clamp(low, high), 6);
            text.spread = rounded(estimate.value * variance.exp_m1().sqrt(), 3);
            if estimate.is_identified() {
                source.clone_into(&mut text.source);
                text.kind = PriorKind::Fitted;
            } else {
                let before = text.source.strip_prefix(NOT_IDENTIFIED).unwrap_or(&text.source);
                text.source = format!("{NOT_IDENTIFIED}{before}");
            }
        }
        let mut table = PosteriorTable::of(&fitted.posterior);
        for (row, column) in (0..table.covariance.len()).flat_map(|row| (0..=row).map(move |column| (row, column))) {
            let value = rounded(table.covariance[row][column], 10);
            (table.covariance[row][column], table.covariance[column][row]) = (value, value);
        }
        table.step_log_spread = rounded(table.step_log_spread, 3);
        self.posterior = Some(table);
        self
    }

    /// The profile as a TOML text, with `comment` above it.
    pub fn to_toml(&self, comment: &str) -> String {
        let mut text = String::new();
        for line in comment.lines() {
            text.push_str(format!("# {line}").trim_end());
            text.push('\n');
        }
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "description = {}", quoted(&self.description))?;
        writeln!(out, "gpu = {}\nmodel = {}", quoted(&self.gpu), quoted(&self.model))?;
        writeln!(out, "\n[precision]\nweights = {}", quoted(&self.precision.weights.to_string()))?;
        if let Some(experts) = self.precision.experts {
            writeln!(out, "experts = {}", quoted(&experts.to_string()))?;
        }
        writeln!(out, "kv = {}", quoted(&self.precision.kv.to_string()))?;
        writeln!(out, "\n[unit]\ntp = {}\nep = {}", self.unit.tp, self.unit.ep)?;
        if self.unit.attention_dp != 1 {
            writeln!(out, "attention_dp = {}", self.unit.attention_dp)?;
        }
        writeln!(out, "\n[nodes]\ncount = {}\ngpus_per_node = {}", self.nodes.count, self.nodes.gpus_per_node)?;
        if let Some(nic) = self.nodes.nic_gb_per_s {
            writeln!(out, "nic_gb_per_s = {nic}")?;
        }
        if let Some(price) = self.nodes.price_usd_per_gpu_hour {
            writeln!(out, "price_usd_per_gpu_hour = {price}")?;
        }
        let limits = &self.limits;
        writeln!(out, "\n[limits]\nblock_tokens = {}", limits.block_tokens)?;
        writeln!(out, "gpu_memory_share = {}", limits.gpu_memory_share)?;
        writeln!(out, "activation_gb = {}", limits.activation_gb)?;
        writeln!(out, "max_context_tokens = {}", limits.max_context_tokens)?;
        writeln!(out, "watermark_permille = {}", limits.watermark_permille)?;
        writeln!(out, "prefix_cache = {}", limits.prefix_cache)?;
        writeln!(out, "handoff = {}", quoted(&limits.handoff.to_string()))?;
        for (key, BatchTable { tokens, sequences }) in
            [("prefill", &limits.prefill), ("decode", &limits.decode), ("aggregated", &limits.aggregated)]
        {
            writeln!(out, "{key} = {{ tokens = {tokens}, sequences = {sequences} }}")?;
        }
        if let Some(replicas) = &self.replicas {
            writeln!(out, "\n# With so many aggregated units, steps of theirs take `replica_overhead_us` longer.")?;
            writeln!(out, "[replicas]\nfrom = {}", replicas.from)?;
        }
        writeln!(out, "\n[constants.all]")?;
        constants(out, &self.constants.all)?;
        if !self.constants.prompt.is_empty() {
            writeln!(out, "\n# Those that differ in steps with prompts.\n[constants.prompt]")?;
            constants(out, &self.constants.prompt)?;
        }
        let Some(posterior) = &self.posterior else { return Ok(()) };
        writeln!(
            out,
            "\n# What is known of these together: the covariance of their natural logarithms, in their order."
        )?;
        writeln!(out, "[posterior]\nconstants = [")?;
        for name in &posterior.constants {
            writeln!(out, "    {},", quoted(name))?;
        }
        writeln!(out, "]\ncovariance = [")?;
        for row in &posterior.covariance {
            let row: Vec<String> = row.iter().map(|value| number(*value)).collect();
            writeln!(out, "    [{}],", row.join(", "))?;
        }
        writeln!(out, "]\n# What the formula itself is off by, as a logarithm.")?;
        writeln!(out, "step_log_spread = {}", posterior.step_log_spread)
    }
}

/// What the source of a constant begins with that a calibration moved and yet told little of.
const NOT_IDENTIFIED: &str = "not identified by the calibration; before it: ";

fn constants(out: &mut String, table: &BTreeMap<Constant, PriorText>) -> std::fmt::Result {
    for (constant, prior) in table {
        let PriorText { value, spread, kind, source } = prior;
        let (key, source) = (constant.key(), quoted(source));
        writeln!(out, "{key} = {{ value = {value}, spread = {spread}, kind = \"{kind}\", source = {source} }}")?;
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// A number that TOML reads as it was, short for tiny ones.
fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-4 { format!("{value:e}") } else { value.to_string() }
}

/// To so many significant digits.
fn rounded(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits - 1).parse().unwrap_or(value)
}
