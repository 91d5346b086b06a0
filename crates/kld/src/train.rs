//! `kld train TEACHER --student S --text T… --run DIR`

mod arguments;
mod configuration;
mod plan;
mod text;

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use kld_core::result::{Ended, Training};
use kld_eval::{Content, prepare::compared_columns, run::is_taken};
use kld_models::{
    LogitSource, Tokenizer, Window, hub::Format, native::DifferentiableModel, tensor_file::Float,
};
use kld_report::{Json, Terminal as Table, Unit};
use kld_train::{Error, Header, Job, Learner, Settings, Tail, is_run, train};

use crate::{
    args::{ScoredName, TextArgs, WorkArgs, refuse_overwriting},
    exit::Outcome,
    models::{Opener, Source},
    output::Output,
    progress::Terminal,
    run_folder::storable,
};
use arguments::{SettingsArgs, part};
pub(crate) use configuration::completed;

/// Draw a student towards a teacher, or towards the text itself, by gradient descent on a divergence
///
/// The teacher P comes first: a model of any kind, or a recording of one (`kld record`), which brings its text and is never loaded.
/// The student Q begins as a Hugging Face folder, with fresh weights of a config.json, or as some of the teacher's layers. A part of the
/// text is held out, by whole fragments where there are several; every evaluation gives KL with its clustered error on it and on as much of the
/// training text. What was best on held-out text is written as a Hugging Face folder, DIR/model. All is in f32; the same seed gives the
/// same bits for any number of threads, and a run that was killed goes on with --resume to the same weights.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, override_usage = USAGE)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct TrainArgs {
    /// The teacher P: what the student should become
    #[arg(
        value_name = "TEACHER",
        required_unless_present = "text_only",
        conflicts_with = "text_only"
    )]
    teacher: Option<String>,

    /// No teacher: the text itself teaches, by cross-entropy
    #[arg(long, conflicts_with_all = ["loss", "mix", "temperature", "layers", "tail", "sampled", "on_policy"])]
    text_only: bool,

    /// Take settings from a TOML file: the flags by their names without --, `teacher = "…"`, `rate = 1e-3`, `text = ["books"]`. What
    /// is told here is stronger. The run keeps all of its own in DIR/run.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    begins: BeginArgs,

    /// The tokenizer of a student that begins afresh: a model, or a tokenizer.json [default: the teacher's]
    #[arg(long, value_name = "MODEL", requires = "new", help_heading = "Student")]
    tokenizer: Option<String>,

    /// Make a tokenizer for the text of --text, of as many tokens as config.json says: byte-level BPE
    #[arg(long, requires = "new", conflicts_with_all = ["tokenizer", "teacher"], help_heading = "Student")]
    new_tokenizer: bool,

    /// Where the run is kept: checkpoints, metrics.jsonl, and at the end the model
    #[arg(long, value_name = "DIR")]
    run: PathBuf,

    /// Go on with the run in the folder of --run. What is not told again is as it was begun; --threads, --dtype and --json may be other
    /// than before
    #[arg(long)]
    resume: bool,

    /// Say what would be done - parameters, memory, tokens, steps, estimated time - and do nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    text: TextArgs,

    /// Which positions are learnt from and evaluated [default: all]
    #[arg(long, value_enum, help_heading = "Text")]
    score: Option<ScoredName>,

    /// Count nothing of a fragment up to its first MARKER, which is told as text: a prompt is read, but neither learnt nor evaluated
    #[arg(long, value_name = "MARKER", help_heading = "Text")]
    ignore_before: Option<String>,

    /// The share of windows that is held out, in whole fragments chosen by --seed
    #[arg(long, default_value_t = 0.05, value_name = "SHARE", value_parser = part, help_heading = "Text")]
    held_out: f64,

    /// Hold out this text instead
    #[arg(long, num_args = 1.., value_name = "PATH", conflicts_with = "held_out", help_heading = "Text")]
    held_out_text: Vec<PathBuf>,

    #[command(flatten)]
    settings: SettingsArgs,

    #[command(flatten)]
    work: WorkArgs,

    /// What the weights of DIR/model are rounded to; training itself is in f32. A run that has ended is written anew with
    /// --resume --dtype f16
    #[arg(long, value_enum, default_value = "f32", help_heading = "Output")]
    dtype: FloatName,

    /// Write the result as JSON (nats) to a file, or - for stdout instead of the table
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    json: Option<PathBuf>,

    /// Show divergences in bits instead of nats
    #[arg(long, help_heading = "Output")]
    bits: bool,
}

