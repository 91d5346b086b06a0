//! The way back: from the gradient of rows to the gradient of every weight that had a part in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::config::{Activation, Norm};
use super::super::decoder::NormWeights;
use super::super::plain::attention::{QUERIES, Shape};
use super::super::plain::loops::add;
use super::super::plain::matmul::{Onto, View, multiply};
use super::super::plain::pool::{Buffer, Pool};
use super::super::stored_matrix::Layout;
use super::{Attended, Made, Matrix, Node, Part, Rows, Tape, Weight, loops};
use crate::native::Gradients;

impl Tape {
    /// The gradient of a loss with respect to each weight that may change, from that with respect to rows, added to `gradients`.
    pub(crate) fn pull(&self, rows: Rows, gradient: &[f32], gradients: Gradients) -> Gradients {
        let mut back = Back {
            buffers: Arc::clone(&self.buffers),
            pending: BTreeMap::new(),
            gradients,
        };
        back.give(&rows, back.copy(gradient));
        drop(rows);
        // What was made last goes first, so that nobody has anything to add to a gradient that is used. Rows are let go of
        // when their turn is over.
        while let Some((_, (rows, gradient))) = back.pending.pop_last() {
            back.through(&rows, gradient);
        }
        back.gradients
    }
}

struct Back {
    buffers: Arc<Pool>,
    /// Gradients of rows whose turn is still to come, by their order and, among equals, their place in memory.
    pending: BTreeMap<(usize, *const Node), (Rows, Buffer)>,
    gradients: Gradients,
}

impl Back {
    fn through(&mut self, rows: &Rows, gradient: Buffer) {
        let Some(made) = &rows.0.made else { return };
        match made {
            Made::Picked { table, numbers } => self.picked(table, numbers, &gradient),
            Made::Sum { x, y } => {
                let copy = self.copy(&gradient);
                self.give(x, copy);
                self.give(y, gradient);
            }
            Made::Applied { onto, matrix, x } => {
                self.applied(matrix, x, &gradient);
                if let Some(onto) = onto {
                    self.give(onto, gradient);
                }
            }
            Made::Normalized { x, norm } => {
                let mut grad_x = self.buffers.take(gradient.len());
                let rows = x.values().chunks(x.width()).zip(gradient.chunks(x.width()));
                self.normalized(norm, rows.zip(grad_x.chunks_mut(x.width())));
                self.give(x, grad_x);
            }
            Made::Activated { x, activation } => self.activated(x, *activation, gradient),
            Made::Dropped { x, mask } => {
                let mut grad_x = gradient;
                mask.apply(0, &mut grad_x);
                self.give(x, grad_x);
            }
            Made::Attended(attended) => self.attended(attended, &gradient),
        }
    }

    /// Adds to the gradient of rows.
    fn give(&mut self, rows: &Rows, gradient: Buffer) {
        if rows.is_recorded() {
            let place = (rows.0.order, Arc::as_ptr(&rows.0));
            match self.pending.get_mut(&place) {
                Some((_, sum)) => add(sum, &gradient),
                None => drop(self.pending.insert(place, (rows.clone(), gradient))),
            }
        }
    }

    fn copy(&self, values: &[f32]) -> Buffer {
        let mut copy = self.buffers.take(values.len());
        copy.copy_from_slice(values);
        copy
    }

    /// The gradient of a weight so far; none if it is frozen.
    fn gradient_of(&mut self, weight: &Weight) -> Option<&mut [f32]> {
        if weight.is_frozen() {
            return None;
        }
        if !self.gradients.contains_key(&weight.name) {
            let zeros = vec![0.0; weight.shape.iter().product()];
            self.gradients.insert(weight.name.clone(), zeros);
        }
        self.gradients.get_mut(&weight.name).map(Vec::as_mut_slice)
    }

    fn picked(&mut self, table: &Weight, numbers: &[u32], gradient: &[f32]) {
        let width = table.shape[1];
        if let Some(sums) = self.gradient_of(table) {
            for (&number, gradient) in numbers.iter().zip(gradient.chunks(width)) {
                add(&mut sums[number as usize * width..][..width], gradient);
            }
        }
    }

