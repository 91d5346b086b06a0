//! Whole trainings of tiny models: they learn, stop, resume to the same bits, and export what was best.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use kld_core::Observer;
use kld_core::observer::Silent;
use kld_core::result::{CurvePoint, Ended, Gauge, Training};
use kld_kernels::Kernel;
use kld_models::native::{DifferentiableModel, LoadOptions, NativeModel};
use kld_models::tensor_file::{self, Float};
use kld_models::{LogitSource, Tokenizer, Window, tokenizer::SpecialTokens};
use kld_testkit::tiny_model;
use kld_train::{
    Adapters, Error, Header, Job, Learner, Lora, Result, Schedule, Settings, Shape, Split, Work,
    own_text, split, train,
};
use tempfile::TempDir;

const TEXT: &str = include_str!("../../../data/austen-persuasion.txt");

fn tokenizer(name: &str) -> Tokenizer {
    Tokenizer::from_folder(tiny_model(name)).unwrap()
}

fn student(name: &str) -> DifferentiableModel {
    DifferentiableModel::open(&tiny_model(name), tokenizer(name)).unwrap()
}

fn teacher() -> NativeModel {
    let path = tiny_model("llama-scaled");
    NativeModel::open_folder(&path, tokenizer("llama-scaled"), &LoadOptions::default()).unwrap()
}

/// Windows of 24 tokens from the beginning of the text, so many to a fragment.
fn text(windows: usize, to_a_fragment: usize) -> Split {
    let is_known = |c: &char| *c == '\n' || (' '..='}').contains(c);
    let plain: String = TEXT.chars().filter(is_known).take(3000).collect();
    let tokens = tokenizer("llama")
        .encode(&plain, SpecialTokens::None)
        .unwrap();
    let window = |(index, tokens): (usize, &[u32])| Window {
        fragment: (index / to_a_fragment) as u32,
        input: tokens.to_vec(),
        replaced: None,
        scored: 0..23,
    };
    let all = tokens.chunks_exact(24).enumerate().map(window);
    split(all.take(windows).collect(), 0.2, 1).unwrap()
}

fn settings() -> Settings {
    Settings {
        schedule: Schedule {
            rate: 5e-3,
            warmup: 2,
            shape: Shape::Cosine,
            floor: 0.1,
        },
        steps: 24,
        batch: 4,
        evaluate_every: 8,
        checkpoint_every: 5,
        ..Settings::default()
    }
}

struct Desk {
    folder: TempDir,
    teacher: Option<NativeModel>,
    settings: Settings,
    split: Split,
}

impl Desk {
    fn new(settings: Settings) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            teacher: Some(teacher()),
            settings,
            split: text(60, 5),
        }
    }

    fn train_in(&self, run: &str, threads: usize, observer: &dyn Observer) -> Result<Training> {
        let student = Learner::new(student("llama"), &self.settings)?;
        let teacher = self.teacher.as_ref().map(|t| t as &dyn LogitSource);
        let header = Header {
            schema: Header::SCHEMA.to_owned(),
            version: "test".to_owned(),
            arguments: Vec::new(),
            settings: self.settings.clone(),
            teacher: teacher.map(|t| t.card().clone()),
            student: student.model.card().clone(),
            text_sha256: String::new(),
        };
        let job = Job {
            student,
            teacher,
            columns: 96,
            training: self
                .split
                .training
                .iter()
                .cloned()
                .map(Into::into)
                .collect(),
            held_out: self.split.held_out.clone(),
            folder: self.folder.path().join(run),
            tokenizer_folder: Some(tiny_model("llama")),
            export_as: Float::F32,
            configuration: String::new(),
            header,
            warnings: Vec::new(),
        };
        let kernel = Kernel::detect();
        train(job, Work { threads, kernel }, observer)
    }

    fn train(&self) -> Training {
        self.train_in("run", 2, &Silent).unwrap()
    }

    fn bytes(&self, file: &str) -> Vec<u8> {
        fs::read(self.folder.path().join(file)).unwrap()
    }
}

/// Asks for a stop at its n-th question.
struct StopsAt(AtomicUsize);

