//! Chat templates against Transformers, and against their makers' worst intentions.
//!
//! `golden/tokenizers/generate_chat.py` makes the answers.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use kld_models::{
    Tokenizer,
    chat::{ChatTemplate, Day, MAX_TEMPLATE_BYTES, Message},
    tokenizer::SpecialTokens,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    chats: Vec<Vec<Message>>,
    /// By template: each chat without and with the prompt; `None` where the template refuses it.
    rendered: BTreeMap<String, Vec<Option<String>>>,
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/tokenizers")
}

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::new(source, Some("<s>".to_owned()), Some("</s>".to_owned())).unwrap()
}

#[test]
fn chats_become_the_text_that_transformers_makes() {
    let Expected { chats, rendered } =
        serde_json::from_str(&fs::read_to_string(golden().join("chat/expected.json")).unwrap())
            .unwrap();
    assert_eq!(rendered.len(), 7);
    for (name, expected) in rendered {
        let source = fs::read_to_string(golden().join(format!("chat/{name}.jinja"))).unwrap();
        let template = template(&source);
        let cases = chats.iter().flat_map(|chat| [(chat, false), (chat, true)]);
        assert_eq!(expected.len(), 2 * chats.len());
        for ((chat, prompt), expected) in cases.zip(expected) {
            let text = template.render(chat, prompt);
            match (text, expected) {
                (text, Some(expected)) => assert_eq!(text.unwrap(), expected, "{name}: {chat:?}"),
                (Ok(text), None) => panic!("{name} should refuse {chat:?}, but gives {text}"),
                (Err(_), None) => {}
            }
        }
    }
}

#[test]
fn a_refusal_says_what_the_template_says() {
    let template = template(
        "{% for m in messages %}\n{{ raise_exception('no ' ~ m.role ~ 's here') }}{% endfor %}",
    );
    let message = template
        .render(&[Message::new("system", "x")], false)
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        "the chat template does not take these messages: no systems here (line 2 of the template)"
    );
}

#[test]
fn the_day_is_fixed_unless_given() {
    let source = "{{ strftime_now('%d %b %Y') }}";
    assert_eq!(template(source).render(&[], false).unwrap(), "26 Jul 2024");
    let day = Day::new(2030, 12, 1).unwrap();
    assert_eq!(
        template(source).with_day(day).render(&[], false).unwrap(),
        "01 Dec 2030"
    );
    assert!(
        template("{{ strftime_now('%Q') }}")
            .render(&[], false)
            .is_err()
    );
}

#[test]
fn what_is_no_template_is_refused() {
    for source in [
        "{% for %}",
        "{{",
        "{% if true %}",
        "{{ x | nonsense }",
        "{% endgeneration %}",
    ] {
        let message = ChatTemplate::new(source, None, None)
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("the chat template is not valid: "),
            "{message}"
        );
    }
    let long = " ".repeat(MAX_TEMPLATE_BYTES + 1);
    assert!(
        ChatTemplate::new(&long, None, None)
            .unwrap_err()
            .to_string()
            .contains("1048577 bytes")
    );
}

