"""How long llama.cpp takes for the forward passes of a comparison: windows of 512 tokens, logits of the second half.

    pip install llama-cpp-python==0.3.36
    python bench/rival_llama_cpp.py P.gguf Q.gguf TEXT.txt [WINDOWS] [THREADS]

Times what `llama-perplexity --kl-divergence` does at the least for each model - decode every window and copy the scored
rows out - without its file of log-probs, its softmax and its sums. Prints seconds per model and for both.
"""

import ctypes
import sys
import time

import llama_cpp
import numpy as np

CONTEXT = 512


def seconds(path, text, windows, threads):
    llama_cpp.llama_backend_init()
    parameters = llama_cpp.llama_model_default_params()
    # Its AMX buffers ended in a segmentation fault with Q8_0 on a virtual Sapphire Rapids; without them it uses AVX-512.
    parameters.use_extra_bufts = False
    model = llama_cpp.llama_model_load_from_file(path.encode(), parameters)
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = CONTEXT
    settings.n_threads = settings.n_threads_batch = threads
    context = llama_cpp.llama_init_from_model(model, settings)
    vocabulary = llama_cpp.llama_model_get_vocab(model)
    columns = llama_cpp.llama_vocab_n_tokens(vocabulary)
    room = (llama_cpp.llama_token * (len(text) + 8))()
    count = llama_cpp.llama_tokenize(vocabulary, text, len(text), room, len(room), True, False)
    assert count >= windows * CONTEXT, f"the text has {count} tokens only"
    batch = llama_cpp.llama_batch_init(CONTEXT, 0, 1)
    total = 0.0
    checksum = 0.0
    for window in range(windows):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
        batch.n_tokens = CONTEXT
        for i in range(CONTEXT):
            batch.token[i] = room[window * CONTEXT + i]
            batch.pos[i] = i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = CONTEXT // 2 <= i < CONTEXT - 1
        begun = time.perf_counter()
        assert llama_cpp.llama_decode(context, batch) == 0
        row = llama_cpp.llama_get_logits_ith(context, CONTEXT - 2)
        total += time.perf_counter() - begun
        checksum += float(np.ctypeslib.as_array(ctypes.cast(row, ctypes.POINTER(ctypes.c_float)), (columns,)).max())
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return total, checksum / windows


def main():
    p, q, text = sys.argv[1:4]
    windows, threads = (int(v) for v in (sys.argv[4:6] + ["64", "2"][len(sys.argv) - 4 :])[:2])
    text = open(text, "rb").read()
    both = 0.0
    for path in (p, q):
        spent, check = seconds(path, text, windows, threads)
        both += spent
        print(f"{path}: {spent:.1f} s for {windows} windows, {windows * CONTEXT / spent:.0f} tokens/s (mean of the last rows' maxima {check:.3f})")
    print(f"both: {both:.1f} s")


if __name__ == "__main__":
    main()
