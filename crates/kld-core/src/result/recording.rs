//! What `kld info` says of a recording.

use serde::{Deserialize, Serialize};

use super::ProtocolRecord;
use crate::ModelCard;

/// A recording: who was recorded on what, and where its bytes go. Schema `kld.recording/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordingInfo {
    /// `kld.recording/1`.
    pub schema: String,
    /// The model that was recorded; `recorded` says what is kept of it.
    pub model: ModelCard,
    /// How the text was cut.
    pub protocol: ProtocolRecord,
    /// Windows that are there; fewer than the protocol's where the recording was not finished.
    pub windows_recorded: usize,
    /// Rows that are there.
    pub rows: u64,
    /// Bytes of everything that is whole.
    pub bytes: u64,
    /// Bytes of text, tokens, tokenizer and what else stands before the head.
    pub bytes_opening: u64,
    /// Bytes of the output head; 0 where it is elsewhere or not needed.
    pub bytes_head: u64,
    /// Bytes of all rows.
    pub bytes_rows: u64,
    /// Bytes behind the last whole window: the beginning of one that was not finished.
    pub bytes_torn: u64,
}

impl RecordingInfo {
    /// The schema's name and version.
    pub const SCHEMA: &'static str = "kld.recording/1";
}