impl Observer for StopsAt {
    fn interrupted(&self) -> bool {
        self.0.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

fn logits(model: &dyn LogitSource, tokens: &[u32]) -> Vec<f32> {
    let mut rows = Vec::new();
    let window = model.forward(tokens).unwrap();
    window.rows(0..tokens.len(), &mut rows).unwrap();
    rows
}

#[test]
fn forward_kl_covers_the_teacher_and_reverse_kl_seeks_what_it_does_say() {
    let last = |loss: &str| {
        let mut settings = settings();
        settings.objective.loss = loss.parse().unwrap();
        let result = Desk::new(settings).train();
        let [first, .., last] = &result.curve[..] else {
            panic!("one evaluation alone");
        };
        let of = |p: &CurvePoint| [p.kl.unwrap().value, p.reverse_kl.unwrap().value];
        assert!(result.best_step > 0, "{loss}");
        (result.gauge, of(first), of(last))
    };
    let (forward, reverse) = (last("kl"), last("reverse-kl"));
    assert_eq!((forward.0, reverse.0), (Gauge::Kl, Gauge::ReverseKl));
    assert_eq!(forward.1, reverse.1, "both begin alike");
    // Each is nearer by its own direction, both are nearer than at first.
    let ([begun, reverse_begun], [kl, _], [_, reverse_kl]) = (forward.1, forward.2, reverse.2);
    assert!(kl < 0.98 * reverse.2[0], "{forward:?} {reverse:?}");
    assert!(reverse_kl < 0.98 * forward.2[1], "{forward:?} {reverse:?}");
    assert!(kl < begun && reverse_kl < reverse_begun);
}

#[test]
fn a_student_comes_closer_and_what_is_exported_is_the_best_one() {
    let desk = Desk::new(settings());
    let result = desk.train();
    assert_eq!((result.ended, result.gauge), (Ended::AllSteps, Gauge::Kl));
    let steps: Vec<u64> = result.curve.iter().map(|p| p.step).collect();
    assert_eq!(steps, [0, 8, 16, 24]);
    let (first, last) = (&result.curve[0], &result.curve[3]);
    assert!(
        last.held_out.value < 0.9 * first.held_out.value,
        "{:?}",
        result.curve
    );
    assert!(result.change.high.unwrap() < 0.0 && result.best_step > 0);
    assert!(first.loss.is_nan() && last.loss > 0.0);
    assert_eq!(result.tokens, 24 * 4 * 23);

    let folder = desk.folder.path().join("run/model");
    let options = LoadOptions::default();
    let exported = Tokenizer::from_folder(&folder).unwrap();
    let exported = NativeModel::open_folder(&folder, exported, &options).unwrap();
    let mut best = student("llama");
    let (tensors, _) = tensor_file::read(&desk.folder.path().join("run/best.safetensors")).unwrap();
    let weights = tensors
        .into_iter()
        .filter_map(|(name, values)| Some((name.strip_prefix("weight/")?.to_owned(), values)));
    best.set_weights(&weights.collect()).unwrap();
    let tokens = &desk.split.held_out[0].input;
    let (found, expected) = (logits(&exported, tokens), logits(&best, tokens));
    assert!(kld_testkit::largest_difference(&found, &expected, 96) < 1e-5);
    let lines = String::from_utf8(desk.bytes("run/metrics.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 24 + 4);
}

#[test]
fn weights_depend_on_neither_threads_nor_interruptions() {
    let desk = Desk::new(settings());
    desk.train_in("one", 1, &Silent).unwrap();
    let whole = desk.train_in("three", 3, &Silent).unwrap();
    assert_eq!(
        desk.bytes("one/last.safetensors"),
        desk.bytes("three/last.safetensors")
    );

    let stop = StopsAt(AtomicUsize::new(12));
    let part = desk.train_in("parts", 2, &stop).unwrap();
    assert_eq!(
        (part.ended, part.steps, part.model),
        (Ended::Interrupted, 11, None)
    );
    // As if it had been killed two steps after the last checkpoint: lines of steps that will be done again, the last cut off.
    let metrics = desk.folder.path().join("parts/metrics.jsonl");
    let lines = fs::read_to_string(&metrics).unwrap() + "{\"step\":12}\n{\"step\":13,\"lo";
    fs::write(&metrics, lines).unwrap();
    let rest = desk.train_in("parts", 2, &Silent).unwrap();
    assert_eq!(
        desk.bytes("parts/last.safetensors"),
        desk.bytes("one/last.safetensors")
    );
    let held_out = |t: &Training| t.curve.iter().map(|p| p.held_out).collect::<Vec<_>>();
    assert_eq!(held_out(&rest), held_out(&whole));
    let steps = |run: &str| {
        let text = String::from_utf8(desk.bytes(&format!("{run}/metrics.jsonl"))).unwrap();
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        text.lines()
            .map(|l| (line(l)["step"].clone(), line(l)["loss"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(steps("parts"), steps("one"));
}

#[test]
fn a_folder_of_another_training_is_refused() {
    let mut desk = Desk::new(Settings {
        steps: 2,
        ..settings()
    });
    desk.train();
    desk.settings.seed = 9;
    let refused = desk.train_in("run", 1, &Silent).unwrap_err().to_string();
    assert!(
        refused.contains("another run: its seed is 0, asked for is 9"),
        "{refused}"
    );
}

#[test]
fn what_is_learnt_by_heart_stops_early_and_the_best_is_kept() {
    let mut desk = Desk::new(Settings {
        steps: 400,
        evaluate_every: 10,
        patience: Some(3),
        schedule: Schedule {
            shape: Shape::Constant,
            rate: 1e-2,
            ..settings().schedule
        },
        ..settings()
    });
    // Six windows of text are soon known by heart; the others tell.
    desk.teacher = None;
    desk.split.training.truncate(6);
    let result = desk.train();
    assert_eq!(
        (result.ended, result.gauge),
        (Ended::EarlyStop, Gauge::CrossEntropy)
    );
    assert!(
        result.steps < 400 && result.best_step < result.steps,
        "{}",
        result.steps
    );
    let last = result.curve.last().unwrap();
    let best = result
        .curve
        .iter()
        .find(|p| p.step == result.best_step)
        .unwrap();
    assert!(best.held_out.value < last.held_out.value);
    assert!(last.gap.low.unwrap() > 0.0, "{:?}", last.gap);
}

#[test]
fn a_training_that_diverges_stops_with_a_message_and_keeps_the_best() {
    let desk = Desk::new(Settings {
        schedule: Schedule {
            // So far that products of weights leave f32.
            rate: 1e30,
            warmup: 0,
            ..settings().schedule
        },
        ..settings()
    });
    let error = desk.train_in("run", 2, &Silent).unwrap_err();
    assert!(
        matches!(error, Error::Diverged { step: 1.., .. }),
        "{error}"
    );
    let best = desk.folder.path().join("run/best.safetensors");
    assert!(best.exists());
}

#[test]
fn frozen_weights_stay_and_unknown_names_are_refused() {
    let freeze = vec!["model.embed*".to_owned(), "*.layers.0.*".to_owned()];
    let mut desk = Desk::new(Settings {
        steps: 3,
        freeze,
        ..settings()
    });
    desk.train();
    let (tensors, _) = tensor_file::read(&desk.folder.path().join("run/last.safetensors")).unwrap();
    for (name, before) in student("llama").weights() {
        let is_frozen = name.contains("embed") || name.contains(".layers.0.");
        assert_eq!(
            tensors[&format!("weight/{name}")] == before,
            is_frozen,
            "{name}"
        );
    }
    desk.settings.freeze = vec!["layer.0".to_owned()];
    let refused = desk.train_in("other", 1, &Silent).unwrap_err().to_string();
    assert!(
        refused.contains("no weight of") && refused.contains("'layer.0'"),
        "{refused}"
    );
}

#[test]
fn penalties_make_weights_small_and_some_of_them_zero() {
    let weights = |penalties: &[&str]| {
        let penalties = penalties.iter().map(|p| p.parse().unwrap()).collect();
        let desk = Desk::new(Settings {
            penalties,
            ..settings()
        });
        desk.train();
        let model =
            DifferentiableModel::open(&desk.folder.path().join("run/model"), tokenizer("llama"))
                .unwrap();
        let weights: Vec<f32> = model.weights().into_values().flatten().collect();
        let norm = weights.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>();
        (norm, weights.iter().filter(|w| **w == 0.0).count())
    };
    let (free, zeros) = weights(&[]);
    assert_eq!(zeros, 0);
    assert!(weights(&["l2:2"]).0 < 0.9 * free);
    assert!(weights(&["l2-coupled:0.5"]).0 < free);
    assert!(weights(&["l1-coupled:0.05"]).0 < free);
    // Soft thresholds leave exact zeros; a gradient of the loss never does.
    assert!(weights(&["l1:5"]).1 > 500);
}

#[test]
fn a_student_can_be_a_part_of_its_teacher_or_begin_afresh() {
    let folder = tiny_model("qwen3");
    let whole = student("qwen3");
    let tokens: Vec<u32> = (0..20).collect();
    let same = DifferentiableModel::shortened(&folder, tokenizer("qwen3"), 2).unwrap();
    assert_eq!(logits(&same, &tokens), logits(&whole, &tokens));
    let half = DifferentiableModel::shortened(&folder, tokenizer("qwen3"), 1).unwrap();
    assert_ne!(half.card().sha256, same.card().sha256);
    let layer =
        |model: &DifferentiableModel| model.weights()["model.layers.0.mlp.up_proj.weight"].clone();
    assert_eq!(layer(&half), layer(&whole));
    assert!(DifferentiableModel::shortened(&folder, tokenizer("qwen3"), 3).is_err());

    for name in ["llama", "qwen2", "gpt2"] {
        let config = tiny_model(name).join("config.json");
        let fresh = |seed| DifferentiableModel::fresh(&config, tokenizer(name), seed).unwrap();
        let (a, again, b) = (fresh(1), fresh(1), fresh(2));
        assert_eq!(a.weights(), again.weights());
        assert_ne!(a.card().sha256, b.card().sha256);
        round_trip(&a);
    }
    round_trip(&half);
    let config = tiny_model("llama").join("config.json");
    let refused =
        DifferentiableModel::fresh(&config, kld_testkit::byte_tokenizer(&[]), 0).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("'vocab_size' is 96, the tokenizer has 256 tokens"),
        "{refused}"
    );
}

#[test]
fn a_weight_beyond_the_range_of_f16_is_not_written_as_infinite() {
    let mut model = student("llama");
    let mut weights = model.weights();
    weights.get_mut("model.norm.weight").unwrap()[3] = -1e5;
    model.set_weights(&weights).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let refused = model.save(folder.path(), None, Float::F16).unwrap_err();
    let told = "'model.norm.weight' has values beyond the range of float16";
    assert!(refused.to_string().contains(told), "{refused}");
    model.save(folder.path(), None, Float::Bf16).unwrap();
}

/// What is written is read as the same model, also without the files of the tokenizer it came with.
fn round_trip(model: &DifferentiableModel) {
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = folder.path();
    model.save(path, None, Float::F32).unwrap();
    let tokenizer = Tokenizer::from_folder(path).unwrap();
    assert!(tokenizer.first_difference(model.tokenizer()).is_none());
    let read = DifferentiableModel::open(path, tokenizer).unwrap();
    assert_eq!(read.weights(), model.weights());

    for (float, digits) in [(Float::F16, 11), (Float::Bf16, 8)] {
        model.save(path, None, float).unwrap();
        let tokenizer = Tokenizer::from_folder(path).unwrap();
        let read = DifferentiableModel::open(path, tokenizer).unwrap();
        assert_eq!(read.card().parameters, model.card().parameters);
        assert!(
            read.card().bytes < 3 * read.card().parameters,
            "not half as large"
        );
        let read = read.weights();
        for (name, values) in model.weights() {
            for (&found, &exact) in read[&name].iter().zip(&values) {
                // Half a unit of the last digit; the second term is that of the smallest numbers of f16.
                let error = exact.abs() * 0.5_f32.powi(digits) + 0.5_f32.powi(25);
                assert!((found - exact).abs() <= error, "{name}: {found} {exact}");
            }
        }
    }
}

#[test]
fn what_is_dropped_depends_on_neither_threads_nor_interruptions() {
    let desk = Desk::new(Settings {
        dropout: Some(0.2),
        ..settings()
    });
    let result = desk.train_in("one", 1, &Silent).unwrap();
    desk.train_in("three", 3, &Silent).unwrap();
    let stop = StopsAt(AtomicUsize::new(13));
    desk.train_in("parts", 2, &stop).unwrap();
    desk.train_in("parts", 2, &Silent).unwrap();
    let weights = |run: &str| desk.bytes(&format!("{run}/last.safetensors"));
    assert!(weights("one") == weights("three") && weights("one") == weights("parts"));
    assert!(result.objective.ends_with("; dropout: attention 0.2"));

    let without = Desk::new(settings());
    let other = without.train_in("one", 1, &Silent).unwrap();
    assert_eq!(other.curve[0].held_out, result.curve[0].held_out);
    assert!(without.bytes("one/last.safetensors") != weights("one"));
}

#[test]
fn a_student_learns_from_its_own_text_the_same_in_any_number_of_threads_and_pieces() {
    let desk = Desk::new(Settings {
        on_policy: 0.5,
        ..settings()
    });
    desk.train_in("one", 1, &Silent).unwrap();
    desk.train_in("three", 3, &Silent).unwrap();
    let stop = StopsAt(AtomicUsize::new(13));
    desk.train_in("parts", 2, &stop).unwrap();
    let result = desk.train_in("parts", 2, &Silent).unwrap();
    let weights = |run: &str| desk.bytes(&format!("{run}/last.safetensors"));
    assert!(weights("one") == weights("three") && weights("one") == weights("parts"));
    assert!(
        result.objective.contains("0.5 of all, reverse-kl"),
        "{}",
        result.objective
    );

    let lines = String::from_utf8(desk.bytes("one/metrics.jsonl")).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let own: Vec<_> = lines
        .filter_map(|line| line.get("own_text").cloned())
        .collect();
    assert_eq!(own.len(), 24);
    // Half of four windows of 24 tokens, gone on with from their middle.
    assert!(own.iter().all(|own| own["tokens"] == 24));
    assert!(result.curve[0].own_text.is_none());
    for own in result.curve[1..].iter().map(|p| p.own_text.unwrap()) {
        assert_eq!(own.tokens, 8 * 24);
        let exact = own.reverse_kl;
        for drawn in [own.k1, own.k3] {
            let (error, off) = (drawn.standard_error.unwrap(), drawn.value - exact.value);
            assert!(off.abs() < 4.0 * error, "{own:?}");
        }
        // What the sum over the vocabulary is for.
        assert!(exact.standard_error < own.k1.standard_error, "{own:?}");
    }
    let reverse = |p: &kld_core::result::CurvePoint| p.reverse_kl.unwrap().value;
    let (first, last) = (&result.curve[0], result.curve.last().unwrap());
    assert!(reverse(last) < 0.9 * reverse(first));
}

#[test]
fn what_a_student_writes_begins_as_the_window_and_is_drawn_from_its_own_distribution() {
    let (student, split) = (student("llama"), text(60, 5));
    let window = &split.training[0];
    let own = |seed| own_text(&student, window, 96, seed).unwrap();
    assert_eq!(own(1), own(1));
    assert_ne!(own(1).input, own(2).input);
    for written in (0..20).map(own) {
        assert_eq!(written.input[..12], window.input[..12]);
        assert_eq!(
            (written.scored.start, written.scored.end + 1),
            (11, written.input.len())
        );
    }
    // The first token that it draws, against the distribution that it is drawn from.
    let row = logits(&student, &window.input[..12])[11 * 96..].to_vec();
    let top = (0..96).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
    let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
    let likely = f64::from(row[top]).exp() / sum;
    let count = (0..600)
        .filter(|&seed| own(seed).input[12] as usize == top)
        .count() as f64;
    let error = (600.0 * likely * (1.0 - likely)).sqrt();
    assert!(
        (count - 600.0 * likely).abs() < 4.0 * error,
        "{count} {likely}"
    );
}

#[test]
fn adapters_alone_learn_and_are_merged_where_the_model_is_written() {
    let desk = Desk::new(Settings {
        lora: Some("rank=2,targets=q_proj|down_proj".parse().unwrap()),
        ..settings()
    });
    let stop = StopsAt(AtomicUsize::new(12));
    desk.train_in("parts", 2, &stop).unwrap();
    let result = desk.train_in("parts", 1, &Silent).unwrap();
    desk.train_in("whole", 3, &Silent).unwrap();
    assert!(desk.bytes("parts/last.safetensors") == desk.bytes("whole/last.safetensors"));
    let (first, last) = (&result.curve[0], result.curve.last().unwrap());
    assert!(last.held_out.value < first.held_out.value);

    let folder = desk.folder.path().join("whole/model");
    let exported = DifferentiableModel::open(&folder, tokenizer("llama"))
        .unwrap()
        .weights();
    for (name, before) in student("llama").weights() {
        let is_adapted = name.contains("q_proj") || name.contains("down_proj");
        assert_eq!(exported[&name] != before, is_adapted, "{name}");
    }
    // Two factors of two matrices in two layers, with both moments.
    let (tensors, _) =
        tensor_file::read(&desk.folder.path().join("whole/last.safetensors")).unwrap();
    assert_eq!(tensors.len(), 3 * 8);

    let lora: Lora = "rank=2,targets=w_proj".parse().unwrap();
    let refused = Adapters::new(&lora, &mut student("llama"), 0).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("no matrix of a layer is called 'w_proj'"),
        "{refused}"
    );
}

#[test]
fn an_adapted_student_begins_as_it_was() {
    let mut adapted = student("gpt2");
    let tokens: Vec<u32> = (0..20).collect();
    let before = logits(&adapted, &tokens);
    let mut adapters = Adapters::new(&"rank=3".parse().unwrap(), &mut adapted, 5).unwrap();
    let factors = adapters.factors().clone();
    adapters.set_factors(factors, &mut adapted).unwrap();
    assert_eq!(logits(&adapted, &tokens), before);
    assert_eq!(adapted.layer_matrices().len() * 2, adapters.factors().len());
}
