//! Half-life and weights for a history: those that minimise KL(history ‖ suggestions) on words that were held back.

use kld_core::Observer;

use super::{
    super::{
        mixture::{Mixture, Parts},
        session::{Context, Session},
        state::{Fitted, SPAN, State},
        word_model::WordModel,
    },
    History, Steps, each_word,
};
use crate::Result;

/// Half-lives that are tried, in words.
const HALF_LIVES: [f64; 6] = [500.0, 2000.0, 8000.0, 32_000.0, 128_000.0, f64::INFINITY];

/// Held-back words below which nothing is fitted: weights would follow chance.
pub const FEWEST_TO_FIT: usize = 100;

/// Held-back words to which weights are fitted; with as many, chance moves a weight by some thousandths.
const MOST_TO_FIT: usize = 100_000;

/// The last words of what is learnt from, of which some are to be predicted.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldBack {
    words: usize,
    /// From one that is predicted to the next.
    every: usize,
}

impl HeldBack {
    /// The last so many words, all of which are predicted; `None` where they are fewer than [`FEWEST_TO_FIT`].
    pub(super) fn last(words: usize) -> Option<Self> {
        (words >= FEWEST_TO_FIT).then_some(Self { words, every: 1 })
    }

    /// Whether a word is predicted that so many come behind.
    pub(super) fn has(self, behind: usize) -> bool {
        behind < self.words && behind.is_multiple_of(self.every)
    }
}

impl History<'_> {
    /// The half-life and the weights that minimise KL(history ‖ suggestions) on the second half of what is learnt from, each word
    /// predicted from those before it; `None` where that half has fewer than [`FEWEST_TO_FIT`] words. Of a longer half at most 100,000
    /// words are predicted, spread evenly.
    ///
    /// # Errors
    ///
    /// If the observer has asked to stop.
    pub fn fit(
        &self,
        model: &WordModel,
        state: &State,
        observer: &dyn Observer,
    ) -> Result<Option<Fitted>> {
        let Some(held_back) = HeldBack::last(self.learnt_words() / 2) else {
            return Ok(None);
        };
        let every = held_back.words.div_ceil(MOST_TO_FIT);
        let held_back = HeldBack { every, ..held_back };
        let session = Session::new(model, state.clone());
        let base =
            |session: &Session<'_>, context: &Context, word: &str| session.base(context, word);
        self.best(session, held_back, base, observer).map(Some)
    }

    /// The best of the half-lives with the weights that go with it, given what the base gives to words that are predicted.
    pub(super) fn best<'m>(
        &self,
        mut session: Session<'m>,
        held_back: HeldBack,
        mut base: impl FnMut(&Session<'m>, &Context, &str) -> f64,
        observer: &dyn Observer,
    ) -> Result<Fitted> {
        let mut steps = Steps::new(observer, "words tried with weights", self.learnt_words());
        let mut cache = session.replayed(HALF_LIVES);
        let mut positions = HALF_LIVES.map(|_| Vec::new());
        let (before, all) = (session.state().words(), self.learnt_words());
        let mut learnt = 0;
        each_word(self.learnt(), |_, context, word| {
            let symbol = session.add(word);
            learnt += 1;
            if held_back.has(all - learnt) {
                let base = base(&session, context, word);
                let shares = cache.shares(context.symbols(), symbol);
                for (i, positions) in positions.iter_mut().enumerate() {
                    let shares = shares.iter().map(|share| share[i]);
                    positions.push(std::iter::once(base).chain(shares).collect::<Parts>());
                }
            }
            // The counts of a span have the time of its beginning.
            let span = (learnt - 1) as u64 / SPAN;
            cache.learn(context.symbols(), symbol, before + span * SPAN);
            context.push(symbol);
            steps.step(String::new)
        })?;
        let fitted = HALF_LIVES.into_iter().zip(&positions);
        let fitted = fitted.map(|(half_life, positions)| {
            let mixture = Mixture::fitted(positions);
            (mixture.nll(positions), Fitted { half_life, mixture })
        });
        let best = fitted.min_by(|a, b| a.0.total_cmp(&b.0));
        Ok(best.map_or_else(|| unreachable!("there are half-lives"), |(_, best)| best))
    }
}
