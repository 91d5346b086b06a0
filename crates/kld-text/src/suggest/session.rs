//! One who writes and one who suggests: a base model, what was learnt from the history, and the mixture of both.

use std::collections::BTreeMap;

use super::{
    cache::{Cache, ORDERS},
    expand::Expanded,
    mixture::{Mixture, Parts},
    ngram::{LONGEST, START, Symbol},
    state::{Fitted, State},
    vocabulary::Vocabulary,
    word_model::WordModel,
    words::{FIRST_WORD, Token, UNKNOWN, at_cursor, each_token, mark_name, mark_named},
};

/// Half-life in words for a history of which nothing can be held back.
pub const USUAL_HALF_LIFE: f64 = 8000.0;

/// Suggests, and learns as it goes.
#[derive(Clone, Debug)]
pub struct Session<'m> {
    /// `None` where the base is a model of tokens, which is asked elsewhere.
    model: Option<&'m WordModel>,
    /// The model's words, and those of the history.
    vocabulary: Vocabulary,
    /// G of the words that only the history has.
    spellings: Vec<f64>,
    cache: Cache,
    mixture: Mixture,
    state: State,
    /// Words learnt before the last span of the state: the time of all that span's counts.
    span_start: u64,
}

/// A word that may come next.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// The word.
    pub word: String,
    /// Its probability as the next word, before any letter of it was written.
    pub probability: f64,
    /// The same without the history.
    pub base: f64,
    /// Its share among the known words that begin as what was written of it.
    pub given_prefix: f64,
}

/// The last words and marks of a text, as context of what comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context(Vec<Symbol>);

impl Default for Context {
    /// The start of a passage.
    fn default() -> Self {
        Self(vec![START])
    }
}

impl Context {
    /// The symbols, nearest last.
    #[must_use]
    pub fn symbols(&self) -> &[Symbol] {
        &self.0
    }

    /// Goes on by one symbol.
    pub fn push(&mut self, symbol: Symbol) {
        if symbol == START {
            self.0.clear();
        } else if self.0.len() == LONGEST {
            self.0.remove(0);
        }
        self.0.push(symbol);
    }
}

impl<'m> Session<'m> {
    /// A session that goes on from a state.
    #[must_use]
    pub fn new(model: &'m WordModel, state: State) -> Self {
        Self::over(Some(model), state)
    }

    /// The same over a model of tokens: the session knows the history, and takes from its caller what [the
    /// model](super::expand::Words) gives to words.
    #[must_use]
    pub fn over_tokens(state: State) -> Self {
        Self::over(None, state)
    }

    fn over(model: Option<&'m WordModel>, state: State) -> Self {
        let fitted = state.fitted.clone().unwrap_or(Fitted {
            half_life: USUAL_HALF_LIFE,
            mixture: Mixture::default(),
        });
        // Counts made under a promise have no order in time.
        let half_life = if state.private.is_some() {
            f64::INFINITY
        } else {
            fitted.half_life
        };
        let mut session = Self {
            model,
            vocabulary: model
                .map(|model| model.vocabulary().clone())
                .unwrap_or_default(),
            spellings: Vec::new(),
            cache: Cache::new(half_life),
            mixture: fitted.mixture,
            state,
            span_start: 0,
        };
        session.cache = session.replayed([half_life]);
        session
    }

    /// The state as it is now.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The state, changed: the session learns it anew.
    #[must_use]
    pub fn with_state(&self, state: State) -> Self {
        Self::over(self.model, state)
    }

    /// The words of model and history.
    #[must_use]
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Half-life of the history in words.
    #[must_use]
    pub fn half_life(&self) -> f64 {
        self.cache.half_life()
    }

    /// Weights of base and history.
    #[must_use]
    pub fn mixture(&self) -> &Mixture {
        &self.mixture
    }

