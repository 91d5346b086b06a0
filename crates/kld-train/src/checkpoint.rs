//! The whole state of a training in one file, so that it is there whole or not at all.
//!
//! A safetensors file with the weights, what the optimizer remembers of each, and the rest of the state as JSON in its header.

use std::collections::BTreeMap;
use std::path::Path;

use kld_core::result::CurvePoint;
use kld_models::tensor_file;
use serde::{Deserialize, Serialize};

use crate::{Error, Measured, Moments, OwnSums, Patience, Result};

/// Where a training stands, besides weights and moments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Steps done.
    pub(crate) step: u64,
    /// Tokens that counted in them.
    pub(crate) tokens: u64,
    /// The evaluations so far.
    pub(crate) curve: Vec<CurvePoint>,
    /// Σ loss and Σ counted tokens since the last of them.
    #[serde(with = "kld_core::number")]
    pub(crate) loss: f64,
    pub(crate) loss_tokens: u64,
    /// What was measured on the student's own text since then, window by window.
    #[serde(default)]
    pub(crate) own_text: Vec<OwnSums>,
    /// What the first of them measured.
    pub(crate) first: Option<Measured>,
    /// The step of the best of them, and what it measured.
    pub(crate) best: Option<(u64, Measured)>,
    pub(crate) patience: Patience,
    /// Whether patience has run out.
    pub(crate) stopped: bool,
}

/// State, weights, moments.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Checkpoint {
    pub(crate) state: State,
    pub(crate) weights: BTreeMap<String, Vec<f32>>,
    pub(crate) moments: Moments,
}

const WEIGHT: &str = "weight/";
const FIRST: &str = "first/";
const SECOND: &str = "second/";
const STATE: &str = "kld.train.state/1";

impl Checkpoint {
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let groups = [
            (WEIGHT, &self.weights),
            (FIRST, &self.moments.first),
            (SECOND, &self.moments.second),
        ];
        let named = groups.into_iter().flat_map(|(prefix, group)| {
            let named = move |(name, values)| (format!("{prefix}{name}"), values);
            group.iter().map(named)
        });
        let named: Vec<(String, &Vec<f32>)> = named.collect();
        let tensors = named
            .iter()
            .map(|(name, values)| (name.as_str(), vec![values.len()], &values[..]));
        let state = serde_json::to_string(&self.state)
            .map_err(|e| Error::bad_run(path, format!("the state cannot be told: {e}")))?;
        Ok(tensor_file::write(path, tensors, (STATE, state))?)
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let (tensors, note) = tensor_file::read(path)?;
        let state = note
            .get(STATE)
            .ok_or_else(|| Error::bad_run(path, format!("there is no {STATE} in it")))?;
        let state = serde_json::from_str(state)
            .map_err(|e| Error::bad_run(path, format!("its state cannot be read: {e}")))?;
        let mut checkpoint = Self {
            state,
            ..Self::default()
        };
        for (name, values) in tensors {
            let groups = [
                (WEIGHT, &mut checkpoint.weights),
                (FIRST, &mut checkpoint.moments.first),
                (SECOND, &mut checkpoint.moments.second),
            ];
            let mut named = groups.into_iter();
            let found = named.find_map(|(prefix, group)| Some((name.strip_prefix(prefix)?, group)));
            if let Some((name, group)) = found {
                group.insert(name.to_owned(), values);
            }
        }
        Ok(checkpoint)
    }
}
