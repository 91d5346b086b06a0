//! The shift chart: a bar for each term, to the left or to the right of a line.

use maud::{Markup, html};

use crate::{
    format::shortened,
    html::chart::{round, told},
};

const WIDTH: f64 = 760.0;
const MIDDLE: f64 = WIDTH / 2.0;
/// What the longest bar, with its interval, takes of one side; the rest is for its term.
const REACH: f64 = 240.0;
const ROW: f64 = 21.0;
const HEAD: f64 = 26.0;
const TERM_WIDTH: usize = 18;

/// A term's part of a divergence.
pub(super) struct Bar<'a> {
    pub(super) term: &'a str,
    pub(super) side: Side,
    pub(super) nats: f64,
    pub(super) interval: Option<(f64, f64)>,
    /// How often it stands on both sides, in words.
    pub(super) counts: String,
}

/// Where a term is more frequent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Reference,
    Candidate,
}

/// All bars, the longest first; `heads` stand above the two sides.
pub(super) fn chart(label: &str, heads: [&str; 2], mut bars: Vec<Bar<'_>>) -> Markup {
    bars.sort_by(|a, b| b.nats.total_cmp(&a.nats));
    let longest = bars.iter().map(end).fold(f64::MIN_POSITIVE, f64::max);
    let height = HEAD + ROW * bars.len() as f64 + 6.0;
    html! {
        svg.shift viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label=(label) {
            text.side x=(MIDDLE - 10.0) y="16" text-anchor="end" { (heads[0]) }
            text.side x=(MIDDLE + 10.0) y="16" { (heads[1]) }
            @for (row, one) in bars.iter().enumerate() {
                (bar(one, HEAD + ROW * row as f64, REACH / longest))
            }
            line.axis x1=(MIDDLE) x2=(MIDDLE) y1=(HEAD - 4.0) y2=(height) {}
        }
    }
}

/// The farthest that a bar or its interval reaches.
fn end(bar: &Bar<'_>) -> f64 {
    bar.interval
        .map_or(bar.nats, |(_, high)| high.max(bar.nats))
}

fn bar(one: &Bar<'_>, top: f64, scale: f64) -> Markup {
    let (sign, class, anchor) = match one.side {
        Side::Reference => (-1.0, "p", "end"),
        Side::Candidate => (1.0, "q", "start"),
    };
    let at = |nats: f64| round(MIDDLE + sign * scale * nats.max(0.0));
    let (value, label) = (at(one.nats), round(at(end(one)) + sign * 7.0));
    let middle = top + ROW / 2.0;
    html! {
        g {
            title { (shortened(one.term, 60)) ": " (one.counts) "; " (told(one.nats, one.interval)) }
            rect class=(class) x=(value.min(MIDDLE)) y=(top + 3.0) width=(round((value - MIDDLE).abs())) height=(ROW - 6.0) {}
            @if let Some((low, high)) = one.interval {
                line.error x1=(at(low)) x2=(at(high)) y1=(middle) y2=(middle) {}
            }
            text x=(label) y=(middle + 4.5) text-anchor=(anchor) { (shortened(one.term, TERM_WIDTH)) }
        }
    }
}
