//! Columns that line up.

use unicode_width::UnicodeWidthStr;

use crate::format::count;

/// Lays out rows of cells: the first column to the left, all others to the right, two spaces between columns, each line
/// begun with `indent`. Rows may have fewer cells than the widest one.
pub(crate) fn layout(indent: &str, rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        rows.iter()
            .filter_map(|row| row.get(c))
            .map(|cell| cell.width())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = indent.to_owned();
        for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let padding = " ".repeat(width - cell.width());
            match index {
                0 => line.extend([cell, padding.as_str()]),
                _ => line.extend(["  ", padding.as_str(), cell]),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The line after the first `shown` rows of a ranking of `all`; nothing where all are shown.
pub(crate) fn and_more(all: usize, shown: usize) -> String {
    match all.saturating_sub(shown) {
        0 => String::new(),
        more => format!("    … and {} more with less\n", count(more as u64)),
    }
}

/// A bar of at most `width` characters for a share of 1, in eighths of a character.
pub(crate) fn bar(share: f64, width: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let partial = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + partial
}

/// One bar for each value, the lowest for the smallest of them; what is not finite is a blank.
pub(crate) fn sparkline(values: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (
        finite().fold(f64::INFINITY, f64::min),
        finite().fold(f64::NEG_INFINITY, f64::max),
    );
    let bar = |value: &f64| {
        let share = (value - low) / (high - low);
        match (value.is_finite(), share.is_finite()) {
            (false, _) => ' ',
            (true, false) => BARS[0],
            (true, true) => BARS[((share * 8.0) as usize).min(7)],
        }
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [
            vec!["a".into(), "10".into()],
            vec!["long".into(), "9".into(), "x".into()],
        ];
        assert_eq!(layout("> ", &rows), "> a     10\n> long   9  x\n");
        let wide = [
            vec!["世界".into(), "1".into()],
            vec!["a".into(), "2".into()],
        ];
        assert_eq!(layout("", &wide), "世界  1\na     2\n");
    }

    #[test]
    fn a_course_goes_from_the_lowest_bar_to_the_highest() {
        assert_eq!(sparkline(&[0.0, 0.5, 1.0, f64::NAN]), "▁▅█ ");
        assert_eq!(sparkline(&[3.0, 3.0]), "▁▁");
    }

    #[test]
    fn bars_are_in_eighths() {
        assert_eq!(
            [0.0, 0.5, 0.53, 1.0, 7.0].map(|s| bar(s, 4)),
            ["", "██", "██▏", "████", "████"]
        );
    }
}
