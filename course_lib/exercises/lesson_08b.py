"""The exercises of lesson 08b, the Transformer from scratch, and the wrong answers often given.

Each wrong answer is a whole small program.  Its docstring is what the student reads: what the
code does instead and how one can tell, then where to look.

Letters in shapes: N sentences, L tokens, E = embed_size, V = vocabulary size.
"""

# mypy: allow-untyped-defs, disable-error-code="var-annotated"
# A solution is pasted into the lesson as it stands: it may use what the lesson imports, no more.
import math
from collections.abc import Callable
from dataclasses import dataclass
from operator import index
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.exercises.engine import Answer, Exercise, Probe
from course_lib.exercises.observation import Verdict, named

# 08b-positions


def sinusoidal_positions(length, embed_size):
    position = torch.arange(length)[:, None]  # (length, 1)
    pair = torch.arange(0, embed_size, 2)  # the even numbers 2i: (embed_size / 2,)
    angles = position / 10_000 ** (pair / embed_size)  # (length, embed_size / 2)
    waves = torch.stack([angles.sin(), angles.cos()], dim=-1)  # (length, embed_size / 2, 2)
    return waves.flatten(1)  # sine and cosine take turns: (length, embed_size)


positions = Exercise(
    id="08b-positions",
    reference=sinusoidal_positions,
    returns=("positions",),
    probes=(
        {"length": 2, "embed_size": 2},  # one pair, so one wavelength
        {"length": 3, "embed_size": 4},
        {"length": 4, "embed_size": 6},
        {"length": 60, "embed_size": 8},  # far enough for the slow waves to move
    ),
    hints=(
        "Each position gets a row, and the row is filled in pairs: the sine and the cosine of "
        "one angle, then of the next. So first make a table of angles, with a column for each "
        "pair, and think about sine and cosine afterwards.",
        "The angle of position p and pair i is p / 10000^(2i/E). A column of positions, of shape "
        "(length, 1), divided by a row of E/2 divisors gives the whole table at once. In the "
        "result the sines go into the columns 0, 2, 4, ... and the cosines into 1, 3, 5, ...",
        "position = torch.arange(length)[:, None], pair = torch.arange(0, embed_size, 2), and "
        "angles = position / 10_000 ** (pair / embed_size). Make a table of zeros of the final "
        "shape, and assign angles.sin() to its columns [:, 0::2] and angles.cos() to [:, 1::2].",
    ),
)


@positions.misconception
def sine_everywhere(length, embed_size):
    """Every number is a sine, so each wave stands there twice. At its crests a sine hardly moves
    and cannot tell neighbours apart; the cosine moves fastest just there, and it is missing.

    the odd columns, 1, 3, 5, ... Which function do they take of the pair's angle?
    """
    position = torch.arange(length)[:, None]
    angles = position / 10_000 ** (torch.arange(0, embed_size, 2) / embed_size)
    return angles.sin().repeat_interleave(2, dim=1)


@positions.misconception
def cosine_everywhere(length, embed_size):
    """Every number is a cosine, so each wave stands there twice, and position 0 is all ones. The
    even columns should hold the sine of the same angle.

    the even columns, 0, 2, 4, ... At position 0 they should be 0.
    """
    position = torch.arange(length)[:, None]
    angles = position / 10_000 ** (torch.arange(0, embed_size, 2) / embed_size)
    return angles.cos().repeat_interleave(2, dim=1)


@positions.misconception
def sine_and_cosine_exchanged(length, embed_size):
    """Sine and cosine have changed places: your even columns hold the cosine, and the odd ones
    the sine. Position 0 begins with 0, 1 in the paper's order, and with 1, 0 in yours.

    which of the two is assigned to the columns 0, 2, 4, ...
    """
    position = torch.arange(length)[:, None]
    angles = position / 10_000 ** (torch.arange(0, embed_size, 2) / embed_size)
    return torch.stack([angles.cos(), angles.sin()], dim=-1).flatten(1)


@positions.misconception
def halves_side_by_side(length, embed_size):
    """The numbers are all right, in another order: first all the sines, then all the cosines.
    Some programs do it so, and a model learns as well with it. The paper lets sine and cosine
    take turns, and weights that were trained with one order do not fit the other.

    how the sines and the cosines are joined. Each sine is followed by its own cosine.
    """
    position = torch.arange(length)[:, None]
    angles = position / 10_000 ** (torch.arange(0, embed_size, 2) / embed_size)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@positions.misconception
def own_wavelength_for_each_number(length, embed_size):
    """Sine and cosine take turns, but every column has a wavelength of its own. A sine and the
    cosine after it belong together: they show one angle, like the two coordinates of a clock's
    hand.

    the exponent in an odd column 2i + 1. It is 2i/E, the same as in the column before it.
    """
    position = torch.arange(length)[:, None]
    column = torch.arange(embed_size)
    angles = position / 10_000 ** (column / embed_size)
    return torch.where(column % 2 == 0, angles.sin(), angles.cos())


