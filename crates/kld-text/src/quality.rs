//! How good and how varied a body of generated text is, beside one that people wrote.

mod eigen;
mod features;
mod frontier;
mod kmeans;
mod mauve;
mod pca;
mod product;

pub use features::Features;
pub use frontier::Frontier;
pub use kmeans::{Buckets, KMeans};
pub use mauve::{MauveOptions, mauve};
