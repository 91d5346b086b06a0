//! Charts as inline SVG: axes, marks, and nothing that needs a script.
//!
//! Colours come from the page's style by class, so a chart follows light and dark. Every mark tells its numbers in a `<title>`, and
//! the whole chart has a label that says what it shows to those who do not see it.

use maud::{Markup, html};

use crate::format::{fixed, significant};

/// The size of a chart in its own units; a page scales it.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 280.0;
/// Room for labels.
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 40.0;
/// A letter of a label, at most; and the distance of its lines.
const LETTER: f64 = 7.0;
const LINE: f64 = 13.0;
const BOTTOM: f64 = 46.0;

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Linear,
    /// Values must be above 0.
    Log,
}

/// An axis from `low` to `high`.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    title: String,
    scale: Scale,
    low: f64,
    high: f64,
    /// Where labels stand; the scale's own ticks where this is empty.
    labels: Vec<(f64, String)>,
}

impl Axis {
    /// An axis that holds `values`: a linear one begins at 0, a logarithmic one at a whole decade.
    pub(crate) fn over(title: &str, scale: Scale, values: impl IntoIterator<Item = f64>) -> Self {
        let usable = |v: &f64| v.is_finite() && (scale == Scale::Linear || *v > 0.0);
        let (low, high) = values
            .into_iter()
            .filter(usable)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            });
        let (low, high) = match scale {
            _ if low > high => (scale.zero(), 1.0),
            Scale::Linear => (low.min(0.0), if high > 0.0 { high * 1.05 } else { 1.0 }),
            Scale::Log => {
                let low = low.log10().floor();
                (
                    10_f64.powf(low),
                    10_f64.powf(high.log10().ceil().max(low + 1.0)),
                )
            }
        };
        Self {
            title: title.to_owned(),
            scale,
            low,
            high,
            labels: Vec::new(),
        }
    }

    /// A linear axis that begins near the least value: what it shows are places, not amounts.
    pub(crate) fn around(title: &str, values: &[f64]) -> Self {
        let axis = Self::over(title, Scale::Linear, values.iter().copied());
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let margin = (axis.high - least) / 8.0;
        Self {
            low: (least - margin).clamp(axis.low, axis.high - margin),
            ..axis
        }
    }

    /// An axis of named places: the i-th stands at i + ½.
    pub(crate) fn of_names(title: &str, names: impl IntoIterator<Item = String>) -> Self {
        let named = |(i, name)| (i as f64 + 0.5, name);
        let labels: Vec<(f64, String)> = names.into_iter().enumerate().map(named).collect();
        Self {
            title: title.to_owned(),
            scale: Scale::Linear,
            low: 0.0,
            high: labels.len().max(1) as f64,
            labels,
        }
    }

    /// Where a value stands, as a share of the axis; values beyond it stand at its ends.
    fn share(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => {
                (value.max(f64::MIN_POSITIVE) / self.low).ln() / (self.high / self.low).ln()
            }
        };
        share.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        match self.scale {
            _ if !self.labels.is_empty() => self.labels.clone(),
            Scale::Linear => linear_ticks(self.low, self.high),
            Scale::Log => log_ticks(self.low, self.high),
        }
    }
}

impl Scale {
    /// Where an axis without values begins.
    fn zero(self) -> f64 {
        match self {
            Scale::Linear => 0.0,
            Scale::Log => 0.1,
        }
    }
}

/// At most six round numbers.
fn linear_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let rough = (high - low) / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|m| m * power)
        .into_iter()
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * power);
    let decimals = (-step.log10().floor()).max(0.0) as i32;
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (first..=last)
        .map(|i| i as f64 * step)
        .map(|v| (v, fixed(v, decimals)))
        .collect()
}

/// Powers of ten, thinned out to at most eight.
fn log_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let (first, last) = (low.log10().round() as i32, high.log10().round() as i32);
    let step = (last - first) / 8 + 1;
    (first..=last)
        .step_by(usize::try_from(step).unwrap_or(1))
        .map(|power| (10_f64.powi(power), power_of_ten(power)))
        .collect()
}

