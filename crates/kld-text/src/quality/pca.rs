//! Principal components: the directions in which features vary most, as many as explain a share of the variance.

use rayon::prelude::*;

use super::{
    eigen::Eigen,
    features::Features,
    product::{Groups, TALL, multiply, wide},
};

/// Rows of features whose products are summed in f32 before they are added up in f64.
const DEPTH: usize = 512;

/// Rows that a task multiplies.
pub(super) const TASK: usize = 16 * TALL;

/// Rows of a triangle that a task multiplies.
const TRIANGLE_TASK: usize = 4 * TALL;

/// The coordinates of centred features along their first principal components: the fewest that explain `share` of the variance.
///
/// Features that do not vary at all keep one coordinate, which is 0 everywhere.
pub(super) fn principal_coordinates(features: &Features, share: f64) -> Features {
    // The products of rows have the same eigenvalues as those of columns; where they are fewer they are quicker.
    if features.count() < features.width() {
        along_rows(features, share)
    } else {
        along_columns(features, share)
    }
}

/// Coordinates from the products of columns: X·v for each eigenvector v of `XᵀX`.
fn along_columns(features: &Features, share: f64) -> Features {
    let eigen = Eigen::of_symmetric(covariance(features));
    let kept = enough(&eigen.values, share);
    let panels = Groups::of_rows(wide(), features.width(), kept, |i| &eigen.vectors[i]);
    let mut values = vec![0.0; features.count() * kept];
    values
        .par_chunks_mut(TASK * kept)
        .enumerate()
        .for_each(|(task, values)| {
            let row = |i: usize| features.row(task * TASK + i);
            let tiles = Groups::of_rows(TALL, features.width(), values.len() / kept, row);
            multiply(&tiles, &panels, kept, tiles.depth(), |products| {
                for (row, out) in values.chunks_mut(kept).zip(products.rows()) {
                    row[products.column()..][..out.len()].copy_from_slice(out);
                }
            });
        });
    Features::from_parts(values, kept)
}

/// Coordinates from the products of rows: X·v is √λ·u for the eigenvector u of `XXᵀ` with value λ.
fn along_rows(features: &Features, share: f64) -> Features {
    let (count, width) = (features.count(), features.width());
    let panels = [Groups::of_rows(wide(), width, count, |i| features.row(i))];
    let products = products_with_itself(count, &panels);
    let eigen = Eigen::of_symmetric(products);
    let kept = enough(&eigen.values, share);
    let coordinate = |row: usize, i: usize| {
        (eigen.values[i].max(0.0).sqrt() * f64::from(eigen.vectors[i][row])) as f32
    };
    let values = (0..count)
        .flat_map(|row| (0..kept).map(move |i| (row, i)))
        .map(|(row, i)| coordinate(row, i))
        .collect();
    Features::from_parts(values, kept)
}

/// The fewest of the values, which fall, that sum to a share of all.
fn enough(values: &[f64], share: f64) -> usize {
    let total: f64 = values.iter().map(|v| v.max(0.0)).sum();
    let mut sum = 0.0;
    let reached = values.iter().position(|value| {
        sum += value.max(0.0);
        sum >= share * total
    });
    reached.map_or(values.len(), |index| index + 1)
}

/// `XᵀX` of centred features X, its lower triangle.
fn covariance(features: &Features) -> Vec<Vec<f64>> {
    let rows: Vec<&[f32]> = features.rows().collect();
    let blocks = rows.par_chunks(DEPTH);
    let panels: Vec<Groups> = blocks
        .map(|block| Groups::of_columns(wide(), block))
        .collect();
    products_with_itself(features.width(), &panels)
}

/// The lower triangle of `CCᵀ` for a matrix C of so many rows, given as panels of the parts into which its columns are cut.
fn products_with_itself(rows: usize, parts: &[Groups]) -> Vec<Vec<f64>> {
    let mut sums = vec![vec![0.0; rows]; rows];
    // Rows far down have more columns left of the diagonal: the long tasks go first.
    sums.par_chunks_mut(TRIANGLE_TASK)
        .enumerate()
        .rev()
        .with_max_len(1)
        .for_each(|(task, sums)| {
            let first = task * TRIANGLE_TASK;
            let rows = first..first + sums.len();
            for panels in parts {
                let tiles = panels.regrouped(TALL, rows.clone());
                multiply(&tiles, panels, rows.end, tiles.depth(), |products| {
                    for (sums, out) in sums.iter_mut().zip(products.rows()) {
                        sums[products.column()..]
                            .iter_mut()
                            .zip(out)
                            .for_each(|(sum, product)| *sum += f64::from(*product));
                    }
                });
            }
        });
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows that vary a lot along one direction, less along others.
    fn features(count: usize, width: usize) -> Features {
        let value = |i: usize| ((i * 7919 + i * i % 131 * 104_729) % 1013) as f32 / 1013.0 - 0.5;
        let values = (0..count * width).map(|i| value(i) / (1 + i % width) as f32);
        let mut features = Features::new(values.collect(), width).unwrap();
        features.center();
        features
    }

    fn squared_distances(features: &Features) -> Vec<f64> {
        let pair = |(a, b): (&[f32], &[f32])| {
            let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
            squares.sum::<f64>()
        };
        let rows: Vec<&[f32]> = features.rows().collect();
        let pairs = rows.iter().flat_map(|a| rows.iter().map(move |b| (*a, *b)));
        pairs.map(pair).collect()
    }

    #[test]
    fn all_components_keep_all_distances_both_ways() {
        for (count, width) in [(300, 20), (20, 300)] {
            let features = features(count, width);
            let kept = principal_coordinates(&features, 1.0);
            for (before, after) in squared_distances(&features)
                .iter()
                .zip(squared_distances(&kept))
            {
                assert!((before - after).abs() < 1e-5, "{before} {after}");
            }
        }
    }

    #[test]
    fn both_ways_give_the_same_variance_along_as_many_components() {
        let features = features(64, 64);
        let (columns, rows) = (along_columns(&features, 0.9), along_rows(&features, 0.9));
        assert_eq!(columns.width(), rows.width());
        assert!(columns.width() < 40);
        let variance = |x: &Features| {
            let squares = x.rows().flatten().map(|x| f64::from(*x).powi(2));
            squares.sum::<f64>()
        };
        let (kept, all) = (variance(&columns), variance(&features));
        assert!((kept - variance(&rows)).abs() < 1e-5 * all);
        assert!((0.9..0.97).contains(&(kept / all)));
    }

    #[test]
    fn features_that_do_not_vary_have_one_coordinate() {
        let mut features = Features::new(vec![1.0; 40], 4).unwrap();
        features.center();
        assert_eq!(principal_coordinates(&features, 0.9).width(), 1);
    }
}
