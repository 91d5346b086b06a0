//! How often each unit stands in a body of text, with enough of its clustering to tell how sure that is.
//!
//! Words of one document are not independent, so every count is kept by *parts*: document *i* belongs to part *i* mod 128, and intervals
//! come from redrawing parts. A body of up to 128 documents is redrawn by documents, a larger one by 128 random groups of them. A body of one
//! document is redrawn by its blocks of some 8 kB (larger ones beyond 2 MB): block *i* belongs to part *i* mod 128.
//!
//! Memory is bounded by the vocabulary, whatever the size of the text: eight bytes for each of at most 128 parts of each term, and most terms
//! are rare and stand in few. Beyond [`CountOptions::max_vocabulary`] terms, or 32 bytes for each of so many, the rarest are left out and their number is
//! kept, see [`Pruned`](kld_core::result::Pruned).
//!
//! Tables merge: the table of two bodies one after the other is the merged table of both, to the bit.

mod batch;
mod file;
mod parts;
mod pipeline;
mod recent;
mod run;
mod table;
mod tally;
mod term;
mod vocabulary;

pub(crate) use batch::{Batch, Batches};
pub use file::{TableFormat, is_table, read_table, write_table};
pub use parts::PARTS;
pub(crate) use pipeline::in_order;
pub use run::{CountOptions, count, count_texts};
pub use table::CountTable;
pub(crate) use tally::Terms;
pub use term::Term;
pub(crate) use vocabulary::Vocabulary;