    fn applied(&mut self, matrix: &Matrix, x: &Rows, gradient: &[f32]) {
        let stride = matrix.outputs();
        let mut grad_x = x.is_recorded().then(|| self.buffers.take(x.values().len()));
        let mut first = 0;
        for part in &*matrix.parts {
            let of_part = &gradient[first..];
            if let Some(grad_x) = &mut grad_x {
                let onto = if first == 0 { Onto::Replace } else { Onto::Add };
                let left = View::rows(of_part, x.count(), part.outputs, stride);
                part.with_view(|by_input| {
                    multiply(left, by_input.transposed(), 1.0, grad_x, part.inputs, onto);
                });
            }
            self.weights_of(part, x, of_part, stride);
            first += part.outputs;
        }
        if let Some(grad_x) = grad_x {
            self.give(x, grad_x);
        }
    }

    fn weights_of(&mut self, part: &Part, x: &Rows, gradient: &[f32], stride: usize) {
        let x = View::rows(x.values(), x.count(), part.inputs, part.inputs);
        let pull = View::rows(gradient, x.height(), part.outputs, stride);
        if let Some(sums) = self.gradient_of(&part.weight) {
            match part.layout {
                Layout::Inputs => {
                    multiply(x.transposed(), pull, 1.0, sums, part.outputs, Onto::Add);
                }
                _ => multiply(pull.transposed(), x, 1.0, sums, part.inputs, Onto::Add),
            }
        }
        if let Some(sums) = part.bias.as_ref().and_then(|b| self.gradient_of(b)) {
            loops::add_rows(gradient, stride, sums);
        }
    }

    /// Through rows: each with its gradient and the place for that of what was normalised.
    fn normalized<'a>(
        &mut self,
        norm: &NormWeights<Tape>,
        rows: impl Iterator<Item = ((&'a [f32], &'a [f32]), &'a mut [f32])>,
    ) {
        let width = norm.weight.shape[0];
        let (mut of_weight, mut of_bias) = (vec![0.0; width], vec![0.0; width]);
        let weight = norm.weight.values();
        for ((x, gradient), grad_x) in rows {
            let (sums, epsilon) = (&mut of_weight, norm.epsilon);
            match norm.kind {
                Norm::Rms => loops::rms_norm(x, &weight, epsilon, gradient, grad_x, sums),
                Norm::Layer => {
                    loops::layer_norm(x, &weight, epsilon, gradient, grad_x, sums, &mut of_bias);
                }
            }
        }
        if let Some(sums) = self.gradient_of(&norm.weight) {
            add(sums, &of_weight);
        }
        if let Some(sums) = norm.bias.as_ref().and_then(|b| self.gradient_of(b)) {
            add(sums, &of_bias);
        }
    }

    fn activated(&mut self, x: &Rows, activation: Activation, mut gradient: Buffer) {
        let grad_x = match activation {
            Activation::SwiGlu => {
                let mut grad_x = self.buffers.take(x.values().len());
                loops::silu_times(x.values(), x.width() / 2, &gradient, &mut grad_x);
                grad_x
            }
            Activation::GeluTanh => {
                loops::gelu_tanh(x.values(), &mut gradient);
                gradient
            }
        };
        self.give(x, grad_x);
    }

    fn attended(&mut self, attended: &Attended, gradient: &[f32]) {
        let Attended {
            qkv,
            prepared,
            shape,
            norms,
            rotation,
        } = attended;
        let mut grad_qkv = self.buffers.take(prepared.len());
        grad_qkv.fill(0.0);
        shape.pull(prepared, gradient, &mut grad_qkv);
        if let Some(rotation) = rotation {
            shape.prepare(&mut grad_qkv, None, Some(&rotation.inverse()));
        }
        if let Some(norms) = norms {
            self.normalized_heads(norms, shape, qkv.values(), &mut grad_qkv);
        }
        self.give(qkv, grad_qkv);
    }

