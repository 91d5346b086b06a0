//! From stored tensors to the weights of a decoder: which tensor plays which part, and are they all there.

use std::collections::BTreeSet;

use super::config::{Config, Norm, Positions};
use super::decoder::{Arithmetic, Layer, NormWeights, Weights};
use super::family::Names;
use super::store::Store;
use super::stored_matrix::{Layout, StoredMatrix};
use crate::{Error, Result};

/// Makes an arithmetic's own form of stored tensors.
pub(crate) trait Load: Arithmetic {
    fn table(&self, store: &Store, name: &str, shape: [usize; 2]) -> Result<Self::Table>;
    fn vector(&self, store: &Store, name: &str, length: usize) -> Result<Self::Vector>;
    /// The matrices of equally many inputs stacked into one.
    fn matrix(&self, store: &Store, parts: &[StoredMatrix]) -> Result<Self::Matrix>;
}

/// Which tensor of a file is which weight of the decoder.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) names: &'static Names,
}

/// Weights of which all, or all but the layers, are held ready.
pub(crate) struct Loaded<A: Arithmetic> {
    embedding: A::Table,
    positions: Option<A::Table>,
    layers: Layers<A>,
    final_norm: NormWeights<A>,
}

impl<A: Arithmetic> Loaded<A> {
    /// The table of the embedding.
    pub(crate) fn embedding(&self) -> &A::Table {
        &self.embedding
    }
}

enum Layers<A: Arithmetic> {
    Held(Vec<Layer<A>>),
    MadeWhenUsed,
}

/// Whether layers are held as f32 or made anew each time they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Residency {
    Held,
    MadeWhenUsed,
}

/// Weights together with what made them, which can make layers again.
pub(crate) struct Ready<'a, A: Arithmetic> {
    pub(crate) arithmetic: &'a A,
    pub(crate) plan: &'a Plan,
    pub(crate) store: &'a Store,
    pub(crate) loaded: &'a Loaded<A>,
}

impl Plan {
    /// Compares the plan with the tensors of the files: none may be missing, have another shape, or be left over.
    pub(crate) fn check(&self, store: &Store) -> Result<()> {
        let mut used = BTreeSet::new();
        for (name, shape) in self.tensors() {
            store.get(&name, &shape)?;
            used.insert(name);
        }
        let tied_copy = format!("{}.weight", self.names.head);
        let needless = |name: &str| {
            (self.config.tied && name == tied_copy)
                || self.names.needless.iter().any(|end| name.ends_with(end))
        };
        let left: Vec<&str> = store
            .iter()
            .map(|(name, _)| name)
            .filter(|name| !used.contains(*name) && !needless(name))
            .collect();
        match left.first() {
            None => Ok(()),
            Some(first) => Err(Error::unsupported(
                store.path(),
                format!(
                    "{} tensors are not used by the family '{}', the first is '{first}'",
                    left.len(),
                    self.config.family
                ),
                "the model has parts that this program does not compute",
            )),
        }
    }

    /// Number of values in all weights, a tied head counted once.
    pub(crate) fn parameters(&self) -> u64 {
        self.tensors()
            .iter()
            .map(|(_, shape)| shape.iter().map(|&n| n as u64).product::<u64>())
            .sum()
    }

    /// The matrix that makes logits.
    pub(crate) fn head(&self) -> StoredMatrix {
        let name = if self.config.tied {
            self.names.embedding
        } else {
            self.names.head
        };
        let (inputs, outputs) = (self.config.hidden, self.config.vocabulary);
        StoredMatrix {
            name: name.to_owned(),
            inputs,
            outputs,
            has_bias: false,
            layout: Layout::Outputs,
        }
    }

    /// Makes the weights.
    pub(crate) fn load<A: Load>(
        &self,
        arithmetic: &A,
        store: &Store,
        residency: Residency,
    ) -> Result<Loaded<A>> {
        let make = |layer| {
            self.layer(arithmetic, store, layer, |_, parts| {
                arithmetic.matrix(store, parts)
            })
        };
        let layers = match residency {
            Residency::MadeWhenUsed => Layers::MadeWhenUsed,
            Residency::Held => {
                Layers::Held((0..self.config.layers).map(make).collect::<Result<_>>()?)
            }
        };
        self.with_layers(arithmetic, store, layers)
    }

