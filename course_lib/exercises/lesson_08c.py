"""The exercises of lesson 08c, BERT, and the wrong answers that are often given.

Each wrong answer is a whole small program.  Its docstring is what the student reads: what the
code does instead and how one can tell, then where to look.

Letters in shapes: N sentences, L tokens, E = embed_size.
"""

# mypy: allow-untyped-defs
# A solution is pasted into the lesson as it stands: it may use what the lesson imports, no more.
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.exercises.engine import Answer, Exercise, Probe
from course_lib.exercises.observation import Verdict, named
from course_lib.exercises.report import Passage

# 08c-mlm-mask


def mask_tokens(input_ids, special, mask_id, vocab_size, generator):
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    labels = input_ids.masked_fill(~chosen, -100)  # the loss leaves -100 out

    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    masked = torch.where(chosen & (fate >= 0.9), words, masked)  # between 0.8 and 0.9 they stay
    return masked, labels


@dataclass(frozen=True)
class Seed:
    """Stands for a generator in a probe: it can be copied, and shown in words."""

    number: int

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.number)

    def __repr__(self) -> str:
        return f"torch.Generator().manual_seed({self.number})"


def _batch(lengths: Sequence[int], places: int, mask_id: int) -> dict[str, Any]:
    """Sentences of ids 4 to 9, with [CLS], [SEP] and padding, of a vocabulary of 16."""
    ids = torch.randint(4, 10, (len(lengths), places), generator=Seed(1).generator())
    place, length = torch.arange(places), torch.tensor(lengths)[:, None]
    padding = place >= length
    ids = ids.masked_fill(padding, 0)
    ids[:, 0] = 1
    ids = ids.masked_fill(place == length - 1, 5 - mask_id)  # 2 and 3: one is [SEP], one [MASK]
    special = padding | (place == 0) | (place == length - 1)
    seed = Seed(len(lengths))
    return {
        "input_ids": ids,
        "special": special,
        "mask_id": mask_id,
        "vocab_size": 16,
        "generator": seed,
    }


def _nearest(share: float, *percents: int) -> int:
    return min(percents, key=lambda percent: abs(percent - 100 * share))


def _share(places: Tensor) -> float:
    return places.double().mean().item() if places.numel() else 0.0


# What is observed is coarse on purpose: bad luck makes an honest way to draw differ from the
# reference in about one of 100,000 cases.


def _choice(chosen: Tensor) -> str:
    share = _share(chosen)
    # Labels at [MASK] alone are 12 %: a choice of 15 %, and `fates` tells the mistake.
    percent = 15 if 0.11 < share < 0.175 else 5 * round(20 * share)
    return f"about {percent} % of the ordinary tokens"


def _fate(before: Tensor, after: Tensor, mask_id: int, vocab_size: int) -> tuple[str, str]:
    """What chosen tokens become, and which ids were drawn for them."""
    other = (after != mask_id) & (after != before)
    chance = _share(other) / (vocab_size - 2)  # each of the two ids is drawn as often as others
    tenths, drawn, ids = range(0, 110, 10), 0, after[other].unique()
    if other.any():
        drawn = _nearest(_share(other) + 2 * chance, 2, *tenths[1:])
    become_mask = _nearest(_share(after == mask_id) - chance, *tenths)
    stay = _nearest(_share(after == before) - chance, *tenths)
    fates = f"about {become_mask} % mask_id, {drawn} % a random id, {stay} % as they were"
    if drawn < 10:
        return fates, "hardly any"
    if ids[0] < 0 or ids[-1] >= vocab_size:
        return fates, "ids that do not exist"
    return fates, f"ids up to {ids[-1]}" if len(ids) > 1 else "always the same id"


def _labels(labels: Tensor, before: Tensor, after: Tensor) -> str:
    if not labels.numel():
        return "-100 everywhere"
    if torch.equal(labels, before):
        return "the original ids"
    if torch.equal(labels, after):
        return "the ids of `masked`"
    if set(labels.unique().tolist()) <= {0, 1}:
        return "1 and 0"
    one_number = len(labels[labels != before].unique()) == 1
    return "the original ids and another number" if one_number else "other ids"


def _draws(one: Sequence[Tensor], same: Sequence[Tensor], following: Sequence[Tensor]) -> str:
    if not all(map(torch.equal, one, same)):
        return "the same seed gives another result"
    if all(map(torch.equal, same, following)):
        return "every call gives the same result"
    return "the seed decides, and the next call draws anew"


