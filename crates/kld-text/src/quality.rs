//! How good and how varied a body of generated text is, beside one that people wrote.

mod eigen;
mod features;
mod kmeans;
mod pca;
mod product;

pub use features::Features;
pub use kmeans::{Buckets, KMeans};
