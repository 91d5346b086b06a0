//! Tokens to windows: which tokens a model is fed together, and which rows are scored.
//!
//! Row *i* of a window predicts its token *i* + 1. With protocol `kld` every fragment is cut alone, no token is scored
//! twice, and a window never crosses from one fragment into the next:
//!
//! ```text
//! all          BOS a b c d e f g          each token of the fragment is scored once (without BOS: all but the first)
//!                  └─────────── scored
//! second-half  BOS a b c d e f g          a token is scored with at least half a window of context before it;
//!                        └───── scored    windows overlap, so what one scores ends where the next begins;
//!              BOS       d e f g h i j    the first half of a fragment's first window is context only
//!                              └───── scored
//! ```
//!
//! Where the tokenizer adds a BOS token every window begins with it: a model that has learnt to lean on it is not itself
//! without. Protocol `llama.cpp` cuts and scores as that program's `--kl-divergence` does, so that numbers can be put side by
//! side: one stream, windows without overlap, the remainder dropped, the first token of a window *replaced* by BOS.

use kld_core::result::ProtocolRecord;
pub use kld_models::Window;
use rand::{SeedableRng, rngs::StdRng};
use sha2::{Digest, Sha256};

/// How text is cut and which positions are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Whose rules.
    pub protocol: Protocol,
    /// Tokens per window.
    pub context: usize,
    /// Which rows are scored.
    pub scored: Scored,
    /// At most so many windows.
    pub max_windows: Option<usize>,
    /// Chooses the windows at random where there are more than `max_windows`; without a seed the first ones are taken.
    pub seed: Option<u64>,
}

impl Default for Cut {
    fn default() -> Self {
        Self {
            protocol: Protocol::Kld,
            context: 512,
            scored: Scored::SecondHalf,
            max_windows: None,
            seed: None,
        }
    }
}

/// Whose rules for cutting text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Our own: fragments stay apart.
    Kld,
    /// Those of llama.cpp's `--kl-divergence`.
    LlamaCpp,
}

impl Protocol {
    /// The name on the command line and in results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Kld => "kld",
            Protocol::LlamaCpp => "llama.cpp",
        }
    }
}

/// Which rows of a window are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scored {
    /// Those with at least half a window of context.
    SecondHalf,
    /// All that predict a token.
    All,
}

impl Scored {
    /// The name on the command line and in results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scored::SecondHalf => "second-half",
            Scored::All => "all",
        }
    }
}

/// The windows of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// In the order of the text.
    pub windows: Vec<Window>,
    /// Fragments too short for a scored position.
    pub fragments_unscored: usize,
    /// Windows left out because of [`Cut::max_windows`].
    pub left_out: usize,
}

impl Windows {
    /// Cuts fragments of tokens (without special tokens); `bos` is given where the tokenizer adds it.
    #[must_use]
    pub fn cut(fragments: &[Vec<u32>], bos: Option<u32>, cut: &Cut) -> Self {
        let mut windows = Vec::new();
        let mut fragments_unscored = 0;
        for (index, tokens) in fragments.iter().enumerate() {
            let before = windows.len();
            match cut.protocol {
                Protocol::Kld => cut_fragment(index as u32, tokens, bos, cut, &mut windows),
                Protocol::LlamaCpp => {
                    cut_as_llama_cpp(index as u32, tokens, bos, cut, &mut windows);
                }
            }
            fragments_unscored += usize::from(windows.len() == before);
        }
        let left_out = choose(&mut windows, cut.max_windows, cut.seed);
        Self {
            windows,
            fragments_unscored,
            left_out,
        }
    }