    /// Makes the weights anew from a store of which `changed` tells the names of the tensors that are not those that `held`
    /// was made from; matrices without a changed part are shared.
    pub(crate) fn reload<A: Load>(
        &self,
        arithmetic: &A,
        store: &Store,
        held: &Loaded<A>,
        changed: impl Fn(&str) -> bool,
    ) -> Result<Loaded<A>>
    where
        A::Matrix: Clone,
    {
        let layers = match &held.layers {
            Layers::MadeWhenUsed => Layers::MadeWhenUsed,
            Layers::Held(layers) => {
                let remake = |(index, layer): (usize, &Layer<A>)| {
                    let held = [&layer.qkv, &layer.output, &layer.expand, &layer.contract];
                    self.layer(arithmetic, store, index, |slot, parts| {
                        if parts.iter().any(|part| changed(&part.weight_name())) {
                            arithmetic.matrix(store, parts)
                        } else {
                            Ok(held[slot].clone())
                        }
                    })
                };
                Layers::Held(
                    layers
                        .iter()
                        .enumerate()
                        .map(remake)
                        .collect::<Result<_>>()?,
                )
            }
        };
        self.with_layers(arithmetic, store, layers)
    }

    fn with_layers<A: Load>(
        &self,
        arithmetic: &A,
        store: &Store,
        layers: Layers<A>,
    ) -> Result<Loaded<A>> {
        let positions = match self.config.positions {
            Positions::Learned => Some(arithmetic.table(
                store,
                &weight(self.names.positions),
                [self.config.context_length, self.config.hidden],
            )?),
            Positions::Rotary(_) => None,
        };
        Ok(Loaded {
            embedding: arithmetic.table(
                store,
                &weight(self.names.embedding),
                [self.config.vocabulary, self.config.hidden],
            )?,
            positions,
            layers,
            final_norm: self.norm(
                arithmetic,
                store,
                self.names.final_norm,
                self.config.norm,
                self.config.hidden,
            )?,
        })
    }

    /// A layer, whose four matrices `make` gives: their slot, and the stored matrices that are stacked there.
    fn layer<A: Load>(
        &self,
        arithmetic: &A,
        store: &Store,
        index: usize,
        make: impl Fn(usize, &[StoredMatrix]) -> Result<A::Matrix>,
    ) -> Result<Layer<A>> {
        let (names, config) = (self.names, &self.config);
        let norm = |name, kind, width| {
            self.norm(arithmetic, store, &names.in_layer(index, name), kind, width)
        };
        let [qkv, output, expand, contract] = self.matrices(index);
        let layer = Layer {
            attention_norm: norm(names.attention_norm, config.norm, config.hidden)?,
            qkv: make(0, &qkv)?,
            qk_norms: if config.qk_norm {
                let q_norm = norm(names.q_norm, Norm::Rms, config.head_width)?;
                Some((q_norm, norm(names.k_norm, Norm::Rms, config.head_width)?))
            } else {
                None
            },
            output: make(1, &output)?,
            mlp_norm: norm(names.mlp_norm, config.norm, config.hidden)?,
            expand: make(2, &expand)?,
            contract: make(3, &contract)?,
        };
        store.release();
        Ok(layer)
    }

    fn norm<A: Load>(
        &self,
        arithmetic: &A,
        store: &Store,
        name: &str,
        kind: Norm,
        width: usize,
    ) -> Result<NormWeights<A>> {
        let bias = match kind {
            Norm::Layer => Some(arithmetic.vector(store, &format!("{name}.bias"), width)?),
            Norm::Rms => None,
        };
        let weight = arithmetic.vector(store, &weight(name), width)?;
        Ok(NormWeights {
            kind,
            epsilon: self.config.epsilon,
            weight,
            bias,
        })
    }

    /// Every matrix that is multiplied with, and the embedding, with the layer that it belongs to.
    pub(crate) fn all_matrices(&self) -> Vec<(Option<usize>, StoredMatrix)> {
        let (inputs, outputs) = (self.config.hidden, self.config.vocabulary);
        let table = |name: &str| StoredMatrix {
            name: name.to_owned(),
            inputs,
            outputs,
            has_bias: false,
            layout: Layout::Outputs,
        };
        let mut all = vec![(None, table(self.names.embedding))];
        for layer in 0..self.config.layers {
            let matrices = self.matrices(layer).into_iter().flatten();
            all.extend(matrices.map(|matrix| (Some(layer), matrix)));
        }
        if !self.config.tied {
            all.push((None, self.head()));
        }
        all
    }