    /// A cache of the counts of the state.
    pub(super) fn replayed<const N: usize>(&mut self, half_lives: [f64; N]) -> Cache<N> {
        let mut cache = Cache::with_half_lives(half_lives);
        let mut now = 0;
        for span in std::mem::take(&mut self.state.spans) {
            self.span_start = now;
            for (gram, count) in &span.counts {
                let parts: Vec<&str> = gram.split(' ').collect();
                let (context, word) = parts.split_at(parts.len() - 1);
                let context: Vec<Symbol> = context.iter().map(|part| self.named(part)).collect();
                let word = self.add(word[0]);
                cache.learn_counted(&context, word, *count, now);
            }
            now += span.words;
            self.state.spans.push(span);
        }
        cache
    }

    fn named(&mut self, part: &str) -> Symbol {
        mark_named(part).unwrap_or_else(|| self.add(part))
    }

    /// The word's number, a new one where neither model nor history has it.
    pub(super) fn add(&mut self, word: &str) -> Symbol {
        let known = self.vocabulary.symbols();
        let number = self.vocabulary.add(word);
        if self.vocabulary.symbols() > known {
            self.spellings
                .push(self.model.map_or(0.0, |model| model.spelling(word)));
        }
        number
    }

    /// Learns that a word was written in a context, at a time as `2026-11-25T20:15:00Z`, and goes on with the context.
    pub fn learn(&mut self, context: &mut Context, word: &str, time: &str) {
        let symbol = self.add(word);
        let last = &context.0[context.0.len().saturating_sub(ORDERS - 1)..];
        // What nobody knows has no name to be written by.
        let begins = last
            .iter()
            .rposition(|symbol| *symbol == UNKNOWN)
            .map_or(0, |at| at + 1);
        let before: Vec<&str> = last[begins..]
            .iter()
            .map(|symbol| name(&self.vocabulary, *symbol))
            .collect();
        let full = self.state.spans.last().map_or(0, |span| span.words);
        if self.state.learn(&before, word, time) {
            self.span_start += full;
        }
        // All counts of a span have the time of its beginning, as they will have when they are read again.
        self.cache.learn(&context.0, symbol, self.span_start);
        context.push(symbol);
    }

    /// Goes on with the context by a word that is not learnt.
    pub fn pass_over(&self, context: &mut Context, word: &str) {
        context.push(self.symbol(Token::Word(word)));
    }

    /// Learns a text that follows a context.
    pub fn learn_text(&mut self, context: &mut Context, text: &str, time: &str) {
        each_token(text, |token| match token {
            Token::Word(word) => self.learn(context, word, time),
            Token::Mark(mark) => context.push(mark),
        });
    }

    /// The context that a text ends with; words that nobody knows are passed over as unknown.
    #[must_use]
    pub fn context(&self, text: &str) -> Context {
        let mut context = Context::default();
        each_token(text, |token| context.push(self.symbol(token)));
        context
    }

    fn symbol(&self, token: Token<'_>) -> Symbol {
        match token {
            Token::Mark(mark) => mark,
            Token::Word(word) => self.vocabulary.number(word).unwrap_or(UNKNOWN),
        }
    }

    /// What each part gives to a word in a context.
    #[must_use]
    pub fn parts(&self, context: &Context, word: &str) -> Parts {
        self.parts_over(self.base(context, word), context, word)
    }

    /// The same where the base gives this probability to the word.
    #[must_use]
    pub fn parts_over(&self, base: f64, context: &Context, word: &str) -> Parts {
        let symbol = self.vocabulary.number(word).unwrap_or(Symbol::MAX);
        let mut parts = vec![base];
        parts.extend(self.cache.shares(&context.0, symbol).into_iter().flatten());
        parts
    }

    /// What the base gives to a word; 0 where it is a model of tokens.
    pub(super) fn base(&self, context: &Context, word: &str) -> f64 {
        let Some(model) = self.model else {
            return 0.0;
        };
        let symbol = self.vocabulary.number(word).unwrap_or(Symbol::MAX);
        let beyond = (symbol as usize).checked_sub(model.ngram().symbols());
        let spelling = match beyond.map(|at| self.spellings.get(at)) {
            None => 0.0,
            Some(Some(spelling)) => *spelling,
            Some(None) => model.spelling(word),
        };
        model.ngram().probability(&context.0, symbol, spelling)
    }