def _masking(attempt: Answer, probe: Probe) -> dict[str, Passage]:
    """What becomes of a large batch, in words; and of its first sentences, called again."""
    ids, special, seed = (probe[name] for name in ("input_ids", "special", "generator"))
    mask_id, vocab_size = probe["mask_id"], probe["vocab_size"]
    before, spared = ids.clone(), special.clone()

    def call(ids: Tensor, special: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        shape = ids.shape
        result = attempt(ids, special, mask_id, vocab_size, generator)
        for name, part in (seen := named(result, "masked", "labels")).items():
            if part.is_floating_point():
                raise Verdict(
                    f"`{name}` holds decimal numbers ({part.dtype}). Ids are whole numbers, and "
                    "so are labels: start from copies of input_ids, which keep its dtype."
                )
            if part.shape != shape:
                raise Verdict(
                    f"`{name}` has the shape {tuple(part.shape)}. Both results should have the "
                    f"shape of input_ids, which is {tuple(shape)} here."
                )
        return seen["masked"].long(), seen["labels"].long()

    masked, labels = call(ids, special, seed.generator())
    first = slice(2)
    generators = (seed.generator(), again := seed.generator(), again)
    calls = [call(before[first].clone(), spared[first].clone(), each) for each in generators]

    chosen = labels != -100
    ordinary = chosen & ~spared
    rows = [row[~kept] for row, kept in zip(chosen, spared, strict=True)]
    if 0 < _share(chosen[~spared]) < 1 and (
        all(row.all() or not row.any() for row in rows) or (chosen == chosen[0]).all()
    ):
        raise Verdict(
            "One draw decides for many tokens: your function chooses the same places in every "
            "sentence, or whole sentences. Every token of every sentence needs a draw of its own."
        )
    fates, drawn = _fate(before[ordinary], masked[ordinary], mask_id, vocab_size)
    changed = (masked != before) & ~chosen
    some = "most changed" if _share(changed[~chosen & ~spared]) > 0.5 else "some changed"
    words = {
        "chosen": _choice(chosen[~spared]),
        "special": "some chosen" if chosen[spared].any() else "never chosen",
        "fates": fates,
        "drawn": drawn,
        "labels": _labels(labels[ordinary], before[ordinary], masked[ordinary]),
        "not chosen": some if changed.any() else "as they were",
        "afterwards": "input_ids as it was" if torch.equal(ids, before) else "input_ids changed",
        "generator": _draws(*calls),
    }
    return {name: Passage(text) for name, text in words.items()}


masking = Exercise(
    id="08c-mlm-mask",
    reference=mask_tokens,
    returns=(
        "chosen",
        "special",
        "fates",
        "drawn",
        "labels",
        "not chosen",
        "afterwards",
        "generator",
    ),
    observe=_masking,
    probes=(
        _batch([500] * 32, 512, mask_id=3),
        # Half of it padding: 512 places, and sentences of 66 to 442 tokens.
        _batch([66 + 8 * row for row in range(48)], 512, mask_id=2),
    ),
    hints=(
        "There are two decisions, and each needs its own dice. First: which tokens are chosen? "
        "Then, for the chosen ones only: which of three fates? The labels depend on the first "
        "decision alone.",
        "torch.rand(shape, generator=generator) < 0.15 is True at 15 % of the places; combine it "
        "with ~special. The labels are the ids at those places and -100 elsewhere. Draw a second "
        "torch.rand for the fates: below 0.8, above 0.9, and what lies between.",
        "labels = input_ids.masked_fill(~chosen, -100). masked = input_ids.masked_fill(chosen & "
        "(fate < 0.8), mask_id), and then torch.where(chosen & (fate >= 0.9), words, masked), "
        "where words are torch.randint(vocab_size, shape, generator=generator).",
    ),
)


@masking.misconception
def all_become_mask(input_ids, special, mask_id, vocab_size, generator):
    """Every chosen token becomes [MASK]. In use BERT never sees a [MASK], so it should also learn
    to look at other words with care: 10 % of the chosen become a random token, and 10 % stay.

    what comes after the choice. If you do draw fates, do not reuse the numbers of the choice:
    those of chosen tokens are all below 0.15.
    """
    chosen = (torch.rand(input_ids.shape, generator=generator) < 0.15) & ~special
    return input_ids.masked_fill(chosen, mask_id), input_ids.masked_fill(~chosen, -100)


@masking.misconception
def mostly_random(input_ids, special, mask_id, vocab_size, generator):
    """80 % of the chosen tokens become a random one, and 10 % become [MASK]. It is the other way
    round: with so many false words in a sentence there would be little left to guess from.

    the two conditions on the fate. 80 % is the share of mask_id.
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    labels = input_ids.masked_fill(~chosen, -100)
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = torch.where(chosen & (fate < 0.8), words, input_ids)
    return masked.masked_fill(chosen & (fate >= 0.9), mask_id), labels


@masking.misconception
def mostly_unchanged(input_ids, special, mask_id, vocab_size, generator):
    """80 % of the chosen tokens stay as they were, and only 10 % become [MASK]. It is the other
    way round: a token that stays can simply be copied, and there is hardly anything to learn.

    the two conditions on the fate. 80 % is the share of mask_id.
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    labels = input_ids.masked_fill(~chosen, -100)
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.1), mask_id)
    return torch.where(chosen & (fate >= 0.9), words, masked), labels


@masking.misconception
def never_random(input_ids, special, mask_id, vocab_size, generator):
    """No chosen token becomes a random one: 80 % become [MASK] and the others stay. Half of those
    others should be replaced, so that BERT cannot trust a word only because it is not [MASK].

    the third fate, and whether its result is kept.
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    fate = torch.rand(shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    return masked, input_ids.masked_fill(~chosen, -100)


@masking.misconception
def never_unchanged(input_ids, special, mask_id, vocab_size, generator):
    """No chosen token stays as it was: 80 % become [MASK], and all the others become a random
    one. Half of those others should stay, so that BERT learns that a word it reads may be right.

    the condition for a random token. It is true for twice as many as it should be.
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    masked = torch.where(chosen & (fate >= 0.8), words, masked)
    return masked, input_ids.masked_fill(~chosen, -100)


@masking.misconception
def a_tenth_of_the_rest(input_ids, special, mask_id, vocab_size, generator):
    """Only 2 % of the chosen tokens become random. You take 80 % for [MASK], and then 10 % of
    what is left, which is a tenth of 20 %. What is left should be halved.

    the second draw. Among the tokens that are left, its probability is 0.5.
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    replaced = chosen & (torch.rand(shape, generator=generator) < 0.8)
    changed = chosen & ~replaced & (torch.rand(shape, generator=generator) < 0.1)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = torch.where(changed, words, input_ids.masked_fill(replaced, mask_id))
    return masked, input_ids.masked_fill(~chosen, -100)


@masking.misconception
def half_of_all_random(input_ids, special, mask_id, vocab_size, generator):
    """Half of all chosen tokens become random, also of those that were [MASK] already. The half
    is meant of what is left when 80 % have become [MASK].

    the condition for a random token. It should leave out those that have their fate.
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    replaced = chosen & (torch.rand(shape, generator=generator) < 0.8)
    changed = chosen & (torch.rand(shape, generator=generator) < 0.5)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = torch.where(changed, words, input_ids.masked_fill(replaced, mask_id))
    return masked, input_ids.masked_fill(~chosen, -100)


