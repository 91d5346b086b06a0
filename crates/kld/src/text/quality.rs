//! `kld text HUMAN MACHINE --quality`

mod features;

use std::{mem, path::Path};

use anyhow::{Context as _, ensure};
use clap::Args;
use kld_core::{
    Observer,
    result::{ModelOnBoth, QUALITY_SCHEMA, Quality, QualityBody, Score},
};
use kld_eval::{Cut, Fragment, Scored, Work, score::score, text::Content};
use kld_models::LogitSource;
use kld_text::{
    quality::{Corpus, DiversityOptions, diversity, mauve, perplexity_overlap},
    read::{Document, ReadOptions, read_documents},
    segment::Cutter,
};

pub(super) use self::features::{Asked, Found};
use super::compare::CompareArgs;
use crate::{
    args::{kernel, positive},
    exit::Outcome,
    models::Opener,
    progress::Terminal,
};

/// Tokens that a model reads at once where nothing else is asked for.
const USUAL_CONTEXT: usize = 512;

/// Bytes of text in a body: numbers for its words and runs of words take some twenty times as much.
const MOST_TEXT: usize = 64_000_000;

/// Generated text beside what people wrote, and texts in pairs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Quality and pairs")]
pub(crate) struct QualityArgs {
    /// How varied is B, a body of generated text, beside A, which people wrote; and, with --features, how alike in meaning
    ///
    /// Every document (record, file, or with --lines line) is a text. Measures of diversity and repetition stand side by side, each with its error and
    /// a test of the difference. With features of the documents, MAUVE and the frontier integral tell how alike the bodies are in meaning.
    #[arg(long, conflicts_with_all = ["documents", "window", "by", "expected"])]
    pub(super) quality: bool,

    /// A and B are pairs: the first text of A and the first of B, and so on, such as what a user wrote and what a system answered
    ///
    /// Texts are the lines of .txt files, or records. How far are the words of B from those of A, and which terms are over- and under-represented; is
    /// it more than chance; have the texts of a pair to do with each other; and which pairs fit least.
    #[arg(long, conflicts_with_all = ["quality", "documents", "window", "by", "expected"])]
    pub(super) pairs: bool,

    /// With --pairs: two fields of the records of one .jsonl file, which is named once
    #[arg(
        long,
        value_name = "FIRST,SECOND",
        value_delimiter = ',',
        requires = "pairs"
    )]
    pub(super) fields: Vec<String>,

    /// Features of the documents: a model, whose last hidden state is taken, or two .npy files with a row for each document of A and of B
    #[arg(long, value_name = "MODEL|A.npy,B.npy", value_delimiter = ',')]
    pub(super) features: Vec<String>,

    /// With --quality: what a model makes of both bodies, the perplexities of their documents and how these overlap
    #[arg(long, value_name = "MODEL", requires = "quality")]
    pub(super) model: Option<String>,

    /// Tokens that a model reads at once; of longer documents features see the beginning, perplexities all [default: 512, or as many as it can]
    #[arg(long, value_name = "TOKENS", value_parser = positive)]
    model_context: Option<usize>,

    /// Buckets of MAUVE [default: a tenth of the documents of the smaller body]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(super) buckets: Option<usize>,

    /// Quantizations, each with random numbers of its own, over which MAUVE is averaged
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = positive)]
    pub(super) quantizations: usize,

    /// With --pairs: permutations of each test
    #[arg(long, default_value_t = 999, value_name = "N", value_parser = positive)]
    pub(super) permutations: usize,

    /// With --quality: every line of a .txt or .md file is a document
    #[arg(long, requires = "quality")]
    pub(super) lines: bool,
}

impl QualityArgs {
    /// How many tokens a model reads at once.
    pub(super) fn context(&self, model: &dyn LogitSource) -> usize {
        self.model_context
            .unwrap_or_else(|| model.card().context_length.min(USUAL_CONTEXT))
    }
}

pub(super) fn run(args: &CompareArgs) -> anyhow::Result<Outcome> {
    let asked = &args.quality;
    let paths = args.bodies()?;
    let outputs = args.output.open(&[&paths[0], &paths[1]])?;
    let observer = Terminal::listening()?;
    let cutter = args.unit.count_options(&args.read, &observer)?.cutter;
    let read = held_in_memory(args);
    let body = |path: &Path| Body::read(path, &read, asked.lines, &cutter, &observer);
    let bodies = [body(&paths[0]).context("A")?, body(&paths[1]).context("B")?];
    let texts = bodies.each_ref().map(Body::texts);
    let (features, mauve) = match Found::of(args, &texts, &observer)? {
        Asked::Stopped => return Ok(Outcome::Interrupted),
        Asked::ForNothing => (None, None),
        Asked::Found(found) => {
            let mauve = mauve(&found.reference, &found.candidate, &args.mauve_options())?;
            (Some(found.source), Some(mauve))
        }
    };
    let model = match &asked.model {
        None => None,
        Some(name) => match on_both(name, &bodies, args, &observer)? {
            Some(result) => Some(result),
            None => return Ok(Outcome::Interrupted),
        },
    };
    let corpus = Corpus::new(&texts[0], &texts[1], &cutter)?;
    let options = DiversityOptions {
        seed: args.statistics.seed,
        ..DiversityOptions::default()
    };
    let diversity = diversity(&corpus, &cutter, &options);
    let [reference, candidate] = bodies.map(|body| body.card);
    let result = Quality {
        schema: QUALITY_SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        reference,
        candidate,
        features,
        mauve,
        diversity,
        model,
    };
    outputs.write(&result)?;
    Ok(Outcome::Fine)
}