fn power_of_ten(power: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    if (-3..=3).contains(&power) {
        return fixed(10_f64.powi(power), -power);
    }
    let digits = power.unsigned_abs().to_string();
    let raised = digits
        .bytes()
        .map(|digit| DIGITS[usize::from(digit - b'0')]);
    let sign = if power < 0 { "⁻" } else { "" };
    format!("10{sign}{}", raised.collect::<String>())
}

/// Two axes, and what is drawn between them.
#[derive(Debug)]
pub(crate) struct Chart {
    label: String,
    x: Axis,
    y: Axis,
    marks: Vec<Markup>,
}

impl Chart {
    /// An empty chart; `label` says what it shows.
    pub(crate) fn new(label: &str, x: Axis, y: Axis) -> Self {
        Self {
            label: label.to_owned(),
            x,
            y,
            marks: Vec::new(),
        }
    }

    fn x(&self, value: f64) -> f64 {
        round(LEFT + self.x.share(value) * (WIDTH - LEFT - RIGHT))
    }

    fn y(&self, value: f64) -> f64 {
        round(HEIGHT - BOTTOM - self.y.share(value) * (HEIGHT - TOP - BOTTOM))
    }

    /// A bar over `from`…`to` on the x axis, as high as `value`.
    pub(crate) fn bar(&mut self, from: f64, to: f64, value: f64, title: &str) {
        let (left, right) = (self.x(from), self.x(to));
        let (top, foot) = (self.y(value), HEIGHT - BOTTOM);
        self.marks.push(html! {
            rect.bar x=(left) y=(top) width=(round((right - left - 1.0).max(0.5))) height=(round(foot - top)) { title { (title) } }
        });
    }

    /// Lines from foot to top, each with its word above; a word for which the one before it leaves no room stands a line higher.
    /// They come in the order of the axis, each with its place, word and title.
    pub(crate) fn rules<'a>(&mut self, rules: impl IntoIterator<Item = (f64, &'a str, String)>) {
        let mut taken: Vec<f64> = Vec::new();
        for (at, word, title) in rules {
            let x = self.x(at);
            let half = word.chars().count() as f64 * LETTER / 2.0;
            let free = taken.iter().position(|end| *end < x - half);
            let level = free.unwrap_or(taken.len());
            taken.resize(taken.len().max(level + 1), 0.0);
            taken[level] = x + half;
            let top = TOP - LINE * level as f64;
            self.marks.push(html! {
                line.mark x1=(x) x2=(x) y1=(round(top)) y2=(HEIGHT - BOTTOM) { title { (title) } }
                text.label x=(x) y=(round(top - 3.0)) text-anchor="middle" { (word) }
            });
        }
    }

    /// A dot with the interval `low`…`high` around it, where it is known.
    pub(crate) fn dot(
        &mut self,
        x: f64,
        y: f64,
        interval: Option<(f64, f64)>,
        look: Look,
        title: &str,
    ) {
        let (cx, cy) = (self.x(x), self.y(y));
        self.marks.push(html! {
            g {
                title { (title) }
                @if let Some((low, high)) = interval {
                    @let (foot, top) = (self.y(low), self.y(high));
                    line.error x1=(cx) x2=(cx) y1=(foot) y2=(top) {}
                    line.error x1=(cx - 4.0) x2=(cx + 4.0) y1=(foot) y2=(foot) {}
                    line.error x1=(cx - 4.0) x2=(cx + 4.0) y1=(top) y2=(top) {}
                }
                circle.dot.other[look == Look::Hollow] cx=(cx) cy=(cy) r="5" {}
            }
        });
    }

    /// A word above a place, as near to it as the chart's sides allow.
    pub(crate) fn word(&mut self, x: f64, y: f64, word: &str) {
        let half = (word.chars().count() as f64 * LETTER / 2.0).min(WIDTH / 2.0);
        let x = self.x(x).clamp(half, WIDTH - half);
        let y = round(self.y(y) - 10.0);
        self.marks
            .push(html! { text.label x=(x) y=(y) text-anchor="middle" { (word) } });
    }

    /// A dashed line through places.
    pub(crate) fn path(&mut self, places: impl IntoIterator<Item = (f64, f64)>) {
        let points = self.points(places);
        self.marks.push(html! { polyline.path points=(points) {} });
    }

    /// A line through measured places.
    pub(crate) fn curve(&mut self, places: impl IntoIterator<Item = (f64, f64)>) {
        let points = self.points(places);
        self.marks.push(html! { polyline.curve points=(points) {} });
    }

    fn points(&self, places: impl IntoIterator<Item = (f64, f64)>) -> String {
        let point = |(x, y)| format!("{},{}", self.x(x), self.y(y));
        let points: Vec<String> = places.into_iter().map(point).collect();
        points.join(" ")
    }

    /// The chart as a figure.
    pub(crate) fn draw(&self) -> Markup {
        let (right, foot) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        // Long names take turns on two lines.
        let letters = self.x.labels.iter().map(|(_, name)| name.chars().count());
        let widest = letters.max().unwrap_or(0) as f64 * LETTER;
        let is_crowded = widest * self.x.labels.len() as f64 > right - LEFT;
        html! {
            figure {
                svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(self.label) {
                    @for (value, text) in self.y.ticks() {
                        @let y = self.y(value);
                        line.grid x1=(LEFT) x2=(right) y1=(y) y2=(y) {}
                        text x=(LEFT - 7.0) y=(y + 4.0) text-anchor="end" { (text) }
                    }
                    @for (index, (value, text)) in self.x.ticks().iter().enumerate() {
                        @let line = if is_crowded && index % 2 == 1 { 1.0 } else { 0.0 };
                        text x=(self.x(*value)) y=(foot + 15.0 + line * LINE) text-anchor="middle" { (text) }
                    }
                    line.axis x1=(LEFT) x2=(right) y1=(foot) y2=(foot) {}
                    text x=(f64::midpoint(LEFT, right)) y=(HEIGHT - 8.0) text-anchor="middle" { (self.x.title) }
                    text x="0" y="10" { (self.y.title) }
                    @for mark in &self.marks { (mark) }
                }
            }
        }
    }
}