@masking.misconception
def fates_for_all_tokens(input_ids, special, mask_id, vocab_size, generator):
    """The fates are for all tokens, not only for the chosen ones: most of the text becomes [MASK].
    The labels are right, but hardly a word is left to guess from.

    the conditions for mask_id and for a random token. Both begin with: is it chosen?
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = torch.where(fate >= 0.9, words, input_ids.masked_fill(fate < 0.8, mask_id))
    return masked, input_ids.masked_fill(~chosen, -100)


@masking.misconception
def choice_inverted(input_ids, special, mask_id, vocab_size, generator):
    """85 % of the tokens are chosen where 15 % should be. A sentence of which almost every word
    is hidden gives BERT nothing to guess from.

    the comparison with 0.15: which of < and > is true for 15 % of the numbers between 0 and 1?
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) > 0.15) & ~special
    labels = input_ids.masked_fill(~chosen, -100)
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    return torch.where(chosen & (fate >= 0.9), words, masked), labels


@masking.misconception
def everything_chosen(input_ids, special, mask_id, vocab_size, generator):
    """All the ordinary tokens are chosen, and have one of the three fates. First comes another
    decision: 15 % of them are chosen, and nothing happens to the others.

    the draw that decides who is chosen.
    """
    shape = input_ids.shape
    chosen = ~special
    labels = input_ids.masked_fill(~chosen, -100)
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    return torch.where(chosen & (fate >= 0.9), words, masked), labels


@masking.misconception
def share_of_all_places(input_ids, special, mask_id, vocab_size, generator):
    """The number of chosen tokens is 15 % of all places, padding and other special tokens
    included, but only ordinary ones pay for it. The more padding a batch has, the more
    of its words disappear.

    what 15 % is taken of. It should be the number of tokens that may be chosen.
    """
    shape = input_ids.shape
    order = torch.rand(shape, generator=generator).masked_fill(special, 2.0).flatten().argsort()
    chosen = torch.zeros(shape, dtype=torch.bool)
    chosen.view(-1)[order[: round(0.15 * input_ids.numel())]] = True
    labels = input_ids.masked_fill(~chosen, -100)
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    return torch.where(chosen & (fate >= 0.9), words, masked), labels


@masking.misconception
def special_tokens_chosen(input_ids, special, mask_id, vocab_size, generator):
    """Special tokens are chosen too. There is nothing to learn from guessing padding, and without
    its [CLS] and [SEP] a sentence has lost its ends.

    where `special` is used, and that every kind of special token is True in it.
    """
    shape = input_ids.shape
    chosen = torch.rand(shape, generator=generator) < 0.15
    labels = input_ids.masked_fill(~chosen, -100)
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    return torch.where(chosen & (fate >= 0.9), words, masked), labels


@masking.misconception
def only_special_chosen(input_ids, special, mask_id, vocab_size, generator):
    """Special tokens are chosen, and no others. `special` works the wrong way round here: True
    means that a token is never chosen.

    the condition that joins the draw with `special`. It lacks a ~, or has one too many.
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & special
    labels = input_ids.masked_fill(~chosen, -100)
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    return torch.where(chosen & (fate >= 0.9), words, masked), labels


@masking.misconception
def labels_everywhere(input_ids, special, mask_id, vocab_size, generator):
    """The labels hold the original id of every token, chosen or not. BERT would mostly be asked
    for words that stand right there, and learn to copy. Where nothing was chosen the label is
    -100, which the loss leaves out.

    the labels of the tokens that were not chosen.
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    return torch.where(chosen & (fate >= 0.9), words, masked), input_ids.clone()


@masking.misconception
def labels_at_the_wrong_places(input_ids, special, mask_id, vocab_size, generator):
    """The labels are the wrong way round: -100 stands where a token was chosen, and the original
    id where none was. BERT would be asked for all the words that it can see, and for none of
    those that are hidden.

    the condition on the labels. It is the same as for `masked`, or just the opposite: which?
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    masked = torch.where(chosen & (fate >= 0.9), words, masked)
    return masked, input_ids.masked_fill(chosen, -100)


@masking.misconception
def labels_of_the_masked_text(input_ids, special, mask_id, vocab_size, generator):
    """The labels at the chosen places hold what stands in `masked`: BERT would be asked to answer
    [MASK] to a [MASK]. The label is the id that stood there before.

    what the labels are a copy of, and when it is made.
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    masked = torch.where(chosen & (fate >= 0.9), words, masked)
    return masked, masked.masked_fill(~chosen, -100)


@masking.misconception
def labels_not_minus_one_hundred(input_ids, special, mask_id, vocab_size, generator):
    """The labels are right at the chosen places, but elsewhere they hold another number than
    -100. F.cross_entropy leaves out -100 and nothing else: 0 would be the id of a token, and -1
    an error.

    the number that fills the labels where nothing was chosen.
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    masked = torch.where(chosen & (fate >= 0.9), words, masked)
    return masked, input_ids.masked_fill(~chosen, 0)


@masking.misconception
def labels_yes_or_no(input_ids, special, mask_id, vocab_size, generator):
    """The labels say whether a token was chosen, with 1 and 0. They should say what BERT has to
    answer: the original id at chosen places, and -100 elsewhere.

    the labels. They start as a copy of input_ids.
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    return torch.where(chosen & (fate >= 0.9), words, masked), chosen.long()


