//! How good and how varied a body of generated text is, beside one that people wrote.

mod candidates;
mod diversity;
mod eigen;
mod features;
mod frontier;
mod kmeans;
mod mauve;
mod overlap;
mod pca;
mod product;
mod race;

pub use diversity::{Corpus, DiversityOptions, diversity};
pub use features::Features;
pub use frontier::Frontier;
pub use kmeans::{Buckets, KMeans};
pub use mauve::{MauveOptions, Places, mauve, places};
pub use overlap::perplexity_overlap;
