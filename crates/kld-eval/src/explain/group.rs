//! Matrices in groups.

use kld_models::native::{MatrixCard, NativeModel, Replacements};

/// What makes a group of matrices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// The same matrix of all layers, e.g. `ffn_down`.
    #[default]
    Kind,
    /// All matrices of a layer; what belongs to none stands by itself.
    Layer,
    /// Each matrix by itself.
    Tensor,
}

impl By {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            By::Kind => "kind",
            By::Layer => "layer",
            By::Tensor => "tensor",
        }
    }

    fn group_of(self, matrix: &MatrixCard) -> String {
        match (self, matrix.layer) {
            (By::Tensor, _) => matrix.name.clone(),
            (By::Layer, Some(layer)) => format!("layer {layer}"),
            (By::Kind | By::Layer, _) => matrix.kind.clone(),
        }
    }
}

/// A group with what takes the place of its matrices.
pub(super) struct Part {
    pub(super) name: String,
    /// Number of values.
    pub(super) parameters: u64,
    pub(super) replacements: Replacements,
}

/// The groups in the order of the model; together they are `all`, and none shares a matrix with another.
pub(super) fn parts(model: &NativeModel, all: &Replacements, by: By) -> Vec<Part> {
    let swapped: Vec<&str> = all.names().collect();
    let cards = model.matrices();
    let cards = cards
        .iter()
        .filter(|card| swapped.contains(&card.name.as_str()));
    let mut groups: Vec<(String, Vec<&MatrixCard>)> = Vec::new();
    for card in cards {
        let name = by.group_of(card);
        match groups.iter_mut().find(|(of, _)| *of == name) {
            Some((_, cards)) => cards.push(card),
            None => groups.push((name, vec![card])),
        }
    }
    let part = |(name, cards): (String, Vec<&MatrixCard>)| Part {
        name,
        parameters: cards.iter().map(|card| card.values).sum(),
        replacements: all.part(|name| cards.iter().any(|card| card.name == name)),
    };
    groups.into_iter().map(part).collect()
}