@masking.misconception
def labels_only_at_mask(input_ids, special, mask_id, vocab_size, generator):
    """Only where [MASK] stands is there a label. The random tokens and those that stay were chosen
    too, and need one: BERT is to answer there as well, without being told which word is false.

    the condition on the labels. Does it ask who was chosen, or what a token has become?
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    masked = torch.where(chosen & (fate >= 0.9), words, masked)
    return masked, input_ids.masked_fill(masked != mask_id, -100)


@masking.misconception
def labels_only_at_changes(input_ids, special, mask_id, vocab_size, generator):
    """Of the tokens with a label, 90 % have become [MASK], 10 % a random one, and none stays.
    Either there are labels only where the text has changed, or a third fate is missing. Tokens
    that were chosen and stay need a label too: they teach BERT that a word it reads may be right.

    first the condition on the labels, which should ask who was chosen and not compare the ids;
    then the shares of the fates.
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    masked = torch.where(chosen & (fate >= 0.9), words, masked)
    return masked, input_ids.masked_fill(masked == input_ids, -100)


@masking.misconception
def results_swapped(input_ids, special, mask_id, vocab_size, generator):
    """The two results come back in the wrong order: first the labels, then the masked text.

    the `return` line. The exercise asks for (masked, labels).
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    labels = input_ids.masked_fill(~chosen, -100)
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    return labels, torch.where(chosen & (fate >= 0.9), words, masked)


@masking.misconception
def changed_in_place(input_ids, special, mask_id, vocab_size, generator):
    """The results are right, but input_ids itself has changed. In the next round the text would
    already have holes, and the words that stood there would be lost.

    the first assignment into input_ids, or into a second name for it: `masked = input_ids` is no
    copy. clone() makes one.
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    labels = input_ids.masked_fill(~chosen, -100)
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    input_ids[chosen & (fate < 0.8)] = mask_id
    changed = chosen & (fate >= 0.9)
    input_ids[changed] = words[changed]
    return input_ids, labels


@masking.misconception
def one_tensor_three_names(input_ids, special, mask_id, vocab_size, generator):
    """`masked`, `labels` and input_ids are one and the same tensor under three names: what you
    write into one stands in all of them, so -100 has got into the text.

    the lines that begin `masked` and `labels`. clone() makes a copy.
    """
    shape = input_ids.shape
    masked = labels = input_ids
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    labels[~chosen] = -100
    masked[chosen & (fate < 0.8)] = mask_id
    changed = chosen & (fate >= 0.9)
    masked[changed] = words[changed]
    return masked, labels


@masking.misconception
def last_id_never_drawn(input_ids, special, mask_id, vocab_size, generator):
    """The last id of the vocabulary is never drawn. torch.randint leaves out its upper end
    already, as Python's range does: with vocab_size it draws from 0 to vocab_size - 1.

    the upper end of the draw. Nothing has to be subtracted.
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    labels = input_ids.masked_fill(~chosen, -100)
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size - 1, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    return torch.where(chosen & (fate >= 0.9), words, masked), labels


@masking.misconception
def ids_that_do_not_exist(input_ids, special, mask_id, vocab_size, generator):
    """Some of the random ids do not exist: the vocabulary ends at vocab_size - 1, and an
    embedding has no row for more. Either the draw goes one too far, or it has another
    vocabulary's size in it.

    the upper end of the draw. torch.randint leaves it out.
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    labels = input_ids.masked_fill(~chosen, -100)
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size + 1, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    return torch.where(chosen & (fate >= 0.9), words, masked), labels


@masking.misconception
def always_the_same_token(input_ids, special, mask_id, vocab_size, generator):
    """One random id is drawn, and every token that is to be replaced gets it. BERT would soon
    know which one to distrust. Each place needs a draw of its own.

    the shape of the random ids.
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    labels = input_ids.masked_fill(~chosen, -100)
    fate = torch.rand(shape, generator=generator)
    word = torch.randint(vocab_size, (1,), generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    return torch.where(chosen & (fate >= 0.9), word, masked), labels


@masking.misconception
def drawn_from_the_batch(input_ids, special, mask_id, vocab_size, generator):
    """The random tokens are those of the batch in another order. They should be drawn from the
    whole vocabulary: a false word may be any word.

    where the random ids come from: torch.randint, between 0 and vocab_size.
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    labels = input_ids.masked_fill(~chosen, -100)
    fate = torch.rand(shape, generator=generator)
    order = torch.randperm(input_ids.numel(), generator=generator)
    words = input_ids.flatten()[order].view(shape)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    return torch.where(chosen & (fate >= 0.9), words, masked), labels


@masking.misconception
def generator_ignored(input_ids, special, mask_id, vocab_size, generator):
    """The same seed gives another result every time: at least one of your draws does not use the
    generator. Nobody could repeat your experiment.

    every call of torch.rand, torch.randint and the like. Each takes generator=generator.
    """
    shape = input_ids.shape
    chosen = (torch.rand(shape) < 0.15) & ~special
    labels = input_ids.masked_fill(~chosen, -100)
    fate = torch.rand(shape)
    words = torch.randint(vocab_size, shape)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    return torch.where(chosen & (fate >= 0.9), words, masked), labels


@masking.misconception
def seeded_in_every_call(input_ids, special, mask_id, vocab_size, generator):
    """Every call gives the same result, though the generator has moved on. With a seed set inside
    the function, the same words would be hidden in every round of the training.

    manual_seed, or a generator of your own. The one that is given needs no seed from you.
    """
    shape = input_ids.shape
    generator.manual_seed(0)
    chosen = (torch.rand(shape, generator=generator) < 0.15) & ~special
    labels = input_ids.masked_fill(~chosen, -100)
    fate = torch.rand(shape, generator=generator)
    words = torch.randint(vocab_size, shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < 0.8), mask_id)
    return torch.where(chosen & (fate >= 0.9), words, masked), labels


# 08c-mean-pooling