/// Names of floating-point types on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FloatName {
    F32,
    F16,
    Bf16,
}

impl From<FloatName> for Float {
    fn from(name: FloatName) -> Self {
        match name {
            FloatName::F32 => Self::F32,
            FloatName::F16 => Self::F16,
            FloatName::Bf16 => Self::Bf16,
        }
    }
}

/// What the student begins as.
#[derive(Debug, Args)]
#[command(next_help_heading = "Student")]
#[group(id = "begins", required = true, multiple = false, args = ["student", "new", "layers"])]
struct BeginArgs {
    /// The student Q: a Hugging Face folder, or `org/name[@revision]`
    #[arg(long, value_name = "MODEL")]
    student: Option<String>,

    /// Begin with fresh weights of the shape that a config.json describes
    #[arg(long, value_name = "CONFIG")]
    new: Option<PathBuf>,

    /// Begin with so many layers of the teacher, evenly spread, and all else of it
    #[arg(long, value_name = "N")]
    layers: Option<usize>,
}

const USAGE: &str = "\
kld train [OPTIONS] <TEACHER> <--student <MODEL>|--new <CONFIG>|--layers <N>> --text <PATH>... --run <DIR>
       kld train [OPTIONS] --text-only <--student <MODEL>|--new <CONFIG>> --text <PATH>... --run <DIR>
       kld train --config <FILE> [OPTIONS]
       kld train --run <DIR> --resume [OPTIONS]";

const EXAMPLES: &str = "\
Examples:
  kld train org/teacher --layers 6 --text books/ --run small             # distil into every k-th layer
  kld train org/teacher --student org/small --text books/ --run small --mix ce:0.3 --temperature 2
  kld train books.kldrec --student org/small --run small                 # the teacher was recorded: it is not loaded
  kld train books.top50.kldrec --student org/small --run small --tail lump   # … by its 50 most likely tokens
  kld train org/teacher --student org/small --text books/ --run small --on-policy 0.5   # on its own text, too
  kld train org/teacher --student org/small --text chats.jsonl --run small --ignore-before '<|im_start|>assistant'
  kld train --text-only --student org/small --text mine.txt --run tuned --lora rank=8   # adapters, merged at the end
  kld train --text-only --new config.json --new-tokenizer --text books/ --run fresh --epochs 3   # from nothing
  kld train org/teacher --layers 6 --text books/ --run small --early-stop patience=5 --penalty l2:0.1
  kld train org/teacher --layers 6 --text books/ --run small --dry-run   # parameters, memory, steps, time
  kld train --run small --resume                                         # after Ctrl-C, kill -9 or a power cut
  kld train --run small --resume --dtype f16                             # write the model anew, in half the bytes
  kld train --config small/run.toml --run other --rate 3e-4              # the same anew with another rate
  kld compare org/teacher small/model --text other.txt                   # how far is it still?

Exit codes: 0 fine · 2 wrong input, file or usage, or training diverged · 3 interrupted (go on with --resume)";

