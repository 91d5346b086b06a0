//! The ranking of several candidates, and the one picked.

use kld_core::{
    estimate::Estimate,
    pick::{Pick, Wanted},
    ranking::{Front, Ranked, Ranking},
    result::{Candidate, Comparison, NoiseFloor},
};

use crate::{
    Terminal,
    format::{bytes, fixed, percent, plain, plus_minus, share, shortened, significant},
    names::short_names,
    table::layout,
};

/// Letters of a name, at most.
pub(crate) const NAME_WIDTH: usize = 40;

impl Terminal {
    /// All candidates at a glance, best first; nothing for one.
    pub(crate) fn ranking(self, result: &Comparison) -> String {
        let Some(ranking) = &result.ranking else {
            return String::new();
        };
        let head = [
            "ranking",
            "group",
            "size",
            "bits/weight",
            "front",
            &format!("KL(P‖Q) {}", self.unit.name()),
            "over the one above",
            "99 %",
            "top-1 agreement",
            "ppl ratio",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        let names = short_names(&result.candidates);
        let mut above = None;
        for ranked in &ranking.ranked {
            if let Some(candidate) = result.candidates.get(ranked.candidate) {
                let over = above.and_then(|above| ranking.pair(above, ranked.candidate));
                let over = over.map(|pair| self.gain(&pair.difference));
                let name = shortened(names[ranked.candidate], NAME_WIDTH);
                rows.push(self.ranked(ranked, name, candidate, over.unwrap_or_default()));
            }
            above = Some(ranked.candidate);
        }
        rows.extend(
            result
                .noise_floor
                .as_ref()
                .map(|floor| self.floor_row(floor)),
        );
        layout("", &rows) + &legend(ranking)
    }

    fn ranked(self, ranked: &Ranked, name: String, c: &Candidate, over: String) -> Vec<String> {
        let front = match ranked.front {
            Front::On => "●",
            Front::Unproven => "○",
            Front::Off => "",
        };
        vec![
            name,
            ranked.groups.clone(),
            bytes(c.model.bytes),
            fixed(ranked.bits_per_weight, 2),
            front.to_owned(),
            plus_minus(&self.scaled(&c.kl.mean)),
            over,
            significant(c.kl.p99 * self.unit.per_nat()),
            percent(&c.top1_agreement),
            plus_minus(&c.perplexity.ratio),
        ]
    }

    fn floor_row(self, floor: &NoiseFloor) -> Vec<String> {
        let none = String::new;
        vec![
            "noise floor".to_owned(),
            none(),
            none(),
            none(),
            none(),
            plus_minus(&self.scaled(&floor.kl.mean)),
            none(),
            significant(floor.kl.p99 * self.unit.per_nat()),
            percent(&floor.top1_agreement),
            none(),
        ]
    }

    /// A difference with its sign.
    fn gain(self, difference: &Estimate) -> String {
        let sign = if difference.value > 0.0 { "+" } else { "" };
        format!("{sign}{}", plus_minus(&self.scaled(difference)))
    }

    /// The candidate picked, or why there is none; nothing where none was asked for.
    pub(crate) fn pick(self, result: &Comparison) -> String {
        result
            .pick
            .as_ref()
            .map(|pick| self.picked(pick, &result.candidates))
            .unwrap_or_default()
    }

    fn picked(self, pick: &Pick, candidates: &[Candidate]) -> String {
        let unit = self.unit.per_nat();
        let asked = match pick.wanted {
            Wanted::MaxKl(limit) => format!(
                "the smallest with a mean KL of at most {} {}",
                significant(limit * unit),
                self.unit.name()
            ),
            Wanted::MaxSize(limit) => format!("the closest of at most {}", bytes(limit)),
        };
        let short = short_names(candidates);
        let found = pick
            .candidate
            .and_then(|index| candidates.get(index).zip(short.get(index)));
        let answer = match found {
            Some((c, name)) => {
                format!("{}  {}", shortened(name, NAME_WIDTH), self.size_and_kl(c))
            }
            None if pick.complete => "NONE of the candidates".to_owned(),
            None => "NONE: not all windows were measured".to_owned(),
        };
        let names = |indices: &[usize]| {
            let named = indices.iter().filter_map(|index| short.get(*index));
            let named = named.map(|name| shortened(name, NAME_WIDTH));
            named.collect::<Vec<_>>().join(", ")
        };
        let mut text = format!("pick       {asked}: {answer}\n");
        if !pick.straddling.is_empty() {
            text.push_str(&format!(
                "           not certain: the 95 % interval reaches across the limit for {}\n",
                names(&pick.straddling)
            ));
        }
        if !pick.tied.is_empty() {
            text.push_str(&format!(
                "           cannot be told apart from it: {}\n",
                names(&pick.tied)
            ));
        }
        text
    }

    fn size_and_kl(self, c: &Candidate) -> String {
        let mean = self.scaled(&c.kl.mean);
        let interval = mean
            .low
            .zip(mean.high)
            .map_or(String::new(), |(low, high)| {
                format!(" ({} – {})", significant(low), significant(high))
            });
        format!(
            "{}, KL {}{interval} {}",
            bytes(c.model.bytes),
            plus_minus(&mean),
            self.unit.name()
        )
    }
}

fn legend(ranking: &Ranking) -> String {
    let mut text = format!(
        "  a shared letter: not told apart by paired differences (Holm over all pairs, {})\n",
        share(ranking.level)
    );
    let has = |front| ranking.ranked.iter().any(|r| r.front == front);
    text.push_str("  ● on the front of size against KL");
    if has(Front::Unproven) {
        text.push_str("   ○ on it by its mean, yet not told apart from a smaller one");
    }
    text.push('\n');
    for note in &ranking.notes {
        text.push_str(&format!("note: {}\n", plain(note)));
    }
    text
}