@positions.misconception
def exponent_halved(length, embed_size):
    """The exponent is i/E where it should be 2i/E. The wavelengths grow only half as far, and
    the slow waves that tell distant places apart are missing.

    the numbers in the exponent. For a vector of 6 numbers they run 0/6, 2/6, 4/6.
    """
    position = torch.arange(length)[:, None]
    angles = position / 10_000 ** (torch.arange(embed_size // 2) / embed_size)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@positions.misconception
def exponent_doubled(length, embed_size):
    """The exponent is twice what it should be, 4i/E. That happens when numbers that count 0, 2,
    4, ... already are doubled once more. The wavelengths grow too fast, and the later columns
    hardly move.

    the numbers in the exponent. For a vector of 6 numbers they run 0/6, 2/6, 4/6.
    """
    position = torch.arange(length)[:, None]
    angles = position / 10_000 ** (2 * torch.arange(0, embed_size, 2) / embed_size)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@positions.misconception
def pairs_counted_from_one(length, embed_size):
    """The pairs are counted from 1, so the first one already has the wavelength of the second.
    The fastest wave, sin(p) and cos(p), is missing.

    the range that i runs through. For the columns 0 and 1 it is 0, and 10000^0 is 1.
    """
    position = torch.arange(length)[:, None]
    angles = position / 10_000 ** (torch.arange(2, embed_size + 2, 2) / embed_size)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@positions.misconception
def power_before_fraction(length, embed_size):
    """The exponent is 2i alone, and the division by E comes after the power. Python computes a
    power before a division, so 10000 ** a / b means (10000 ** a) / b.

    the brackets around the exponent. The whole fraction 2i/E belongs inside.
    """
    position = torch.arange(length)[:, None]
    angles = position / 10_000.0 ** torch.arange(0, embed_size, 2) / embed_size
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@positions.misconception
def exponent_by_length(length, embed_size):
    """The exponent is divided by the length of the sentence. A position would then get another
    vector in a longer sentence; what counts is how many numbers a vector has.

    the number below the fraction in the exponent. It is E, embed_size.
    """
    position = torch.arange(length)[:, None]
    angles = position / 10_000 ** (torch.arange(0, embed_size, 2) / length)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@positions.misconception
def base_one_thousand(length, embed_size):
    """Your waves come from a base of 1000; the paper's base is 10000. The slow waves repeat too
    early.

    the number that is raised to a power. It has four zeros.
    """
    position = torch.arange(length)[:, None]
    angles = position / 1_000 ** (torch.arange(0, embed_size, 2) / embed_size)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@positions.misconception
def one_wavelength_for_all(length, embed_size):
    """All the pairs are the same wave, sin(p) and cos(p). It comes round every 6.3 places, so
    position 44 looks almost like position 0. Each pair needs a wavelength of its own.

    the angle. Something below the fraction should grow from pair to pair.
    """
    position = torch.arange(length)[:, None].float()
    angles = position.expand(-1, embed_size // 2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@positions.misconception
def angle_multiplied(length, embed_size):
    """The position is multiplied by the power of 10000 where it should be divided by it. The
    waves get faster from pair to pair instead of slower, and neighbours have nothing in common.

    the sign of the exponent, or the operator in front of the power.
    """
    position = torch.arange(length)[:, None]
    angles = position * 10_000 ** (torch.arange(0, embed_size, 2) / embed_size)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@positions.misconception
def counted_from_one(length, embed_size):
    """The positions are counted from 1. The rows are right, but each stands one place too early:
    your first row is what position 1 should get.

    the first row. The first position is 0, and its sines are 0 and its cosines 1.
    """
    position = torch.arange(1, length + 1)[:, None]
    angles = position / 10_000 ** (torch.arange(0, embed_size, 2) / embed_size)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@positions.misconception
def shares_of_the_length(length, embed_size):
    """The positions are shares of the length, from 0 to 1, where they should be 0, 1, 2, ... The
    third word would then get another vector in every sentence of another length, and neighbours
    in a long one could hardly be told apart.

    what stands above the fraction: p itself.
    """
    position = torch.arange(length)[:, None] / length
    angles = position / 10_000 ** (torch.arange(0, embed_size, 2) / embed_size)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@positions.misconception
def degrees(length, embed_size):
    """The angles are taken as degrees and converted. Sine and cosine in torch, as in the paper,
    take radians: position 1 of the first pair is sin(1), which is 0.84.

    the conversion in front of the sine. Nothing needs to be converted.
    """
    position = torch.arange(length)[:, None]
    angles = position / 10_000 ** (torch.arange(0, embed_size, 2) / embed_size)
    angles = angles * math.pi / 180
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@positions.misconception
def turns_down_the_rows(length, embed_size):
    """Sine and cosine take turns from row to row: even positions are all sines and odd ones all
    cosines. They should take turns inside each row.

    the axis that you step through by twos. Rows are positions, columns are numbers of a vector.
    """
    position = torch.arange(length)[:, None]
    angles = position / 10_000 ** (torch.arange(0, embed_size, 2) / embed_size)
    angles = angles.repeat_interleave(2, dim=1)
    return torch.where(position % 2 == 0, angles.sin(), angles.cos())


@positions.misconception
def lying_on_its_side(length, embed_size):
    """The numbers are right, but the table is lying on its side: a position runs down a column.
    Each position should be a row, so that row p can be added to word p.

    the shape, which should be (length, embed_size).
    """
    position = torch.arange(length)[:, None]
    angles = position / 10_000 ** (torch.arange(0, embed_size, 2) / embed_size)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).T


@positions.misconception
def additional_axis(length, embed_size):
    """The numbers are right, but there is an axis too many, in front of the two that were asked
    for. Sentences need no axis here: (length, embed_size) is added to all of them alike.

    the shape, which should be (length, embed_size).
    """
    position = torch.arange(length)[:, None]
    angles = position / 10_000 ** (torch.arange(0, embed_size, 2) / embed_size)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[None]


# 08b-block


def block_forward(x, attention, norm1, feed_forward, norm2):
    x = norm1(x + attention(x))  # look around, and keep what was there
    return norm2(x + feed_forward(x))  # think, and keep what was there


@dataclass(frozen=True)
class Part:
    """A stand-in for a layer of the block: what it computes, and words that show it."""

    words: str
    compute: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor, *others: Tensor) -> Tensor:
        if others:
            raise Verdict(
                "Each part of the block takes one tensor here. In particular, attention(x) is "
                "self-attention: it uses x for queries, keys and values by itself."
            )
        return self.compute(x)

    def __repr__(self) -> str:
        return self.words


def _normalise(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


_BY_HAND = {
    "attention": Part("mean of the tokens", lambda x: x.mean(1, True).expand_as(x).clone()),
    "norm1": Part("half of x", lambda x: x / 2),
    "feed_forward": Part("x squared", lambda x: x * x),
    "norm2": Part("a tenth of x", lambda x: x / 10),
}
_IN_EARNEST = {
    "attention": Part("self-attention without weights", lambda x: (x @ x.mT).softmax(-1) @ x),
    "norm1": Part("layer norm", _normalise),
    "feed_forward": Part("the ReLU of 3x - 1", lambda x: (3 * x - 1).relu()),
    "norm2": Part("layer norm, then 2x + 1", lambda x: 2 * _normalise(x) + 1),
}

block = Exercise(
    id="08b-block",
    reference=block_forward,
    returns=("output",),
    probes=(
        {"x": torch.tensor([[[2.0, 4.0], [6.0, 0.0]]]), **_BY_HAND},
        {"x": torch.tensor([[[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]]]), **_IN_EARNEST},
        {
            "x": torch.tensor(
                [
                    [[1.0, -2.0, 0.5, 1.0], [0.0, 1.0, 3.0, -1.0], [2.0, 1.0, 1.0, 0.0]],
                    [[-1.0, 0.0, 1.5, 2.0], [1.0, 1.0, -1.0, 0.5], [0.0, 3.0, 1.0, 1.0]],
                ]
            ),
            **_IN_EARNEST,
        },
    ),
    hints=(
        "The block has two halves of the same form. In each of them something is computed from "
        "the tokens, it is added to the tokens, and the sum is normalised. What is computed in "
        "the first half, and what in the second?",
        "First half: attention, its result plus its input, norm1. Second half: feed_forward, its "
        "result plus its input, norm2. The input of the second half is the output of the first.",
        "x = norm1(x + attention(x)) is the first half. The second line has the same form, with "
        "feed_forward and norm2, and returns its result.",
    ),
)


@block.misconception
def pre_norm(x, attention, norm1, feed_forward, norm2):
    """This is a pre-norm block: it normalises what goes into each part, and the sums stay as
    they are. It is a good block, and GPT-2 is built of it. The paper's block, and the one that
    holds BERT's weights, is post-norm: first the sum, then the norm.

    what goes into norm1 and norm2. Here each of them should get a sum.
    """
    x = x + attention(norm1(x))
    return x + feed_forward(norm2(x))


@block.misconception
def normalised_before_everything(x, attention, norm1, feed_forward, norm2):
    """Both norms come first in their half, and the sums are never normalised. Besides, x itself
    is replaced by its norm, so what is added back is no longer what came in.

    the order in each half: the part, the sum, and only then the norm.
    """
    x = norm1(x)
    x = x + attention(x)
    x = norm2(x)
    return x + feed_forward(x)


@block.misconception
def norm_on_the_branch(x, attention, norm1, feed_forward, norm2):
    """The norms see only what attention and feed-forward computed, and the sum comes after them.
    Then nothing keeps the sums in bounds, and they grow from block to block.

    the brackets of norm1 and norm2: the residual sum belongs inside.
    """
    x = x + norm1(attention(x))
    return x + norm2(feed_forward(x))


@block.misconception
def no_residual_around_attention(x, attention, norm1, feed_forward, norm2):
    """What attention computes replaces the tokens, where it should be added to them. The
    token's own vector, with its word and its place, is lost on the way.

    what goes into norm1. Something of the input should go past attention.
    """
    x = norm1(attention(x))
    return norm2(x + feed_forward(x))


@block.misconception
def no_residual_around_feed_forward(x, attention, norm1, feed_forward, norm2):
    """What the feed-forward layer computes replaces the tokens, where it should be added to
    them. What attention has gathered then gets through only as far as this layer lets it.

    what goes into norm2. It should get a sum, as norm1 does.
    """
    x = norm1(x + attention(x))
    return norm2(feed_forward(x))


@block.misconception
def no_residuals(x, attention, norm1, feed_forward, norm2):
    """There are no residual sums: each part replaces the tokens by what it computes. A
    stack of such blocks is hard to train, because nothing goes straight from bottom to top.

    the inputs of norm1 and norm2. Each should be what went into the part plus what came out.
    """
    return norm2(feed_forward(norm1(attention(x))))


@block.misconception
def one_residual_around_both(x, attention, norm1, feed_forward, norm2):
    """There is one long residual sum around attention and feed-forward together. The block needs
    two short ones: around attention, and around the feed-forward layer.

    the inputs of norm1 and norm2. Each should be what went into the part plus what came out.
    """
    attended = norm1(attention(x))
    return norm2(x + feed_forward(attended))


@block.misconception
def no_norm_after_attention(x, attention, norm1, feed_forward, norm2):
    """The sum of x and attention goes on without a norm: norm1 is never used, or its result is
    thrown away.

    the end of the first half. A norm returns a new tensor, which has to be kept.
    """
    x = x + attention(x)
    return norm2(x + feed_forward(x))


@block.misconception
def no_norm_at_the_end(x, attention, norm1, feed_forward, norm2):
    """The last sum is returned without a norm: norm2 is never used, or its result is thrown
    away. The next block would get numbers of any size.

    the end of the second half. It should close as the first one does.
    """
    x = norm1(x + attention(x))
    return x + feed_forward(x)


@block.misconception
def no_norms(x, attention, norm1, feed_forward, norm2):
    """Both sums are right, but neither is normalised. The numbers grow from block to block, and
    training such a stack becomes unstable.

    norm1 and norm2, which are given to your function and never change its result.
    """
    x = x + attention(x)
    return x + feed_forward(x)


@block.misconception
def norms_exchanged(x, attention, norm1, feed_forward, norm2):
    """The two norms have changed places. Each has learned a scale and a shift of its own, so
    with trained weights it matters which is which.

    norm1 belongs to attention, the first half; norm2 belongs to the feed-forward layer.
    """
    x = norm2(x + attention(x))
    return norm1(x + feed_forward(x))


@block.misconception
def first_norm_twice(x, attention, norm1, feed_forward, norm2):
    """norm1 is used in both halves, and norm2 not at all. They are two layers, and each learns
    a scale and a shift of its own.

    the line of the second half, if it was copied from the first.
    """
    x = norm1(x + attention(x))
    return norm1(x + feed_forward(x))


@block.misconception
def second_norm_twice(x, attention, norm1, feed_forward, norm2):
    """norm2 is used in both halves, and norm1 not at all. They are two layers, and each learns
    a scale and a shift of its own.

    the norm in the first half.
    """
    x = norm2(x + attention(x))
    return norm2(x + feed_forward(x))


@block.misconception
def feed_forward_on_the_input(x, attention, norm1, feed_forward, norm2):
    """The feed-forward layer gets the block's input, where it should get what attention has
    made of it. It thinks about each word as if the word stood alone.

    what goes into feed_forward. It comes after the first half, not beside it.
    """
    attended = norm1(x + attention(x))
    return norm2(attended + feed_forward(x))


@block.misconception
def second_residual_from_the_input(x, attention, norm1, feed_forward, norm2):
    """The second sum adds the block's input, where it should add the input of the feed-forward
    layer: the tokens as they are after the first half.

    the variable that is added to feed_forward's result. What went into that layer?
    """
    attended = norm1(x + attention(x))
    return norm2(x + feed_forward(attended))


@block.misconception
def attention_left_out(x, attention, norm1, feed_forward, norm2):
    """Attention makes no difference to your result: the second half starts again from the
    block's input. Without attention no token learns anything about the others.

    whether the result of the first half is kept, and used by the second.
    """
    return norm2(x + feed_forward(x))


@block.misconception
def half_a_block(x, attention, norm1, feed_forward, norm2):
    """This is the first half of a block: attention, the sum, and norm1. The feed-forward half
    is missing, or its result is not what you return.

    the `return` line, and where feed_forward is called.
    """
    return norm1(x + attention(x))


@block.misconception
def attention_in_both_halves(x, attention, norm1, feed_forward, norm2):
    """Both halves use attention, and the feed-forward layer is never called. Tokens look around
    twice, and never work on what they have seen.

    the line of the second half, if it was copied from the first.
    """
    x = norm1(x + attention(x))
    return norm2(x + attention(x))


@block.misconception
def attention_twice(x, attention, norm1, feed_forward, norm2):
    """Attention runs twice: once for the first sum, and again on the way into the feed-forward
    layer. Once the first half is done, its result goes into feed_forward as it is.

    what goes into feed_forward.
    """
    x = norm1(x + attention(x))
    return norm2(x + feed_forward(attention(x)))


@block.misconception
def feed_forward_first(x, attention, norm1, feed_forward, norm2):
    """The halves are in the wrong order: feed-forward comes first, and attention second. A token
    should first look around, and then think about what it has seen.

    the order of the two lines, and which norm goes with which part.
    """
    x = norm2(x + feed_forward(x))
    return norm1(x + attention(x))


@block.misconception
def halves_exchanged_but_not_norms(x, attention, norm1, feed_forward, norm2):
    """Attention and feed-forward have changed places. The sums and norms are where they should
    be, but a token should first look around, and then think about what it has seen.

    the part in each half. Attention belongs to norm1.
    """
    x = norm1(x + feed_forward(x))
    return norm2(x + attention(x))


@block.misconception
def side_by_side(x, attention, norm1, feed_forward, norm2):
    """Attention and feed-forward both start from the block's input, and their results are added
    at the end. They should work one after the other, so that each token thinks about what it
    has seen.

    what goes into feed_forward: the output of norm1.
    """
    return norm1(x + attention(x)) + norm2(x + feed_forward(x))


# 08b-teacher-forcing


def shift(trg):
    decoder_input = trg[:, :-1]  # start ... : what the decoder has read at each step
    labels = trg[:, 1:]  # ... end: what it should write next
    return decoder_input, labels


def _whole_numbers(attempt: Answer, probe: Probe) -> dict[str, Tensor]:
    seen = named(attempt(*probe.values()), "decoder_input", "labels")
    for name, ids in seen.items():
        if ids.is_floating_point():
            raise Verdict(
                f"`{name}` holds decimal numbers ({ids.dtype}). Ids are whole numbers: an "
                "embedding looks up nothing else. Cut pieces out of trg, which keep its dtype."
            )
    return seen


teacher_forcing = Exercise(
    id="08b-teacher-forcing",
    reference=shift,
    returns=("decoder_input", "labels"),
    observe=_whole_numbers,
    probes=(
        {"trg": torch.tensor([[1, 5, 6, 2]])},
        {"trg": torch.tensor([[1, 5, 6, 2], [1, 7, 2, 0]])},
        {"trg": torch.tensor([[1, 5, 6, 2, 0, 0], [1, 7, 8, 9, 2, 0], [1, 4, 2, 0, 0, 0]])},
    ),
    hints=(
        "Write a short sentence down twice, one copy below the other: what the decoder reads, "
        "and what it should write next. When it has read only the start, what should it write? "
        "And after the last word?",
        "The two are the same ids, moved against each other by one place, so each has one token "
        "less than trg. The one has no use for the last column, the other none for the first. "
        "Padding needs no special care here: the loss leaves it out later.",
        "The decoder reads trg[:, :-1], everything but the last column. The labels are "
        "everything but the first column. Return both, the input first.",
    ),
)


@teacher_forcing.misconception
def no_shift(trg):
    """Input and labels are the same. At every step the decoder would be asked for the token it
    has just read: it only has to copy, its loss goes to zero, and it cannot write a sentence.

    the labels. When the decoder has read the start and nothing else, what should it say?
    """
    return trg, trg


@teacher_forcing.misconception
def last_cut_from_both(trg):
    """Input and labels are the same: both lost their last column. The labels should be one
    step ahead, or the decoder learns to copy what it has just read.

    the labels. They begin with the first word, not with the start.
    """
    return trg[:, :-1], trg[:, :-1]


@teacher_forcing.misconception
def start_cut_from_both(trg):
    """Input and labels are the same: both lost the start. The decoder learns to copy what it has
    just read, and never sees the start token that a translation begins with.

    the decoder's input. It keeps the start, and gives up something else.
    """
    return trg[:, 1:], trg[:, 1:]


@teacher_forcing.misconception
def both_ends_cut_from_both(trg):
    """Input and labels are the same, without first and last column. The decoder would learn to
    copy, and never see how a sentence begins or how it ends.

    which of the two needs the start, and which the end.
    """
    return trg[:, 1:-1], trg[:, 1:-1]


@teacher_forcing.misconception
def results_swapped(trg):
    """The two are the wrong way round: your decoder reads what it should write, and is asked for
    the token before. It would learn to look back instead of ahead.

    which one begins with the start token. The decoder has to read something first.
    """
    return trg[:, 1:], trg[:, :-1]


@teacher_forcing.misconception
def whole_input(trg):
    """The labels are right, but the decoder's input is the whole target, one token longer. Then
    there are more predictions than labels, and the loss cannot pair them.

    the last column of the input. What should follow it?
    """
    return trg, trg[:, 1:]


@teacher_forcing.misconception
def whole_labels(trg):
    """The decoder's input is right, but the labels are the whole target. They have one token too
    many, and start with the start token, which nobody has to predict.

    the first column of the labels.
    """
    return trg[:, :-1], trg


@teacher_forcing.misconception
def labels_without_end(trg):
    """The labels lost their last column along with the first. The end token has to be predicted
    too: a decoder that never learned to write it does not know when to stop.

    the last column of the labels.
    """
    return trg[:, :-1], trg[:, 1:-1]


@teacher_forcing.misconception
def only_the_last_as_label(trg):
    """The input is right, but of the labels only the last column is left. The decoder predicts at
    every step at once: after the start the first word, after that the second, and so on.

    how many tokens a row of labels has: as many as a row of the input.
    """
    return trg[:, :-1], trg[:, -1:]


@teacher_forcing.misconception
def labels_padded(trg):
    """This would work: the whole target goes in, and the labels are filled up with padding, which
    the loss leaves out. But the last step is then computed in vain for every sentence. Here both
    should be one token shorter than trg.

    the last column of the input. Whatever follows it is not in trg.
    """
    return trg, F.pad(trg[:, 1:], (0, 1))


@teacher_forcing.misconception
def labels_rolled(trg):
    """The labels are one step ahead, but they were rolled: the start token came round to the far
    end. After the last token the decoder would be asked for the start.

    the last column of the labels. What falls out on the left should not come back.
    """
    return trg, trg.roll(-1, dims=1)


@teacher_forcing.misconception
def input_rolled(trg):
    """The input was rolled to the right: the last token came round to the front, and the labels
    still hold the start. trg has its start already, so nothing has to be put in front of it.

    the two pieces of trg that are left when one column is cut away from either side.
    """
    return trg.roll(1, dims=1), trg


@teacher_forcing.misconception
def two_steps_ahead(trg):
    """The labels are two steps ahead of the input. The decoder would be asked for a word before
    it has seen the one in front of it, and nobody asks it for the first word.

    how many columns you cut from each side. One is enough.
    """
    return trg[:, :-2], trg[:, 2:]


@teacher_forcing.misconception
def sentences_cut(trg):
    """You cut the first axis, and that holds the sentences: the input lost its last sentence and
    the labels their first. The decoder would be asked to write the next sentence's words.

    the axis of the slice. In (N, L) the tokens run along the second one.
    """
    return trg[:-1], trg[1:]


@teacher_forcing.misconception
def first_sentence_only(trg):
    """Only the first sentence comes back, and the axis of the sentences is gone. A batch holds N
    of them, and each is to be shifted.

    the first index. A colon there keeps all the sentences.
    """
    return trg[0, :-1], trg[0, 1:]


@teacher_forcing.misconception
def one_long_stream(trg):
    """The sentences are joined to one long row before the shift. Then the last token of one
    sentence is asked for the start of the next, and the decoder reads them all as one.

    the shape. Both results have N rows.
    """
    return trg.flatten()[:-1], trg.flatten()[1:]


@teacher_forcing.misconception
def end_erased(trg):
    """The labels are right. In the input you replaced the end token of shorter sentences by
    padding. That does no harm, because the label there is padding and does not count; but for
    the same reason there is no need for it.

    the input of a short sentence. Cutting the last column is all there is to do.
    """
    return trg[:, :-1].masked_fill(trg[:, 1:] == 0, 0), trg[:, 1:]


@teacher_forcing.misconception
def padding_renamed(trg):
    """The shift is right, but the padding in the labels has become -100. Some libraries mark what
    the loss should skip that way. In this course the labels keep their padding, and the loss is
    told its id, pad_idx.

    the step after the shift. There should be none.
    """
    return trg[:, :-1], trg[:, 1:].masked_fill(trg[:, 1:] == 0, -100)


# 08b-loss


def translation_loss(logits, labels, pad_idx):
    # One row of logits and one label for each token of the batch; those of padding do not count.
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=pad_idx)


def _with_gradient(attempt: Answer, probe: Probe) -> dict[str, Tensor]:
    """The loss, and whether a gradient leads from it back to the logits."""
    with torch.enable_grad():
        logits = probe["logits"].clone().requires_grad_() + 0  # no leaf: it may be worked on
        loss = attempt(logits, probe["labels"], probe["pad_idx"])
    probe["logits"].copy_(logits.detach())  # so that it is told when it was
    if isinstance(loss, float):
        raise Verdict(
            "Your function returned a plain number. Return the tensor, without .item(): training "
            "calls loss.backward(), and a plain number has no gradient."
        )
    seen = named(loss, "loss")["loss"]
    if seen.numel() != 1:
        raise Verdict(
            f"Your function returned {seen.numel()} numbers, of shape {tuple(seen.shape)}. "
            "Training needs a single one to go down: the mean over all real tokens of the batch."
        )
    return {"loss": seen.reshape(()), "gradient": torch.tensor(loss.requires_grad)}


loss = Exercise(
    id="08b-loss",
    reference=translation_loss,
    returns=("loss", "gradient"),
    observe=_with_gradient,
    probes=(
        {  # nothing is padding
            "logits": torch.tensor([[[2.0, 0.0, 1.0], [0.0, 0.0, 3.0]]]),
            "labels": torch.tensor([[1, 2]]),
            "pad_idx": 0,
        },
        {  # as many tokens as words, so that exchanged axes fit too
            "logits": torch.tensor([[[0.0, 2.0, 0.0], [1.0, 0.0, 2.0], [3.0, 0.0, 1.0]]]),
            "labels": torch.tensor([[2, 1, 0]]),
            "pad_idx": 0,
        },
        {  # sentences of unequal length
            "logits": torch.tensor(
                [
                    [[0.0, 2.0, 1.0, 0.0], [0.0, 0.0, 0.0, 2.0], [1.0, 0.0, 3.0, 0.0]],
                    [[0.0, 1.0, 0.0, 4.0], [1.0, 3.0, 0.0, 0.0], [0.0, 0.0, 2.0, 1.0]],
                ]
            ),
            "labels": torch.tensor([[3, 1, 2], [2, 0, 0]]),
            "pad_idx": 0,
        },
        # A batch of nothing but padding has no mean, and no probe asks for it.
        {  # another id of padding, and 0 is a word
            "logits": torch.tensor(
                [
                    [[0.0, 2.0, 1.0, 0.0], [0.0, 0.0, 0.0, 2.0], [1.0, 0.0, 3.0, 0.0]],
                    [[0.0, 1.0, 0.0, 4.0], [1.0, 3.0, 0.0, 0.0], [0.0, 0.0, 2.0, 1.0]],
                ]
            ),
            "labels": torch.tensor([[0, 1, 2], [1, 0, 3]]),
            "pad_idx": 3,
        },
    ),
    beyond=(
        {  # a label that the model thinks all but impossible, and one that it is sure of
            "logits": torch.tensor([[[0.0, 200.0, 0.0], [0.0, 200.0, 0.0]]]),
            "labels": torch.tensor([[2, 1]]),
            "pad_idx": 0,
        },
    ),
    hints=(
        "At each place the decoder gives a score to every word, and one word is right. How "
        "surprised is the model by it? Average that over the places that count. Which places "
        "do not count, and what do you divide by?",
        "F.cross_entropy takes a table with one row of logits for each prediction, and a list of "
        "labels. Sentences and tokens are both just predictions, so join the first two axes. One "
        "of its arguments names a label that it leaves out, of the sum and of the count.",
        "logits.flatten(0, 1) has the shape (N·L, V), and labels.flatten() has N·L entries. Give "
        "both to F.cross_entropy, with ignore_index=pad_idx.",
    ),
)


@loss.misconception
def padding_counted(logits, labels, pad_idx):
    """Padding counts like a word. The model earns points for writing padding after the end, and
    the more padding a batch has, the better it seems to be. If you did mask something, the mean
    had been taken before.

    how the loss learns which labels are padding. One argument of F.cross_entropy says it.
    """
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten())


