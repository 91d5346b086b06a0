//! A comparison as Markdown: a table to paste into a release, and for each candidate a block for its model card.
//!
//! A model card's front matter holds results under `model-index`; the block is YAML as the Hugging Face Hub reads it. Names come from
//! strangers: in Markdown all punctuation is escaped, in YAML they are JSON strings, which YAML reads as they are.

use std::io::{self, Write};

use kld_core::{
    estimate::Estimate,
    ranking::Front,
    result::{Candidate, Comparison},
};

use crate::{
    Exporter,
    compare::{model, protocol},
    format::{bytes, count, digits, fixed, percent, plain, plus_minus, significant},
    names::{file_name, short_names},
};

/// Markdown with a block for each candidate's model card.
#[derive(Clone, Copy, Debug, Default)]
pub struct Markdown;

impl Exporter<Comparison> for Markdown {
    fn export(&self, result: &Comparison, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(table(result).as_bytes())?;
        out.write_all(remarks(result).as_bytes())?;
        for candidate in &result.candidates {
            out.write_all(card(result, candidate).as_bytes())?;
        }
        Ok(())
    }
}

const HEAD: &str = "\
| candidate | size | bits/weight | KL(P‖Q), nats | 99 % point | top-1 agreement | perplexity ratio | group | front | gate |
|:--|--:|--:|--:|--:|--:|--:|:-:|:-:|:-:|
";

/// All candidates, best first, and what they were compared with.
fn table(result: &Comparison) -> String {
    let reference = escaped(file_name(&result.reference.name));
    let mut text = format!("# KL divergence from {reference}\n\n{HEAD}");
    let order: Vec<usize> = match &result.ranking {
        Some(ranking) => ranking.ranked.iter().map(|r| r.candidate).collect(),
        None => (0..result.candidates.len()).collect(),
    };
    for index in order {
        text.push_str(&row(result, index));
    }
    text.push_str(&format!(
        "\nKL(P‖Q) per token ± standard error. Reference P: {}. Text: {}. Measured with kld {}.\n",
        escaped(&model(&result.reference)),
        escaped(&protocol(&result.protocol)),
        escaped(&result.run.version),
    ));
    text
}

fn row(result: &Comparison, index: usize) -> String {
    let c = &result.candidates[index];
    let ranked = result.ranking.as_ref();
    let ranked = ranked.and_then(|r| r.ranked.iter().find(|r| r.candidate == index));
    let front = match ranked.map(|r| r.front) {
        Some(Front::On) => "●",
        Some(Front::Unproven) => "○",
        Some(Front::Off) | None => "",
    };
    let gate = match &c.verdict {
        Some(verdict) if verdict.passed => "✓ passed",
        Some(_) => "✗ **failed**",
        None => "–",
    };
    let cells = [
        escaped(short_names(&result.candidates)[index]),
        bytes(c.model.bytes),
        fixed(c.model.bits_per_weight(), 2),
        plus_minus(&c.kl.mean),
        significant(c.kl.p99),
        percent(&c.top1_agreement),
        format!("×{}", plus_minus(&c.perplexity.ratio)),
        ranked.map_or(String::new(), |r| r.groups.clone()),
        front.to_owned(),
        gate.to_owned(),
    ];
    format!("| {} |\n", cells.join(" | "))
}

/// What the table means, and what to know before trusting it.
fn remarks(result: &Comparison) -> String {
    let names = short_names(&result.candidates);
    let mut remarks = Vec::new();
    if let Some(ranking) = &result.ranking {
        remarks.push(
            "Candidates that share a group letter cannot be told apart by paired differences. \
             ● on the front of size against KL, ○ on it by its mean alone."
                .to_owned(),
        );
        remarks.extend(ranking.notes.iter().map(|note| escaped(note)));
    }
    if let Some(pick) = &result.pick {
        let picked = pick.candidate.and_then(|index| names.get(index));
        remarks.push(match picked {
            Some(name) => format!("Picked: **{}**.", escaped(name)),
            None => {
                "Picked: **none**, because none of the candidates is what was asked for.".to_owned()
            }
        });
    }
    if let Some(floor) = &result.noise_floor {
        remarks.push(format!(
            "Noise floor (P against itself, {}): {} nats; what is not clearly above it says nothing of the weights.",
            escaped(&floor.compute),
            plus_minus(&floor.kl.mean)
        ));
    }
    if !result.run.complete {
        remarks.push(format!(
            "**Stopped early**: the numbers cover {} of {} windows.",
            count(result.run.windows_done as u64),
            count(result.protocol.windows as u64)
        ));
    }
    for (c, name) in result.candidates.iter().zip(&names) {
        let name = escaped(name);
        remarks.extend(c.warnings.iter().map(|w| format!("{name}: {}", escaped(w))));
    }
    remarks
        .iter()
        .flat_map(|remark| ["\n", remark, "\n"])
        .collect()
}

