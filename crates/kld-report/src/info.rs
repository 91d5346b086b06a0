//! `kld info` as text.

use std::io::{self, Write};

use kld_core::result::{Info, RecordingInfo, Shape, TensorCard, TokenizerCard};

use crate::{
    Exporter, Terminal,
    compare::protocol,
    format::{bytes, count},
};

/// An [`Info`] as text for a terminal.
#[derive(Clone, Copy, Debug, Default)]
pub struct InfoTable {
    /// Whether every tensor is listed.
    pub tensors: bool,
}

impl Exporter<Info> for InfoTable {
    fn export(&self, info: &Info, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", info.model.name)?;
        for (name, text) in rows(info) {
            writeln!(out, "    {name:<12}{text}")?;
        }
        if let Some(reason) = &info.reason {
            writeln!(
                out,
                "    cannot be run: {}",
                reason.replace('\n', "\n        ")
            )?;
        }
        let listed = if self.tensors { &info.tensors[..] } else { &[] };
        listed
            .iter()
            .try_for_each(|t| writeln!(out, "    {}", tensor(t)))
    }
}

impl Exporter<RecordingInfo> for InfoTable {
    fn export(&self, info: &RecordingInfo, out: &mut dyn Write) -> io::Result<()> {
        let rows_bytes = info.bytes_rows as f64 / info.rows.max(1) as f64;
        let torn = match info.bytes_torn {
            0 => String::new(),
            torn => format!(", {} behind the last whole window", bytes(torn)),
        };
        let left_out = info.protocol.windows - info.windows_recorded;
        let unfinished = match left_out {
            0 => String::new(),
            more => format!("; stopped before the last {}", count(more as u64)),
        };
        writeln!(out, "{}", info.model.name)?;
        write!(out, "{}", Terminal::default().recorded(&info.model))?;
        for (name, text) in [
            ("text", protocol(&info.protocol)),
            (
                "recorded",
                format!(
                    "{} windows, {} rows{unfinished}",
                    count(info.windows_recorded as u64),
                    count(info.rows)
                ),
            ),
            (
                "bytes",
                format!(
                    "{}: {} rows ({} a row), {} head, {} text and tokenizer{torn}",
                    bytes(info.bytes),
                    bytes(info.bytes_rows),
                    count(rows_bytes.round() as u64),
                    bytes(info.bytes_head),
                    bytes(info.bytes_opening)
                ),
            ),
            (
                "model",
                format!("{}, sha256 {}", info.model.weights, info.model.sha256),
            ),
            ("compute", info.model.compute.clone()),
        ] {
            writeln!(out, "    {name:<12}{text}")?;
        }
        Ok(())
    }
}

fn rows(info: &Info) -> Vec<(&'static str, String)> {
    let model = &info.model;
    let mut rows = vec![(
        "format",
        format!(
            "{}, {}, sha256 {}",
            model.format,
            bytes(model.bytes),
            model.sha256
        ),
    )];
    rows.extend(
        model
            .revision
            .iter()
            .map(|commit| ("revision", commit.clone())),
    );
    let family = model.family.as_deref().unwrap_or("not said");
    rows.push((
        "family",
        format!("{family}, {} parameters", count(model.parameters)),
    ));
    rows.extend(shape(&info.shape).map(|text| ("shape", text)));
    let context = model.context_length;
    rows.extend(context.map(|length| ("context", format!("{} tokens", count(length as u64)))));
    rows.extend(head(model.vocabulary, info.shape.tied_head).map(|text| ("head", text)));
    rows.push(("stored as", types(info)));
    match &info.tokenizer {
        Some(card) => rows.extend(tokenizer(card)),
        None => rows.push(("tokenizer", "none that can be read".to_owned())),
    }
    rows
}

/// What is known of the sizes.
fn shape(shape: &Shape) -> Option<String> {
    let layers = match (shape.layers, shape.hidden) {
        (Some(layers), Some(hidden)) => Some(format!("{layers} layers of {hidden}")),
        (layers, _) => layers.map(|layers| format!("{layers} layers")),
    };
    let width = shape
        .head_width
        .map(|width| format!(" of {width}"))
        .unwrap_or_default();
    let shared = shape
        .kv_heads
        .map(|heads| format!(" ({heads} for keys and values)"))
        .unwrap_or_default();
    let parts = [
        layers,
        shape
            .heads
            .map(|heads| format!("{heads} heads{width}{shared}")),
        shape.mlp.map(|mlp| format!("MLP of {mlp}")),
        shape
            .sliding_window
            .map(|window| format!("sliding window of {}", count(window as u64))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn head(columns: Option<usize>, tied: Option<bool>) -> Option<String> {
    let whose = match tied {
        Some(true) => ", tied to the embedding",
        Some(false) => ", of its own",
        None => "",
    };
    columns.map(|columns| format!("{} columns{whose}", count(columns as u64)))
}

fn types(info: &Info) -> String {
    let of_type = |(name, (number, size)): (&str, (u64, u64))| {
        let tensors = if number == 1 { "tensor" } else { "tensors" };
        format!("{name} ({number} {tensors}, {})", bytes(size))
    };
    let types: Vec<String> = info.types().into_iter().map(of_type).collect();
    types.join(", ")
}

fn tokenizer(card: &TokenizerCard) -> [(&'static str, String); 2] {
    let named = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
    let added = if card.adds_bos {
        ", put before every text"
    } else {
        ""
    };
    let template = if card.has_chat_template { "yes" } else { "no" };
    let kind = format!(
        "{} from {}, {} tokens, {} of them special",
        card.kind,
        card.origin,
        count(card.tokens as u64),
        card.special_tokens
    );
    let marks = format!(
        "BOS {}{added}; EOS {}; chat template: {template}",
        named(&card.bos),
        named(&card.eos)
    );
    [("tokenizer", kind), ("", marks)]
}

fn tensor(tensor: &TensorCard) -> String {
    let sizes: Vec<String> = tensor.shape.iter().map(ToString::to_string).collect();
    format!(
        "{:<44} {:<6} {:>16} {:>10}",
        tensor.name,
        tensor.dtype,
        sizes.join("×"),
        bytes(tensor.bytes as u64)
    )
}
