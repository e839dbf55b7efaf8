//! Chat templates: how messages become the one text that a model was trained on.
//!
//! Templates are written for Jinja as transformers runs it, so a few of Python's methods and the function
//! `raise_exception` are there too. A template that asks for the date gets none: the same messages give the same prompt.

mod python;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, context};
use serde::{Deserialize, Serialize};

use super::error::ModelError;

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: String,
}

impl ChatMessage {
    /// A message of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: "user".to_owned(), content: content.into() }
    }

    /// A message that tells the model how to behave.
    pub fn system(content: impl Into<String>) -> Self {
        Self { role: "system".to_owned(), content: content.into() }
    }
}

/// A parsed template.
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos: Option<String>,
    eos: Option<String>,
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate").field("bos", &self.bos).field("eos", &self.eos).finish_non_exhaustive()
    }
}

const NAME: &str = "chat";

impl ChatTemplate {
    /// Parses a template; `bos` and `eos` are the texts of the special tokens it may write.
    ///
    /// # Errors
    /// When the template is not valid Jinja.
    pub fn new(template: String, bos: Option<String>, eos: Option<String>) -> Result<Self, ModelError> {
        let mut environment = Environment::new();
        // As transformers sets them.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| ModelError::Chat(error.to_string()))?);
        environment.set_unknown_method_callback(|_, value, method, arguments| python::call(value, method, arguments));
        environment.add_function("raise_exception", |message: String| -> Result<String, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_template_owned(NAME, template).map_err(|error| ModelError::Chat(error.to_string()))?;
        Ok(Self { environment, bos, eos })
    }

    /// The prompt of `messages`, up to where the assistant's answer begins.
    ///
    /// # Errors
    /// When the template refuses the messages.
    pub fn render(&self, messages: &[ChatMessage]) -> Result<String, ModelError> {
        let render = || {
            self.environment.get_template(NAME)?.render(context! {
                messages => Serde(messages),
                add_generation_prompt => true,
                bos_token => self.bos.as_deref().unwrap_or_default(),
                eos_token => self.eos.as_deref().unwrap_or_default(),
            })
        };
        render().map_err(|error| ModelError::Chat(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str, messages: &[ChatMessage]) -> Result<String, ModelError> {
        ChatTemplate::new(template.to_owned(), Some("<s>".into()), Some("</s>".into()))?.render(messages)
    }

    const CHATML: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
        {{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}\
        {{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}\
        {% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

    #[test]
    fn chatml_renders_as_transformers_does() {
        let text = render(CHATML, &[ChatMessage::user("Hi")]).expect("a prompt");
        let expected =
            "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn blocks_leave_no_lines_of_their_own() {
        let template = "{% for m in messages %}\n  {% if m.role == 'user' %}\n{{ bos_token }}{{ m.content }}\n  {% endif %}\n{% endfor %}";
        assert_eq!(render(template, &[ChatMessage::user("Hi")]).expect("a prompt"), "<s>Hi\n");
    }

    #[test]
    fn python_methods_and_namespaces_work() {
        let template = "{%- set ns = namespace(last='') -%}{%- for m in messages[::-1] -%}\
            {%- if m.content is string and not m.content.startswith('<tool>') -%}{%- set ns.last = m.content -%}{%- endif -%}\
            {%- endfor -%}{{ ns.last.split('</think>')[-1].lstrip('\\n').strip() }}|{{ messages | length }}";
        let messages = [ChatMessage::user("<think>x</think>\n\nfirst "), ChatMessage::user("<tool>")];
        assert_eq!(render(template, &messages).expect("a prompt"), "first|2");
    }

    #[test]
    fn a_refusal_and_a_broken_template_are_errors() {
        let refused = render("{{ raise_exception('roles must alternate') }}", &[]).expect_err("refused");
        assert!(refused.to_string().contains("roles must alternate"), "{refused}");
        let broken = render("{% for %}", &[]).expect_err("broken");
        assert!(broken.to_string().starts_with("chat template: syntax error"), "{broken}");
    }

    #[test]
    fn a_template_that_asks_for_the_date_falls_back() {
        let template = "{% if strftime_now is defined %}{{ strftime_now('%d') }}{% else %}some day{% endif %}";
        assert_eq!(render(template, &[]).expect("a prompt"), "some day");
    }
}