@loss.misconception
def divided_by_all_places(logits, labels, pad_idx):
    """The losses at padding are set to 0, but the sum is still divided by all N·L places. The
    loss gets smaller with every place of padding, though the model is no better.

    the divisor. Count the labels that are words.
    """
    each = F.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=pad_idx, reduction="none"
    )
    return each.mean()


@loss.misconception
def mean_of_sentence_means(logits, labels, pad_idx):
    """You take the mean of each sentence, and then the mean of those. A word in a short sentence
    then counts more than a word in a long one; here every real token counts the same.

    the order of sum and division. Add everything up first, and divide once.
    """
    each = F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=pad_idx, reduction="none")
    real = labels != pad_idx
    return (each.sum(1) / real.sum(1)).mean()


@loss.misconception
def divided_by_sentences(logits, labels, pad_idx):
    """The losses of the real tokens are added up, but divided by the number of sentences. Long
    sentences then give a large loss, and the learning rate would have to follow.

    the divisor. The mean is over tokens, so count those that are not padding.
    """
    total = F.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=pad_idx, reduction="sum"
    )
    return total / len(labels)


@loss.misconception
def summed(logits, labels, pad_idx):
    """The losses of the real tokens are added up, and not divided. A large batch then gives a
    large loss and large steps; a mean stays comparable.

    the reduction. What is the sum to be divided by?
    """
    return F.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=pad_idx, reduction="sum"
    )