def mean_pool(hidden, attention_mask):
    real = attention_mask.unsqueeze(-1)  # (N, L, 1): the same for all features of a token
    total = (hidden * real).sum(dim=1)  # (N, E)
    return total / real.sum(dim=1).clamp(min=1)  # a sentence of nothing but padding gives 0


pooling = Exercise(
    id="08c-mean-pooling",
    reference=mean_pool,
    returns=("pooled",),
    probes=(
        {  # no padding
            "hidden": torch.tensor([[[1.0, 2.0], [4.0, 8.0]]]),
            "attention_mask": torch.tensor([[1, 1]]),
        },
        {  # padding that is not zero
            "hidden": torch.tensor([[[2.0, 1.0], [5.0, 0.0], [9.0, 7.0]]]),
            "attention_mask": torch.tensor([[1, 1, 0]]),
        },
        {  # sentences of different lengths, padding on either side, a feature that is 0
            "hidden": torch.tensor(
                [[[1.0, 4.0], [6.0, -1.0], [2.0, 3.0]], [[8.0, 7.0], [3.0, 0.0], [-2.0, 5.0]]]
            ),
            "attention_mask": torch.tensor([[1, 0, 0], [0, 1, 1]]),
        },
        {  # all sides equal, so that a mask on the wrong axis fits too
            "hidden": torch.tensor(
                [
                    [[1.0, 4.0, -2.0], [3.0, 0.0, 7.0], [9.0, 5.0, 6.0]],
                    [[2.0, 8.0, 1.0], [7.0, -6.0, 3.0], [4.0, 9.0, -5.0]],
                    [[5.0, 3.0, 4.0], [-1.0, 2.0, 6.0], [8.0, 1.0, 9.0]],
                ]
            ),
            "attention_mask": torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1]]),
        },
    ),
    beyond=(
        {  # the second sentence is nothing but padding
            "hidden": torch.tensor([[[1.0, 2.0], [3.0, 6.0]], [[4.0, 5.0], [7.0, 8.0]]]),
            "attention_mask": torch.tensor([[1, 1], [0, 0]]),
        },
    ),
    hints=(
        "One vector for a sentence: the mean of its tokens' vectors. Padding has vectors too, and "
        "they should not count. Where do they enter a mean? There are two places.",
        "They enter the sum and the number that you divide by. Multiplied by the mask, padding "
        "adds nothing to the sum; and the sum of the mask is the number of real tokens. The mask "
        "has no axis for the features yet.",
        "real = attention_mask.unsqueeze(-1) has the shape (N, L, 1). Divide "
        "(hidden * real).sum(dim=1) by real.sum(dim=1). clamp(min=1) on the latter avoids 0/0.",
    ),
)


@pooling.misconception
def padding_counted(hidden, attention_mask):
    """This is the mean over all places, padding included. The same sentence gets another vector
    as soon as a longer one stands in its batch.

    where attention_mask is used in your code.
    """
    return hidden.mean(dim=1)


@pooling.misconception
def divided_by_all_places(hidden, attention_mask):
    """Padding adds nothing to your sum, but you divide by the number of all places. The more
    padding a sentence has, the shorter its vector becomes.

    the divisor. mean() divides by L; the real tokens are fewer.
    """
    return (hidden * attention_mask.unsqueeze(-1)).mean(dim=1)


@pooling.misconception
def not_divided(hidden, attention_mask):
    """This is the sum over the real tokens, and it has not been divided. A long sentence then
    gets a longer vector than a short one.

    the step after the sum: how many tokens are real?
    """
    return (hidden * attention_mask.unsqueeze(-1)).sum(dim=1)


@pooling.misconception
def sum_of_everything(hidden, attention_mask):
    """This is the sum over all places, padding included, and it has not been divided. Neither
    number of a mean knows yet which tokens are real.

    what is added up, and what the sum is divided by. The mask belongs in both.
    """
    return hidden.sum(dim=1)


@pooling.misconception
def padding_added(hidden, attention_mask):
    """You divide by the number of real tokens, but the sum still has the padding in it. Its
    vectors are not zero.

    the sum. What is a vector of padding to be multiplied by?
    """
    return hidden.sum(dim=1) / attention_mask.sum(dim=1, keepdim=True)


@pooling.misconception
def only_the_padding(hidden, attention_mask):
    """The mask works the wrong way round: this is the mean over the padding. Where there is none
    it is 0 divided by 0, which is not a number (NaN).

    what becomes of the mask before it is multiplied: 1 stands for a real token.
    """
    padding = 1 - attention_mask.unsqueeze(-1)
    return (hidden * padding).sum(dim=1) / padding.sum(dim=1)


@pooling.misconception
def first_token(hidden, attention_mask):
    """This is the vector of the first token, [CLS]. A classifier that was trained with it may use
    it so; without that training it is a poor summary of the sentence. The exercise asks for the
    mean.

    the index in your code. All the tokens take part.
    """
    return hidden[:, 0]


@pooling.misconception
def last_place(hidden, attention_mask):
    """This is the vector at the last place, whatever stands there; often it is padding. The
    exercise asks for the mean.

    the index in your code. All the real tokens take part.
    """
    return hidden[:, -1]


@pooling.misconception
def maximum(hidden, attention_mask):
    """This is max pooling: of each feature, the largest value among the real tokens. It is used
    too, but the exercise asks for the mean.

    the function that makes one vector of many.
    """
    padding = attention_mask.unsqueeze(-1) == 0
    return hidden.masked_fill(padding, -torch.inf).amax(dim=1)


@pooling.misconception
def maximum_of_everything(hidden, attention_mask):
    """This is max pooling, and padding takes part: of each feature, the largest value among all
    places. The exercise asks for the mean of the real tokens.

    the function that makes one vector of many, and where attention_mask is used.
    """
    return hidden.amax(dim=1)


