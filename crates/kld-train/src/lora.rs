//! Low-rank adapters: some matrices become W = W₀ + α/r·B·A, and only A and B learn (Hu et al. 2022, `LoRA`).
//!
//! W is rows × columns as its file has it, A is r × columns, B rows × r; A begins uniform within ±1/√columns, B with zeros, so that the
//! student begins as it was. Every step puts W into the model and takes ∂L/∂W from it: then ∂L/∂B = α/r·∂L/∂W·Aᵀ and
//! ∂L/∂A = α/r·Bᵀ·∂L/∂W. The price is that ∂L/∂W is computed and held for the matrices that are adapted; what is saved are the
//! optimizer's moments, the gradients of all other weights, and nearly all of a checkpoint. In return the model knows nothing of
//! adapters, whatever its family, and what is exported is merged already.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use kld_models::native::{DifferentiableModel, Gradients, matches};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::{Error, Moments, Result, Update};

/// Which matrices are adapted and how, told as `rank=8`, `rank=8,alpha=16` or `rank=8,targets=q_proj|v_proj`.
#[derive(Clone, Debug, PartialEq)]
pub struct Lora {
    /// r, at least 1.
    pub rank: usize,
    /// α; twice the rank unless told.
    pub alpha: f64,
    /// The matrices: last parts of their names, or patterns of the whole, `*` standing for any text. None: all matrices of
    /// all layers.
    pub targets: Vec<String>,
}

impl Lora {
    fn is_for(&self, module: &str) -> bool {
        let is_meant = |target: &String| {
            matches(target, module)
                || module
                    .strip_suffix(target.as_str())
                    .is_some_and(|rest| rest.ends_with('.'))
        };
        self.targets.is_empty() || self.targets.iter().any(is_meant)
    }
}

impl fmt::Display for Lora {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank={},alpha={}", self.rank, self.alpha)?;
        if self.targets.is_empty() {
            return Ok(());
        }
        write!(f, ",targets={}", self.targets.join("|"))
    }
}

impl FromStr for Lora {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "expected rank=N with N of at least 1, and perhaps alpha=A above 0 and targets=NAME|NAME, such as rank=8,alpha=16,targets=q_proj|v_proj, found {text:?}"
            )
        };
        let (mut rank, mut alpha, mut targets) = (None, None, Vec::new());
        for part in text.split(',') {
            match part.split_once('=').ok_or_else(expected)? {
                ("rank", value) => rank = value.parse().ok(),
                ("alpha", value) => alpha = Some(value.parse().map_err(|_| expected())?),
                ("targets", value) => targets = value.split('|').map(str::to_owned).collect(),
                _ => return Err(expected()),
            }
        }
        let rank = rank.filter(|&rank| rank > 0).ok_or_else(expected)?;
        let alpha = alpha.unwrap_or(2.0 * rank as f64);
        let is_sound =
            f64::is_finite(alpha) && alpha > 0.0 && !targets.iter().any(String::is_empty);
        is_sound
            .then_some(Self {
                rank,
                alpha,
                targets,
            })
            .ok_or_else(expected)
    }
}

kld_core::serde_as_text!(Lora);

/// The adapters of a student, and what its matrices were without them.
#[derive(Clone, Debug)]
pub struct Adapters {
    rank: usize,
    /// α/r.
    scale: f32,
    /// By the names of the weights.
    matrices: BTreeMap<String, Adapted>,
    /// A and B of all.
    factors: Gradients,
}

/// W₀.
#[derive(Clone, Debug)]
struct Adapted {
    module: String,
    rows: usize,
    columns: usize,
    base: Vec<f32>,
}

impl Adapted {
    fn a(&self) -> String {
        format!("{}.lora_A.weight", self.module)
    }

    fn b(&self) -> String {
        format!("{}.lora_B.weight", self.module)
    }
}

impl Adapters {
    /// Adapters of a student, which stays what it is; all of its other weights are frozen.
    ///
    /// # Errors
    ///
    /// If a target matches no matrix of a layer.
    pub fn new(lora: &Lora, student: &mut DifferentiableModel, seed: u64) -> Result<Self> {
        let names = student.layer_matrices();
        for target in &lora.targets {
            let one = Lora {
                targets: vec![target.clone()],
                ..lora.clone()
            };
            if !names.iter().any(|name| one.is_for(module(name))) {
                let some: Vec<&str> = names.iter().take(8).map(|name| module(name)).collect();
                return Err(Error::NoSuchTarget {
                    target: target.clone(),
                    names: some.join(", "),
                });
            }
        }
        let (shapes, mut weights) = (student.shapes(), student.weights());
        let adapted = |name: String| {
            let adapted = Adapted {
                module: module(&name).to_owned(),
                rows: shapes[&name][0],
                columns: shapes[&name][1],
                base: weights.remove(&name).unwrap_or_default(),
            };
            (name, adapted)
        };
        let chosen = names.into_iter().filter(|name| lora.is_for(module(name)));
        let matrices: BTreeMap<String, Adapted> = chosen.map(adapted).collect();
        let others = shapes
            .into_keys()
            .filter(|name| !matrices.contains_key(name));
        student.freeze(&others.collect::<Vec<_>>())?;
        let mut adapters = Self {
            rank: lora.rank,
            scale: (lora.alpha / lora.rank as f64) as f32,
            matrices,
            factors: Gradients::new(),
        };
        adapters.begin(seed);
        Ok(adapters)
    }

