//! The excess of fragments as bars, in their order.

use kld_core::result::{FragmentKind, TextFragments};
use maud::{Markup, html};

use crate::{
    format::{shortened, significant},
    html::chart::round,
};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 10.0;

/// Bars of more fragments could not be told apart.
const MOST: usize = 600;

/// The level below which a fragment stands out.
const LEVEL: f64 = 0.05;

/// Windows and groups, in order; documents have none.
pub(super) fn chart(found: &TextFragments) -> Markup {
    let shown = &found.listed[..found.listed.len().min(MOST)];
    if found.kind == FragmentKind::Documents || shown.is_empty() {
        return html! {};
    }
    let own = found.spread.as_ref().map(|spread| spread.percentile_95);
    let values = shown.iter().map(|f| f.excess).chain(own);
    let highest = values
        .filter(|v| v.is_finite())
        .fold(f64::MIN_POSITIVE, f64::max);
    let height = |nats: f64| round((HEIGHT - TOP) * nats.clamp(0.0, highest) / highest);
    let step = (WIDTH - LEFT) / shown.len() as f64;
    let (first, last) = (&shown[0].name, &shown[shown.len() - 1].name);
    html! {
        p.how { "Excess in nats, in their order" @if own.is_some() { "; the line: 95 % of the fragments of P have no larger one" } "." }
        svg.course viewBox={ "0 0 " (WIDTH) " " (HEIGHT + 22.0) } role="img" aria-label="excess of the fragments, in their order" {
            @for (index, f) in shown.iter().enumerate() {
                @let far = f.adjusted_p.is_some_and(|p| p <= LEVEL);
                rect class=(if far { "bar far" } else { "bar" }) x=(round(LEFT + step * index as f64)) y=(round(HEIGHT - height(f.excess)))
                    width=(0.85 * step) height=(height(f.excess)) {
                    title { (shortened(&f.name, 40)) ": excess " (significant(f.excess)) " nats" }
                }
            }
            @if let Some(own) = own {
                line.spread x1=(LEFT) x2=(WIDTH) y1=(round(HEIGHT - height(own))) y2=(round(HEIGHT - height(own))) {}
            }
            line.axis x1=(LEFT) x2=(WIDTH) y1=(HEIGHT) y2=(HEIGHT) {}
            text x=(LEFT - 6.0) y=(TOP + 10.0) text-anchor="end" { (significant(highest)) }
            text x=(LEFT - 6.0) y=(HEIGHT) text-anchor="end" { "0" }
            text x=(LEFT) y=(HEIGHT + 17.0) { (shortened(first, 32)) }
            text x=(WIDTH) y=(HEIGHT + 17.0) text-anchor="end" { (shortened(last, 32)) }
        }
        @if found.listed.len() > MOST { p.how { "The first " (MOST) " are shown; the JSON has all." } }
    }
}
