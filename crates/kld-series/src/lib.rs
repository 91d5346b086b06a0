//! Series of a training, wherever they lie: JSON of any trainer, and TensorBoard's event files, which are also written here.
//!
//! [`read`] gathers every number that a file or folder tells by step; [`Keys`] says which of them is held-out, training and so on, by name where
//! nobody names them. What the series say is for `kld_core::series`.

mod error;
mod events;
mod json;
mod keys;
mod protobuf;
mod read;

pub use error::{Error, Result};
pub use events::EventFile;
pub use keys::{Keys, Role};
pub use read::{Kind, Told, read};
