//! The fragments of one body of text against another body, part of the result of `kld text A B`.

use serde::{Deserialize, Serialize};

use crate::number;

/// Fragments of the candidate against the reference; all in nats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextFragments {
    /// What they are.
    pub kind: FragmentKind,
    /// How many.
    pub number: u64,
    /// How many documents have no term, and are no fragments.
    pub without_terms: u64,
    /// Terms at the end that did not fill a window.
    pub cut_off: u64,
    /// How far the reference's own fragments are from the rest of it; `None` where its texts are not at hand.
    pub spread: Option<OwnSpread>,
    /// How many fragments stand out: adjusted p of at most 0.05. `None` without a spread.
    pub stand_out: Option<u64>,
    /// Documents: the farthest, first. Windows and groups: all, in order.
    pub listed: Vec<TextFragment>,
}

/// How a body is cut into fragments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FragmentKind {
    /// By documents.
    Documents,
    /// Into windows of so many terms in a row, whatever the documents.
    Windows {
        /// How many.
        terms: u64,
    },
    /// By the value of a field.
    Groups {
        /// The field.
        by: String,
    },
}

/// How far a body's own fragments are from the rest of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnSpread {
    /// What the fragments are.
    pub kind: FragmentKind,
    /// How many.
    pub number: u64,
    /// The median of their excess.
    #[serde(with = "number")]
    pub median: f64,
    /// 95 % of them have no larger excess.
    #[serde(with = "number")]
    pub percentile_95: f64,
}

/// A fragment of the candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextFragment {
    /// The document, the window's first and last term, or the value of the field.
    pub name: String,
    /// How many terms it has.
    pub terms: u64,
    /// D(fragment‖reference), after Zhang and Grabchak.
    #[serde(with = "number")]
    pub kl: f64,
    /// What D would be on average of as many terms drawn from the reference.
    #[serde(with = "number")]
    pub floor: f64,
    /// D less its floor: comparable among fragments of different length.
    #[serde(with = "number")]
    pub excess: f64,
    /// The chance of an excess at least so large, were it a fragment of the reference.
    pub p: Option<f64>,
    /// The same after Benjamini and Hochberg, for as many fragments as were looked at.
    pub adjusted_p: Option<f64>,
    /// The terms with the largest parts, first.
    pub carried_by: Vec<String>,
}
