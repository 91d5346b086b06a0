//! What of a student learns: its weights, or low-rank adapters of some of its matrices.

use kld_models::native::{DifferentiableModel, Gradients};

use crate::{Adapters, Moments, Result, Settings, Update};

/// A student that is ready to learn.
#[derive(Debug)]
pub struct Learner {
    /// The student as it is now.
    pub model: DifferentiableModel,
    adapters: Option<Adapters>,
}

impl Learner {
    /// Makes a student ready: freezes what is to stay, or gives it adapters, and sets its dropout.
    ///
    /// # Errors
    ///
    /// If a name or pattern matches none of its weights, or the probability of dropout is none.
    pub fn new(mut model: DifferentiableModel, settings: &Settings) -> Result<Self> {
        let make = |lora| Adapters::new(lora, &mut model, settings.seed);
        let adapters = settings.lora.as_ref().map(make).transpose()?;
        model.freeze(&settings.freeze)?;
        if let Some(rate) = settings.dropout {
            model.set_dropout(rate)?;
        }
        Ok(Self { model, adapters })
    }

    /// Number of values that learn.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        let adapters = self.adapters.as_ref().map(Adapters::parameters);
        adapters.unwrap_or_else(|| self.model.trainable_parameters())
    }

    /// All that is needed to make it from the student that it began as: all weights, or its adapters.
    pub(crate) fn values(&self) -> Gradients {
        match &self.adapters {
            Some(adapters) => adapters.factors().clone(),
            None => self.model.weights(),
        }
    }

    /// Makes it what it was when it had these [`values`](Self::values).
    pub(crate) fn set_values(&mut self, values: Gradients) -> Result<()> {
        match &mut self.adapters {
            Some(adapters) => adapters.set_factors(values, &mut self.model),
            None => Ok(self.model.set_weights(&values)?),
        }
    }

    /// From the gradients of weights to those of what learns.
    pub(crate) fn gradients(&self, of_weights: Gradients) -> Gradients {
        match &self.adapters {
            Some(adapters) => adapters.gradients(&of_weights),
            None => of_weights,
        }
    }

    /// One step of an optimizer.
    pub(crate) fn apply(
        &mut self,
        update: &Update<'_>,
        gradients: &mut Gradients,
        moments: &mut Moments,
    ) {
        match &mut self.adapters {
            Some(adapters) => adapters.apply(update, &mut self.model, gradients, moments),
            None => update.apply(&mut self.model, gradients, moments),
        }
    }
}