    /// Tokens fed to a model, over all windows.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.windows.iter().map(|w| w.input.len()).sum()
    }

    /// Scored positions, over all windows.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.windows.iter().map(|w| w.scored.len()).sum()
    }

    /// How the text was cut, for the result.
    #[must_use]
    pub fn record(&self, cut: &Cut) -> ProtocolRecord {
        self.record_as(&ProtocolRecord {
            name: cut.protocol.name().to_owned(),
            context: cut.context,
            scored: cut.scored.name().to_owned(),
            fragments: 0,
            windows: 0,
            tokens: 0,
            token_stream_sha256: String::new(),
            windows_left_out: 0,
            seed: cut.seed,
        })
    }

    /// The same for windows that were cut before, for a recording: as `cut` says, but for what these windows are themselves.
    #[must_use]
    pub fn record_as(&self, cut: &ProtocolRecord) -> ProtocolRecord {
        let mut fragments: Vec<u32> = self.windows.iter().map(|w| w.fragment).collect();
        fragments.dedup();
        ProtocolRecord {
            fragments: fragments.len(),
            windows: self.windows.len(),
            tokens: self.tokens(),
            token_stream_sha256: self.sha256(),
            windows_left_out: cut.windows_left_out + self.left_out,
            ..cut.clone()
        }
    }

    /// SHA-256 over all windows: fragment, tokens as fed and as observed, scored rows, each as little-endian u32.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for window in &self.windows {
            let head = [
                window.fragment,
                window.input.len() as u32,
                window.replaced.unwrap_or(u32::MAX),
            ];
            let scored = [window.scored.start as u32, window.scored.end as u32];
            for word in head.iter().chain(&scored).chain(&window.input) {
                hash.update(word.to_le_bytes());
            }
        }
        hash.finalize()
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }
}

/// Cuts one fragment by our own rules (see the module's picture).
fn cut_fragment(
    fragment: u32,
    tokens: &[u32],
    bos: Option<u32>,
    cut: &Cut,
    windows: &mut Vec<Window>,
) {
    let prefix = usize::from(bos.is_some());
    let body = cut.context - prefix;
    // The first token of the fragment that can be scored but is not yet.
    let mut unscored = 1 - prefix;
    while unscored < tokens.len() {
        let start = match (unscored <= 1, cut.scored) {
            (true, _) => 0,
            // One token of overlap where no BOS stands before the first row.
            (_, Scored::All) => unscored - (1 - prefix),
            // Row context/2 predicts the first unscored token; at the end of the fragment the window stays full.
            (_, Scored::SecondHalf) => {
                (unscored + prefix - 1 - cut.context / 2).min(tokens.len() - body)
            }
        };
        let end = tokens.len().min(start + body);
        let length = prefix + end - start;
        let first = match (start, cut.scored) {
            (0, Scored::SecondHalf) => length / 2,
            _ => unscored - start + prefix - 1,
        };
        if first < length - 1 {
            let input = bos.iter().chain(&tokens[start..end]).copied().collect();
            windows.push(Window {
                fragment,
                input,
                replaced: None,
                scored: first..length - 1,
            });
        }
        unscored = end;
    }
}

/// Cuts one stream as llama.cpp does: its own BOS (if any) is the first token of the stream.
fn cut_as_llama_cpp(
    fragment: u32,
    tokens: &[u32],
    bos: Option<u32>,
    cut: &Cut,
    windows: &mut Vec<Window>,
) {
    let stream: Vec<u32> = bos.iter().chain(tokens).copied().collect();
    let first = match cut.scored {
        Scored::SecondHalf => cut.context / 2,
        Scored::All => 0,
    };
    for chunk in stream.chunks_exact(cut.context) {
        let mut input = chunk.to_vec();
        let replaced = bos.map(|bos| std::mem::replace(&mut input[0], bos));
        windows.push(Window {
            fragment,
            input,
            replaced,
            scored: first..cut.context - 1,
        });
    }
}