#[test]
fn bombs_end_in_an_error_soon() {
    let doubling = "{% set x = namespace(s='boom') %}{% for i in range(60) %}{% set x.s = x.s + x.s %}{% endfor %}{{ x.s }}";
    let bombs = [
        doubling.to_owned(),
        "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}"
            .to_owned(),
        "{{ 'x' * 100000000000 }}".to_owned(),
        "{{ ['x' * 1000000] * 1000000 }}".to_owned(),
        "{{ range(1000000000000) | list }}".to_owned(),
        "{{ 'x'.ljust(100000000000) }}".to_owned(),
        "{{ ('a' * 100000).replace('a', 'b' * 100000) }}".to_owned(),
        "{{ (['x'] * 10000000) | tojson(indent=100000000) }}".to_owned(),
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}".to_owned(),
        "{% set ns = namespace() %}{% set ns.self = ns %}{{ ns | tojson }}".to_owned(),
        "{% set ns = namespace() %}{% set ns.self = [ns] %}{{ ns }}".to_owned(),
        format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000)),
        format!(
            "{{{{ {}{} | tojson }}}}",
            "[".repeat(5000),
            "]".repeat(5000)
        ),
        "{% if true %}".repeat(20_000) + &"{% endif %}".repeat(20_000),
    ];
    for bomb in &bombs {
        let begun = Instant::now();
        let outcome =
            ChatTemplate::new(bomb, None, None).and_then(|template| template.render(&[], false));
        let shown: String = bomb.chars().take(80).collect();
        assert!(
            outcome.is_err(),
            "{shown} gave {} bytes",
            outcome.unwrap().len()
        );
        assert!(
            begun.elapsed().as_secs() < 20,
            "{shown} took {:?}",
            begun.elapsed()
        );
    }
}

#[test]
fn a_template_sees_nothing_but_the_chat() {
    for source in [
        "{% include '/etc/passwd' %}",
        "{% import 'x' as x %}",
        "{% extends 'chat_template' %}",
        "{{ open('/etc/passwd') }}",
        "{{ env.HOME }}",
    ] {
        let outcome =
            ChatTemplate::new(source, None, None).and_then(|template| template.render(&[], false));
        assert!(outcome.is_err(), "{source} gave {outcome:?}");
    }
    let probe = template("{{ messages.__class__ }}{{ ''.__class__ }}{{ self }}{{ config }}");
    assert!(
        probe
            .render(&[Message::new("user", "x")], false)
            .is_ok_and(|text| text.is_empty())
    );
}

#[test]
fn words_of_a_message_are_not_read_as_template() {
    let template = template("{{ messages[0].content }}");
    let text = "{{ 7 * 7 }}{% raise %}{# x #}";
    assert_eq!(
        template
            .render(&[Message::new("user", text)], false)
            .unwrap(),
        text
    );
}

#[test]
fn the_template_of_a_folder_is_found_in_all_three_places() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(
        golden().join("llama3/tokenizer.json"),
        folder.path().join("tokenizer.json"),
    )
    .unwrap();
    let render = |config: &str| {
        fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
        let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
        tokenizer
            .chat_template()
            .unwrap()
            .map(|template| template.render(&[], false).unwrap())
    };
    assert_eq!(render(r#"{"bos_token": "<s>"}"#), None);
    assert_eq!(
        render(r#"{"bos_token": "<s>", "chat_template": "one {{ bos_token }}"}"#).as_deref(),
        Some("one <s>")
    );
    let several = r#"{"chat_template": [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "two"}]}"#;
    assert_eq!(render(several).as_deref(), Some("two"));
    fs::write(folder.path().join("chat_template.jinja"), "three").unwrap();
    assert_eq!(render(several).as_deref(), Some("three"));
}

#[test]
fn a_rendered_chat_has_its_marks_as_tokens() {
    let tokenizer = Tokenizer::from_folder(golden().join("gpt2")).unwrap();
    let source = fs::read_to_string(golden().join("chat/chatml.jinja")).unwrap();
    let chat = [
        Message::new("system", "Be brief."),
        Message::new("user", "Hello"),
    ];
    let text = ChatTemplate::new(&source, None, None)
        .unwrap()
        .render(&chat, true)
        .unwrap();
    let ids = tokenizer
        .encode_marked_up(&text, SpecialTokens::None)
        .unwrap();
    let marks: Vec<&str> = ids
        .iter()
        .filter(|id| tokenizer.is_special(**id))
        .filter_map(|id| tokenizer.token(*id))
        .collect();
    assert_eq!(
        marks,
        [
            "<|im_start|>",
            "<|im_end|>",
            "<|im_start|>",
            "<|im_end|>",
            "<|im_start|>"
        ]
    );
    assert_eq!(tokenizer.decode(&ids), text);
}
