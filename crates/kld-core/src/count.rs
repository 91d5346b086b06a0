//! Estimates of divergence and entropy from samples (counts).
