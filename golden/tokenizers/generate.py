"""Makes tiny tokenizers of every kind that `kld` reads, and what they make of nasty texts.

    python -m pip install transformers==5.23.0 sentencepiece==0.2.3 gguf==0.19.0 llama-cpp-python==0.3.36
    python golden/tokenizers/generate.py                      # the tiny ones
    python golden/tokenizers/generate.py --smollm2 FILE.gguf  # also the real one

Each folder gets `tokenizer.json`, `tokenizer_config.json`, the same tokenizer as the metadata of a GGUF file without tensors, and
`expected.json`, in the order of `texts.json`:

    plain    everything is text      Transformers with split_special_tokens, SentencePiece itself, llama.cpp with parse_special off
    marked   special names are tokens       Transformers' default, llama.cpp with parse_special on
    added    as `marked`, with what the tokenizer adds
    decoded  Transformers' text of `marked`

Where two programs answer one question, this script stops unless they agree; the texts on which llama.cpp knowingly differs are in
`LLAMA_CPP_DIFFERS`, with the reason.
"""

import argparse
import io
import json
from pathlib import Path

import sentencepiece
from gguf import GGUFReader, GGUFWriter, TokenType
from llama_cpp import Llama
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import generate_merges

from texts import CORPUS, NASTY

HERE = Path(__file__).parent
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
ENDS = r"\s*[\r\n]+|\s+(?!\S)|\s+"
CASES = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+%s"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*%s"
)