pub(crate) fn run(args: &TrainArgs) -> anyhow::Result<Outcome> {
    let named = [&args.teacher, &args.begins.student].into_iter().flatten();
    let inputs = named.map(Path::new).chain(args.config.as_deref());
    let texts = args.text.text.iter().chain(&args.held_out_text);
    let inputs: Vec<&Path> = inputs.chain(texts.map(PathBuf::as_path)).collect();
    refuse_overwriting(&[args.json.as_ref()], &inputs)?;
    args.check_folder()?;
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let work = args.work.work()?;
    let work = kld_train::Work {
        threads: work.threads,
        kernel: work.kernel,
    };
    let observer = Terminal::listening()?;
    let mut opener = Opener::new(args.work.memory.map(|size| size.0), &observer);
    let teacher = args.teacher.as_ref().map(|name| opener.open(name));
    let teacher = teacher.transpose()?;
    let job = args.job(&opener, teacher.as_ref())?;
    if args.dry_run {
        crate::output::say(&plan::plan(&job, work)?)?;
        return Ok(Outcome::Fine);
    }
    let trained = train(job, work, &observer);
    observer.finish();
    let result = trained.map_err(explained)?;

    Output::open(&args.run.join("result.json"))?.write(&Json, &result)?;
    let stdout_is_taken = json.as_ref().is_some_and(Output::is_stdout);
    if let Some(json) = json {
        json.write(&Json, &result)?;
    }
    if stdout_is_taken {
        observer.warn_all(result.warnings.clone());
    } else {
        let unit = if args.bits { Unit::Bits } else { Unit::Nats };
        Output::Stdout.write(&Table { unit }, &result)?;
    }
    Ok(args.outcome(&result))
}

impl TrainArgs {
    /// Refuses a folder that has something else in it, before the work that a refusal would waste.
    fn check_folder(&self) -> anyhow::Result<()> {
        let folder = self.run.display();
        match is_run(&self.run) {
            true if !self.resume && !self.dry_run => bail!(
                "{folder} holds a training: add --resume to go on with it, or name another folder"
            ),
            false if is_taken(&self.run) => {
                bail!("{folder} is not empty and holds no training: name another folder")
            }
            _ => Ok(()),
        }
    }