@loss.misconception
def softmax_first(logits, labels, pad_idx):
    """There are two softmaxes: F.cross_entropy does one by itself, on the raw logits, and you did
    another before it. Then even a perfect model cannot bring the loss near 0, and it learns
    slowly.

    what goes into F.cross_entropy: the logits as they are.
    """
    return F.cross_entropy(logits.softmax(-1).flatten(0, 1), labels.flatten(), ignore_index=pad_idx)


@loss.misconception
def zero_is_padding(logits, labels, pad_idx):
    """You leave out the id 0, whatever pad_idx says. Where padding has another id, it counts, and
    a real word does not.

    where pad_idx is used in your code.
    """
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=0)


@loss.misconception
def only_padding(logits, labels, pad_idx):
    """The choice is the wrong way round: the mean is over the padding, and the words are left
    out. Without any padding there is nothing left to average.

    the comparison with pad_idx. Which places does it keep?
    """
    each = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
    return each[labels == pad_idx].mean()


@loss.misconception
def shifted_again(logits, labels, pad_idx):
    """Logits and labels are shifted against each other once more. They fit already: the labels
    are one step ahead, since shift has made them. Now each prediction is compared with the word
    after the right one.

    the slices in front of the loss. None is needed.
    """
    return F.cross_entropy(
        logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=pad_idx
    )


