//! Every family against Hugging Face Transformers, from folders and from GGUF files.

use kld_models::native::{DifferentiableModel, LoadOptions, NativeModel};
use kld_models::{LogitSource, Tokenizer};
use kld_testkit::{expected, largest_difference, tiny_model};

/// How far a logit may be from Transformers', relative to the largest of its row.
const TOLERANCE: f32 = 1e-4;

const FOLDERS: [&str; 7] = [
    "llama",
    "llama-scaled",
    "llama-linear",
    "mistral",
    "qwen2",
    "qwen3",
    "gpt2",
];
const GGUFS: [&str; 5] = ["llama", "llama-scaled", "qwen2", "qwen3", "gpt2"];

fn folder(name: &str, options: &LoadOptions) -> NativeModel {
    let path = tiny_model(name);
    NativeModel::open_folder(&path, Tokenizer::from_folder(&path).unwrap(), options).unwrap()
}

fn gguf(name: &str, options: &LoadOptions) -> NativeModel {
    let tokenizer = Tokenizer::from_folder(tiny_model(name)).unwrap();
    NativeModel::open_gguf(&tiny_model(name).join("model.gguf"), tokenizer, options).unwrap()
}

fn logits(model: &NativeModel, tokens: &[u32]) -> Vec<f32> {
    let mut rows = Vec::new();
    model
        .forward(tokens)
        .unwrap()
        .rows(0..tokens.len(), &mut rows)
        .unwrap();
    rows
}

fn assert_agrees(name: &str, model: &NativeModel) {
    let expected = expected(name);
    assert_eq!(model.vocabulary(), expected.vocabulary);
    let found = logits(model, &expected.tokens);
    let difference = largest_difference(&found, &expected.logits.concat(), expected.vocabulary);
    assert!(
        difference <= TOLERANCE,
        "{name}: {difference:e} of the row's scale from Transformers"
    );
}

#[test]
fn folders_of_every_family_agree_with_transformers() {
    for name in FOLDERS {
        assert_agrees(name, &folder(name, &LoadOptions::default()));
    }
}

#[test]
fn gguf_files_of_every_family_agree_with_transformers() {
    for name in GGUFS {
        assert_agrees(name, &gguf(name, &LoadOptions::default()));
    }
}

#[test]
fn a_memory_limit_changes_the_compute_text_and_no_bit() {
    let limited = LoadOptions {
        memory_limit_bytes: Some(1000),
        ..LoadOptions::default()
    };
    for name in FOLDERS {
        let (held, made) = (
            folder(name, &LoadOptions::default()),
            folder(name, &limited),
        );
        assert_ne!(held.card().compute, made.card().compute);
        let tokens = expected(name).tokens;
        assert_eq!(logits(&held, &tokens), logits(&made, &tokens), "{name}");
    }
}

#[test]
fn the_differentiable_model_gives_the_same_logits_and_every_weight_a_gradient() {
    for name in FOLDERS {
        let path = tiny_model(name);
        let model =
            DifferentiableModel::open(&path, Tokenizer::from_folder(&path).unwrap()).unwrap();
        let expected = expected(name);
        let tensor = model.logits(&expected.tokens).unwrap();
        let found = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let plain = logits(&folder(name, &LoadOptions::default()), &expected.tokens);
        assert!(
            largest_difference(&found, &plain, 96) < 1e-5,
            "{name}: the two arithmetics differ"
        );

        // A loss to which every logit contributes differently.
        let gradients = (tensor.sqr().unwrap() * 1e-3)
            .unwrap()
            .exp()
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        for (weight, variable) in model.variables() {
            let gradient = gradients
                .get(&variable)
                .unwrap_or_else(|| panic!("{name}: no gradient for {weight}"));
            let size = gradient
                .sqr()
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap();
            // Softmax does not see what all keys share, so the gradient of their bias is zero but for rounding.
            let is_key_bias = weight.ends_with("k_proj.bias");
            assert!(
                size.is_finite() && (size > 0.0 || is_key_bias),
                "{name}: the gradient of {weight} is {size}"
            );
        }
    }
}

#[test]
fn the_differentiable_model_reads_gguf_and_is_a_source() {
    for name in GGUFS {
        let path = tiny_model(name).join("model.gguf");
        let tokenizer = Tokenizer::from_folder(tiny_model(name)).unwrap();
        let model = DifferentiableModel::open(&path, tokenizer).unwrap();
        let expected = expected(name);
        let mut rows = Vec::new();
        model
            .forward(&expected.tokens)
            .unwrap()
            .rows(3..7, &mut rows)
            .unwrap();
        assert!(
            largest_difference(&rows, &expected.logits[3..7].concat(), 96) <= TOLERANCE,
            "{name}"
        );
    }
}

#[test]
fn a_later_token_changes_no_earlier_row() {
    for name in FOLDERS {
        let model = folder(name, &LoadOptions::default());
        let mut tokens = expected(name).tokens;
        let before = logits(&model, &tokens);
        let last = tokens.len() - 1;
        tokens[last] = (tokens[last] + 1) % 96;
        let after = logits(&model, &tokens);
        assert_eq!(before[..last * 96], after[..last * 96], "{name}");
        assert_ne!(before[last * 96..], after[last * 96..], "{name}");
    }
}

#[test]
fn a_sliding_window_forgets_what_lies_outside() {
    // Two layers of seven positions reach back twelve; the first token cannot matter to the last.
    let model = folder("mistral", &LoadOptions::default());
    let mut tokens = expected("mistral").tokens;
    let before = logits(&model, &tokens);
    tokens[0] = (tokens[0] + 1) % 96;
    let after = logits(&model, &tokens);
    assert_ne!(before[12 * 96..13 * 96], after[12 * 96..13 * 96]);
    assert_eq!(before[13 * 96..], after[13 * 96..]);
}

#[test]
fn rows_can_be_asked_for_in_any_slices() {
    let model = folder("qwen3", &LoadOptions::default());
    let tokens = expected("qwen3").tokens;
    let all = logits(&model, &tokens);
    let window = model.forward(&tokens).unwrap();
    let mut slice = vec![7.0; 1000];
    window.rows(5..9, &mut slice).unwrap();
    assert!(largest_difference(&slice, &all[5 * 96..9 * 96], 96) < 1e-6);
    window.rows(3..3, &mut slice).unwrap();
    assert!(slice.is_empty());
}

#[test]
fn threads_share_a_model_and_get_the_same_bits() {
    let model = folder("llama", &LoadOptions::default());
    let tokens = expected("llama").tokens;
    let alone = logits(&model, &tokens);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| logits(&model, &tokens)))
            .collect();
        for worker in workers {
            assert_eq!(worker.join().unwrap(), alone);
        }
    });
}

#[test]
fn windows_that_the_model_cannot_take_are_refused() {
    let model = folder("llama", &LoadOptions::default());
    let message = |tokens: &[u32]| model.forward(tokens).err().unwrap().to_string();
    assert!(message(&[]).contains("no token"));
    assert!(message(&[1, 96]).contains("token 96 is outside the vocabulary of 96"));
    assert!(message(&[1; 65]).contains("65 tokens"));
}