    fn job<'a>(&self, opener: &Opener, teacher: Option<&'a Source>) -> anyhow::Result<Job<'a>> {
        let (student, tokenizer_folder) = self.student(opener, teacher)?;
        let teacher: Option<&dyn LogitSource> = teacher.map(|source| &**source);
        let text::Text { split, sha256 } = text::prepare(self, &student, teacher)?;
        let seed = self.text.seed.unwrap_or_default();
        let settings = self.settings.settings(split.training.len(), seed)?;
        check_teacher(&settings, teacher, &split.training[0])?;
        let header = Header {
            schema: Header::SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            arguments: storable(env::args_os().skip(2)),
            settings,
            teacher: teacher.map(|teacher| teacher.card().clone()),
            student: student.card().clone(),
            text_sha256: sha256,
        };
        Ok(Job {
            columns: compared_columns(teacher.unwrap_or(&student), &student),
            student: Learner::new(student, &header.settings)?,
            teacher,
            training: split.training.into_iter().map(Into::into).collect(),
            held_out: split.held_out,
            folder: self.run.clone(),
            tokenizer_folder,
            export_as: self.dtype.into(),
            configuration: configuration::complete(env::args_os().collect(), &header.settings)?,
            header,
            warnings: split.warnings,
        })
    }

    /// The student as it begins, and the folder of its tokenizer if it has one.
    fn student(
        &self,
        opener: &Opener,
        teacher: Option<&Source>,
    ) -> anyhow::Result<(DifferentiableModel, Option<PathBuf>)> {
        let BeginArgs {
            student,
            new,
            layers,
        } = &self.begins;
        let tokenizer = &self.tokenizer;
        if let Some(name) = student {
            let folder = folder_of(opener, name)?;
            let tokenizer = opener.tokenizer(name)?;
            let model = DifferentiableModel::open(&folder, tokenizer);
            let model = model.with_context(|| format!("cannot open model {name}"))?;
            return Ok((model, Some(folder)));
        }
        if let (Some(layers), Some(name)) = (layers, &self.teacher) {
            let folder = folder_of(opener, name).context("--layers takes layers of the teacher")?;
            let tokenizer = opener.tokenizer(name)?;
            let model = DifferentiableModel::shortened(&folder, tokenizer, *layers)?;
            return Ok((model, Some(folder)));
        }
        let config = new.as_ref().context("no student")?;
        let seed = self.text.seed.unwrap_or_default();
        if self.new_tokenizer {
            let tokenizer = self.tokenizer_of_text(config)?;
            return Ok((DifferentiableModel::fresh(config, tokenizer, seed)?, None));
        }
        let lender = tokenizer.as_ref().or(self.teacher.as_ref());
        let lender =
            lender.context("a fresh student needs a tokenizer: name it with --tokenizer, or have it made with --new-tokenizer")?;
        let tokenizer: Tokenizer = match (tokenizer, teacher) {
            (None, Some(teacher)) => teacher.tokenizer().clone(),
            _ => opener.tokenizer(lender)?,
        };
        let folder = Path::new(lender).is_dir().then(|| PathBuf::from(lender));
        let model = DifferentiableModel::fresh(config, tokenizer, seed);
        Ok((model?, folder))
    }

    fn tokenizer_of_text(&self, config: &Path) -> anyhow::Result<Tokenizer> {
        let size = DifferentiableModel::vocabulary_of(config)?;
        let fragments = self.text.fragments()?;
        let texts = fragments.iter().filter_map(|f| match &f.content {
            Content::Text(text) => Some(text.as_str()),
            Content::Chat(_) => None,
        });
        let texts: Vec<&str> = texts.collect();
        ensure!(
            texts.len() == fragments.len() && !texts.is_empty(),
            "--new-tokenizer needs plain text: name it with --text"
        );
        Ok(Tokenizer::trained(texts.into_iter(), size)?)
    }

    fn outcome(&self, result: &Training) -> Outcome {
        if result.ended == Ended::Interrupted {
            let folder = self.run.display();
            Terminal::hint(&format!(
                "nothing is lost; go on with: kld train --run {folder} --resume"
            ));
            return Outcome::Interrupted;
        }
        Outcome::Fine
    }
}

/// Makes sure that the teacher can give what is asked of it.
fn check_teacher(
    settings: &Settings,
    teacher: Option<&dyn LogitSource>,
    window: &Window,
) -> anyhow::Result<()> {
    let is_recording = teacher.is_some_and(|teacher| teacher.script().is_some());
    ensure!(
        settings.on_policy == 0.0 || !is_recording,
        "--on-policy needs a model as the teacher: a recording cannot score what the student writes"
    );
    if settings.objective.tail != Tail::Uniform {
        let recording = teacher.filter(|_| is_recording);
        let rows = recording.map(|r| r.forward(&window.input)).transpose()?;
        let kept = rows
            .as_ref()
            .and_then(|rows| rows.kept(window.scored.start));
        ensure!(
            kept.is_some(),
            "--tail is about what a recording has not kept: expected one made by kld record --keep top-k:K as the teacher"
        );
    }
    Ok(())
}

/// The folder of a model whose layers or weights are taken.
fn folder_of(opener: &Opener, name: &str) -> anyhow::Result<PathBuf> {
    let location = opener.locate(name)?;
    ensure!(
        location.format == Format::Folder,
        "{name} is a GGUF file; a student begins as a Hugging Face folder, because that is what it is written as"
    );
    Ok(location.path)
}

fn explained(error: Error) -> anyhow::Error {
    match error {
        Error::RunDiffers { .. } => anyhow::Error::new(error).context(
            "cannot go on with other settings, models or text; to begin anew name another folder",
        ),
        error => error.into(),
    }
}