@pooling.misconception
def minus_infinity(hidden, attention_mask):
    """Padding is filled with minus infinity, and then it spoils the mean. That trick hides scores
    from a softmax, or places from a maximum; what adds nothing to a sum is 0.

    the number that padding is filled with.
    """
    padding = attention_mask.unsqueeze(-1) == 0
    total = hidden.masked_fill(padding, -torch.inf).sum(dim=1)
    return total / attention_mask.sum(dim=1, keepdim=True)


@pooling.misconception
def over_the_features(hidden, attention_mask):
    """The mean runs over the features: one number is left of each token. It should run over the
    tokens, so that one number is left of each feature.

    the dim. In (N, L, E) the tokens stand in the middle.
    """
    return hidden.mean(dim=-1)


@pooling.misconception
def over_the_sentences(hidden, attention_mask):
    """The mean runs over the sentences: the first tokens of all of them are averaged, then the
    second ones. Each sentence should get a vector of its own.

    the dim. In (N, L, E) the first axis holds the sentences.
    """
    real = attention_mask.unsqueeze(-1)
    return (hidden * real).sum(dim=0) / real.sum(dim=0).clamp(min=1)


@pooling.misconception
def one_vector_for_the_batch(hidden, attention_mask):
    """There is one vector for the whole batch: all real tokens of all sentences in one mean. That
    also happens with hidden[attention_mask.bool()], which forgets which sentence a token is from.

    the shape, which should be (N, E).
    """
    return hidden[attention_mask.bool()].mean(dim=0)


@pooling.misconception
def divided_by_the_batch(hidden, attention_mask):
    """You divide by the number of real tokens in the whole batch. Each sentence should be divided
    by its own.

    the sum of the mask. It needs to know which axis to run over.
    """
    return (hidden * attention_mask.unsqueeze(-1)).sum(dim=1) / attention_mask.sum()


@pooling.misconception
def mask_along_the_features(hidden, attention_mask):
    """The mask is laid along the features: it has its new axis in the middle, as (N, 1, L). That
    fits only where there are as many features as tokens, and then it hides features. Elsewhere
    it is an error about sizes.

    where the new axis goes. The shape should be (N, L, 1).
    """
    total = (hidden * attention_mask.unsqueeze(1)).sum(dim=1)
    return total / attention_mask.sum(dim=1, keepdim=True)


@pooling.misconception
def mask_without_new_axis(hidden, attention_mask):
    """The mask, (N, L), is multiplied as it is, so its axes are lined up with tokens and features.
    That fits only where all sizes are equal, and even then it hides features. Elsewhere it is
    an error about sizes.

    the shape of the mask. It lacks an axis for the features.
    """
    return (hidden * attention_mask).sum(dim=1) / attention_mask.sum(dim=1, keepdim=True)


@pooling.misconception
def counts_without_axis(hidden, attention_mask):
    """The counts, (N,), are lined up with the features: each feature is divided by the length of
    another sentence. It goes unnoticed for a single sentence; elsewhere it is mostly an error
    about sizes.

    the shape of the counts. (N, 1) divides each row by its own.
    """
    return (hidden * attention_mask.unsqueeze(-1)).sum(dim=1) / attention_mask.sum(dim=1)


@pooling.misconception
def zeros_not_counted(hidden, attention_mask):
    """You divide by how many numbers are not 0. A feature of a real token may be 0, and it counts
    as well.

    the divisor. The mask alone knows which tokens are real.
    """
    masked = hidden * attention_mask.unsqueeze(-1)
    return masked.sum(dim=1) / (masked != 0).sum(dim=1)


@pooling.misconception
def counted_from_the_left(hidden, attention_mask):
    """You count the real tokens and average that many from the left. That fits where padding
    comes last; here it comes first in one sentence.

    which tokens take part. The mask says it for each place.
    """
    counts = attention_mask.sum(dim=1).tolist()
    return torch.stack([row[:n].mean(dim=0) for row, n in zip(hidden, counts, strict=True)])


@pooling.misconception
def first_left_out(hidden, attention_mask):
    """The first place does not take part. [CLS] is no word, but it is a real token, and its
    vector knows the sentence as well as the others do. The mean is over all that the mask marks
    with 1.

    the slice in your code.
    """
    real = attention_mask[:, 1:].unsqueeze(-1)
    return (hidden[:, 1:] * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)


@pooling.misconception
def special_left_out(hidden, attention_mask):
    """The first and the last real token do not take part. [CLS] and [SEP] are no words, but they
    are real tokens. The mean is over all that the mask marks with 1.

    what becomes of the mask before it is multiplied.
    """
    from_left = attention_mask.cumsum(1)
    inner = attention_mask * (from_left > 1) * (from_left < from_left[:, -1:])
    real = inner.unsqueeze(-1)
    return (hidden * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)


@pooling.misconception
def divided_by_the_root(hidden, attention_mask):
    """The sum is divided by the square root of the number of real tokens. A mean is divided by
    the number itself.

    the divisor. It is the plain number of real tokens.
    """
    real = attention_mask.unsqueeze(-1)
    return (hidden * real).sum(dim=1) / real.sum(dim=1).sqrt()


@pooling.misconception
def rounded_down(hidden, attention_mask):
    """The means are rounded down to whole numbers. In Python // divides so, and a conversion to
    whole numbers does nearly the same.

    the division, and any long() or int() in your code that hidden goes through.
    """
    real = attention_mask.unsqueeze(-1)
    return (hidden * real).sum(dim=1) // real.sum(dim=1).clamp(min=1)


@pooling.misconception
def normalised(hidden, attention_mask):
    """The direction of each vector is right, but it has been scaled to the length 1. That is often
    done after the pooling, to compare sentences; the exercise asks for the mean itself.

    the last step. Leave it out.
    """
    real = attention_mask.unsqueeze(-1)
    return F.normalize((hidden * real).sum(dim=1) / real.sum(dim=1).clamp(min=1), dim=-1)


