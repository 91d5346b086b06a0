//! From an argument to a table: numbers on the command line, standard input, or a file of a known kind.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use anyhow::{Context as _, Result, bail};

use super::{
    csv, json, npy, safetensors,
    table::{Precision, Table},
};

/// What an argument may be; for messages.
const KINDS: &str =
    "numbers (0.1,0.2,0.7), `-`, or a file .json .csv .tsv .txt .npy .safetensors[#TENSOR]";

/// Reads what an argument names.
///
/// # Errors
///
/// If it names nothing that can be read, or what it names is not what its kind promises.
pub(crate) fn read(argument: &str) -> Result<Table> {
    if argument == "-" {
        let mut bytes = Vec::new();
        io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .context("standard input")?;
        return sniffed(&bytes).context("standard input");
    }
    if let Some((path, tensor)) = tensor_of(argument) {
        return safetensors::read(&bytes_of(path)?, Some(tensor)).context(argument.to_owned());
    }
    let extension = Path::new(argument)
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    let file = |parse: fn(&[u8]) -> Result<Table>| {
        parse(&bytes_of(argument)?).context(argument.to_owned())
    };
    match extension.to_ascii_lowercase().as_str() {
        "json" => file(json::read),
        "csv" => file(|bytes| csv::read(bytes, b',')),
        "tsv" => file(|bytes| csv::read(bytes, b'\t')),
        "npy" => file(npy::read),
        "safetensors" => file(|bytes| safetensors::read(bytes, None)),
        "txt" => file(sniffed),
        _ => written(argument),
    }
}

/// The file and the tensor of `file.safetensors#tensor`.
fn tensor_of(argument: &str) -> Option<(&str, &str)> {
    let split = argument.find(".safetensors#")? + ".safetensors".len();
    Some((&argument[..split], &argument[split + 1..]))
}

fn bytes_of(path: &str) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{path}: cannot be read"))
}

/// Numbers, or JSON, as the argument itself.
fn written(argument: &str) -> Result<Table> {
    if argument.trim_start().starts_with(['[', '{']) {
        return json::read(argument.as_bytes());
    }
    match numbers(argument) {
        Some(numbers) => Ok(Table::unnamed(numbers, Precision::Double)),
        None if Path::new(argument).exists() => {
            bail!("{argument}: of no known kind, expected {KINDS}")
        }
        None => bail!("`{argument}` is neither numbers nor a file, expected {KINDS}"),
    }
}

/// What the bytes look like: NumPy, JSON, bare numbers, or lines of `name,number`.
fn sniffed(bytes: &[u8]) -> Result<Table> {
    if bytes.starts_with(b"\x93NUMPY") {
        return npy::read(bytes);
    }
    let text = std::str::from_utf8(bytes).context("neither text nor a NumPy file")?;
    if text.trim_start().starts_with(['[', '{']) {
        return json::read(bytes);
    }
    match numbers(text) {
        Some(numbers) => Ok(Table::unnamed(numbers, Precision::Double)),
        None => csv::read(bytes, b','),
    }
}

/// Numbers between commas and white space, if there is nothing else.
fn numbers(text: &str) -> Option<Vec<f64>> {
    let words = text
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty());
    words.map(number).collect()
}

/// A number, or a fraction such as `1/3`.
fn number(word: &str) -> Option<f64> {
    match word.split_once('/') {
        Some((above, below)) => Some(above.parse::<f64>().ok()? / below.parse::<f64>().ok()?),
        None => word.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_separated_by_commas_and_white_space() {
        assert_eq!(numbers("0.1, 2e-1\n.7").unwrap(), [0.1, 0.2, 0.7]);
        assert_eq!(numbers("1/3 2/3").unwrap(), [1.0 / 3.0, 2.0 / 3.0]);
        assert_eq!(numbers("the 0.5"), None);
        assert_eq!(numbers("").unwrap(), [0.0; 0]);
    }

    #[test]
    fn bytes_are_recognized_by_their_look() {
        assert_eq!(sniffed(b" {\"a\": 1}").unwrap().names.unwrap(), ["a"]);
        assert_eq!(sniffed(b"0.5\n0.5\n").unwrap().numbers, [0.5, 0.5]);
        assert_eq!(
            sniffed(b"token,count\nthe,3\n").unwrap().names.unwrap(),
            ["the"]
        );
        assert!(sniffed(b"\xff\xfe").is_err());
    }

    #[test]
    fn a_tensor_is_named_after_a_hash() {
        assert_eq!(
            tensor_of("a#b/c.safetensors#logits.0"),
            Some(("a#b/c.safetensors", "logits.0"))
        );
        assert_eq!(tensor_of("c.safetensors"), None);
    }
}