def cut(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def sequence(*steps):
    return pre_tokenizers.Sequence([*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


# Name in `tokenizer.ggml.pre`, how `tokenizer.json` of such models cuts, what else they do.
BYTE_LEVEL = {
    "gpt2": dict(pre="gpt-2", cut=pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "llama3": dict(
        pre="llama-bpe",
        cut=sequence(cut(rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{ENDS}")),
        ignore_merges=True,
        bos="<s>",
    ),
    "qwen2": dict(
        pre="qwen2",
        cut=sequence(cut(rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{ENDS}")),
        normalizer=normalizers.NFC(),
        padding=7,
    ),
    "smollm": dict(
        pre="smollm",
        cut=pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        ),
    ),
    "tekken": dict(
        pre="tekken",
        cut=sequence(cut(CASES % ("", "") + rf"|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{ENDS}")),
        ignore_merges=True,
        bos="<s>",
    ),
    "gpt4o": dict(
        pre="gpt-4o",
        cut=sequence(
            cut(CASES % (CONTRACTIONS + "?", CONTRACTIONS + "?") + rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{ENDS}")
        ),
    ),
    "deepseek3": dict(
        pre="deepseek-v3",
        cut=sequence(
            cut(r"\p{N}{1,3}"),
            cut("[一-龥぀-ゟ゠-ヿ]+"),
            cut(
                r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
                rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{ENDS}"
            ),
        ),
        bos="<s>",
    ),
}

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>", "</s>"]

# (tokenizer, index of the text): why llama.cpp gives other tokens than the tokenizer was trained to.
NOT_COMPOSED = "Qwen's tokenizer brings text into Unicode's form NFC, llama.cpp does not"
WITHOUT_MARKS = "llama.cpp's pattern counts marks not as parts of words, the tokenizer's own does"
LLAMA_CPP_DIFFERS = {
    ("qwen2", 16): NOT_COMPOSED,
    ("qwen2", 24): NOT_COMPOSED,
    ("tekken", 24): WITHOUT_MARKS,
    ("gpt4o", 24): WITHOUT_MARKS,
}
# Transformers cuts the text of a GGUF file by GPT-2's rule, where SmolLM2's own tokenizer sets digits apart, also ½ and Ⅳ.
TRANSFORMERS_DIFFERS_ON_SMOLLM2 = {13, 17}


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")


def train_byte_level(spec):
    tokenizer = Tokenizer(models.BPE(ignore_merges=spec.get("ignore_merges", False)))
    if "normalizer" in spec:
        tokenizer.normalizer = spec["normalizer"]
    tokenizer.pre_tokenizer = spec["cut"]
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=480, initial_alphabet=sorted(alphabet), special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    # A token that is not special, yet found before all others, as code models have them.
    tokenizer.add_tokens([AddedToken("print", special=False, normalized=False)])
    if "bos" in spec:
        bos = spec["bos"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    return tokenizer


def train_sentencepiece(prefix):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=model,
        model_type="bpe",
        vocab_size=512,
        byte_fallback=True,
        character_coverage=0.98,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=prefix,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def kind_of(sp, i):
    if sp.is_unknown(i):
        return TokenType.UNKNOWN
    if sp.is_control(i):
        return TokenType.CONTROL
    return TokenType.BYTE if sp.is_byte(i) else TokenType.NORMAL


def from_sentencepiece(sp, prefix):
    """The same as an engine of tokenizers, put together as Transformers' conversion does."""
    pieces = [sp.id_to_piece(i) for i in range(sp.get_piece_size())]
    ids = {piece: i for i, piece in enumerate(pieces)}
    # The conversion takes control tokens for text; SentencePiece and kld do not.
    scores = {p: sp.get_score(i) for p, i in ids.items() if kind_of(sp, i) == TokenType.NORMAL}
    normal = {p: i for p, i in ids.items() if p in scores}
    merges = generate_merges(normal, scores)
    tokenizer = Tokenizer(models.BPE(ids, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    steps = [normalizers.Replace(" ", "▁")]
    tokenizer.normalizer = normalizers.Sequence(([normalizers.Prepend("▁")] if prefix else []) + steps)
    back = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(back + ([decoders.Strip(" ", 1, 0)] if prefix else []))
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return tokenizer


def write_gguf(path, model, tokens, kinds, more):
    writer = GGUFWriter(path, "llama")
    # What llama.cpp wants to see before it looks at a vocabulary.
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_block_count(1)
    writer.add_feed_forward_length(8)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model(model)
    writer.add_token_list(tokens)
    writer.add_token_types([int(kind) for kind in kinds])
    for add in more:
        add(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()


def byte_level_gguf(path, tokenizer, spec):
    by_id = {i: token for token, i in tokenizer.get_vocab().items()}
    added = tokenizer.get_added_tokens_decoder()
    tokens = [by_id[i] for i in range(len(by_id))]
    kinds = [
        (TokenType.CONTROL if added[i].special else TokenType.USER_DEFINED) if i in added else TokenType.NORMAL
        for i in range(len(tokens))
    ]
    for i in range(len(tokens), len(tokens) + spec.get("padding", 0)):
        tokens.append(f"[PAD{i}]")
        kinds.append(TokenType.UNUSED)
    merges = [" ".join(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
    bos = spec.get("bos")
    more = [
        lambda w: w.add_tokenizer_pre(spec["pre"]),
        lambda w: w.add_token_merges(merges),
        lambda w: w.add_bos_token_id(tokenizer.token_to_id(bos or "<|endoftext|>")),
        lambda w: w.add_eos_token_id(tokenizer.token_to_id("<|endoftext|>")),
    ]
    # For Llama 3 and Tekken the name of the rule implies it.
    if spec["pre"] not in ("llama-bpe", "tekken"):
        more.append(lambda w: w.add_add_bos_token(bos is not None))
    write_gguf(path, "gpt2", tokens, kinds, more)


def sentencepiece_gguf(path, sp, prefix):
    count = sp.get_piece_size()
    more = [
        lambda w: w.add_token_scores([sp.get_score(i) for i in range(count)]),
        lambda w: w.add_bos_token_id(sp.bos_id()),
        lambda w: w.add_eos_token_id(sp.eos_id()),
        lambda w: w.add_unk_token_id(sp.unk_id()),
        lambda w: w.add_add_space_prefix(prefix),
    ]
    write_gguf(path, "llama", [sp.id_to_piece(i) for i in range(count)], [kind_of(sp, i) for i in range(count)], more)


def transformers_answers(fast):
    encode = lambda text, **how: fast(text, **how)["input_ids"]
    marked = [encode(text, add_special_tokens=False) for text in NASTY]
    return {
        "plain": [encode(text, add_special_tokens=False, split_special_tokens=True) for text in NASTY],
        "marked": marked,
        "added": [encode(text, add_special_tokens=True) for text in NASTY],
        "decoded": [fast.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False) for ids in marked],
    }


def check_llama_cpp(name, path, expected):
    """llama.cpp on the same GGUF file must agree, but for what is listed."""
    llama = Llama(str(path), vocab_only=True, verbose=False)
    differing = {}
    for i, text in enumerate(NASTY):
        for key, special, bos in [("plain", False, False), ("marked", True, False), ("added", True, True)]:
            got = llama.tokenize(text.encode(), add_bos=bos, special=special)
            if got != expected[key][i]:
                differing.setdefault(i, {})[key] = (got, expected[key][i])
    for i, which in differing.items():
        if (name, i) not in LLAMA_CPP_DIFFERS:
            print(f"{name}: llama.cpp differs on text {i}, {NASTY[i]!r}: {which}")
    return not [i for i in differing if (name, i) not in LLAMA_CPP_DIFFERS]


def smollm2(path):
    """The real tokenizer: its tokens and merges from the GGUF file, cut as its `tokenizer.json` does."""
    fields = GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = BYTE_LEVEL["smollm"]["cut"]
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([token for token, kind in zip(tokens, kinds) if kind == TokenType.CONTROL])
    expected = transformers_answers(PreTrainedTokenizerFast(tokenizer_object=tokenizer))
    write(HERE / "smollm2.json", expected)
    converted = transformers_answers(AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name))
    differing = {i for i in range(len(NASTY)) if any(converted[key][i] != expected[key][i] for key in expected)}
    if differing != TRANSFORMERS_DIFFERS_ON_SMOLLM2:
        print(f"smollm2: Transformers differs on {differing}")
    return check_llama_cpp("smollm2", path, expected) and differing == TRANSFORMERS_DIFFERS_ON_SMOLLM2


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--smollm2", type=Path, help="SmolLM2-135M-Instruct as GGUF")
    arguments = arguments.parse_args()
    write(HERE / "texts.json", NASTY)
    agreed = True
    for name, spec in BYTE_LEVEL.items():
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        tokenizer = train_byte_level(spec)
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        write(folder / "tokenizer_config.json", {"bos_token": spec.get("bos", "<|endoftext|>"), "eos_token": "<|endoftext|>"})
        byte_level_gguf(folder / "tokenizer.gguf", tokenizer, spec)
        expected = transformers_answers(PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json")))
        write(folder / "expected.json", expected)
        agreed &= check_llama_cpp(name, folder / "tokenizer.gguf", expected)
    for name, prefix in [("sentencepiece", True), ("sentencepiece-no-prefix", False)]:
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        sp = train_sentencepiece(prefix)
        tokenizer = from_sentencepiece(sp, prefix)
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        write(folder / "tokenizer_config.json", {"bos_token": "<s>", "eos_token": {"content": "</s>"}})
        sentencepiece_gguf(folder / "tokenizer.gguf", sp, prefix)
        expected = transformers_answers(PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json")))
        write(folder / "expected.json", expected)
        for text, plain in zip(NASTY, expected["plain"]):
            if sp.encode(text) != plain:
                agreed = False
                print(f"{name}: SentencePiece differs on {text!r}: {sp.encode(text)} {plain}")
        agreed &= check_llama_cpp(name, folder / "tokenizer.gguf", expected)
    if arguments.smollm2:
        agreed &= smollm2(arguments.smollm2)
    raise SystemExit(0 if agreed else "programs disagree, see above")


if __name__ == "__main__":
    main()
