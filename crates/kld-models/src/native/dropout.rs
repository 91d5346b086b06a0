//! Dropout: while a model learns, each value of some rows is 0 with a probability p, and 1/(1 − p) times itself otherwise.
//!
//! It stands where Transformers has it: in GPT-2 on the embedding, the probabilities of attention, and what attention and perceptron
//! add to a layer's rows (Srivastava et al. 2014); in Llama and its kin on the probabilities of attention alone.
//!
//! What is dropped is a function of a key, the place in the model and the index of the value: the index-th number of `SplitMix64`
//! (Steele, Lea and Flood 2014) with a seed of its own for each place. So it is the same in whatever order and by however many threads it is
//! computed, and nothing needs to be kept for the way back.

use std::fmt;

/// The probabilities of a model; `None` where its family has no dropout.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dropout {
    /// Of the embedding with its positions.
    pub embedding: Option<f64>,
    /// Of the probabilities of attention.
    pub attention: Option<f64>,
    /// Of what attention and perceptron add.
    pub residual: Option<f64>,
}

impl Dropout {
    /// That of Llama and its kin.
    pub(crate) fn of_attention(rate: f64) -> Self {
        Self {
            attention: Some(rate),
            ..Self::default()
        }
    }

    /// That of GPT-2.
    pub(crate) fn everywhere(rate: f64) -> Self {
        Self {
            embedding: Some(rate),
            attention: Some(rate),
            residual: Some(rate),
        }
    }

    /// The same with one probability wherever the family has any.
    #[must_use]
    pub fn with_rate(self, rate: f64) -> Self {
        Self {
            embedding: self.embedding.map(|_| rate),
            attention: self.attention.map(|_| rate),
            residual: self.residual.map(|_| rate),
        }
    }

    /// Whether nothing is dropped.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.named().all(|(_, rate)| rate == 0.0)
    }

    /// Whether this is a probability that leaves something.
    pub(crate) fn is_rate(rate: f64) -> bool {
        (0.0..1.0).contains(&rate)
    }

    fn named(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let Self {
            embedding,
            attention,
            residual,
        } = *self;
        let all = [
            ("embedding", embedding),
            ("attention", attention),
            ("residual", residual),
        ];
        all.into_iter()
            .filter_map(|(name, rate)| Some((name, rate?)))
    }
}

impl fmt::Display for Dropout {
    /// Such as `embedding 0.1, attention 0.1, residual 0.1`, or `none`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dropped = self.named().filter(|&(_, rate)| rate > 0.0);
        let told: Vec<String> = dropped
            .map(|(name, rate)| format!("{name} {rate}"))
            .collect();
        f.write_str(if told.is_empty() { "none" } else { "" })?;
        f.write_str(&told.join(", "))
    }
}

/// Where something is dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Embedding,
    /// In the attention of a layer: of head h, query i and key j of n positions the index is (h·n + i)·n + j.
    Attention(usize),
    /// Of what the attention of a layer adds; here and in the others the index is position · width + column.
    Attended(usize),
    /// Of what the perceptron of a layer adds.
    Perceived(usize),
}

impl Place {
    /// In the order in which a model comes to them.
    fn number(self) -> u64 {
        match self {
            Self::Embedding => 0,
            Self::Attention(layer) => 3 * layer as u64 + 1,
            Self::Attended(layer) => 3 * layer as u64 + 2,
            Self::Perceived(layer) => 3 * layer as u64 + 3,
        }
    }
}

/// What is dropped in one pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropping {
    pub(crate) rates: Dropout,
    pub(crate) key: u64,
}

impl Dropping {
    /// What is dropped at a place, if anything is.
    pub(crate) fn mask(&self, place: Place) -> Option<Mask> {
        let rate = match place {
            Place::Embedding => self.rates.embedding,
            Place::Attention(_) => self.rates.attention,
            Place::Attended(_) | Place::Perceived(_) => self.rates.residual,
        };
        rate.filter(|&rate| rate > 0.0).map(|rate| Mask {
            seed: number(self.key, place.number()),
            // The probability as a share of all numbers.
            below: (rate * 2_f64.powi(64)) as u64,
            scale: (1.0 / (1.0 - rate)) as f32,
        })
    }
}

/// What is dropped at one place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask {
    seed: u64,
    below: u64,
    scale: f32,
}

impl Mask {
    /// Drops some of the values, of which the first has this index, and scales the others. The gradient goes back in the same way.
    pub(crate) fn apply(&self, first: usize, values: &mut [f32]) {
        for (index, value) in (first as u64..).zip(values) {
            let is_dropped = number(self.seed, index) < self.below;
            *value = if is_dropped { 0.0 } else { *value * self.scale };
        }
    }
}

/// The number at this place in the sequence that `SplitMix64` makes of a seed.
fn number(seed: u64, index: u64) -> u64 {
    const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut x = seed.wrapping_add(STRIDE.wrapping_mul(index.wrapping_add(1)));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of the authors' own program for the seed 1234567.
    #[test]
    fn numbers_are_those_of_splitmix64() {
        let numbers: Vec<u64> = (0..3).map(|index| number(1_234_567, index)).collect();
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!(numbers, expected);
    }

    #[test]
    fn as_many_are_dropped_as_is_asked_for_and_the_mean_stays() {
        const COUNT: usize = 100_000;
        for rate in [0.1, 0.5, 0.9] {
            for key in 0..5 {
                let rates = Dropout::everywhere(rate);
                let mask = Dropping { rates, key }.mask(Place::Attended(1)).unwrap();
                let mut ones = vec![1.0; COUNT];
                mask.apply(0, &mut ones);
                let kept = ones.iter().filter(|&&x| x > 0.0).count() as f64;
                let spread = (COUNT as f64 * rate * (1.0 - rate)).sqrt();
                assert!((kept - COUNT as f64 * (1.0 - rate)).abs() < 4.5 * spread);
                assert!(ones.iter().all(|&x| x == 0.0 || x == mask.scale));
                let mean = ones.iter().map(|&x| f64::from(x)).sum::<f64>() / COUNT as f64;
                assert!((mean - 1.0).abs() < 4.5 * spread / (1.0 - rate) / COUNT as f64);
            }
        }
    }

    #[test]
    fn a_part_is_dropped_as_in_the_whole_and_every_place_has_its_own() {
        let rates = Dropout::everywhere(0.5);
        let dropped = |key, place| {
            let mut values = vec![1.0; 256];
            Dropping { rates, key }
                .mask(place)
                .unwrap()
                .apply(0, &mut values);
            values
        };
        let places = [
            Place::Embedding,
            Place::Attention(0),
            Place::Attended(0),
            Place::Perceived(0),
            Place::Attention(1),
        ];
        let all: Vec<Vec<f32>> = (0..2)
            .flat_map(|key| places.map(|place| dropped(key, place)))
            .collect();
        for (i, one) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|other| other != one));
        }
        let mut part = vec![1.0; 100];
        let mask = Dropping { rates, key: 0 }.mask(Place::Embedding).unwrap();
        mask.apply(50, &mut part);
        assert_eq!(part, all[0][50..150]);
    }

    #[test]
    fn a_rate_is_set_where_the_family_has_one() {
        let llama = Dropout::of_attention(0.0);
        assert_eq!((llama.is_none(), llama.to_string()), (true, "none".into()));
        assert_eq!(llama.with_rate(0.2).to_string(), "attention 0.2");
        let gpt2 = Dropout::everywhere(0.1);
        let told = "embedding 0.1, attention 0.1, residual 0.1";
        assert_eq!((gpt2.is_none(), gpt2.to_string()), (false, told.into()));
    }
}