/// Keeps at most so many, in the order of the text; returns how many were left out.
pub(crate) fn choose(windows: &mut Vec<Window>, most: Option<usize>, seed: Option<u64>) -> usize {
    let Some(keep) = most.filter(|keep| *keep < windows.len()) else {
        return 0;
    };
    let left_out = windows.len() - keep;
    match seed {
        None => windows.truncate(keep),
        Some(seed) => {
            let mut chosen = vec![false; windows.len()];
            let mut rng = StdRng::seed_from_u64(seed);
            for index in rand::seq::index::sample(&mut rng, windows.len(), keep) {
                chosen[index] = true;
            }
            let mut chosen = chosen.into_iter();
            windows.retain(|_| chosen.next().unwrap_or(false));
        }
    }
    left_out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOS: u32 = 1_000_000;

    fn plan(context: usize, scored: Scored) -> Cut {
        Cut {
            context,
            scored,
            ..Cut::default()
        }
    }

    /// Tokens are their own positions, so what is scored where can be read off.
    fn fragment(length: usize) -> Vec<u32> {
        (0..length as u32).collect()
    }

    fn scored_tokens(windows: &Windows) -> Vec<u32> {
        windows
            .windows
            .iter()
            .flat_map(|w| w.scored.clone().map(|row| w.observed(row)))
            .collect()
    }

    #[test]
    fn llama_cpp_chunks_score_255_rows_of_512_and_drop_the_remainder() {
        let cut = Cut {
            protocol: Protocol::LlamaCpp,
            ..plan(512, Scored::SecondHalf)
        };
        let windows = Windows::cut(&[fragment(1100)], Some(BOS), &cut);
        assert_eq!(windows.windows.len(), 2);
        assert_eq!(windows.positions(), 2 * 255);
        let second = &windows.windows[1];
        // The stream is BOS, 0, 1, …: its chunk 1 begins with token 511, which BOS replaces in the input only.
        assert_eq!(
            (second.input[0], second.replaced, second.input[1]),
            (BOS, Some(511), 512)
        );
        assert_eq!(
            (second.scored.clone(), second.observed(256)),
            (256..511, 511 + 257)
        );
    }

    #[test]
    fn a_row_is_scored_against_the_very_next_token() {
        let windows = Windows::cut(&[fragment(100)], None, &plan(16, Scored::All));
        for window in &windows.windows {
            for row in window.scored.clone() {
                assert_eq!(window.observed(row), window.input[row] + 1);
            }
        }
    }

    #[test]
    fn windows_never_cross_fragments_and_short_fragments_are_counted() {
        let windows = Windows::cut(
            &[fragment(40), fragment(1), fragment(3)],
            None,
            &plan(16, Scored::All),
        );
        assert_eq!(windows.fragments_unscored, 1);
        assert_eq!(
            windows
                .windows
                .iter()
                .map(|w| w.fragment)
                .collect::<Vec<_>>(),
            [0, 0, 0, 2]
        );
    }

    #[test]
    fn a_seed_chooses_windows_from_everywhere_and_keeps_their_order() {
        let cut = Cut {
            max_windows: Some(10),
            seed: Some(7),
            ..plan(16, Scored::All)
        };
        let windows = Windows::cut(&[fragment(2000)], None, &cut);
        let starts: Vec<u32> = windows.windows.iter().map(|w| w.input[0]).collect();
        assert_eq!((windows.windows.len(), windows.left_out), (10, 124));
        assert!(starts.is_sorted() && starts[9] > 500);
        assert_eq!(windows, Windows::cut(&[fragment(2000)], None, &cut));
        let first = Windows::cut(&[fragment(2000)], None, &Cut { seed: None, ..cut });
        assert_eq!(first.windows[9].input[0], 9 * 15);
    }

    proptest! {
        #[test]
        fn every_token_is_scored_exactly_once(length in 0_usize..300, context in 4_usize..40, has_bos: bool) {
            let bos = has_bos.then_some(BOS);
            let all = Windows::cut(&[fragment(length)], bos, &plan(context, Scored::All));
            let expected: Vec<u32> = (u32::from(!has_bos)..length as u32).collect();
            prop_assert_eq!(scored_tokens(&all), expected);

            let half = Windows::cut(&[fragment(length)], bos, &plan(context, Scored::SecondHalf));
            let scored = scored_tokens(&half);
            if length > 1 {
                // From the middle of the first window to the end, without gap or repetition.
                let window = context.min(length + usize::from(has_bos));
                let first = window / 2 + 1 - usize::from(has_bos);
                prop_assert_eq!(scored, (first as u32..length as u32).collect::<Vec<_>>());
            }
            for window in half.windows.iter().chain(&all.windows) {
                prop_assert!(window.input.len() <= context && window.scored.end == window.input.len() - 1);
                prop_assert_eq!(window.input[0] == BOS, has_bos);
            }
            for window in &half.windows {
                prop_assert!(window.scored.start >= window.input.len() / 2);
            }
        }
    }
}
