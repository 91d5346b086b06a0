//! A sample of a corpus on a terminal.

use std::io::{self, Write};

use kld_core::result::{Allocation, SampleSettings, Stratum, TextSample};

use crate::{
    Exporter, Terminal,
    dist::plural,
    format::{count, share, shortened, significant},
    table::{and_more, layout},
};

/// Rows shown of strata, near-duplicates and overlaps; the JSON has all.
const SHOWN: usize = 8;

impl Exporter<TextSample> for Terminal {
    fn export(&self, result: &TextSample, out: &mut dyn Write) -> io::Result<()> {
        let documents = plural(result.documents as usize, "document", "documents");
        let (settings, comparison) = (&result.settings, &result.comparison);
        writeln!(
            out,
            "{} of {documents} taken (seed {})",
            count(result.taken),
            settings.seed
        )?;
        if result.taken < settings.number {
            writeln!(
                out,
                "warning: {} were asked for, and no more could be taken",
                count(settings.number)
            )?;
        }
        write!(out, "{}", strata(result))?;
        write!(out, "{}", near_duplicates(result))?;
        write!(out, "{}", overlaps(result))?;
        if result.without_words > 0 {
            writeln!(
                out,
                "without any words, left out: {}",
                count(result.without_words)
            )?;
        }
        writeln!(
            out,
            "\nthe words of the corpus (P) against those of the sample (Q)"
        )?;
        write!(out, "{}", self.text_divergences(comparison))?;
        writeln!(
            out,
            "    as many words drawn from the corpus one by one would have {} for KL(Q‖P) by Zhang-Grabchak",
            significant(result.floor * self.unit.per_nat())
        )?;
        comparison
            .warnings
            .iter()
            .try_for_each(|warning| writeln!(out, "warning: {}", self.warning(warning)))
    }
}

fn strata(result: &TextSample) -> String {
    let SampleSettings {
        stratify: Some(field),
        allocation,
        ..
    } = &result.settings
    else {
        return String::new();
    };
    let how = match allocation {
        Allocation::Proportional => "as its share of the corpus",
        Allocation::Equal => "the same number of all",
    };
    let mut rows = vec![
        [field.as_str(), "corpus", "allotted", "taken"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(result.strata.iter().take(SHOWN).map(|stratum: &Stratum| {
        vec![
            shortened(stratum.value.as_deref().unwrap_or("–"), 32),
            count(stratum.documents),
            count(stratum.allotted),
            count(stratum.taken),
        ]
    }));
    let more = match result.strata.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("    … and {} more\n", count(more as u64)),
    };
    format!("strata: {field}, {how}\n{}{more}", layout("    ", &rows))
}

fn near_duplicates(result: &TextSample) -> String {
    let (all, near) = (&result.near_duplicates, result.settings.near);
    let rows = all.iter().take(SHOWN).map(|one| {
        vec![
            shortened(&one.name, 40),
            format!("of {}", shortened(&one.of, 40)),
            share(one.similarity),
        ]
    });
    format!(
        "near-duplicates, left out: {} (similarity of word {}-grams at least {})\n{}{}",
        count(all.len() as u64),
        near.ngram,
        near.similarity,
        layout("    ", &rows.collect::<Vec<_>>()),
        and_more(all.len(), SHOWN)
    )
}

fn overlaps(result: &TextSample) -> String {
    let Some(rule) = &result.settings.exclude else {
        return String::new();
    };
    let all = &result.overlaps;
    let rows = all.iter().take(SHOWN).map(|one| {
        vec![
            shortened(&one.name, 40),
            share(one.share),
            format!(
                "“{}” in {}",
                shortened(&one.example, 60),
                shortened(&one.seen_in, 40)
            ),
        ]
    });
    let short = match result.too_short_to_tell {
        0 => String::new(),
        short => format!(
            "    {} taken with fewer than {} words: no overlap could be seen\n",
            plural(short as usize, "document", "documents"),
            rule.ngram
        ),
    };
    format!(
        "overlaps with {}, left out: {} (at least {} of the word {}-grams)\n{}{}{short}",
        shortened(&rule.sources.join(", "), 60),
        count(all.len() as u64),
        share(rule.share),
        rule.ngram,
        layout("    ", &rows.collect::<Vec<_>>()),
        and_more(all.len(), SHOWN)
    )
}