@pooling.misconception
def token_axis_kept(hidden, attention_mask):
    """The numbers are right, but the axis of the tokens is still there, with a size of one. Of
    each sentence a single vector should be left.

    the shape, which should be (N, E), and any keepdim in your code.
    """
    real = attention_mask.unsqueeze(-1)
    return (hidden * real).sum(dim=1, keepdim=True) / real.sum(dim=1, keepdim=True).clamp(min=1)


@pooling.remark
def empty_sentence_nan(hidden, attention_mask):
    """A sentence of nothing but padding gets NaN here, because 0 is divided by 0. The course's own
    function gives zeros, so that one empty line cannot spoil a whole batch.

    the divisor, which clamp(min=1) keeps away from 0.
    """
    real = attention_mask.unsqueeze(-1)
    return (hidden * real).sum(dim=1) / real.sum(dim=1)


# 08c-cosine


def cosine_similarity(a, b):
    product = (a * b).sum(dim=-1)
    lengths = a.norm(dim=-1) * b.norm(dim=-1)
    return product / lengths.clamp(min=1e-8)  # a vector of zeros has no direction: 0


cosine = Exercise(
    id="08c-cosine",
    reference=cosine_similarity,
    returns=("cosine",),
    probes=(
        {"a": torch.tensor([3.0, 4.0]), "b": torch.tensor([12.0, 5.0])},
        {  # two pairs, as many as features
            "a": torch.tensor([[1.0, 2.0], [3.0, -1.0]]),
            "b": torch.tensor([[2.0, 1.0], [-1.0, 2.0]]),
        },
        {  # one vector, compared with each of two
            "a": torch.tensor([1.0, 2.0, 2.0]),
            "b": torch.tensor([[2.0, -1.0, 2.0], [-4.0, -3.0, 0.0]]),
        },
        {  # two more axes in front
            "a": torch.tensor([[[1.0, 0.0], [2.0, 2.0]], [[0.0, 3.0], [-1.0, 1.0]]]),
            "b": torch.tensor([[[1.0, 1.0], [0.5, -2.0]], [[2.0, 1.0], [-3.0, 0.0]]]),
        },
    ),
    beyond=(
        {  # a vector of zeros has no direction
            "a": torch.tensor([[0.0, 0.0], [3.0, 4.0]]),
            "b": torch.tensor([[1.0, 2.0], [6.0, 8.0]]),
        },
    ),
    hints=(
        "The cosine asks how much two vectors point the same way, however long they are. The dot "
        "product is large for that reason, but also when the vectors are long. How do you take "
        "the lengths out?",
        "cos(a, b) = a·b / (|a| |b|). The dot product multiplies number by number and adds up "
        "along the last axis. The length of a vector is the root of the sum of its squares, along "
        "the same axis.",
        "(a * b).sum(dim=-1), divided by a.norm(dim=-1) * b.norm(dim=-1). dim=-1 works whatever "
        "axes stand in front.",
    ),
)


@cosine.misconception
def dot_product(a, b):
    """This is the dot product. It grows with the lengths of the vectors, so a long vector seems
    similar to everything. A cosine lies between -1 and 1.

    the step after the dot product, which takes the lengths out.
    """
    return (a * b).sum(dim=-1)


@cosine.misconception
def first_length_only(a, b):
    """You divide by the length of a alone. The length of b is still in your result, and the
    similarity of a to b is another one than that of b to a.

    the divisor. Both lengths belong in it.
    """
    return (a * b).sum(dim=-1) / a.norm(dim=-1)


@cosine.misconception
def second_length_only(a, b):
    """You divide by the length of b alone. The length of a is still in your result, and the
    similarity of a to b is another one than that of b to a.

    the divisor. Both lengths belong in it.
    """
    return (a * b).sum(dim=-1) / b.norm(dim=-1)


@cosine.misconception
def one_length_twice(a, b):
    """You divide by the length of a twice, where one of the two should be that of b.

    the two lengths in the divisor, if the second was copied from the first.
    """
    return (a * b).sum(dim=-1) / (a.norm(dim=-1) * a.norm(dim=-1))


@cosine.misconception
def squared_lengths(a, b):
    """You divide by the squares of the lengths. A length is the square root of the sum of
    squares, and the root is missing.

    what you call the length of a vector: for [3, 4] it is 5.
    """
    return (a * b).sum(dim=-1) / ((a * a).sum(dim=-1) * (b * b).sum(dim=-1))


@cosine.misconception
def lengths_without_squares(a, b):
    """You take the sum of the absolute values for the length of a vector. That is another norm,
    the one of order 1; the cosine needs the root of the sum of squares.

    what you call the length of a vector: for [3, 4] it is 5.
    """
    return (a * b).sum(dim=-1) / (a.norm(p=1, dim=-1) * b.norm(p=1, dim=-1))


@cosine.misconception
def lengths_added(a, b):
    """You divide by the sum of the two lengths. They belong multiplied: then it does not matter
    how long the vectors are.

    the operator between the two lengths.
    """
    return (a * b).sum(dim=-1) / (a.norm(dim=-1) + b.norm(dim=-1))


@cosine.misconception
def precedence(a, b):
    """You divide by the length of a and multiply by that of b. Python works x / y * z out from
    the left, as (x / y) * z.

    the brackets around the divisor.
    """
    return (a * b).sum(dim=-1) / a.norm(dim=-1) * b.norm(dim=-1)


@cosine.misconception
def mean_instead_of_sum(a, b):
    """The products are averaged where they should be added up, so your result is too small by the
    number of features.

    the step after the product of a and b.
    """
    return (a * b).mean(dim=-1) / (a.norm(dim=-1) * b.norm(dim=-1))