/// What to paste into the model card of a candidate.
fn card(result: &Comparison, c: &Candidate) -> String {
    let name = file_name(&c.model.name);
    let reference = file_name(&result.reference.name);
    let metrics = [
        (
            "kl_divergence",
            "KL(P‖Q) per token, nats (mean)",
            c.kl.mean.value,
        ),
        (
            "kl_divergence_p99",
            "KL(P‖Q) per token, nats (99 % point)",
            c.kl.p99,
        ),
        (
            "top1_agreement",
            "same most likely token (share of positions)",
            c.top1_agreement.value,
        ),
        (
            "perplexity_ratio",
            "perplexity over that of the reference",
            c.perplexity.ratio.value,
        ),
    ];
    // YAML has no number for what was not measured.
    let measured = metrics.iter().filter(|(_, _, value)| value.is_finite());
    let metrics = measured.fold(String::new(), |yaml, (kind, name, value)| {
        let name = quoted(name);
        yaml + &format!(
            "          - type: {kind}\n            name: {name}\n            value: {value}\n"
        )
    });
    format!(
        "\n## For the model card of {title}\n\n\
         Front matter:\n\n\
         ```yaml\n\
         model-index:\n\
         \x20 - name: {name}\n\
         \x20   results:\n\
         \x20     - task:\n\
         \x20         type: text-generation\n\
         \x20       dataset:\n\
         \x20         type: custom\n\
         \x20         name: {dataset}\n\
         \x20       metrics:\n\
         {metrics}\
         ```\n\n\
         Text:\n\n\
         > Its next-token distributions are {kl} nats (mean KL(P‖Q) ± standard error, {interval}) from those of {reference}, \
         over {positions} positions; the most likely token agrees at {top1} of them; perplexity {from} → {to}. \
         Measured with [kld](https://crates.io/crates/kld) {version}, protocol {protocol}; text: tokens sha256 `{tokens}`, \
         reference weights sha256 `{p}`, these weights sha256 `{q}`.\n",
        title = escaped(name),
        name = quoted(&plain(name)),
        dataset = quoted(&format!(
            "tokens sha256 {}",
            result.protocol.token_stream_sha256
        )),
        kl = plus_minus(&c.kl.mean),
        interval = interval(&c.kl.mean),
        reference = escaped(reference),
        positions = count(c.positions),
        top1 = percent(&c.top1_agreement),
        from = digits(c.perplexity.reference.value, 5),
        to = digits(c.perplexity.candidate.value, 5),
        version = escaped(&result.run.version),
        protocol = escaped(&result.protocol.name),
        tokens = short(&result.protocol.token_stream_sha256),
        p = short(&result.reference.sha256),
        q = short(&c.model.sha256),
    )
}

fn interval(estimate: &Estimate) -> String {
    match estimate.low.zip(estimate.high) {
        Some((low, high)) => format!("95 %: {} to {}", significant(low), significant(high)),
        None => "error not known".to_owned(),
    }
}

/// The first digits of a hash, which are hexadecimal whatever a file says.
fn short(hash: &str) -> String {
    hash.chars()
        .filter(char::is_ascii_hexdigit)
        .take(16)
        .collect()
}

/// A JSON string, which is a YAML string too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Text that Markdown shows as it is.
fn escaped(text: &str) -> String {
    plain(text).chars().fold(String::new(), |mut escaped, c| {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_names() {
        assert_eq!(
            escaped("a|b_c\n[x](y)<img>"),
            "a\\|b\\_c\u{fffd}\\[x\\](y)&lt;img&gt;"
        );
        assert_eq!(quoted("a\"b: #c"), "\"a\\\"b: #c\"");
    }
}
