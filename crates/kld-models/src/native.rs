//! The native engine: one config-driven decoder on candle.