@cosine.misconception
def not_added_up(a, b):
    """The products are there, one for each feature, but they have not been added up. Each pair
    of vectors should give one number.

    the step after the product, which adds up along the last axis.
    """
    return F.normalize(a, dim=-1) * F.normalize(b, dim=-1)


@cosine.misconception
def distance(a, b):
    """This is the cosine distance, 1 minus the similarity. It is 0 for vectors that point the
    same way; a similarity is 1 there.

    the last step. Leave the subtraction out.
    """
    return 1 - F.cosine_similarity(a, b, dim=-1)


@cosine.misconception
def angle(a, b):
    """This is the angle between the vectors. The exercise asks for its cosine, which is what you
    had one step earlier.

    the last step. Leave acos out.
    """
    return F.cosine_similarity(a, b, dim=-1).acos()


@cosine.misconception
def absolute_value(a, b):
    """The sign is lost: you give the absolute value. Vectors that point in opposite directions
    have a cosine of -1, and that is as unlike as two vectors can be.

    the abs() in your code.
    """
    return F.cosine_similarity(a, b, dim=-1).abs()


@cosine.misconception
def squared(a, b):
    """This is the square of the cosine. Its sign is lost, and it is too small in between.

    the power at the end, or squares that came in when you took roots away.
    """
    return F.cosine_similarity(a, b, dim=-1) ** 2


@cosine.misconception
def negatives_cut_off(a, b):
    """Negative cosines have become 0. A cosine lies between -1 and 1, and below 0 it says that
    two vectors point away from each other.

    the clamp or the relu in your code.
    """
    return F.cosine_similarity(a, b, dim=-1).clamp(min=0)


@cosine.misconception
def between_zero_and_one(a, b):
    """The cosine has been moved and scaled, from between -1 and 1 to between 0 and 1. The order is
    the same, but the exercise asks for the cosine itself: 0 means that two vectors have nothing
    in common.

    the last step. Leave it out.
    """
    return (F.cosine_similarity(a, b, dim=-1) + 1) / 2


@cosine.misconception
def euclidean_distance(a, b):
    """This is the distance between the ends of the vectors. It is 0 for equal ones, and depends
    on how long they are; a cosine compares the directions alone.

    the minus between a and b. They should be multiplied.
    """
    return (a - b).norm(dim=-1)


@cosine.misconception
def correlation(a, b):
    """You subtract the mean of each vector first. That makes a correlation; a cosine takes the
    vectors as they are.

    the lines in front of the product.
    """
    a, b = a - a.mean(dim=-1, keepdim=True), b - b.mean(dim=-1, keepdim=True)
    return F.cosine_similarity(a, b, dim=-1)


@cosine.misconception
def length_of_the_whole(a, b):
    """Your lengths are those of the whole tensors: norm() without a dim runs over everything. For
    a single pair that is right; among several, each vector has a length of its own.

    the two norms. They run along the last axis, as the sum does.
    """
    return (a * b).sum(dim=-1) / (a.norm() * b.norm())


@cosine.misconception
def one_cosine_for_all(a, b):
    """There is one number for everything: the whole tensors are compared as if they were two long
    vectors. Each pair of vectors should get its own.

    the sum and the norms. They run along the last axis only.
    """
    a, b = torch.broadcast_tensors(a, b)
    return F.cosine_similarity(a.flatten(), b.flatten(), dim=0)


@cosine.misconception
def mean_of_the_cosines(a, b):
    """The cosines are averaged to a single number. Each pair of vectors should get its own.

    the last step. Leave the mean out.
    """
    return F.cosine_similarity(a, b, dim=-1).mean()


@cosine.misconception
def over_the_first_axis(a, b):
    """Sum and lengths run along the first axis: features of different vectors are compared. For
    two single vectors that axis is the last one, and all is well.

    every dim in your code. Which way of counting finds the last axis whatever stands before it?
    """
    return (a * b).sum(dim=0) / (a.norm(dim=0) * b.norm(dim=0))


@cosine.misconception
def over_axis_one(a, b):
    """Sum and lengths run along axis 1. In a table that is the last axis; a single vector has no
    axis 1, and with three axes it lies in the middle.

    every dim in your code. Which way of counting finds the last axis whatever stands before it?
    """
    return (a * b).sum(dim=1) / (a.norm(dim=1) * b.norm(dim=1))


@cosine.misconception
def dim_left_out(a, b):
    """Unless it is told otherwise, torch's own F.cosine_similarity runs along axis 1. In a table
    that is the last axis; a single vector has no axis 1, and with three axes it lies in the
    middle.

    the call of F.cosine_similarity, which takes a dim.
    """
    return F.cosine_similarity(a, b)


@cosine.misconception
def feature_axis_kept(a, b):
    """The numbers are right, but the last axis is still there, with a size of one.

    the shape, in which no axis is left for the features, and any keepdim in your code.
    """
    return F.cosine_similarity(a, b, dim=-1).unsqueeze(-1)


@cosine.misconception
def all_pairs(a, b):
    """You compare every vector of a with every vector of b. Here they come in pairs: the first
    with the first, the second with the second. Your diagonal holds what was asked for.

    the matrix product. Number by number, a * b, keeps the pairs.
    """
    table = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).transpose(-2, -1)
    return table


@cosine.remark
def zero_vector_nan(a, b):
    """A vector of zeros gets NaN here, because 0 is divided by 0. It has no direction, so no
    number is right; the course's own function, like torch's, gives 0, which harms nothing that
    comes after.

    the divisor, which a small clamp keeps away from 0.
    """
    return (a * b).sum(dim=-1) / (a.norm(dim=-1) * b.norm(dim=-1))


EXERCISES = (masking, pooling, cosine)
