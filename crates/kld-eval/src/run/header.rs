//! `plan.json` and `transcript.json`: what a run is, and whether two runs are the same.

use std::{collections::BTreeSet, fs, path::Path};

use kld_core::{ModelCard, Plan, Transcript, result::METRICS_VERSION};
use kld_kernels::{Isa, Kernel};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{Payload, write_whole};
use crate::{Error, Result, score::WindowScore};

/// The file with the header and the plan; a folder that has it is a run folder.
pub(crate) const FILE: &str = "plan.json";
/// The file with the plan's transcript.
pub(crate) const TRANSCRIPT: &str = "transcript.json";

/// What a run is, beside its plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// `kld.run/1`.
    pub schema: String,
    /// `compare` or `score`.
    pub verb: String,
    /// Version of `kld` that began the run.
    pub version: String,
    /// Version of the way quantities are computed.
    pub metrics: u32,
    /// Instruction set of the kernels.
    pub isa: String,
    /// The best instruction set of the machine, on which the bits of a model's logits depend.
    pub machine: String,
    /// Which windows this run measures, where it is not all.
    pub part: Option<Part>,
    /// The arguments after the verb, without those that say where and which part.
    pub arguments: Vec<String>,
}

/// Every `of`-th window of the order, beginning with number `number`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// From 1 to `of`.
    pub number: usize,
    /// How many parts there are.
    pub of: usize,
}

impl Part {
    /// Does the window that is visited as number `visit`, from 0, belong to this part?
    #[must_use]
    pub fn has(self, visit: usize) -> bool {
        visit % self.of == self.number - 1
    }
}

impl Header {
    /// The schema's name and version.
    pub const SCHEMA: &'static str = "kld.run/1";

    /// The header of a run of `verb` that begins on this machine.
    #[must_use]
    pub fn new(verb: &str, kernel: Kernel, part: Option<Part>, arguments: Vec<String>) -> Self {
        Self {
            schema: Self::SCHEMA.to_owned(),
            verb: verb.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            metrics: METRICS_VERSION,
            isa: kernel.isa().name().to_owned(),
            machine: Isa::detect().name().to_owned(),
            part,
            arguments,
        }
    }
}

/// `plan.json`: the header, and the plan without its transcript.
#[derive(Serialize, Deserialize)]
struct File {
    #[serde(flatten)]
    header: Header,
    transcript_sha256: String,
    plan: Plan,
}

/// Writes both files; the one that makes the folder a run comes last.
pub(crate) fn write(folder: &Path, header: &Header, plan: &Plan) -> Result<()> {
    let json = |path: &Path, error| Error::bad_run(path, format!("cannot be written: {error}"));
    let path = folder.join(TRANSCRIPT);
    let transcript = serde_json::to_vec(&plan.transcript).map_err(|e| json(&path, e))?;
    write_whole(&path, &transcript)?;
    let mut plan = plan.clone();
    plan.transcript = Transcript::default();
    let file = File {
        header: header.clone(),
        transcript_sha256: sha256(&transcript),
        plan,
    };
    let path = folder.join(FILE);
    let text = serde_json::to_vec_pretty(&file).map_err(|e| json(&path, e))?;
    write_whole(&path, &text)
}

/// Reads both files and makes sure that they belong together and can be believed.
pub(crate) fn read(folder: &Path) -> Result<(Header, Plan)> {
    let path = folder.join(FILE);
    let bytes = fs::read(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::NotARun {
            folder: folder.to_owned(),
        },
        _ => Error::io(&path)(error),
    })?;
    // The schema first: of another version nothing else can be expected to fit.
    let Schema { schema } = parse(&path, &bytes)?;
    if schema != Header::SCHEMA {
        let problem = format!("expected schema {}, found {schema:?}", Header::SCHEMA);
        return Err(Error::bad_run(&path, problem));
    }
    let mut file: File = parse(&path, &bytes)?;
    let path_of_text = folder.join(TRANSCRIPT);
    let text = fs::read(&path_of_text).map_err(Error::io(&path_of_text))?;
    if sha256(&text) != file.transcript_sha256 {
        let problem = "is not the text that the plan was made with".to_owned();
        return Err(Error::bad_run(&path_of_text, problem));
    }
    file.plan.transcript = parse(&path_of_text, &text)?;
    match contradiction(&file.header, &file.plan) {
        Some(problem) => Err(Error::bad_run(&path, problem.to_owned())),
        None => Ok((file.header, file.plan)),
    }
}