/// What a model makes of both bodies; `None` where the user stopped it.
fn on_both(
    name: &str,
    bodies: &[Body; 2],
    args: &CompareArgs,
    observer: &Terminal,
) -> anyhow::Result<Option<ModelOnBoth>> {
    let model = Opener::new(None, observer).open_model(name)?;
    let mut scores = Vec::new();
    for body in bodies {
        let fragments: Vec<Fragment> = body.documents.iter().map(fragment).collect();
        let cut = Cut {
            context: args.quality.context(&model),
            scored: Scored::All,
            ..Cut::default()
        };
        let work = Work {
            threads: args.unit.threads(),
            kernel: kernel()?,
        };
        let scored = score(&model, &fragments, &cut, work, observer);
        observer.finish();
        let scored = scored.with_context(|| body.card.name.clone())?;
        if !scored.run.complete {
            return Ok(None);
        }
        scores.push(scored);
    }
    let (Some(candidate), Some(reference)) = (scores.pop(), scores.pop()) else {
        unreachable!("there are two bodies");
    };
    let perplexities = |score: &Score| -> Vec<f64> {
        let finite = score.fragments.iter().map(|f| f.perplexity.value);
        finite.filter(|p| p.is_finite()).collect()
    };
    let (p, q) = (perplexities(&reference), perplexities(&candidate));
    ensure!(
        !p.is_empty() && !q.is_empty(),
        "no document of {} has two tokens, which it takes to score one",
        if p.is_empty() { "A" } else { "B" }
    );
    let statistics = &args.statistics;
    Ok(Some(ModelOnBoth {
        perplexities: perplexity_overlap(&p, &q, statistics.resamples, statistics.seed),
        reference,
        candidate,
    }))
}

fn fragment(document: &Document) -> Fragment {
    Fragment {
        name: document.name.clone(),
        content: Content::Text(document.text.clone()),
    }
}

/// How texts are read that are held in memory, with all of their runs of words.
pub(super) fn held_in_memory(args: &CompareArgs) -> ReadOptions {
    ReadOptions {
        most_bytes: MOST_TEXT,
        ..args.read.options()
    }
}

/// A body's documents that have words.
pub(super) struct Body {
    pub(super) documents: Vec<Document>,
    pub(super) card: QualityBody,
}

impl Body {
    pub(super) fn read(
        path: &Path,
        options: &ReadOptions,
        lines: bool,
        cutter: &Cutter,
        observer: &dyn Observer,
    ) -> anyhow::Result<Self> {
        let mut documents = read_documents(&[path.to_owned()], options, observer)?;
        if lines {
            documents = documents.into_iter().flat_map(by_line).collect();
        }
        let all = documents.len();
        let replaced = documents.iter().map(|d| d.replaced).sum();
        let mut words = 0;
        for document in mem::take(&mut documents) {
            let here = self::words(&document, cutter)?;
            if here > 0 {
                documents.push(document);
            }
            words += here;
        }
        ensure!(words > 0, "{}: no words", path.display());
        Ok(Self {
            card: QualityBody {
                name: path.display().to_string(),
                documents: documents.len(),
                empty_documents: all - documents.len(),
                replaced,
                words,
            },
            documents,
        })
    }

    pub(super) fn texts(&self) -> Vec<&str> {
        self.documents.iter().map(|d| d.text.as_str()).collect()
    }
}

/// How many words a document has.
pub(super) fn words(document: &Document, cutter: &Cutter) -> kld_text::Result<usize> {
    let mut words = 0;
    cutter.each(&document.text, |_| words += 1)?;
    Ok(words)
}

/// The lines of a plain text; a record stays whole.
pub(super) fn by_line(document: Document) -> Vec<Document> {
    let of_record = |name: &str| {
        let line = name.rsplit_once(':').map(|(_, line)| line);
        line.is_some_and(|line| line.parse::<u64>().is_ok())
    };
    if of_record(&document.name) {
        return vec![document];
    }
    let line = |(number, text): (usize, &str)| Document {
        name: format!("{}:{}", document.name, number + 1),
        text: text.to_owned(),
        by: None,
        // Of the whole file, told once.
        replaced: if number == 0 { document.replaced } else { 0 },
    };
    document.text.lines().enumerate().map(line).collect()
}