/// How a dot looks; what it says is never told by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Filled,
    Hollow,
}

/// A tenth of a unit is finer than any screen shows, and keeps pages small.
pub(crate) fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// An estimate's numbers for a title: `0.0127 (95 %: 0.0122 to 0.0131)`.
pub(crate) fn told(value: f64, interval: Option<(f64, f64)>) -> String {
    match interval {
        Some((low, high)) => format!(
            "{} (95 %: {} to {})",
            significant(value),
            significant(low),
            significant(high)
        ),
        None => significant(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        let texts = |axis: Axis| {
            axis.ticks()
                .into_iter()
                .map(|(_, text)| text)
                .collect::<Vec<_>>()
        };
        let linear = Axis::over("", Scale::Linear, [0.0031, 0.0121]);
        assert_eq!(texts(linear), ["0.000", "0.005", "0.010"]);
        let around = Axis::around("", &[77.6, 94.4, 145.0]);
        assert_eq!(texts(around), ["80", "100", "120", "140"]);
        let log = Axis::over("", Scale::Log, [2e-5, 0.0, 3.0, f64::INFINITY]);
        assert_eq!(
            texts(log),
            ["10⁻⁵", "10⁻⁴", "0.001", "0.01", "0.1", "1", "10"]
        );
    }

    #[test]
    fn words_above_rules_keep_clear_of_each_other() {
        let axis = || Axis::over("", Scale::Linear, [1.0]);
        let mut chart = Chart::new("", axis(), axis());
        let rules = [0.5, 0.51, 0.52, 0.9].map(|at| (at, "word", String::new()));
        chart.rules(rules);
        let heights = |mark: &Markup| {
            let y = mark.0.split("<text class=\"label\"").nth(1).unwrap();
            let y = y.split(" y=\"").nth(1).unwrap();
            y.split('"').next().unwrap().parse().unwrap()
        };
        let heights: Vec<f64> = chart.marks.iter().map(heights).collect();
        assert_eq!(heights, [37.0, 24.0, 11.0, 37.0]);
    }

    #[test]
    fn values_that_cannot_be_drawn_stand_at_the_ends() {
        let axis = Axis::over("", Scale::Log, [0.1, 10.0]);
        assert_eq!(
            [0.0, 0.1, 1.0, 10.0, f64::INFINITY].map(|v| axis.share(v)),
            [0.0, 0.0, 0.5, 1.0, 1.0]
        );
        let nothing = Axis::over("", Scale::Linear, [f64::NAN]);
        assert_eq!(nothing.share(0.5), 0.5);
    }
}
