"""A translator of a few words, trained in two seconds: for the tests of what shows translations."""

from dataclasses import replace

import torch
import torch.nn.functional as F

from course_lib import Transformer
from course_lib.translation import Pair, Vocabulary, collate

NOUNS = {"cat": "chat", "dog": "chien", "bird": "oiseau"}
VERBS = {"sleeps": "dort", "eats": "mange", "sings": "chante"}
COLOURS = {"": "", "black": "noir", "white": "blanc"}

PAIRS = [
    Pair(
        tuple(f"the {colour} {noun} {verb} .".split()),
        tuple(f"le {NOUNS[noun]} {COLOURS[colour]} {VERBS[verb]} .".split()),
        frozenset(),
    )
    for noun in NOUNS
    for verb in VERBS
    for colour in COLOURS
]
# Somebody who sleeps "dort" in two sentences of three, and "somnole" in the third.
PAIRS += PAIRS + [
    replace(pair, french=tuple(word.replace("dort", "somnole") for word in pair.french))
    for pair in PAIRS
]


def toy_translator(steps=120):
    """The model and its two vocabularies; the same each time.  With 0 steps nothing is learned."""
    source = Vocabulary.of(pair.english for pair in PAIRS)
    target = Vocabulary.of(pair.french for pair in PAIRS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Transformer(
            len(source),
            len(target),
            source.pad_idx,
            target.pad_idx,
            embed_size=32,
            num_layers=2,
            forward_expansion=2,
            heads=4,
            device="cpu",
            max_length=100,
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
        src, trg = collate(PAIRS, source, target)
        for _ in range(steps):
            logits = model(src, trg[:, :-1])  # (N, Lt, V)
            loss = F.cross_entropy(
                logits.flatten(0, 1), trg[:, 1:].flatten(), ignore_index=target.pad_idx
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.set_num_threads(threads)
    return model.eval(), source, target
