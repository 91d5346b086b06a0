//! Windows by their tokens.

use std::ops::Range;

use crate::source::Window;

/// Finds recorded windows by what was fed.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// Numbers of the windows, in the order of their tokens.
    order: Vec<usize>,
}

impl Lookup {
    pub(crate) fn new(windows: &[Window]) -> Self {
        let mut order: Vec<usize> = (0..windows.len()).collect();
        // A stable sort: windows of equal tokens stay in their order.
        order.sort_by(|&a, &b| windows[a].input.cmp(&windows[b].input));
        Self { order }
    }

    /// The numbers of the windows of exactly these tokens; several where a text repeats itself.
    pub(crate) fn find(&self, windows: &[Window], tokens: &[u32]) -> &[usize] {
        let of = |index: usize| windows[index].input.as_slice();
        let first = self.order.partition_point(|&i| of(i) < tokens);
        let end = self.order.partition_point(|&i| of(i) <= tokens);
        &self.order[first..end]
    }
}

/// Which of the windows `found` scores all rows of `positions`.
pub(crate) fn covering(
    windows: &[Window],
    found: &[usize],
    positions: &Range<usize>,
) -> Option<usize> {
    let covers =
        |scored: &Range<usize>| scored.start <= positions.start && positions.end <= scored.end;
    found
        .iter()
        .copied()
        .find(|&index| covers(&windows[index].scored))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_found_by_their_tokens_and_the_rows_they_score() {
        let window = |input: &[u32], scored| Window {
            fragment: 0,
            input: input.to_vec(),
            replaced: None,
            scored,
        };
        let windows = [
            window(&[3, 1, 2], 0..1),
            window(&[1, 2], 0..1),
            window(&[3, 1, 2], 1..2),
            window(&[1, 2, 3], 1..2),
        ];
        let lookup = Lookup::new(&windows);
        assert_eq!(lookup.find(&windows, &[3, 1, 2]), [0, 2]);
        assert_eq!(lookup.find(&windows, &[1, 2, 3]), [3]);
        assert!(lookup.find(&windows, &[1, 2, 4]).is_empty());
        assert_eq!(covering(&windows, &[0, 2], &(1..2)), Some(2));
        assert_eq!(covering(&windows, &[0, 2], &(0..2)), None);
    }
}
