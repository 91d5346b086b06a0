//! Chat messages to text through the model's chat template.
//!
//! A chat template is a Jinja program that a model brings along. It is rendered as Transformers renders it (`trim_blocks`,
//! `lstrip_blocks`, loop controls, Python's string and dictionary methods, `raise_exception`, `strftime_now`, `tojson`), with
//! two differences on purpose:
//!
//! - The program comes from a stranger. It sees the messages and the names of two tokens, nothing else; it can include no file;
//!   and it has a budget of steps and bytes ([`FUEL`]), beyond which rendering is an error.
//!   What the engine makes without paying, such as a list joined to itself again and again, is bounded by memory alone.
//! - `strftime_now` gives a fixed day, [`Day::DEFAULT`], unless [`ChatTemplate::with_day`] sets another: the same chat
//!   must not become other tokens tomorrow.
//!
//! ```
//! use kld_models::chat::{ChatTemplate, Message};
//!
//! let source = "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
//! let template = ChatTemplate::new(source, None, None)?;
//! let text = template.render(&[Message::new("user", " Hello ")], true)?;
//! assert_eq!(text, "<user>Hello<assistant>");
//! # Ok::<(), kld_models::Error>(())
//! ```

mod day;
mod python;

use std::fmt::Write as _;

use minijinja::{Environment, Value, context, syntax::SyntaxConfig};
use serde::{Deserialize, Serialize};

pub use self::day::Day;
use crate::Result;

/// What a rendering may use up: one per step of the template and per 64 bytes it makes, so at most 128 MiB.
pub const FUEL: u64 = 1 << 21;

/// Templates beyond this many bytes are not believed; the longest known have some 20 000.
pub const MAX_TEMPLATE_BYTES: usize = 1 << 20;

const NAME: &str = "chat_template";

/// A compiled chat template with the names of the tokens that it may write.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos: String,
    eos: String,
    day: Day,
}

/// One turn of a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

/// Why a chat could not become text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The template is not Jinja, or too long to be one.
    #[error("the chat template is not valid: {0}")]
    Template(String),
    /// The template refused these messages, or failed on them.
    #[error("the chat template does not take these messages: {0}")]
    Messages(String),
}

impl Message {
    /// A message with a role and a content.
    #[must_use]
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
        }
    }

    fn value(&self) -> Value {
        Value::from_pairs([("role", &*self.role), ("content", &*self.content)])
    }
}

impl ChatTemplate {
    /// Compiles a template; `bos` and `eos` are what it finds under `bos_token` and `eos_token`.
    ///
    /// # Errors
    ///
    /// If the source is not a template.
    pub fn new(source: &str, bos: Option<String>, eos: Option<String>) -> Result<Self> {
        if source.len() > MAX_TEMPLATE_BYTES {
            let reason = format!(
                "{} bytes; at most {MAX_TEMPLATE_BYTES} are read",
                source.len()
            );
            return Err(ChatError::Template(reason).into());
        }
        let invalid = |error: minijinja::Error| ChatError::Template(told(&error));
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(invalid)?;
        environment.set_syntax(syntax);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(100);
        environment.set_formatter(python::print);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", python::to_json);
        environment.add_function("raise_exception", python::raise_exception);
        environment
            .add_template_owned(NAME, without_generation_marks(source))
            .map_err(invalid)?;
        let (bos, eos) = (bos.unwrap_or_default(), eos.unwrap_or_default());
        Ok(Self {
            environment,
            bos,
            eos,
            day: Day::DEFAULT,
        })
    }

    /// Lets `strftime_now` give another day than [`Day::DEFAULT`].
    #[must_use]
    pub fn with_day(mut self, day: Day) -> Self {
        self.day = day;
        self
    }

    /// The text of a chat, markup included; `add_generation_prompt` opens the assistant's next turn at the end.
    ///
    /// The text is for [`Tokenizer::encode_marked_up`](crate::Tokenizer::encode_marked_up) without added tokens: templates
    /// write the beginning-of-sequence token themselves.
    ///
    /// # Errors
    ///
    /// If the template refuses the messages (some insist on alternating roles), fails, or uses up its [`FUEL`].
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let refused = |error: minijinja::Error| ChatError::Messages(told(&error));
        let template = self.environment.get_template(NAME).map_err(refused)?;
        let day = self.day;
        let variables = context! {
            messages => messages.iter().map(Message::value).collect::<Vec<_>>(),
            add_generation_prompt,
            bos_token => &*self.bos,
            eos_token => &*self.eos,
            strftime_now => Value::from_function(move |format: &str| day.format(format)),
            // What Transformers passes when there are none; templates ask `tools is not none`.
            tools => (),
            documents => (),
        };
        Ok(template.render(variables).map_err(refused)?)
    }
}

/// Transformers marks the assistant's words by `{% generation %}`, a tag that prints nothing; here it becomes `{% if true %}`.
fn without_generation_marks(source: &str) -> String {
    let mut rest = source;
    let mut plain = String::with_capacity(source.len());
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        let end = tag.find("%}").map_or(tag.len(), |end| end + 2);
        let (tag, after) = tag.split_at(end);
        plain.push_str(before);
        match tag
            .trim_start_matches("{%")
            .trim_end_matches("%}")
            .trim_matches(['-', '+'])
            .trim()
        {
            "generation" => plain.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => plain.push_str(&tag.replace("endgeneration", "endif")),
            _ => plain.push_str(tag),
        }
        rest = after;
    }
    plain + rest
}

/// The message of an error and of what caused it, with the line of the template.
fn told(error: &minijinja::Error) -> String {
    let mut text = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    if let Some(line) = error.line() {
        let _ = write!(text, " (line {line} of the template)");
    }
    text
}
