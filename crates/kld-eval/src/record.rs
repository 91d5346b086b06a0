//! `record`: a model's rows on a text, kept so that the model need not be run again.
//!
//! Windows are dealt to threads and written in the order of the text, each made durable before the next, so an interrupted recording
//! has all windows but the last ones. A lossy choice is measured while both rows are at hand: the row as the model gave it, and as the
//! recording will give it back.

use kld_core::{
    Observer,
    observer::{Pace, Progress},
};
use kld_kernels::{Kernel, PairOptions};
use kld_models::{
    LogitSource, Script,
    recording::{Keep, KeptRows, TopK},
};

use crate::{
    Fragment, Result, Work,
    compare::HEAD_SLICE,
    deal::{InMemory, deal},
    prepare::{Prepared, Tokenized},
    window::{Cut, Window},
};

/// Somewhere that recorded windows go, in the order of the text.
pub trait Tape {
    /// Number of windows that are there.
    fn done(&self) -> usize;

    /// Adds the rows of the next window.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    fn append(&mut self, rows: &KeptRows) -> Result<()>;
}

impl Tape for kld_models::recording::Recorder {
    fn done(&self) -> usize {
        self.done()
    }

    fn append(&mut self, rows: &KeptRows) -> Result<()> {
        Ok(self.append(rows)?)
    }
}

impl Tape for kld_models::llama_cpp::Writer {
    fn done(&self) -> usize {
        self.done()
    }

    fn append(&mut self, rows: &KeptRows) -> Result<()> {
        Ok(self.append(rows)?)
    }
}

/// What is to be recorded of a text: its windows, and the text itself for the tokenizers of those who will be compared.
///
/// # Errors
///
/// If the text does not suit the model, or there is nothing to score.
pub fn script(model: &dyn LogitSource, fragments: &[Fragment], cut: &Cut) -> Result<Script> {
    let tokenized = Tokenized::new(fragments, model, cut)?;
    let prepared = Prepared::new(&tokenized, model, cut)?;
    Ok(prepared.script(&tokenized, prepared.windows.record(cut)))
}

/// Columns of the rows that a recording gives back: all that the model has, or of the most likely tokens those that are tokens.
#[must_use]
pub fn columns(model: &dyn LogitSource, keep: Keep) -> usize {
    match keep {
        Keep::TopK(_) => model.vocabulary().min(model.tokenizer().len()),
        Keep::Hidden | Keep::Logits => model.vocabulary(),
    }
}

/// Runs the model over the windows that `tape` does not have yet. Returns how many it has at the end: fewer than all only where
/// `observer` asked for a stop.
///
/// # Errors
///
/// If the model fails or the tape cannot be written; the windows before are on it.
pub fn record(
    model: &dyn LogitSource,
    windows: &[Window],
    keep: Keep,
    tape: &mut dyn Tape,
    work: Work,
    observer: &dyn Observer,
) -> Result<usize> {
    let begun = tape.done();
    let left = windows.get(begun..).unwrap_or_default();
    let mut pace = Pace::default();
    let mut failed = None;
    let rows = |index: usize| window_rows(model, &left[index], keep, work.kernel);
    let store = InMemory::new(left.len());
    deal(left.len(), work.threads, &store, rows, |index, rows| {
        if let Err(error) = tape.append(&rows) {
            failed = Some(error);
            return false;
        }
        let done = begun + index + 1;
        pace.tell(observer, done == windows.len(), || Progress {
            stage: "windows",
            done,
            total: windows.len(),
            estimate: String::new(),
        });
        failed.is_none() && !observer.interrupted()
    })?;
    failed.map_or(Ok(tape.done()), Err)
}

/// The scored rows of one window as they are kept.
fn window_rows(
    model: &dyn LogitSource,
    window: &Window,
    keep: Keep,
    kernel: Kernel,
) -> Result<KeptRows> {
    let logits = model.forward(&window.input)?;
    if let (Keep::Hidden, Some(hidden)) = (keep, logits.hidden(window.scored.clone())) {
        return Ok(KeptRows::Hidden(hidden.to_vec()));
    }
    let columns = columns(model, keep);
    let (mut rows, mut all, mut top) = (Vec::new(), Vec::new(), TopK::default());
    // The same slices as those of a comparison: the bits of a product depend on them.
    let mut begin = window.scored.start;
    while begin < window.scored.end {
        let slice = begin..window.scored.end.min(begin + HEAD_SLICE);
        logits.rows(slice.clone(), &mut rows)?;
        match keep {
            Keep::TopK(k) => {
                for row in rows.chunks_exact(model.vocabulary()) {
                    keep_top(&mut top, &row[..columns], k, kernel);
                }
            }
            Keep::Hidden | Keep::Logits => all.extend_from_slice(&rows),
        }
        begin = slice.end;
    }
    Ok(match keep {
        Keep::TopK(_) => KeptRows::TopK(top),
        Keep::Hidden | Keep::Logits => KeptRows::Logits(all),
    })
}

/// Adds the `k` most likely tokens of a row, the mass of all others, and what that loses.
fn keep_top(top: &mut TopK, row: &[f32], k: usize, kernel: Kernel) {
    let mut order: Vec<u32> = (0..row.len() as u32).collect();
    // Largest first; NaN anywhere, for such a row is none.
    let largest = |a: &u32, b: &u32| row[*b as usize].total_cmp(&row[*a as usize]);
    order.select_nth_unstable_by(k - 1, largest);
    let (kept, others) = order.split_at_mut(k);
    kept.sort_unstable();
    // In the order of the row, so that the sum has the same bits wherever it is made.
    others.sort_unstable();
    let log_sum_exp = kernel.log_sum_exp(row).unwrap_or(f64::NAN);
    let log_prob = |id: &u32| f64::from(row[*id as usize]) - log_sum_exp;
    let tail: f64 = others.iter().map(|id| log_prob(id).exp()).sum();
    top.ids.extend_from_slice(kept);
    top.log_probs
        .extend(kept.iter().map(|id| log_prob(id) as f32));
    top.log_tail.push(tail.ln());
    let mut back = vec![0.0; row.len()];
    top.give_back(top.rows() - 1, &mut back);
    let pair = kernel.pair(row, &back, &PairOptions::default());
    top.loss.push(pair.map_or(f64::NAN, |pair| pair.kl));
}