    /// Back through the normalisation of queries and of keys, where their gradients lie.
    fn normalized_heads(
        &mut self,
        norms: &[NormWeights<Tape>; 2],
        shape: &Shape,
        qkv: &[f32],
        grad_qkv: &mut [f32],
    ) {
        let after = grad_qkv.to_vec();
        let places = [0..shape.keys, shape.keys..shape.values];
        for (norm, place) in norms.iter().zip(&places) {
            let rows = qkv.chunks(shape.stride).zip(after.chunks(shape.stride));
            let rows = rows.zip(grad_qkv.chunks_mut(shape.stride));
            let heads = rows.flat_map(|((x, gradient), grad_x)| {
                let heads = x[place.clone()].chunks(shape.width);
                let heads = heads.zip(gradient[place.clone()].chunks(shape.width));
                heads.zip(grad_x[place.clone()].chunks_mut(shape.width))
            });
            self.normalized(norm, heads);
        }
    }
}

impl Shape {
    /// Back through attention of prepared rows: adds the gradient of queries, keys and values to `grad_qkv`.
    ///
    /// Scores are made again, block by block: with S the scores, P their softmax and O = P·V, the gradient G of O gives
    /// ∂V = Pᵀ·G, ∂P = G·Vᵀ, ∂S = P∘(∂P − Σ P∘∂P), ∂Q = scale·∂S·K and ∂K = scale·∂Sᵀ·Q. Where some of P is dropped, so is it in
    /// ∂V, and as much of ∂P.
    fn pull(&self, prepared: &[f32], gradient: &[f32], grad_qkv: &mut [f32]) {
        let (mut scores, mut grads) = (Vec::new(), Vec::new());
        for head in 0..self.keys / self.width {
            for first in (0..self.positions).step_by(QUERIES) {
                let block = first..self.positions.min(first + QUERIES);
                let out = (&mut scores, &mut grads);
                self.pull_block(prepared, gradient, head, block, out, grad_qkv);
            }
        }
    }

    fn pull_block(
        &self,
        prepared: &[f32],
        gradient: &[f32],
        head: usize,
        block: std::ops::Range<usize>,
        (scores, grads): (&mut Vec<f32>, &mut Vec<f32>),
        grad_qkv: &mut [f32],
    ) {
        let (width, stride, begin) = (self.width, self.stride, self.first_seen(block.start));
        let (queries, count) = (block.len(), block.end - begin);
        let own = head * width;
        let shared = head / self.group * width;
        let at_queries = block.start * stride + own;
        let at_keys = begin * stride + self.keys + shared;
        let at_values = begin * stride + self.values + shared;
        let q = View::rows(&prepared[at_queries..], queries, width, stride);
        let k = View::rows(&prepared[at_keys..], count, width, stride);
        let v = View::rows(&prepared[at_values..], count, width, stride);
        let out = View::rows(
            &gradient[block.start * self.keys + own..],
            queries,
            width,
            self.keys,
        );
        let scale = 1.0 / (width as f32).sqrt();
        scores.resize(queries * count, 0.0);
        grads.resize(queries * count, 0.0);
        multiply(q, k.transposed(), scale, scores, count, Onto::Replace);
        multiply(out, v.transposed(), 1.0, grads, count, Onto::Replace);
        self.drop(head, block.start, begin..block.end, grads);
        let mut sums = [0.0; QUERIES];
        self.exponentials(block.start, begin, count, scores, &mut sums);
        let rows = scores.chunks_mut(count).zip(grads.chunks_mut(count));
        for ((p, grad), &total) in rows.zip(&sums) {
            loops::softmax(p, total, grad);
        }
        self.drop(head, block.start, begin..block.end, scores);
        let p = View::rows(scores, queries, count, count);
        let s = View::rows(grads, queries, count, count);
        let mut onto = |left, right, scale, at: usize| {
            multiply(left, right, scale, &mut grad_qkv[at..], stride, Onto::Add);
        };
        onto(p.transposed(), out, 1.0, at_values);
        onto(s, k, scale, at_queries);
        onto(s.transposed(), q, scale, at_keys);
    }
}