#[derive(Deserialize)]
struct Schema {
    schema: String,
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::bad_run(path, error.to_string()))
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// What in a plan would lead whoever follows it astray.
fn contradiction(header: &Header, plan: &Plan) -> Option<&'static str> {
    let text = &plan.transcript;
    let windows = text.windows.len();
    let visited: BTreeSet<u32> = plan.order.iter().copied().collect();
    let is_sound = |window: &kld_core::transcript::WindowText| {
        (window.fragment as usize) < text.fragments.len()
            && window.scored.start <= window.scored.end
            && (window.scored.end as usize) < window.tokens.len().max(1)
    };
    let part_exists = |part: Part| (1..=part.of).contains(&part.number);
    [
        (
            plan.protocol.windows == windows,
            "the number of windows is not that of the text",
        ),
        (
            visited.len() == windows
                && plan.order.len() == windows
                && visited.last().is_none_or(|last| (*last as usize) < windows),
            "the order does not visit each window once",
        ),
        (
            text.windows.iter().all(is_sound),
            "a window has rows or a fragment that the text does not have",
        ),
        (
            // What is summed of a fragment is closed when the next one begins.
            header.verb != WindowScore::VERB
                || (plan.order.is_sorted() && text.windows.is_sorted_by_key(|w| w.fragment)),
            "a score visits its windows in another order than that of the text",
        ),
        (header.part.is_none_or(part_exists), "there is no such part"),
    ]
    .into_iter()
    .find_map(|(holds, problem)| (!holds).then_some(problem))
}

/// What makes the second run another one than the first, told for people. How much memory there is may change a model's way of
/// computing, but not its numbers; and the names of models and fragments are no part of what they are.
pub(crate) fn first_difference(
    (had, was): (&Header, &Plan),
    (have, is): (&Header, &Plan),
) -> Option<String> {
    let differs = |what: &str, was: String, is: String| {
        (was != is).then(|| format!("{what}: {was} there, {is} here"))
    };
    let parts = |part: Option<Part>| match part {
        Some(part) => format!("{}/{}", part.number, part.of),
        None => "all windows".to_owned(),
    };
    differs("verb", had.verb.clone(), have.verb.clone())
        .or_else(|| {
            differs(
                "version of the metrics",
                had.metrics.to_string(),
                have.metrics.to_string(),
            )
        })
        .or_else(|| {
            differs(
                "instruction set of the kernels (KLD_ISA)",
                had.isa.clone(),
                have.isa.clone(),
            )
        })
        .or_else(|| {
            differs(
                "instruction set of the machine, on which a model's bits depend",
                had.machine.clone(),
                have.machine.clone(),
            )
        })
        .or_else(|| differs("part", parts(had.part), parts(have.part)))
        .or_else(|| first_difference_of_plans(was, is))
}

/// What makes the second plan another one than the first.
pub(crate) fn first_difference_of_plans(was: &Plan, is: &Plan) -> Option<String> {
    if was.noise_floor != is.noise_floor {
        let told = |plan: &Plan| {
            if plan.noise_floor {
                "measured"
            } else {
                "not measured"
            }
        };
        return Some(format!(
            "noise floor: {} there, {} here",
            told(was),
            told(is)
        ));
    }
    if was.candidates.len() != is.candidates.len() {
        let (was, is) = (was.candidates.len(), is.candidates.len());
        return Some(format!("number of candidates: {was} there, {is} here"));
    }
    let candidates = was.candidates.iter().zip(&is.candidates);
    let models = std::iter::once((&was.reference, &is.reference)).chain(candidates);
    for (was, is) in models {
        if (&was.sha256, &was.config_sha256) != (&is.sha256, &is.config_sha256) {
            return Some(format!("model: {} there, {} here", told(was), told(is)));
        }
    }
    let fields = |plan: &Plan| {
        let protocol = serde_json::to_value(&plan.protocol).unwrap_or_default();
        protocol.as_object().cloned().unwrap_or_default()
    };
    let here = fields(is);
    // What the user chose stands before what followed from it.
    for name in [
        "name",
        "context",
        "scored",
        "seed",
        "windows",
        "windows_left_out",
        "token_stream_sha256",
    ] {
        let there = fields(was);
        let (was, is) = (there.get(name), here.get(name));
        if was != is {
            let told = |value: Option<&serde_json::Value>| {
                value.map(ToString::to_string).unwrap_or_default()
            };
            let name = match name {
                "token_stream_sha256" => "text (sha256 of its tokens)",
                "name" => "protocol",
                name => name,
            };
            return Some(format!("{name}: {} there, {} here", told(was), told(is)));
        }
    }
    if was.order != is.order {
        return Some("the order in which windows are visited (--until, --seed)".to_owned());
    }
    None
}

fn told(model: &ModelCard) -> String {
    let short = model.sha256.get(..12).unwrap_or(&model.sha256);
    format!("{} (sha256 {short}…)", model.name)
}
