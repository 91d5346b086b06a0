//! `explain`: which matrices of a model cost what when they are quantized.
//!
//! ```text
//! P ─► its matrices, quantized ─► groups ─► P with one group swapped, P with noise of that size there ─► one comparison with P ─► effects
//! ```
//!
//! All of them stand in one comparison: P runs once per window, and every number is of the same positions. Three candidates stand before
//! the groups: the *control*, in which every matrix is swapped for a copy of itself and the KL must be exactly 0; all groups swapped
//! *together*, which is the candidate of `kld compare --quantize`; and noise in all of them.

mod group;

use kld_core::{
    Observer, Plan, Summary, WindowRows,
    estimate::{Cluster, Estimate, Window},
    result::{Effect, Explanation, Group, RunRecord, Step},
    summary::{Quantity, Sums, WindowSums},
};
use kld_models::{
    LogitSource,
    gguf::BlockType,
    native::{NativeModel, Replacements, Selection},
};

pub use group::By;
use group::Part;

use crate::{
    Error, Result,
    compare::{Job, Sink, Summaries, Work},
    text::Fragment,
    warning,
    window::Cut,
};

/// What is swapped, and how it is put in groups.
#[derive(Clone, Debug)]
pub struct Swap {
    /// The type that matrices get.
    pub dtype: BlockType,
    /// The matrices that are meant.
    pub selection: Selection,
    /// What makes a group.
    pub by: By,
    /// Seed of the noise.
    pub noise_seed: u64,
    /// The most memory that swapped matrices may take as f32; what does not fit is made when it is used.
    pub memory_limit_bytes: Option<u64>,
}

/// Measures what each group of a model's matrices costs when it alone is quantized, and what all of them cost together.
///
/// When `observer` asks for a stop, the result covers the windows done so far and says that it is not complete.
///
/// # Errors
///
/// If the matrices cannot be quantized, there is nothing to score, the model fails, or the control moves: with nothing
/// swapped the KL must be exactly 0.
pub fn explain(
    model: &NativeModel,
    swap: &Swap,
    fragments: &[Fragment],
    cut: &Cut,
    work: Work,
    observer: &dyn Observer,
) -> Result<Explanation> {
    let all = model.quantized(swap.dtype, &swap.selection, observer)?;
    let parts = group::parts(model, &all, swap.by);
    let models = candidates(model, swap, &all, &parts, observer)?;
    let models: Vec<&dyn LogitSource> = models.iter().map(|m| m as &dyn LogitSource).collect();
    let job = Job::new(model, &models, fragments, cut)?;
    let mut measured = Together(Summaries::new(&job.plan));
    let run = job.measure(work, observer, &mut measured)?;
    let Together(Summaries(summaries)) = measured;
    conclude(swap, &all, &parts, &job.plan, &summaries, run)
}

/// Candidates before those of the groups: control, all together, noise in all.
const BEFORE_GROUPS: usize = 3;

/// The three before the groups, then each group and its noise.
fn candidates(
    model: &NativeModel,
    swap: &Swap,
    all: &Replacements,
    parts: &[Part],
    observer: &dyn Observer,
) -> Result<Vec<NativeModel>> {
    let mut memory = swap.memory_limit_bytes;
    let mut made = Vec::new();
    let mut add = |name: &str, replacements: &Replacements| {
        let candidate = model.with(name, replacements, memory)?;
        memory = memory.map(|left| left.saturating_sub(candidate.resident_bytes()));
        made.push(candidate);
        Ok::<_, Error>(())
    };
    add("control", &model.unchanged(&swap.selection, observer)?)?;
    add("together", all)?;
    add("noise", &model.noisy(all, swap.noise_seed)?)?;
    for part in parts {
        add(&part.name, &part.replacements)?;
        add("noise", &model.noisy(&part.replacements, swap.noise_seed)?)?;
    }
    Ok(made)
}

fn conclude(
    swap: &Swap,
    all: &Replacements,
    parts: &[Part],
    plan: &Plan,
    summaries: &[Summary],
    run: RunRecord,
) -> Result<Explanation> {
    let (before, of_groups) = summaries.split_at(BEFORE_GROUPS);
    let [control, together, noise] = before else {
        unreachable!("every explanation has its three candidates before the groups")
    };
    let control_max_kl = unmoved(control)?;
    let whole = Part {
        name: "together".to_owned(),
        parameters: parts.iter().map(|part| part.parameters).sum(),
        replacements: all.clone(),
    };
    let groups: Vec<Group> = parts
        .iter()
        .zip(of_groups.chunks_exact(2))
        .map(|(part, both)| Group {
            name: part.name.clone(),
            effect: effect(part, &both[0], &both[1]),
        })
        .collect();
    let alone: Vec<&Summary> = of_groups.iter().step_by(2).collect();
    let (errors_clustered_by, (clusters, effective_clusters)) = together.clusters();
    let positions = together.total().count;
    let mut warnings = plan.warnings.clone();
    if let Some(worst) = summaries.iter().max_by_key(|s| s.not_finite()) {
        warnings.extend(warning::not_finite(worst.not_finite(), worst.total().count));
    }
    warnings.extend(warning::few_clusters(
        errors_clustered_by,
        clusters,
        effective_clusters,
        positions,
    ));
    Ok(Explanation {
        schema: Explanation::SCHEMA.to_owned(),
        reference: plan.reference.clone(),
        protocol: plan.protocol.clone(),
        quantized: all.quantized().cloned().unwrap_or_default(),
        by: swap.by.name().to_owned(),
        noise_seed: swap.noise_seed,
        errors_clustered_by,
        clusters,
        effective_clusters,
        positions,
        control_max_kl,
        together: effect(&whole, together, noise),
        sum_of_groups: sum_of_groups(&alone),
        recipe: recipe(&groups),
        groups,
        warnings,
        run,
    })
}

