//! When to stop: an evaluation counts as an improvement only where it is beyond its own noise.

use serde::{Deserialize, Serialize};

use crate::Measured;

/// Remembers the last real improvement and how many evaluations there were since.
///
/// Every evaluation is compared, paired on the same held-out tokens, with the one at the last real improvement, not with
/// the one before: slow progress adds up until it shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Patience {
    anchor: Option<Measured>,
    waited: u32,
}

impl Patience {
    /// Takes the next evaluation; tells how many there were without a real improvement, itself included.
    ///
    /// It is real where the 95 % interval of the difference lies below 0; where one cluster alone gives no interval, where the mean
    /// is smaller.
    pub fn waited_after(&mut self, now: &Measured) -> u32 {
        let improved = match &self.anchor {
            None => true,
            Some(anchor) => {
                let above = now.above(anchor);
                above.high.unwrap_or(above.value) < 0.0
            }
        };
        if improved {
            (self.anchor, self.waited) = (Some(now.clone()), 0);
        } else {
            self.waited += 1;
        }
        self.waited
    }
}

#[cfg(test)]
mod tests {
    use kld_core::result::Gauge;

    use super::*;
    use crate::WindowSums;

    /// Thirty windows whose means scatter by far more than `shift`, the same every time, plus noise of its own size per `salt`.
    fn measured(shift: f64, salt: u32) -> Measured {
        let window = |i: u32| {
            let own = f64::from((i * 7919) % 31);
            let noise = f64::from((i * 104_729 + salt * 15_485_863) % 101) / 101.0 - 0.5;
            WindowSums {
                fragment: i,
                positions: 1,
                kl: own + shift + 0.01 * noise,
                ..WindowSums::default()
            }
        };
        Measured {
            gauge: Gauge::Kl,
            windows: (0..30).map(window).collect(),
        }
    }

    #[test]
    fn an_improvement_within_its_noise_does_not_count_and_small_ones_add_up() {
        let mut patience = Patience::default();
        assert_eq!(patience.waited_after(&measured(0.0, 1)), 0);
        // Far below the scatter of windows, well above the noise of their differences.
        assert_eq!(patience.waited_after(&measured(-0.05, 2)), 0);
        let slow: Vec<u32> = (1..=6)
            .map(|i| patience.waited_after(&measured(-0.05 - 0.000_6 * f64::from(i), 2 + i)))
            .collect();
        assert_eq!(slow[0], 1, "{slow:?}");
        assert!(slow.contains(&0), "{slow:?}");
        // Worse is never an improvement.
        let mut patience = Patience::default();
        let waited = [0.0, 1.0, 2.0].map(|shift| patience.waited_after(&measured(shift, 3)));
        assert_eq!(waited, [0, 1, 2]);
    }
}
