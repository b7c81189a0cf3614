"""Trains small tokenizers and writes what Hugging Face's tokenizers make of texts with them, for test/unit/package.

Run from the repository's root: python test/oracles/make_tokenizers.py (tokenizers; no network).

Each kind lies in test/oracles/tokenizers/<name>: tokenizer.json, tokenizer_config.json, and expected.json with, for each
text, its tokens, its tokens behind other text, and the text that they decode to. Special tokens that are written in a
text stay text there.
"""

import json
import os
import struct

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE, Unigram

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizers")

CORPUS = [
    "the cat sat on the mat and the dog ran to the cat",
    "a small model learns from what people say of its answers",
    "le café était fermé, naïve façade",
    "12 34 567 and 8,9",
    "hello world, hello there; this is that",
] * 4

TEXTS = [
    "", " ", "  ", "   a", "a", " a", "a ", "hello world", " hello  world ", "the cat\nsat\ton the mat\n", "\n", "\t",
    "naïve café", "e\u0301", "\u0301", "日本語", "👋", "👩‍👩‍👧 hi", "Привет", "hello\u00a0world", "\ufeffhello", "\u200d", "\x00",
    "<s>", "</s> the <s>", "<unk>", "<0x41>", "<0x0A>", "[INST] hello [/INST]", "<tool>", "the <tool> cat", "<tool>the",
    "cat<tool> <tool>", "a\u2581b", "\u2581", "ﬁne ①", "Ａ~Ｂ", "12 345", "HELLO", "don't", "hello" * 8, "x" * 40, "日本 x 日本",
]


def charsmap(pairs):
    """A table of SentencePiece: a double array for the texts, as darts-clone writes it, and what replaces them."""
    texts, offsets = b"", {}
    for key, value in pairs.items():
        offsets[key.encode()] = len(texts)
        texts += value.encode() + b"\0"
    root = {}
    for key, value in offsets.items():
        node = root
        for byte in key:
            node = node.setdefault(byte, {})
        node[None] = value
    units, used = [0], {0}

    def place(node, at):
        labels = [0 if byte is None else byte for byte in node]
        # An offset is kept in 21 bits; all of these are small.
        offset = 1
        while any((at ^ offset ^ label) in used for label in labels):
            offset += 1
        for label in labels:
            target = at ^ offset ^ label
            used.add(target)
            units.extend([0] * (target + 1 - len(units)))
        units[at] |= offset << 10
        for byte, child in node.items():
            target = at ^ offset ^ (0 if byte is None else byte)
            if byte is None:
                units[at] |= 1 << 8
                units[target] = child | 1 << 31
            else:
                units[target] |= byte
                place(child, target)

    place(root, 0)
    # Readers take it that any byte can be added to an offset.
    units.extend([0] * (-len(units) % 256))
    trie = b"".join(struct.pack("<I", unit) for unit in units)
    return struct.pack("<I", len(trie)) + trie + texts


def byte_fallback(special, added=()):
    """A byte-pair encoding as SentencePiece trains it: special tokens, bytes, merged pieces."""
    trained = Tokenizer(BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=110, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    tokens = special + list(added) + [f"<0x{byte:02X}>" for byte in range(256)] + sorted(model["vocab"], key=model["vocab"].get)
    vocab = {token: i for i, token in enumerate(tokens)}
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer = Tokenizer(BPE(vocab=vocab, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in added])
    return tokenizer


def with_beginning(tokenizer, token):
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{token} $A", pair=f"{token} $A {token} $B", special_tokens=[(token, tokenizer.token_to_id(token))])
    return tokenizer


def pieces(*steps):
    return decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *steps])


def prepended():
    """As Llama 2 and Phi-3: a normalizer puts a mark before each section, and the decoder takes one away."""
    tokenizer = with_beginning(byte_fallback(["<unk>", "<s>", "</s>"]), "<s>")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = pieces(decoders.Strip(" ", 1, 0))
    return tokenizer


def unprefixed():
    """As Gemma: nothing is put before a text. It has added tokens that are not special."""
    tokenizer = with_beginning(byte_fallback(["<pad>", "<eos>", "<s>", "<unk>"], ["<tool>", "\n\n"]), "<s>")
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = pieces()
    return tokenizer


def first():
    """As later Mistral: a mark before the first section only."""
    tokenizer = with_beginning(byte_fallback(["<unk>", "<s>", "</s>"], ["<tool>"]), "<s>")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = pieces(decoders.Strip(" ", 1, 0))
    return tokenizer


def unigram_model(special):
    trained = Tokenizer(Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trained.train_from_iterator(CORPUS, trainers.UnigramTrainer(
        vocab_size=120, special_tokens=special, unk_token="<unk>", show_progress=False))
    model = json.loads(trained.to_str())["model"]
    tokenizer = Tokenizer(Unigram([(token, round(score, 4)) for token, score in model["vocab"]], unk_id=special.index("<unk>")))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


def unigram():
    """As T5 and ALBERT: Unigram behind a table of characters, each word with a mark."""
    tokenizer = with_beginning(unigram_model(["<pad>", "</s>", "<unk>", "<s>"]), "<s>")
    table = charsmap({"ﬁ": "fi", "①": "1", "\n": " ", "\t": " ", "\u00a0": " ", "Ａ": "A", "Ｂ": "B", "e\u0301": "é", "\ufeff": ""})
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(table), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    return tokenizer


def unigram_never():
    """Unigram without a mark at the beginning, and without cuts between words."""
    tokenizer = unigram_model(["<unk>", "<s>", "</s>"])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="never")
    return tokenizer


def byte_level():
    """As GPT-2, with a space before each text and words of Llama 3."""
    trained = Tokenizer(BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=330, special_tokens=["<s>", "</s>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    trained.add_tokens([AddedToken("<tool>", rstrip=True, lstrip=True, normalized=False)])
    trained.decoder = decoders.ByteLevel()
    return trained


kinds = {"prepended": prepended, "unprefixed": unprefixed, "first": first, "unigram": unigram,
         "unigram-never": unigram_never, "byte-level": byte_level}


def without_special(tokenizer):
    """The tokenizer without the texts of its special tokens: Unigram finds them in its vocabulary whatever is asked for."""
    tokenizer.encode_special_tokens = True
    stored = json.loads(tokenizer.to_str())
    if stored["model"]["type"] != "Unigram":
        return tokenizer
    for token in stored["added_tokens"]:
        stored["model"]["vocab"][token["id"]][0] = f"\ue000{token['id']}"
    stored["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(stored))


def expected(tokenizer):
    plain = without_special(tokenizer)
    rows = []
    for text in TEXTS:
        tokens = plain.encode(text, add_special_tokens=False).ids
        rows.append([text, plain.encode(text).ids, tokenizer.decode(tokens)])
    return rows


def main():
    for name, make in kinds.items():
        tokenizer = make()
        path = os.path.join(folder, name)
        os.makedirs(path, exist_ok=True)
        stored = json.loads(tokenizer.to_str())
        with open(os.path.join(path, "tokenizer.json"), "w") as file:
            json.dump(stored, file, ensure_ascii=False, separators=(",", ":"))
        with open(os.path.join(path, "tokenizer_config.json"), "w") as file:
            json.dump({"eos_token": "<eos>" if name == "unprefixed" else "</s>"}, file)
        with open(os.path.join(path, "expected.json"), "w") as file:
            file.write("[\n" + ",\n".join(json.dumps(row, ensure_ascii=True) for row in expected(tokenizer)) + "\n]\n")
        print(name, tokenizer.get_vocab_size())


if __name__ == "__main__":
    main()
