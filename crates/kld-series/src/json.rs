//! Numbers by step from JSON: a record a line, or Hugging Face's `trainer_state.json`.
//!
//! Every number of a record is a series, named by its path, `evaluation/held_out`; an estimate `{"value", "standard_error", …}` is one number with
//! its error. Python writes NaN and Infinity, which JSON does not have: they are read. A last line without an end is still being written.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use kld_core::series::Point;
use serde_json::Value;

use crate::{
    Error, Result,
    keys::{STEPS, plain},
};

/// The longest line, and the largest JSON file, that is believed.
const LONGEST: u64 = 1 << 26;
const LARGEST: u64 = 1 << 30;

/// Points by the names of their series.
pub(crate) type Gathered = BTreeMap<String, Vec<Point>>;

/// The records of a file with one a line.
pub(crate) fn lines(path: &Path, step: Option<&str>) -> Result<Gathered> {
    let mut file = BufReader::new(File::open(path).map_err(Error::io(path))?);
    let mut records = Vec::new();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = (&mut file).take(LONGEST).read_until(b'\n', &mut line);
        let length = read.map_err(Error::io(path))?;
        if length == 0 {
            break;
        }
        let is_whole = line.ends_with(b"\n");
        if !is_whole && length as u64 == LONGEST {
            let problem = format!("line {number} is longer than {LONGEST} bytes: not a series");
            return Err(Error::bad(path, problem));
        }
        match record(&line) {
            Ok(Some(record)) => records.push(record),
            Ok(None) => {}
            // It is still being written.
            Err(_) if !is_whole => {}
            Err(problem) => return Err(Error::bad(path, format!("line {number}: {problem}"))),
        }
    }
    gather(path, &records, step)
}

/// The history of a Hugging Face trainer, and the steps it planned.
pub(crate) fn trainer_state(path: &Path, step: Option<&str>) -> Result<(Gathered, Option<f64>)> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(Error::io(path))?;
    let length = file.take(LARGEST).read_to_end(&mut text);
    if length.map_err(Error::io(path))? as u64 == LARGEST {
        return Err(Error::bad(path, format!("more than {LARGEST} bytes")));
    }
    let state = record(&text).map_err(|problem| Error::bad(path, problem))?;
    let state = state.unwrap_or(Value::Null);
    let Some(history) = state["log_history"].as_array() else {
        return Err(Error::bad(
            path,
            "expected the trainer_state.json of a Hugging Face trainer, with a log_history",
        ));
    };
    let planned = state["max_steps"].as_f64().filter(|steps| *steps > 0.0);
    Ok((gather(path, history, step)?, planned))
}

/// One value; `None` of blank text.
fn record(text: &[u8]) -> Result<Option<Value>, String> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let told = |error: serde_json::Error| format!("no JSON: {error}");
    match serde_json::from_slice(text) {
        Ok(value) => Ok(Some(value)),
        Err(error) => match serde_json::from_slice(&pythons_numbers_quoted(text)) {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(told(error)),
        },
    }
}

/// `NaN`, `Infinity` and `-Infinity` outside of strings, put into strings.
fn pythons_numbers_quoted(text: &[u8]) -> Vec<u8> {
    const NAMES: [(&[u8], &[u8]); 3] = [
        (b"NaN", b"\"nan\""),
        (b"-Infinity", b"\"-inf\""),
        (b"Infinity", b"\"inf\""),
    ];
    let mut quoted = Vec::with_capacity(text.len());
    let (mut at, mut in_string) = (0, false);
    while let Some(&byte) = text.get(at) {
        let name = NAMES.iter().find(|(name, _)| text[at..].starts_with(name));
        match (in_string, byte, name) {
            (true, b'\\', _) => {
                quoted.extend(text[at..].iter().take(2));
                at += 2;
                continue;
            }
            (false, _, Some((name, written))) => {
                quoted.extend_from_slice(written);
                at += name.len();
                continue;
            }
            (_, b'"', _) => in_string = !in_string,
            _ => {}
        }
        quoted.push(byte);
        at += 1;
    }
    quoted
}

/// All numbers of all records, by name.
fn gather(path: &Path, records: &[Value], step: Option<&str>) -> Result<Gathered> {
    let mut flat: Vec<BTreeMap<String, Point>> = Vec::with_capacity(records.len());
    for record in records {
        let mut numbers = BTreeMap::new();
        flatten("", record, &mut numbers);
        flat.push(numbers);
    }
    let known = |flat: &[BTreeMap<String, Point>]| {
        let names: std::collections::BTreeSet<&str> =
            flat.iter().flatten().map(|(k, _)| k.as_str()).collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    };
    let is_step = |key: &str, name: &str| match step {
        Some(given) => key == given,
        None => plain(key) == name,
    };
    // All records count by the same name: the first of the usual ones that any of them has.
    let names: Vec<&str> = step.map_or_else(|| STEPS.to_vec(), |given| vec![given]);
    let called = names.iter().find_map(|name| {
        let mut keys = flat.iter().flat_map(BTreeMap::keys);
        keys.find(|key| is_step(key, name)).cloned()
    });
    let Some(called) = called else {
        if flat.is_empty() && step.is_none() {
            return Ok(Gathered::new());
        }
        return Err(match step {
            Some(given) => Error::NoKey {
                path: path.to_owned(),
                asked: given.to_owned(),
                known: known(&flat),
            },
            None => Error::NoStep {
                path: path.to_owned(),
                known: known(&flat),
                names: STEPS.join(", "),
            },
        });
    };
    let mut gathered = Gathered::new();
    for numbers in flat {
        let Some(step) = numbers.get(&called).map(|p| p.value) else {
            continue;
        };
        if !step.is_finite() {
            return Err(Error::bad(path, format!("a record has {called} {step}")));
        }
        for (name, point) in numbers {
            if name != called {
                let point = Point { step, ..point };
                gathered.entry(name).or_default().push(point);
            }
        }
    }
    Ok(gathered)
}

/// Numbers by their path. `null` is nothing told.
fn flatten(path: &str, value: &Value, numbers: &mut BTreeMap<String, Point>) {
    if let Some(number) = number(value) {
        numbers.insert(path.to_owned(), Point::bare(0.0, number));
        return;
    }
    let Value::Object(fields) = value else {
        return;
    };
    if let (Some(value), Some(error)) = (fields.get("value"), fields.get("standard_error")) {
        let point = Point {
            step: 0.0,
            // What is no number stands in JSON as null.
            value: number(value).unwrap_or(f64::NAN),
            standard_error: number(error),
        };
        numbers.insert(path.to_owned(), point);
        return;
    }
    for (name, value) in fields {
        let path = match path {
            "" => name.clone(),
            path => format!("{path}/{name}"),
        };
        flatten(&path, value, numbers);
    }
}

/// A number, or the name of one that JSON does not have.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(name) => match name.to_ascii_lowercase().as_str() {
            "nan" => Some(f64::NAN),
            "inf" | "infinity" => Some(f64::INFINITY),
            "-inf" | "-infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}