    fn begin(&mut self, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        for matrix in self.matrices.values() {
            let limit = 1.0 / (matrix.columns as f32).sqrt();
            let a = (0..self.rank * matrix.columns).map(|_| random.random_range(-limit..limit));
            self.factors.insert(matrix.a(), a.collect());
            self.factors
                .insert(matrix.b(), vec![0.0; matrix.rows * self.rank]);
        }
    }

    /// A and B of all matrices, row after row, as `MODULE.lora_A.weight` and `MODULE.lora_B.weight`.
    #[must_use]
    pub fn factors(&self) -> &Gradients {
        &self.factors
    }

    /// Puts other values in their place, and what follows from them into the student.
    ///
    /// # Errors
    ///
    /// If they are not those of this student.
    pub fn set_factors(
        &mut self,
        values: Gradients,
        student: &mut DifferentiableModel,
    ) -> Result<()> {
        let sizes = |factors: &Gradients| -> Vec<(String, usize)> {
            factors
                .iter()
                .map(|(name, v)| (name.clone(), v.len()))
                .collect()
        };
        if sizes(&values) != sizes(&self.factors) {
            return Err(Error::OtherAdapters);
        }
        self.factors = values;
        self.merge(student);
        Ok(())
    }

    /// Values that learn.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.factors
            .values()
            .map(|values| values.len() as u64)
            .sum()
    }

    /// The gradients with respect to A and B, from those with respect to W.
    #[must_use]
    pub fn gradients(&self, of_weights: &Gradients) -> Gradients {
        let mut found = Gradients::new();
        for (name, matrix) in &self.matrices {
            let (a, b) = (&self.factors[&matrix.a()], &self.factors[&matrix.b()]);
            let mut grad_a = vec![0.0; a.len()];
            let mut grad_b = vec![0.0; b.len()];
            let rows = of_weights[name].chunks_exact(matrix.columns);
            for (row, grad) in rows.enumerate() {
                for k in 0..self.rank {
                    let at = k * matrix.columns..(k + 1) * matrix.columns;
                    let dot: f32 = grad.iter().zip(&a[at.clone()]).map(|(g, a)| g * a).sum();
                    grad_b[row * self.rank + k] = self.scale * dot;
                    add(&mut grad_a[at], self.scale * b[row * self.rank + k], grad);
                }
            }
            found.insert(matrix.a(), grad_a);
            found.insert(matrix.b(), grad_b);
        }
        found
    }

    /// One step of an optimizer on A and B; then the student is what follows from them.
    pub fn apply(
        &mut self,
        update: &Update<'_>,
        student: &mut DifferentiableModel,
        gradients: &mut Gradients,
        moments: &mut Moments,
    ) {
        let mut factors = std::mem::take(&mut self.factors);
        for (name, values) in &mut factors {
            if let Some(gradient) = gradients.get_mut(name) {
                let columns = values.len() / self.rank;
                update.one(name, &[self.rank, columns], values, gradient, moments);
            }
        }
        self.factors = factors;
        self.merge(student);
    }

    /// Puts W₀ + α/r·B·A into the student.
    fn merge(&self, student: &mut DifferentiableModel) {
        student.update(|name, _, weights| {
            let Some(matrix) = self.matrices.get(name) else {
                return;
            };
            weights.copy_from_slice(&matrix.base);
            let (a, b) = (&self.factors[&matrix.a()], &self.factors[&matrix.b()]);
            for (row, weights) in weights.chunks_exact_mut(matrix.columns).enumerate() {
                for (k, a) in a.chunks_exact(matrix.columns).enumerate() {
                    add(weights, self.scale * b[row * self.rank + k], a);
                }
            }
        });
    }
}

/// The name of a matrix without `.weight`.
fn module(name: &str) -> &str {
    name.strip_suffix(".weight").unwrap_or(name)
}

/// x ← x + factor · y.
fn add(x: &mut [f32], factor: f32, y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += factor * y;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_are_read_back_as_they_are_told() {
        for (text, told) in [
            ("rank=8", "rank=8,alpha=16"),
            ("rank=4,alpha=1.5", "rank=4,alpha=1.5"),
            (
                "targets=q_proj|*mlp*,rank=2",
                "rank=2,alpha=4,targets=q_proj|*mlp*",
            ),
        ] {
            let lora: Lora = text.parse().unwrap();
            assert_eq!(lora.to_string(), told);
            assert_eq!(told.parse::<Lora>(), Ok(lora));
        }
        for bad in [
            "",
            "8",
            "rank=0",
            "rank=8,alpha=0",
            "rank=8,targets=",
            "rank=8,beta=1",
        ] {
            assert!(bad.parse::<Lora>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_target_is_the_last_part_of_a_name_or_a_pattern_of_it() {
        let is_for = |targets: &str, name| {
            let lora: Lora = format!("rank=1,targets={targets}").parse().unwrap();
            lora.is_for(name)
        };
        assert!(is_for("q_proj", "model.layers.0.self_attn.q_proj"));
        assert!(is_for(
            "x|self_attn.q_proj",
            "model.layers.0.self_attn.q_proj"
        ));
        assert!(!is_for("proj", "model.layers.0.self_attn.q_proj"));
        assert!(is_for("*.0.*", "model.layers.0.self_attn.q_proj"));
    }
}
