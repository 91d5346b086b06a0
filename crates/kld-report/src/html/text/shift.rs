//! The word-shift chart: a bar for each term, to the left or to the right of a line.

use kld_core::{
    estimate::Estimate,
    result::{Contributor, Contributors},
};
use maud::{Markup, html};

use crate::{
    format::{count, plus_minus, shortened},
    html::chart::round,
};

const WIDTH: f64 = 760.0;
const MIDDLE: f64 = WIDTH / 2.0;
/// What the longest bar, with its interval, takes of one side; the rest is for its term.
const REACH: f64 = 240.0;
const ROW: f64 = 21.0;
const HEAD: f64 = 26.0;
const TERM_WIDTH: usize = 18;

/// All terms that are listed, the largest part of JS first.
pub(super) fn chart(contributors: &Contributors) -> Markup {
    let left = contributors.more_in_reference.iter().map(|c| (c, true));
    let right = contributors.more_in_candidate.iter().map(|c| (c, false));
    let mut all: Vec<(&Contributor, bool)> = left.chain(right).collect();
    all.sort_by(|a, b| b.0.js.value.total_cmp(&a.0.js.value));
    let longest = all
        .iter()
        .map(|(c, _)| end(&c.js))
        .fold(f64::MIN_POSITIVE, f64::max);
    let height = HEAD + ROW * all.len() as f64 + 6.0;
    html! {
        svg.shift viewBox={ "0 0 " (WIDTH) " " (height) } role="img"
            aria-label="terms by their part of the Jensen–Shannon divergence" {
            text.side x=(MIDDLE - 10.0) y="16" text-anchor="end" { "more in P" }
            text.side x=(MIDDLE + 10.0) y="16" { "more in Q" }
            @for (row, (term, in_reference)) in all.iter().enumerate() {
                (bar(term, *in_reference, HEAD + ROW * row as f64, REACH / longest))
            }
            line.axis x1=(MIDDLE) x2=(MIDDLE) y1=(HEAD - 4.0) y2=(height) {}
        }
    }
}

/// The farthest that a bar or its interval reaches.
fn end(js: &Estimate) -> f64 {
    js.high.unwrap_or(js.value).max(js.value)
}

fn bar(term: &Contributor, in_reference: bool, top: f64, scale: f64) -> Markup {
    let sign = if in_reference { -1.0 } else { 1.0 };
    let at = |nats: f64| round(MIDDLE + sign * scale * nats.max(0.0));
    let (value, label) = (at(term.js.value), round(at(end(&term.js)) + sign * 7.0));
    let (class, anchor) = if in_reference {
        ("p", "end")
    } else {
        ("q", "start")
    };
    let middle = top + ROW / 2.0;
    html! {
        g {
            title {
                (shortened(&term.term, 60)) ": " (count(term.reference)) " in P, " (count(term.candidate)) " in Q, JS "
                (plus_minus(&term.js))
            }
            rect class=(class) x=(value.min(MIDDLE)) y=(top + 3.0) width=(round((value - MIDDLE).abs())) height=(ROW - 6.0) {}
            @if let (Some(low), Some(high)) = (term.js.low, term.js.high) {
                line.error x1=(at(low)) x2=(at(high)) y1=(middle) y2=(middle) {}
            }
            text x=(label) y=(middle + 4.5) text-anchor=(anchor) { (shortened(&term.term, TERM_WIDTH)) }
        }
    }
}