    /// Probabilities of all known words without the history and with it, by number.
    pub fn distributions(&self, context: &Context, base: &mut Vec<f64>, mixed: &mut Vec<f64>) {
        if let Some(model) = self.model {
            let unknown = model.ngram().distribution(&context.0, base);
            base.extend(self.spellings.iter().map(|g| unknown * g));
        } else {
            base.clear();
            base.resize(self.vocabulary.symbols(), 0.0);
        }
        let weights = self.mixture.weights(self.cache.orders_seen(&context.0));
        mixed.clear();
        mixed.extend(base.iter().map(|p| weights[0] * p));
        self.cache
            .add_distributions(&context.0, &weights[1..], mixed);
    }

    /// The most likely words at the cursor behind `text`, best first: the next one, or that which has been begun.
    #[must_use]
    pub fn suggest(&self, text: &str, count: usize) -> Vec<Suggestion> {
        let (before, prefix) = at_cursor(text);
        self.suggest_after(&self.context(before), prefix, count)
    }

    /// The same in a context, for a word that begins with `prefix`.
    #[must_use]
    pub fn suggest_after(&self, context: &Context, prefix: &str, count: usize) -> Vec<Suggestion> {
        let (mut base, mut mixed) = (Vec::new(), Vec::new());
        self.distributions(context, &mut base, &mut mixed);
        let mut found: Vec<Symbol> = self.vocabulary.starting_with(prefix).collect();
        let total: f64 = found.iter().map(|word| mixed[*word as usize]).sum();
        let better = |a: &Symbol, b: &Symbol| {
            mixed[*b as usize]
                .total_cmp(&mixed[*a as usize])
                .then(a.cmp(b))
        };
        if count < found.len() {
            found.select_nth_unstable_by(count, better);
            found.truncate(count);
        }
        found.sort_unstable_by(better);
        let suggestion = |word: Symbol| Suggestion {
            word: self.vocabulary.word(word).to_owned(),
            probability: mixed[word as usize],
            base: base[word as usize],
            given_prefix: mixed[word as usize] / total,
        };
        found.into_iter().map(suggestion).collect()
    }
}

impl Session<'_> {
    /// The words that a model of tokens and the history suggest in a context for a word that begins with `prefix`, best first. A
    /// word that the expansion did not find has no part of the base, which is too little by [`Expanded::open`] at most.
    #[must_use]
    pub fn suggest_over(
        &self,
        found: &Expanded,
        context: &Context,
        prefix: &str,
    ) -> Vec<Suggestion> {
        let weights = self.mixture.weights(self.cache.orders_seen(&context.0));
        let (mut base, mut mixed) = (Vec::new(), Vec::new());
        self.distributions(context, &mut base, &mut mixed);
        let of_history = self
            .vocabulary
            .starting_with(prefix)
            .filter(|word| mixed[*word as usize] > 0.0);
        let mut words: BTreeMap<&str, (f64, f64)> = of_history
            .map(|word| (self.vocabulary.word(word), (0.0, mixed[word as usize])))
            .collect();
        for (word, p) in &found.words {
            let (base, mixed) = words.entry(word).or_default();
            *base += p;
            *mixed += weights[0] * p;
        }
        let total = words.values().map(|of| of.1).sum::<f64>() + weights[0] * found.open;
        let suggestion = |(word, (base, probability)): (&str, (f64, f64))| Suggestion {
            word: word.to_owned(),
            probability,
            base,
            given_prefix: probability / total,
        };
        let mut suggestions: Vec<Suggestion> = words.into_iter().map(suggestion).collect();
        suggestions.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        suggestions
    }
}

/// A symbol as it is written in files of learnt state.
fn name(vocabulary: &Vocabulary, symbol: Symbol) -> &str {
    match symbol {
        mark if mark < FIRST_WORD => mark_name(mark),
        word => vocabulary.word(word),
    }
}