@loss.misconception
def words_on_axis_one(logits, labels, pad_idx):
    """F.cross_entropy looks for the words on axis 1, and your axis 1 holds the tokens. It goes
    unnoticed where a sentence has as many tokens as the vocabulary has words; else it is an
    error about target sizes.

    the shape of what goes in: (N·L, V), or (N, V, L).
    """
    return F.cross_entropy(logits, labels, ignore_index=pad_idx)


@loss.misconception
def words_on_axis_one_and_padding_counted(logits, labels, pad_idx):
    """Two things are missing. F.cross_entropy looks for the words on axis 1, where yours are the
    tokens: mostly that is an error about target sizes. And nothing tells it which labels are
    padding.

    the shape of what goes in, (N·L, V) or (N, V, L), and the argument that leaves a label out.
    """
    return F.cross_entropy(logits, labels)


@loss.misconception
def reshaped_to_fit(logits, labels, pad_idx):
    """The shape fits, but the numbers are in the wrong places: you reshaped (N, L, V) to
    (N, V, L), and reshaping only refills the axes in reading order. Scores of different tokens
    are mixed.

    how words and tokens change places. That takes a transpose, or no exchange at all.
    """
    batch, length, vocabulary = logits.shape
    return F.cross_entropy(logits.reshape(batch, vocabulary, length), labels, ignore_index=pad_idx)


