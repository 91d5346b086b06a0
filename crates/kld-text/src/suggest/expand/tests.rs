use std::collections::BTreeMap;

use super::*;

/// Letters and marks by themselves and joined, with probabilities that depend on the last token alone.
#[derive(Debug)]
struct Pairs {
    pieces: Vec<Vec<u8>>,
}

impl Pairs {
    fn new() -> Self {
        let pieces = ["", " ", "a", "b", " a", " b", "ab", "'", "s", ".", "\u{e9}"];
        Self {
            pieces: pieces.map(|piece| piece.as_bytes().to_vec()).to_vec(),
        }
    }

    fn row(&self, token: u32) -> Vec<f64> {
        let weights: Vec<f64> = (0..self.pieces.len() as u32)
            .map(|next| f64::from((token * 7 + next * 5) % 11 + 1))
            .collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / total).collect()
    }
}

impl TokenModel for Pairs {
    /// The longest piece that fits.
    fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        let (mut rest, mut tokens) = (text.as_bytes(), Vec::new());
        while !rest.is_empty() {
            let fits = |of: &(usize, &Vec<u8>)| !of.1.is_empty() && rest.starts_with(of.1);
            let (token, piece) = self
                .pieces
                .iter()
                .enumerate()
                .filter(fits)
                .max_by_key(|of| of.1.len())
                .ok_or("no token")?;
            tokens.push(token as u32);
            rest = &rest[piece.len()..];
        }
        Ok(tokens)
    }

    fn start(&self, empty: bool) -> Option<u32> {
        empty.then_some(0)
    }

    fn pieces(&self) -> &[Vec<u8>] {
        &self.pieces
    }

    fn next(&self, tokens: &[u32], last: usize) -> Result<Vec<Vec<f64>>, String> {
        Ok(tokens[tokens.len() - last..]
            .iter()
            .map(|token| self.row(*token))
            .collect())
    }
}

/// Every string of tokens up to a length, tried one by one: what the expansion must come to.
fn by_trying_all(model: &Pairs, before: &str, deep: usize) -> BTreeMap<String, f64> {
    let context = model.encode(before.trim_end()).unwrap();
    let mut words = BTreeMap::new();
    let mut all = vec![(*context.last().unwrap_or(&0), String::new(), 1.0)];
    for _ in 0..deep {
        let mut longer = Vec::new();
        for (last, text, mass) in all {
            for (token, (piece, p)) in (0..).zip(model.pieces.iter().zip(model.row(last))) {
                let text = format!("{text}{}", std::str::from_utf8(piece).unwrap());
                let Some(word) = text.strip_prefix(' ') else {
                    continue;
                };
                let ends = |at: &usize| {
                    let mut rest = word[*at..].chars();
                    let next = |c: Option<char>| c.is_none_or(char::is_alphanumeric);
                    match rest.next() {
                        Some('\'') if *at > 0 => !next(rest.next()),
                        c => !next(c),
                    }
                };
                let end = (0..word.len())
                    .filter(|at| word.is_char_boundary(*at))
                    .find(ends);
                match end.or((piece.is_empty()).then(|| word.trim_end_matches('\'').len())) {
                    Some(0) => {}
                    Some(end) => *words.entry(word[..end].to_owned()).or_default() += mass * p,
                    None => longer.push((token, text, mass * p)),
                }
            }
        }
        all = longer;
    }
    words
}

#[test]
fn an_expansion_comes_to_what_trying_all_tokens_gives() {
    let model = Pairs::new();
    let words = Words::of(
        &model,
        Effort {
            passes: 3000,
            context: 8,
        },
    );
    let found = words.expand("a ", "", usize::MAX, 1).unwrap();
    let all = by_trying_all(&model, "a ", 5);
    let first = model.row(2);
    let any = first[1] + first[4] + first[5];
    for word in ["a", "b", "ab", "ba"] {
        let p = found.words.iter().find(|of| of.0 == word).unwrap().1;
        let expected = all[word] / any;
        assert!(
            (p - expected).abs() <= found.open && p >= expected * 0.999,
            "{word}: {p} {expected}"
        );
    }
    let total: f64 = found.words.iter().map(|of| of.1).sum();
    assert!(total + found.open <= 1.0 + 1e-12, "{total} {}", found.open);
}

#[test]
fn asking_about_several_at_once_changes_nothing() {
    let model = Pairs::new();
    for passes in [1, 2, 7, 60] {
        let words = Words::of(&model, Effort { passes, context: 8 });
        for wanted in [1, usize::MAX] {
            let found = |at_once: usize| words.expand("a ", "", wanted, at_once).unwrap();
            assert!(
                [2, 5, 100]
                    .iter()
                    .all(|at_once| found(*at_once) == found(1))
            );
        }
    }
}

#[test]
fn what_ends_by_itself_is_the_best() {
    let model = Pairs::new();
    let long = Words::of(
        &model,
        Effort {
            passes: 3000,
            context: 8,
        },
    )
    .expand("b ", "", usize::MAX, 1)
    .unwrap();
    let short = Words::of(
        &model,
        Effort {
            passes: 200,
            context: 8,
        },
    )
    .expand("b ", "", 1, 1)
    .unwrap();
    assert!(short.passes < 200);
    assert_eq!(short.words[0].0, long.words[0].0);
}

#[test]
fn only_words_that_begin_as_written_are_found() {
    let model = Pairs::new();
    let words = Words::of(
        &model,
        Effort {
            passes: 50,
            context: 8,
        },
    );
    for prefix in ["ab", "a", "b's"] {
        let found = words.expand("a ", prefix, 3, 1).unwrap();
        assert!(
            !found.words.is_empty() && found.words.iter().all(|of| of.0.starts_with(prefix)),
            "{prefix} {found:?}"
        );
    }
    assert!(words.expand("a ", "A", 3, 1).unwrap().words.is_empty());
}

#[test]
fn a_word_has_the_probability_of_its_tokens_and_of_its_end() {
    let model = Pairs::new();
    let words = Words::of(&model, Effort::default());
    let (context, a, b) = (model.row(2), model.row(4), model.row(3));
    let any = context[1] + context[4] + context[5];
    let ends = b[0] + b[1] + b[4] + b[5] + b[9];
    let expected = context[4] * a[3] * ends / any;
    let found = words.probability("a ", "ab").unwrap();
    assert!((found - expected).abs() < 1e-15, "{found} {expected}");
    assert!(words.probability("", "ab").unwrap() > 0.0);
}

#[test]
fn words_end_where_no_token_could_go_on_with_them() {
    for (text, end) in [
        ("don't", None),
        ("don'", None),
        ("don',", Some(3)),
        ("a.", Some(1)),
        (".", Some(0)),
        ("'a", Some(0)),
        ("", None),
        ("café x", Some(5)),
    ] {
        assert_eq!(end_of_word(text), end, "{text}");
    }
}
