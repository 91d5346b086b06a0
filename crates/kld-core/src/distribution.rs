//! Distributions and measures given as plain numbers.
