//! Results to terminal, JSON, CSV, Parquet, Markdown and HTML. This crate renders what `kld-core` holds and never computes a statistic.
//!
//! A format is an [`Exporter`] of a result; to add one, add a file.

mod block;
mod compare;
mod csv_table;
mod curve;
mod dist;
mod explain;
pub mod format;
mod html;
mod info;
mod markdown;
mod names;
mod pairs;
mod quality;
mod ranking;
mod score;
mod sequential;
mod suggest;
mod table;
mod text;
mod text_fragments;
mod text_sample;
mod tokens;
mod train;
mod watch;

use std::io::{self, Write};

use serde::Serialize;

pub use csv_table::Csv;
pub use html::comparison::Html;
pub use info::InfoTable;
pub use markdown::Markdown;
pub use names::{file_name, short_names};
pub use tokens::Tokens;

/// Writes results of type `R` in one format.
pub trait Exporter<R: ?Sized> {
    /// Writes the whole result.
    ///
    /// # Errors
    ///
    /// If `out` fails.
    fn export(&self, result: &R, out: &mut dyn Write) -> io::Result<()>;
}

/// Text for a terminal; readable without colour.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminal {
    /// The unit in which divergences are shown; results hold nats.
    pub unit: Unit,
}

/// A comparison for a terminal, at a glance: what was compared on what, and the ranking.
#[derive(Clone, Copy, Debug, Default)]
pub struct Glance(pub Terminal);

/// A unit of information.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Natural logarithm.
    #[default]
    Nats,
    /// Logarithm to base 2.
    Bits,
}

impl Unit {
    /// The unit's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Unit::Nats => "nats",
            Unit::Bits => "bits",
        }
    }

    /// What a value in nats is multiplied by.
    #[must_use]
    pub fn per_nat(self) -> f64 {
        match self {
            Unit::Nats => 1.0,
            Unit::Bits => std::f64::consts::LOG2_E,
        }
    }
}

/// JSON with one field a line; always in nats.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl<R: Serialize> Exporter<R> for Json {
    fn export(&self, result: &R, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, result)?;
        writeln!(out)
    }
}
