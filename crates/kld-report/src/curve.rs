//! Curves in characters.

use crate::format::significant;

/// A curve: its mark, and its points.
pub(crate) struct Curve<'a> {
    pub(crate) mark: char,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) name: &'a str,
}

/// What an axis has room for to its left.
const MARGIN: usize = 9;

/// Draws curves over common axes, `width` by `height` characters between them; the first curve lies on top. Nothing where nothing is finite.
pub(crate) fn draw(curves: &[Curve], width: usize, height: usize) -> String {
    let finite = |(x, y): &&(f64, f64)| x.is_finite() && y.is_finite();
    let all = || curves.iter().flat_map(|c| &c.points).filter(finite);
    let range = |of: fn(&(f64, f64)) -> f64| {
        let ends = all()
            .map(of)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            });
        ends.0.is_finite().then_some(ends)
    };
    let (Some((left, right)), Some((low, high))) = (range(|p| p.0), range(|p| p.1)) else {
        return String::new();
    };
    let mut grid = vec![vec![' '; width]; height];
    let place = |value: f64, low: f64, high: f64, cells: usize| {
        let share = if high > low {
            (value - low) / (high - low)
        } else {
            0.5
        };
        (share * (cells - 1) as f64).round() as usize
    };
    for curve in curves.iter().rev() {
        for (x, y) in curve.points.iter().filter(finite) {
            let row = height - 1 - place(*y, low, high, height);
            grid[row][place(*x, left, right, width)] = curve.mark;
        }
    }
    let mut text = String::new();
    for (row, cells) in grid.iter().enumerate() {
        let label = match row {
            0 => significant(high),
            row if row == height - 1 => significant(low),
            _ => String::new(),
        };
        let line: String = cells.iter().collect();
        text += &format!("{label:>MARGIN$} │{}\n", line.trim_end());
    }
    let marks: Vec<String> = curves
        .iter()
        .filter(|curve| !curve.points.is_empty())
        .map(|curve| format!("{} {}", curve.mark, curve.name))
        .collect();
    let (first, last) = (format!("{left}"), format!("step {right}"));
    let between = width.saturating_sub(first.len());
    text += &format!("{:MARGIN$} └{}\n", "", "─".repeat(width));
    text += &format!("{:MARGIN$}  {first}{last:>between$}\n", "");
    text += &format!("{:MARGIN$}  {}\n", "", marks.join("   "));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_drawn_where_it_is() {
        let curve = |mark, points: &[(f64, f64)]| Curve {
            mark,
            points: points.to_vec(),
            name: "name",
        };
        let upper = curve('o', &[(0.0, 2.0), (10.0, 1.0), (20.0, f64::NAN)]);
        let lower = curve('.', &[(0.0, 2.0), (20.0, 0.0)]);
        let drawn = draw(&[upper, lower], 5, 3);
        let expected = "     2.00 │o\n          │  o\n        0 │    .\n          └─────\n           0step 20\n           o name   . name\n";
        assert_eq!(drawn, expected);
        assert_eq!(draw(&[curve('o', &[(0.0, f64::NAN)])], 5, 3), "");
        assert!(draw(&[curve('o', &[(1.0, 1.0)])], 5, 3).contains("│  o"));
    }
}