@loss.misconception
def logits_zeroed(logits, labels, pad_idx):
    """The logits of padding are multiplied by 0. That makes the model undecided there, not
    silent: equal scores for all the words still cost a loss, and it is part of your mean.

    where the padding leaves the sum. It is the loss that should be masked, not the logits.
    """
    real = (labels != pad_idx)[..., None]
    return F.cross_entropy((logits * real).flatten(0, 1), labels.flatten())


@loss.misconception
def sign_missing(logits, labels, pad_idx):
    """The number is right but for its sign. The logarithm of a probability is negative, and the
    loss is its opposite: training makes the loss small, and would make your model worse.

    the sign in front of the mean.
    """
    return -F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=pad_idx)


@loss.misconception
def no_logarithm(logits, labels, pad_idx):
    """You average the probabilities of the right words, with a minus sign, and without the
    logarithm. Then a word that the model thinks impossible costs hardly more than one that it
    thinks unlikely.

    the step between the softmax and the mean, or F.nll_loss, which wants logarithms.
    """
    return F.nll_loss(logits.softmax(-1).flatten(0, 1), labels.flatten(), ignore_index=pad_idx)


@loss.misconception
def no_softmax(logits, labels, pad_idx):
    """You average the raw logits of the right words, with a minus sign. Nothing makes the words
    compete: the model could lower this loss for ever by raising all of its scores.

    the step that turns logits into log-probabilities. F.nll_loss does not do it, and
    F.cross_entropy does.
    """
    return F.nll_loss(logits.flatten(0, 1), labels.flatten(), ignore_index=pad_idx)


