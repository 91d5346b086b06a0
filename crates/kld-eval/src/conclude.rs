//! From a plan and the summaries of its rows to the result. Needs no model, so it can be done wherever the rows are.

use kld_core::{
    ModelCard, Plan, Summary, TokenRow,
    ranking::{above, rank},
    result::{Candidate, Comparison, NoiseFloor, Position, RunRecord, WorstToken},
    sequential::Sequential,
};

use crate::warning;

/// Makes the result of a comparison; `summaries` are in the order of the plan's candidates, the noise floor included.
#[must_use]
pub fn conclude(plan: &Plan, summaries: &[Summary], run: RunRecord) -> Comparison {
    let (models, other_way) = plan.without_floor(&plan.candidates);
    let (summaries, floor) = plan.without_floor(summaries);
    let of = |(model, summary): (&ModelCard, &Summary)| {
        let worst = summary.worst().iter().map(|row| tell(row, plan)).collect();
        let names = &plan.transcript.fragments;
        let mut result = Candidate::from_summary(model.clone(), summary, names, worst);
        result.above_noise_floor = floor.map(|floor| above(floor, summary));
        result.warnings = warnings(&result, plan);
        result
    };
    let candidates: Vec<Candidate> = models.iter().zip(summaries).map(of).collect();
    Comparison {
        schema: Comparison::SCHEMA.to_owned(),
        reference: plan.reference.clone(),
        protocol: plan.protocol.clone(),
        ranking: rank(&candidates, summaries),
        pick: None,
        sequential: Sequential::new(plan, summaries),
        noise_floor: other_way
            .zip(floor)
            .map(|(model, floor)| NoiseFloor::new(model, floor)),
        candidates,
        run,
    }
}

/// Tells a row so that a person can look at it.
fn tell(row: &TokenRow, plan: &Plan) -> WorstToken {
    /// Tokens of context that are shown.
    const SHOWN: usize = 16;
    let text = &plan.transcript;
    let end = row.place.row as usize + 1;
    let pair = &row.pair;
    let rank = pair.observed.map_or((0, 0), |o| (o.rank_p, o.rank_q));
    let token = |id: u32| text.token(id).to_owned();
    WorstToken {
        kl: pair.kl,
        reverse_kl: pair.reverse_kl,
        position: Position {
            fragment: text.fragments[row.place.fragment as usize].clone(),
            window: row.place.window,
            row: row.place.row,
        },
        context: text.windows[row.place.window as usize]
            .text(end.saturating_sub(SHOWN)..end)
            .to_owned(),
        observed: token(row.observed),
        observed_prob_reference: (-row.nll_p).exp(),
        observed_prob_candidate: (-row.nll_q).exp(),
        observed_rank_reference: rank.0,
        observed_rank_candidate: rank.1,
        top1_reference: token(pair.top1_p),
        top1_prob_reference: pair.top1_prob_p,
        top1_candidate: token(pair.top1_q),
        top1_prob_candidate: pair.top1_prob_q,
    }
}

fn warnings(result: &Candidate, plan: &Plan) -> Vec<String> {
    let reference = &plan.reference;
    let mut warnings = plan.warnings.clone();
    let nothing_moved = result.kl.max == 0.0 && result.positions > 0;
    let same_weights = result.model.sha256 == reference.sha256;
    let same_settings = result.model.config_sha256 == reference.config_sha256;
    match (same_weights, same_settings, nothing_moved) {
        (true, true, true) => warnings.push("candidate and reference are the same file: this measures nothing".to_owned()),
        (true, _, _) => {
            warnings.push("the weights are the same: what differs is the configuration, the tokenizer or the engine".to_owned());
        }
        (false, _, true) => warnings.push(
            "KL is exactly zero at every position although the files differ: nothing was quantized or changed".to_owned(),
        ),
        (false, _, false) => {}
    }
    warnings.extend(warning::not_finite(result.not_finite, result.positions));
    warnings.extend(warning::few_clusters(
        result.errors_clustered_by,
        result.clusters,
        result.effective_clusters,
        result.positions,
    ));
    for model in [reference, &result.model] {
        warnings.extend(warning::lossy(model, result.kl.mean.value));
        warnings.extend(warning::lifted(model, result.kl.mean.value));
    }
    warnings.extend(warning::noise(result));
    warnings.extend(warning::padding(
        result
            .padding_mass_reference
            .max(result.padding_mass_candidate),
    ));
    warnings
}