/// The largest KL with nothing swapped. Anything but exactly 0 is an error of this program, and what it says of the groups cannot be
/// believed.
fn unmoved(control: &Summary) -> Result<f64> {
    match control.worst().first().map_or(0.0, |row| row.pair.kl) {
        0.0 => Ok(0.0),
        kl => Err(Error::ControlMoved { kl }),
    }
}

fn effect(part: &Part, swapped: &Summary, noise: &Summary) -> Effect {
    let mean = |summary: &Summary, quantity| summary.mean(|w| Some(&w.all), |s: &Sums| s[quantity]);
    let change = part.replacements.change();
    Effect {
        matrices: part.replacements.names().count(),
        parameters: part.parameters,
        bytes_before: change.bytes_before,
        bytes_after: change.bytes_after,
        relative_error: change.relative_error(),
        kl: mean(swapped, Quantity::Kl).within(0.0, f64::INFINITY),
        top1_agreement: mean(swapped, Quantity::Top1Agreement).within(0.0, 1.0),
        not_finite: swapped.not_finite(),
        noise_kl: mean(noise, Quantity::Kl).within(0.0, f64::INFINITY),
    }
}

/// Σ of the mean KL of the groups, over windows in which all have finite positions only.
fn sum_of_groups(groups: &[&Summary]) -> Estimate {
    let Some(first) = groups.first() else {
        return Estimate::over_windows(&[]);
    };
    let sum = |(index, window): (u32, &WindowSums)| {
        let of_all = groups.iter().map(|group| {
            let window = group.window(index)?;
            (window.not_finite == 0).then(|| window.all[Quantity::Kl])
        });
        Some(Window {
            fragment: window.fragment,
            cluster: Cluster {
                weight: window.all.count as f64,
                sum: of_all.sum::<Option<f64>>()?,
            },
        })
    };
    let windows: Vec<Window> = first.windows().filter_map(sum).collect();
    Estimate::over_windows(&windows).within(0.0, f64::INFINITY)
}

/// The groups that save bytes, least KL per byte first.
fn recipe(groups: &[Group]) -> Vec<Step> {
    let mut steps: Vec<Step> = groups
        .iter()
        .enumerate()
        .filter(|(_, group)| group.effect.bytes_saved() > 0)
        .map(|(index, Group { effect, .. })| Step {
            group: index,
            kl_per_byte: effect.kl.value / effect.bytes_saved() as f64,
            bytes_saved: effect.bytes_saved(),
            kl: effect.kl.value,
        })
        .collect();
    steps.sort_by(|a, b| a.kl_per_byte.total_cmp(&b.kl_per_byte));
    let (mut bytes, mut kl) = (0, 0.0);
    for step in &mut steps {
        bytes += step.bytes_saved;
        kl += step.kl;
        (step.bytes_saved, step.kl) = (bytes, kl);
    }
    steps
}

/// Summaries that tell of all groups together as they grow.
struct Together(Summaries);

impl Sink for Together {
    fn take(&mut self, rows: WindowRows) {
        self.0.take(rows);
    }

    fn summaries(&self) -> &[Summary] {
        self.0.summaries()
    }

    fn estimate(&self) -> String {
        let together = self.0.0[1].mean(|w| Some(&w.all), |s| s[Quantity::Kl]);
        format!("KL {:.5} nats with all swapped", together.value)
    }
}

#[cfg(test)]
mod tests {
    use kld_core::{Place, TokenRow};
    use kld_kernels::RowPair;

    use super::*;

    fn group(kl: f64, bytes_before: u64, bytes_after: u64) -> Group {
        let bare = |value| Estimate {
            value,
            standard_error: None,
            low: None,
            high: None,
        };
        Group {
            name: String::new(),
            effect: Effect {
                matrices: 1,
                parameters: 1,
                bytes_before,
                bytes_after,
                relative_error: 0.1,
                kl: bare(kl),
                top1_agreement: bare(1.0),
                not_finite: 0,
                noise_kl: bare(kl),
            },
        }
    }

    #[test]
    fn the_recipe_begins_with_the_least_kl_per_byte_and_adds_up() {
        let groups = [
            group(3.0, 20, 10),
            group(1.0, 20, 10),
            group(0.5, 10, 10),
            group(4.0, 100, 10),
        ];
        let steps = recipe(&groups);
        let told: Vec<_> = steps
            .iter()
            .map(|s| (s.group, s.bytes_saved, s.kl))
            .collect();
        // A group that saves nothing is no step.
        assert_eq!(told, [(3, 90, 4.0), (1, 100, 5.0), (0, 110, 8.0)]);
    }

    #[test]
    fn a_control_that_moves_is_an_error() {
        let summary = |kl| {
            let mut summary = Summary::default();
            let place = Place {
                fragment: 0,
                window: 0,
                row: 0,
            };
            let pair = RowPair {
                kl,
                ..RowPair::default()
            };
            summary.push(&TokenRow {
                place,
                observed: 0,
                pair,
                nll_p: 1.0,
                nll_q: 1.0,
                padding_mass_p: 0.0,
                padding_mass_q: 0.0,
            });
            summary
        };
        assert!(unmoved(&summary(0.0)).is_ok());
        let message = unmoved(&summary(1e-300)).unwrap_err().to_string();
        assert!(message.contains("1e-300 nats"), "{message}");
    }
}