@loss.misconception
def perplexity(logits, labels, pad_idx):
    """This is the perplexity, e to the power of the loss: among how many words the model
    hesitates. It is good to report, but the exercise asks for the loss itself.

    the last step. Leave out the exponential.
    """
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=pad_idx).exp()


@loss.misconception
def accuracy(logits, labels, pad_idx):
    """This is the accuracy, the share of real tokens that the model gets right. It is good to
    report, but no model can learn from it: argmax has no gradient, and a loss should fall as the
    model gets better.

    what is measured at each place: how improbable the right word was, not whether it won.
    """
    real = labels != pad_idx
    return (logits.argmax(-1) == labels)[real].float().mean()


@loss.misconception
def squared_error(logits, labels, pad_idx):
    """This is the squared distance between the probabilities and a row with a single 1. It does
    fall while a model learns, but a confident mistake hardly costs more than a mild one.

    the measure at each place: the logarithm of the probability of the right word.
    """
    real = labels != pad_idx
    wanted = F.one_hot(labels, logits.size(-1)).float()
    return F.mse_loss(logits.softmax(-1)[real], wanted[real])


@loss.misconception
def without_gradient(logits, labels, pad_idx):
    """The number is right, but it has lost its gradient, and no model could learn from it. That
    happens where a tensor becomes a plain number on the way, through .item(), .detach() or
    torch.tensor(...).

    the last tensor with a `requires_grad` of True, which you can print line by line.
    """
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=pad_idx).detach()


@loss.remark
def logarithm_of_zero(logits, labels, pad_idx):
    """Where the model thinks a word all but impossible, its probability is rounded to 0, and the
    logarithm of 0 makes your loss infinite. log_softmax, and F.cross_entropy with it, works out
    the logarithm without that detour.

    the softmax and the log after it, which can be a single step.
    """
    shares = logits.softmax(-1)
    right = shares.gather(-1, labels[..., None]).squeeze(-1)
    return -right[labels != pad_idx].log().mean()


@loss.remark
def exponential_overflows(logits, labels, pad_idx):
    """A large logit makes your loss NaN: the exponential of 200 is too large for a number of 32
    bits, and infinity divided by infinity is not a number. log_softmax, and F.cross_entropy
    with it, works out the logarithm without that detour.

    the exponentials. Subtracting the largest logit first would keep them small.
    """
    powers = logits.exp()
    shares = powers / powers.sum(-1, keepdim=True)
    right = shares.gather(-1, labels[..., None]).squeeze(-1)
    return -right[labels != pad_idx].log().mean()


# 08b-greedy


def greedy_decode(next_logits, start, end, max_len):
    ids = []
    for _ in range(max_len):
        best = next_logits([start, *ids]).argmax().item()
        if best == end:
            break
        ids.append(best)
    return ids


@dataclass(frozen=True)
class Writer:
    """A stand-in for a model: writes its sentence if every step is asked as it should be."""

    sentence: tuple[int, ...]

    def __call__(self, prefix: Any) -> Tensor:
        try:
            ids = tuple(index(token) for token in prefix)
        except (TypeError, RuntimeError):
            shape = f" of shape {tuple(prefix.shape)}" if isinstance(prefix, Tensor) else ""
            raise Verdict(
                "next_logits takes a list of ids: the start, then what has been written so far. "
                f"Your function gave it something of type {type(prefix).__name__}{shape}."
            ) from None
        known = 0 < len(ids) < len(self.sentence) and ids == self.sentence[: len(ids)]
        best = self.sentence[len(ids)] if known else 4 if len(ids) == 1 else 7
        logits = 0.1 * torch.arange(10)  # no two are equal, and id 0 is always the worst
        return logits.index_fill(0, torch.tensor(best), 4.0)

    def __repr__(self) -> str:
        steps = range(1, len(self.sentence))
        table = [f"{self.sentence[step]} after {list(self.sentence[:step])}" for step in steps]
        return f"gives {', '.join(table)}; after other lists 4 if they hold one id, else 7"


def _list_of_ids(attempt: Answer, probe: Probe) -> dict[str, list[int]]:
    ids = attempt(*probe.values())
    if ids is None or ids is ...:
        named(ids, "ids")
    try:
        if isinstance(ids, list | tuple | Tensor):
            return {"ids": [index(token) for token in ids]}
    except (TypeError, RuntimeError):
        pass
    held = " that holds something else than whole numbers" if isinstance(ids, list) else ""
    raise Verdict(
        "Your function should return a list of ids, such as [5, 7]. It returned something of type "
        f"{type(ids).__name__}{held}."
    )


greedy = Exercise(
    id="08b-greedy",
    reference=greedy_decode,
    returns=("ids",),
    observe=_list_of_ids,
    probes=(
        {"next_logits": Writer((1, 2)), "start": 1, "end": 2, "max_len": 3},
        {"next_logits": Writer((1, 5, 2)), "start": 1, "end": 2, "max_len": 4},
        {"next_logits": Writer((1, 5, 5, 3, 2)), "start": 1, "end": 2, "max_len": 6},
        {"next_logits": Writer((8, 5, 2, 6, 9)), "start": 8, "end": 9, "max_len": 3},
        {"next_logits": Writer((1, 5, 3, 6, 7, 2)), "start": 1, "end": 2, "max_len": 2},
    ),
    hints=(
        "Play the model yourself: you have written the start, you ask what comes next, you write "
        "it down, and you ask again with everything written so far. When do you stop? There are "
        "two reasons.",
        "Keep a list of the ids found so far, and repeat at most max_len times: ask next_logits "
        "about the start followed by that list, and take the id with the largest logit. If it is "
        "the end, stop before writing it down.",
        "In a loop over range(max_len): best = next_logits([start, *ids]).argmax().item(). If "
        "best == end: break. Else ids.append(best). After the loop, return ids.",
    ),
)


