//! Estimates from two samples on a terminal.

use kld_core::{
    count::{CountEstimates, EstimatorResult, SampleCard, Warning},
    estimate::Estimate,
};

use super::{figure, plural, row};
use crate::{
    Terminal,
    format::{count, share},
    table::layout,
};

/// The title of a column of intervals.
const INTERVAL: &str = "95 % interval";

impl Terminal {
    pub(super) fn estimates(self, estimates: &CountEstimates) -> String {
        let mut text = format!(
            "estimated, in {}, with bootstrap intervals from {} redrawn pairs (seed {})\n",
            self.unit.name(),
            count(estimates.bootstrap.resamples as u64),
            estimates.bootstrap.seed
        );
        let mut divergences = vec![row(
            "",
            &["KL(P‖Q)", INTERVAL, "KL(Q‖P)", INTERVAL, "JS", INTERVAL],
        )];
        let mut entropies = vec![row(
            "",
            &["entropy of P", INTERVAL, "entropy of Q", INTERVAL],
        )];
        for result in &estimates.estimators {
            let EstimatorResult {
                estimator,
                kl,
                reverse_kl,
                js,
                entropy_reference,
                entropy_candidate,
            } = result;
            divergences
                .push(self.cells(estimator.name(), &[Some(kl), Some(reverse_kl), js.as_ref()]));
            entropies.push(self.cells(
                estimator.name(),
                &[Some(entropy_reference), Some(entropy_candidate)],
            ));
        }
        text += &(layout("    ", &divergences) + &layout("    ", &entropies));
        text += &sample("P", &estimates.reference);
        text += &sample("Q", &estimates.candidate);
        for warning in &estimates.warnings {
            text += &format!("warning: {}\n", self.warning(warning));
        }
        text
    }

    fn cells(self, name: &str, estimates: &[Option<&Estimate>]) -> Vec<String> {
        let pairs = estimates.iter().flat_map(|estimate| match estimate {
            Some(estimate) => [self.figure(estimate.value), self.interval(estimate)],
            None => ["-".to_owned(), String::new()],
        });
        std::iter::once(name.to_owned()).chain(pairs).collect()
    }

    fn interval(self, estimate: &Estimate) -> String {
        match (estimate.low, estimate.high) {
            (Some(low), Some(high)) => format!("[{}, {}]", self.figure(low), self.figure(high)),
            _ => String::new(),
        }
    }

    pub(crate) fn warning(self, warning: &Warning) -> String {
        match warning {
            Warning::LowCoverage { side, coverage } => format!(
                "the sample of {side} is too small to say: by its singletons it covers {} of the distribution, expected 90 %",
                share(*coverage)
            ),
            Warning::FewDraws {
                side,
                draws,
                observed,
            } => format!(
                "the sample of {side} is small: {} draws of {} outcomes, expected five for each",
                count(*draws),
                count(*observed as u64)
            ),
            Warning::UnseenInOther {
                side,
                outcomes,
                share: mass,
            } => format!(
                "{} in {side}'s sample ({} of it) and never in the other: the plug-in is infinite, whatever lies behind",
                plural(*outcomes, "outcome occurs", "outcomes occur"),
                share(*mass)
            ),
            Warning::BelowZero { side, high } => format!(
                "{} by Zhang-Grabchak is at most {}, below 0, where no divergence is: too much is unseen to say",
                if *side == 'P' {
                    "KL(P‖Q)"
                } else {
                    "KL(Q‖P)"
                },
                self.figure(*high)
            ),
            Warning::WideInterval { value, width } => format!(
                "KL(P‖Q) is uncertain: the interval is {} wide about {}",
                self.figure(*width),
                self.figure(*value)
            ),
            Warning::FewClusters { side, clusters } => format!(
                "{side} is redrawn by {}, expected ten or more: its spread is hardly known, and intervals are too narrow or missing",
                plural(*clusters, "part", "parts")
            ),
            Warning::MostlyBias { plug_in, corrected } => format!(
                "too little text to say: of the plug-in JS of {}, {} is left after correction for the size of the samples",
                self.figure(*plug_in),
                self.figure(*corrected)
            ),
            other => format!("{other:?}"),
        }
    }
}

fn sample(side: &str, card: &SampleCard) -> String {
    format!(
        "    {side}: {} draws, {} outcomes seen, {} of them once; coverage {}\n",
        count(card.draws),
        count(card.observed as u64),
        count(card.singletons as u64),
        figure(card.coverage)
    )
}
