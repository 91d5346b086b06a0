//! Seeds of many draws that know nothing of each other, whoever makes them and in whatever order.

/// A seed that follows from several numbers: each goes through the finaliser of `SplitMix64` (Steele, Lea and Flood 2014).
pub(crate) fn seed(parts: [u64; 3]) -> u64 {
    parts.into_iter().fold(0, |state, part| {
        let mut x = (state ^ part).wrapping_add(STRIDE);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    })
}

/// The odd number nearest to 2⁶⁴ over the golden ratio.
pub(crate) const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_part_matters_and_so_does_its_place() {
        let all = (0..8).flat_map(|a| (0..8).flat_map(move |b| (0..8).map(move |c| [a, b, c])));
        assert_eq!(all.map(seed).collect::<BTreeSet<_>>().len(), 512);
    }
}