@greedy.misconception
def start_kept(next_logits, start, end, max_len):
    """The start is still at the front of your answer. The decoder has to read it, but it is not
    a word of the sentence.

    what you return. The list that the model reads and the answer differ by one id.
    """
    ids = [start]
    for _ in range(max_len):
        best = next_logits(ids).argmax().item()
        if best == end:
            break
        ids.append(best)
    return ids


@greedy.misconception
def end_kept(next_logits, start, end, max_len):
    """The end is still in your answer. It says that the sentence is over; it is not a word of
    it.

    the order inside the loop: compare with the end first, then write down.
    """
    ids = []
    for _ in range(max_len):
        best = next_logits([start, *ids]).argmax().item()
        ids.append(best)
        if best == end:
            break
    return ids


@greedy.misconception
def start_and_end_kept(next_logits, start, end, max_len):
    """Start and end are still in your answer. The model needs both to know where it is, but
    neither is a word of the sentence.

    what you return, and whether the end is written down before the loop stops.
    """
    ids = [start]
    for _ in range(max_len):
        ids.append(next_logits(ids).argmax().item())
        if ids[-1] == end:
            break
    return ids


@greedy.misconception
def never_ends(next_logits, start, end, max_len):
    """The end does not stop you: max_len ids are always written. After the end a model has
    nothing to say, and what it is made to say is noise.

    what your loop does when the best id is `end`, and whether that is the id it compares with.
    """
    ids = []
    for _ in range(max_len):
        ids.append(next_logits([start, *ids]).argmax().item())
    return ids


@greedy.misconception
def end_skipped(next_logits, start, end, max_len):
    """The end is left out of your answer, but it does not stop you: the model is asked to go on
    behind it, and the answer has words after the sentence was over.

    what happens once the end has come. No other id should be asked for.
    """
    prefix = [start]
    for _ in range(max_len):
        prefix.append(next_logits(prefix).argmax().item())
    return [token for token in prefix[1:] if token != end]


@greedy.misconception
def end_is_always_two(next_logits, start, end, max_len):
    """You stop at the id 2, whatever `end` says. In another vocabulary the end has another id, and
    2 may be a word.

    where `end` is used in your code.
    """
    ids = []
    for _ in range(max_len):
        best = next_logits([start, *ids]).argmax().item()
        if best == 2:
            break
        ids.append(best)
    return ids


@greedy.misconception
def one_too_many(next_logits, start, end, max_len):
    """Where the model does not stop by itself, you write one id more than max_len allows.

    the condition of the loop: < or <=, and whether what you count includes the start.
    """
    ids = []
    for _ in range(max_len + 1):
        best = next_logits([start, *ids]).argmax().item()
        if best == end:
            break
        ids.append(best)
    return ids


@greedy.misconception
def one_too_few(next_logits, start, end, max_len):
    """Where the model does not stop by itself, you return one id less than max_len allows. Either
    the start was counted, which is not one of them, or the last id was cut off as if it were
    always the end.

    the list whose length you compare with max_len, and what you cut off after the loop.
    """
    prefix = [start]
    while len(prefix) < max_len:
        best = next_logits(prefix).argmax().item()
        if best == end:
            break
        prefix.append(best)
    return prefix[1:]


@greedy.misconception
def no_limit(next_logits, start, end, max_len):
    """max_len makes no difference: you go on until the end comes. A model that has not learned
    to stop would keep you waiting for ever.

    the condition of the loop. There are two reasons to stop.
    """
    ids = []
    while (best := next_logits([start, *ids]).argmax().item()) != end:
        ids.append(best)
    return ids


@greedy.misconception
def only_the_last_token(next_logits, start, end, max_len):
    """The model is shown only the newest id, not the whole sentence so far. The first step is
    right, and then it has forgotten what it wrote.

    what goes into next_logits. It should grow by one id with every step.
    """
    ids, last = [], start
    for _ in range(max_len):
        last = next_logits([last]).argmax().item()
        if last == end:
            break
        ids.append(last)
    return ids


@greedy.misconception
def start_not_shown(next_logits, start, end, max_len):
    """The list that you hand to the model lacks the start. A decoder was trained on sentences
    that begin with it, and cannot know where it stands without.

    what goes into next_logits at the first step, and whether the start stays in front later.
    """
    ids = []
    for _ in range(max_len):
        best = next_logits(ids).argmax().item()
        if best == end:
            break
        ids.append(best)
    return ids


@greedy.misconception
def start_shown_once(next_logits, start, end, max_len):
    """The model sees the start at the first step only. From the second step on, your list begins
    with the first word.

    the list that you hand over at the second step.
    """
    ids = []
    for _ in range(max_len):
        best = next_logits(ids or [start]).argmax().item()
        if best == end:
            break
        ids.append(best)
    return ids


@greedy.misconception
def always_the_first_step(next_logits, start, end, max_len):
    """Every step uses the logits of the first one, so the same id comes again and again. Either
    the model is asked only once, before the loop, or the list you hand to it never grows.

    the call of next_logits: is it inside the loop, and does it get the newest ids?
    """
    ids = []
    for _ in range(max_len):
        best = next_logits([start]).argmax().item()
        if best == end:
            break
        ids.append(best)
    return ids


@greedy.misconception
def the_worst(next_logits, start, end, max_len):
    """You take the id with the smallest logit. The larger a logit, the more probable the token.

    the function that picks the id.
    """
    ids = []
    for _ in range(max_len):
        best = next_logits([start, *ids]).argmin().item()
        if best == end:
            break
        ids.append(best)
    return ids


@greedy.misconception
def second_best(next_logits, start, end, max_len):
    """You take the id with the second largest logit at each step. Greedy decoding takes the very
    best one.

    the place in the sorted order. The largest stands at index 0 of topk, and at -1 of argsort.
    """
    ids = []
    for _ in range(max_len):
        best = next_logits([start, *ids]).argsort()[-2].item()
        if best == end:
            break
        ids.append(best)
    return ids


@greedy.misconception
def first_word_only(next_logits, start, end, max_len):
    """You return after the first id. The `return` stands inside the loop, so the loop never gets
    to its second round.

    how far the `return` line is indented.
    """
    ids = []
    for _ in range(max_len):
        best = next_logits([start, *ids]).argmax().item()
        if best == end:
            break
        ids.append(best)
        return ids


EXERCISES = (positions, block, teacher_forcing, loss, greedy)