    /// The matrices of a layer: queries, keys and values; output; into the perceptron; out of it.
    pub(crate) fn matrices(&self, layer: usize) -> [Vec<StoredMatrix>; 4] {
        let (names, config) = (self.names, &self.config);
        let matrix = |name: &str, inputs, outputs, has_bias| StoredMatrix {
            name: names.in_layer(layer, name),
            inputs,
            outputs,
            has_bias,
            layout: if names.transposed {
                Layout::Inputs
            } else {
                Layout::Outputs
            },
        };
        let (queries, keys) = (config.query_width(), config.kv_width());
        let qkv_widths = if names.qkv.len() == 1 {
            vec![queries + 2 * keys]
        } else {
            vec![queries, keys, keys]
        };
        let qkv = names
            .qkv
            .iter()
            .zip(qkv_widths)
            .enumerate()
            .map(|(index, (name, width))| {
                let mut matrix = matrix(name, config.hidden, width, config.biases.qkv);
                if names.neighbouring_pairs && index < 2 {
                    matrix.layout = Layout::NeighbouringPairs {
                        width: config.head_width,
                    };
                }
                matrix
            });
        let expand = names
            .expand
            .iter()
            .map(|name| matrix(name, config.hidden, config.mlp, config.biases.mlp));
        [
            qkv.collect(),
            vec![matrix(
                names.output,
                queries,
                config.hidden,
                config.biases.output,
            )],
            expand.collect(),
            vec![matrix(
                names.contract,
                config.mlp,
                config.hidden,
                config.biases.mlp,
            )],
        ]
    }

    /// Name and shape of every tensor that the decoder uses.
    pub(crate) fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (names, config) = (self.names, &self.config);
        let mut tensors = vec![(
            weight(names.embedding),
            vec![config.vocabulary, config.hidden],
        )];
        let mut norm = |name: &str, kind, width| {
            tensors.push((weight(name), vec![width]));
            if kind == Norm::Layer {
                tensors.push((format!("{name}.bias"), vec![width]));
            }
        };
        norm(names.final_norm, config.norm, config.hidden);
        for layer in 0..config.layers {
            norm(
                &names.in_layer(layer, names.attention_norm),
                config.norm,
                config.hidden,
            );
            norm(
                &names.in_layer(layer, names.mlp_norm),
                config.norm,
                config.hidden,
            );
            if config.qk_norm {
                norm(
                    &names.in_layer(layer, names.q_norm),
                    Norm::Rms,
                    config.head_width,
                );
                norm(
                    &names.in_layer(layer, names.k_norm),
                    Norm::Rms,
                    config.head_width,
                );
            }
        }
        if matches!(config.positions, Positions::Learned) {
            tensors.push((
                weight(names.positions),
                vec![config.context_length, config.hidden],
            ));
        }
        if !config.tied {
            tensors.push((weight(names.head), vec![config.vocabulary, config.hidden]));
        }
        for matrix in (0..config.layers)
            .flat_map(|layer| self.matrices(layer))
            .flatten()
        {
            tensors.push((matrix.weight_name(), matrix.shape().to_vec()));
            if matrix.has_bias {
                tensors.push((matrix.bias_name(), vec![matrix.outputs]));
            }
        }
        tensors
    }
}

impl<A: Load> Weights<A> for Ready<'_, A> {
    fn embedding(&self) -> &A::Table {
        &self.loaded.embedding
    }

    fn positions(&self) -> Option<&A::Table> {
        self.loaded.positions.as_ref()
    }

    fn with_layer<T>(&self, layer: usize, run: impl FnOnce(&Layer<A>) -> Result<T>) -> Result<T> {
        match &self.loaded.layers {
            Layers::Held(layers) => run(&layers[layer]),
            Layers::MadeWhenUsed => {
                run(&self
                    .plan
                    .layer(self.arithmetic, self.store, layer, |_, parts| {
                        self.arithmetic.matrix(self.store, parts)
                    })?)
            }
        }
    }

    fn final_norm(&self) -> &NormWeights<A> {
        &self.loaded.final_norm
    }
}

fn weight(name: &str) -> String {
    format!("{name}.weight")
}
