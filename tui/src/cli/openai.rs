//! What an HTTP target is asked for, and how long it is waited for.

use std::time::Duration;

use anyhow::{bail, ensure};
use clap::{Args, ValueEnum};
use loadgen::target::http::{Api, BodyField, ExtraHeader, HttpTarget, Patience, Prompts};
use loadgen::time::Micros;

use super::load::parse_positive_duration;

#[derive(Args, Clone, Debug, Default)]
pub(super) struct OpenAiArgs {
    /// What an HTTP target is asked for: `completions`, or answers in a `chat` [default: completions]
    #[arg(long, value_name = "API", value_enum)]
    api: Option<ApiArg>,
    /// What prompts are sent to an HTTP target as: `tokens`, ids, exactly as many as asked for; `text`, words that are about a token
    /// each, for servers that take no ids [default: tokens; text in a chat]
    #[arg(long, value_name = "KIND", value_enum)]
    prompt: Option<PromptArg>,
    /// Send an HTTP target no field beyond OpenAI's own protocol, such as vLLM's `ignore_eos`: answers may be shorter than asked for.
    /// Fields that a server refuses are left out in any case
    #[arg(long)]
    strict_openai: bool,
    /// A header for every request to an HTTP target, any number of times. Its value is never shown or recorded
    #[arg(long, value_name = "NAME:VALUE")]
    header: Vec<ExtraHeader>,
    /// The same, with its value in an environment variable, where others on this machine cannot read it
    #[arg(long, value_name = "NAME=VAR")]
    header_env: Vec<String>,
    /// A field for the body of every request to an HTTP target, any number of times: `top_p=0.9`, `seed=7`; null leaves out one
    /// that would be sent. It is recorded
    #[arg(long, value_name = "NAME=JSON")]
    body_field: Vec<BodyField>,
    /// How long a request to a target over HTTP or vLLM's gRPC may go without its first token before it is given up [default: no such
    /// limit]
    #[arg(long, value_name = "TIME", value_parser = parse_positive_duration)]
    first_token_timeout: Option<Micros>,
    /// How long it may go without a further one [default: no such limit]
    #[arg(long, value_name = "TIME", value_parser = parse_positive_duration)]
    between_tokens_timeout: Option<Micros>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ApiArg {
    Completions,
    Chat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PromptArg {
    Tokens,
    Text,
}

impl OpenAiArgs {
    /// # Errors
    /// When options contradict each other, or a variable is not there.
    pub(super) fn apply(&self, target: HttpTarget) -> anyhow::Result<HttpTarget> {
        let api = match self.api {
            Some(ApiArg::Chat) => Api::Chat,
            Some(ApiArg::Completions) | None => Api::Completions,
        };
        let prompts = match (self.prompt, api) {
            (Some(PromptArg::Tokens), Api::Chat) => bail!("--prompt tokens: a chat takes text alone"),
            (Some(PromptArg::Text), _) | (None, Api::Chat) => Prompts::Text,
            (Some(PromptArg::Tokens) | None, Api::Completions) => Prompts::Tokens,
        };
        let mut headers = self.header.clone();
        for named in &self.header_env {
            headers.push(from_variable(named)?);
        }
        let (strict, fields) = (self.strict_openai, self.body_field.clone());
        Ok(HttpTarget { api, prompts, strict, headers, fields, patience: self.patience(), ..target })
    }

    /// How long a request may go without tokens.
    pub(super) fn patience(&self) -> Patience {
        let limit = |time: Option<Micros>| time.map(|time| Duration::from_micros(time.0));
        Patience { first_token: limit(self.first_token_timeout), between_tokens: limit(self.between_tokens_timeout) }
    }

    /// # Errors
    /// When an option was given that only HTTP targets know; `named` is what there is instead.
    pub(super) fn check_none(&self, named: &str) -> anyhow::Result<()> {
        let given = [
            ("--first-token-timeout", self.first_token_timeout.is_some()),
            ("--between-tokens-timeout", self.between_tokens_timeout.is_some()),
        ];
        self.check_tokens_alone(named)?;
        match given.iter().find(|(_, given)| *given) {
            Some((option, _)) => bail!("{option} is for targets over HTTP and vLLM's gRPC, and {named} is none"),
            None => Ok(()),
        }
    }

    /// # Errors
    /// When an option was given beyond how long tokens are waited for; `named` is what there is instead of an HTTP target.
    pub(super) fn check_tokens_alone(&self, named: &str) -> anyhow::Result<()> {
        let given = [
            ("--api", self.api.is_some()),
            ("--prompt", self.prompt.is_some()),
            ("--strict-openai", self.strict_openai),
            ("--header", !self.header.is_empty()),
            ("--header-env", !self.header_env.is_empty()),
            ("--body-field", !self.body_field.is_empty()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((option, _)) => bail!("{option} is for HTTP targets, and {named} is none"),
            None => Ok(()),
        }
    }
}

/// A header whose value is in an environment variable.
fn from_variable(named: &str) -> anyhow::Result<ExtraHeader> {
    let parts = named.split_once('=').filter(|(name, variable)| !name.is_empty() && !variable.is_empty());
    let Some((name, variable)) = parts else { bail!("--header-env: `{named}`: write NAME=VAR") };
    let value = std::env::var(variable).map_err(|error| anyhow::anyhow!("--header-env: {variable}: {error}"))?;
    ensure!(!value.is_empty(), "--header-env: {variable} is empty");
    ExtraHeader::new(name, &value).map_err(|error| anyhow::anyhow!("--header-env: {error}"))
}
