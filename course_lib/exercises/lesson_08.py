"""The exercises of lesson 08, self-attention, and the wrong answers that are often given.

Each wrong answer is a whole small program.  Its docstring is what the student reads: what the
code does instead and how one can tell, then where to look.

Letters in shapes: N sentences, H heads, Lq tokens asking, Lk tokens looked at, D features.
"""

# mypy: allow-untyped-defs
# A solution is pasted into the lesson as it stands: it may use what the lesson imports, no more.
import math

import torch

from course_lib.exercises.engine import Exercise

# 08-attention


def scaled_dot_product_attention(query, key, value, mask=None):
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))  # (..., Lq, Lk)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)  # every row sums to one
    if mask is not None:
        weights = weights.masked_fill(~mask, 0.0)  # a row that may attend to nothing was NaN
    return weights @ value, weights


def _floats(rows: list) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32)


def _waves(start: int, *shape: int) -> torch.Tensor:
    """Numbers between -2 and 2 with no pattern that a wrong answer could keep."""
    places = torch.arange(start, start + math.prod(shape), dtype=torch.float32)
    return 2 * torch.sin(1.7 * places * places).view(shape)


attention = Exercise(
    id="08-attention",
    reference=scaled_dot_product_attention,
    returns=("output", "weights"),
    probes=(
        {  # all sides equal, so that a wrong product fits too
            "query": _floats([[1, 0], [1, 2]]),
            "key": _floats([[2, 1], [1, 0]]),
            "value": _floats([[1, 2], [4, 0]]),
        },
        {  # two heads, one feature each: nothing to scale
            "query": _floats([[[[1], [2]], [[0], [1]]]]),
            "key": _floats([[[[0], [1]], [[2], [1]]]]),
            "value": _floats([[[[1], [3]], [[2], [0]]]]),
        },
        {  # one query, two keys, four features
            "query": _floats([[2, 0, 2, 0]]),
            "key": _floats([[1, 0, 1, 1], [1, 1, 0, 0]]),
            "value": _floats([[1], [5]]),
        },
        {  # a mask that hides something from every query, and something else from each
            "query": _floats([[1], [2], [-1]]),
            "key": _floats([[0], [1], [2]]),
            "value": _floats([[1], [2], [4]]),
            "mask": torch.tensor(
                [[True, False, True], [True, True, False], [False, True, True]],
            ),
        },
        {  # a batch, all sides equal again
            "query": _waves(0, 2, 2, 2),
            "key": _waves(10, 2, 2, 2),
            "value": _waves(20, 2, 2, 2),
        },
        {  # every side different, and a padding mask
            "query": _waves(0, 2, 3, 2, 4),
            "key": _waves(100, 2, 3, 5, 4),
            "value": _waves(300, 2, 3, 5, 6),
            "mask": torch.tensor([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]]).bool()[:, None, None, :],
        },
    ),
    beyond=(
        {  # the second query may attend to nothing
            "query": _floats([[1], [2]]),
            "key": _floats([[0], [1]]),
            "value": _floats([[1], [3]]),
            "mask": torch.tensor([[True, True], [False, False]]),
        },
    ),
    hints=(
        "Say in words what happens to one token: its query is compared with every key, the "
        "comparisons become shares that sum to one, and the values are mixed by those shares. "
        "Each of these three is one line of code.",
        "One matrix product makes all the comparisons: row i, column j is the dot product of "
        "query i with key j. Longer vectors make larger dot products, so bring them back to the "
        "scale of one feature before the softmax. The mask belongs before the softmax as well: "
        "think of the score whose exponential is exactly zero.",
        "Swap the last two axes of key with transpose(-2, -1), multiply, and divide by the "
        "square root of query.size(-1). Where the mask is False, masked_fill the scores with "
        "-math.inf. Take softmax(dim=-1), and multiply the weights by value. A row that was "
        "hidden altogether is now NaN: give its weights the value 0.",
    ),
)


@attention.misconception
def no_scaling(query, key, value, mask=None):
    """The scores go into the softmax unscaled. The weights lean too far towards the best
    match, and the more features a vector has, the further they lean.

    the line that computes the scores. The formula has a fraction there: what stands below?
    """
    scores = query @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return weights @ value, weights


@attention.misconception
def divided_by_size(query, key, value, mask=None):
    """The scores are divided by the number of features itself. That is too much: the weights
    come out flatter than they should, so every token looks at all the others almost alike.

    the divisor. A dot product of D random features typically has a size of √D, not of D.
    """
    scores = query @ key.transpose(-2, -1) / query.size(-1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return weights @ value, weights


@attention.misconception
def multiplied_by_root(query, key, value, mask=None):
    """The scores are multiplied by the scale where they should be divided by it. They grow
    instead of shrinking, and the softmax comes close to picking one single token.

    the operator in front of the square root, or the sign of the exponent if you wrote a power.
    """
    scores = query @ key.transpose(-2, -1) * math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return weights @ value, weights


@attention.misconception
def scaled_by_key_count(query, key, value, mask=None):
    """The scores are divided by the square root of the number of keys. The scale now depends
    on how long the sentence is; it should depend on how long each vector is.

    the axis whose size you take the root of. Which axis does the dot product sum over?
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(key.size(-2))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return weights @ value, weights


@attention.misconception
def scaled_by_axis_one(query, key, value, mask=None):
    """The scale is read off axis 1. In a single sentence that is the number of features, but
    in a batch axis 1 holds the tokens, and with heads it holds the heads.

    the size that goes into the square root. Counted from the end, the features never move.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return weights @ value, weights


@attention.misconception
def scaled_by_all_heads(query, key, value, mask=None):
    """With several heads, the scores are divided by the root of the whole embedding size. A
    head's dot product sums over its own features only, so its weights come out too flat.

    the size below the root. How many numbers does one head multiply and add for one score?
    """
    heads = query.size(1) if query.dim() == 4 else 1
    scores = query @ key.transpose(-2, -1) / math.sqrt(heads * query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return weights @ value, weights


@attention.misconception
def scaled_after_softmax(query, key, value, mask=None):
    """The scaling comes after the softmax. It can no longer soften the weights there; it only
    makes them all smaller, and the rows stop summing to one.

    the order of the two steps. Add up one row of your weights before and after each of them.
    """
    scores = query @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1) / math.sqrt(query.size(-1))
    return weights @ value, weights


@attention.misconception
def softmax_over_queries(query, key, value, mask=None):
    """The softmax runs down the columns, so the queries share out each key among themselves.
    Your columns sum to one; the rows should, because each query has one unit to give away.

    the dim of the softmax. Which axis of the scores, (..., Lq, Lk), counts the keys?
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-2)
    return weights @ value, weights


@attention.misconception
def softmax_over_axis_zero(query, key, value, mask=None):
    """The softmax runs over the first axis. In a single sentence these are the queries, and in
    a batch the sentences, so that strangers compete with each other. The rows do not sum to one.

    the dim of the softmax. Try your function on two sentences: does one change the other?
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=0)
    return weights @ value, weights


@attention.misconception
def softmax_over_axis_one(query, key, value, mask=None):
    """The softmax runs over axis 1. For a single sentence that happens to be right, but in a
    batch axis 1 holds the queries, and with heads it holds the heads.

    the dim of the softmax. Which way of counting finds the keys whatever stands before them?
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=1)
    return weights @ value, weights


@attention.misconception
def softmax_over_everything(query, key, value, mask=None):
    """The softmax is taken over the whole table of scores at once. All the weights together sum
    to one, so each query gets only a part; every row should sum to one by itself.

    the shape of what goes into the softmax. It should still have its rows.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.flatten(-2).softmax(dim=-1).view_as(scores)
    return weights @ value, weights


@attention.misconception
def no_softmax(query, key, value, mask=None):
    """The scores are used as weights directly, without a softmax. Some are negative or larger
    than one, and no row sums to one, so the output is not an average of the values.

    the step between the scores and the product with the values: it turns scores into shares.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores @ value, scores


@attention.misconception
def divided_by_sum(query, key, value, mask=None):
    """Each score is divided by the sum of its row. The rows do sum to one, but a negative score
    becomes a negative weight, and a sum near zero makes the weights explode.

    how the scores become positive. What does a softmax do to them before it divides?
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, 0.0)
    weights = scores / scores.sum(dim=-1, keepdim=True)
    return weights @ value, weights


@attention.misconception
def sigmoid_instead(query, key, value, mask=None):
    """Every score goes through a sigmoid by itself. The weights lie between zero and one, but
    the keys no longer compete for a query's attention, and the rows do not sum to one.

    the function that makes weights of scores. It has to see a whole row, not one number.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.sigmoid()
    return weights @ value, weights


@attention.misconception
def log_softmax(query, key, value, mask=None):
    """The weights are logarithms of what they should be: every one is negative or zero. That is
    what log_softmax returns; it is made for losses, not for mixing values.

    the name of the softmax function you call.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.log_softmax(dim=-1)
    return weights @ value, weights


@attention.misconception
def hard_maximum(query, key, value, mask=None):
    """Each query takes the one best key and ignores the others: the weights are only zeros and
    ones. Attention is a soft look-up, where the runner-up counts too; and no gradient flows
    through a hard choice.

    the step after the scores. Nothing in the formula picks a winner.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    best = scores.argmax(dim=-1, keepdim=True)
    weights = torch.zeros_like(scores).scatter(-1, best, 1.0)
    return weights @ value, weights


@attention.misconception
def key_not_transposed(query, key, value, mask=None):
    """The queries are multiplied by the keys as they stand. That fits only when there are as
    many keys as features, and even then each score mixes features of different keys.

    the shapes on the two sides of the product: (Lq, D) and (Lk, D) should give (Lq, Lk).
    """
    scores = query @ key / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return weights @ value, weights


@attention.misconception
def first_axes_swapped(query, key, value, mask=None):
    """The keys are transposed by their first two axes. For one sentence that is right; in a
    batch it swaps sentences with tokens, and the features stay where they were.

    the two axes you swap. In (N, H, Lk, D) the ones to swap are not the first two.
    """
    scores = query @ key.transpose(0, 1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return weights @ value, weights


@attention.misconception
def all_axes_reversed(query, key, value, mask=None):
    """The keys are transposed with .T, which reverses all axes. For one sentence that is right;
    in a batch it moves the sentences to the end as well.

    the transposition. It should touch two axes only, whatever stands before them.
    """
    scores = query @ key.permute(*reversed(range(key.dim()))) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return weights @ value, weights


@attention.misconception
def roles_swapped(query, key, value, mask=None):
    """Query and key have changed places in the product: here every key asks, and the queries
    are asked. The table of scores is the transpose of the right one, (Lk, Lq).

    the order of the factors. Row i of the scores belongs to query i.
    """
    scores = key @ query.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return weights @ value, weights


@attention.misconception
def mask_inverted(query, key, value, mask=None):
    """The mask works the wrong way round: it hides what may be seen and shows what may not. In
    this course True means "may attend"; some libraries mean the opposite.

    the condition that decides which scores are hidden.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return weights @ value, weights


@attention.misconception
def mask_ignored(query, key, value, mask=None):
    """The mask makes no difference: hidden tokens get as much attention as if there were no
    mask. Without a mask your function is right.

    where `mask` is used, and whether the result is kept: masked_fill returns a new tensor, and
    only masked_fill_ changes the old one.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    weights = scores.softmax(dim=-1)
    return weights @ value, weights


@attention.misconception
def mask_scores_zero(query, key, value, mask=None):
    """The hidden scores are set to 0 before the softmax. But 0 is an ordinary score, and the
    exponential of 0 is 1: hidden tokens keep a share, sometimes the largest one.

    the number that stands for "hidden". Its exponential should vanish.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, 0.0)
    weights = scores.softmax(dim=-1)
    return weights @ value, weights


@attention.misconception
def mask_after_softmax(query, key, value, mask=None):
    """The hidden weights are set to 0 after the softmax. The hidden tokens are gone, but their
    share went with them: your rows sum to less than one.

    what a row sums to once the mask has been applied. Either share it out again, or hide the
    tokens at a point where the softmax still does that for you.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    weights = scores.softmax(dim=-1)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0.0)
    return weights @ value, weights


@attention.misconception
def mask_added(query, key, value, mask=None):
    """The mask of True and False is added to the scores as if it were made of numbers. True
    counts as 1, so a visible token gains one point, and the hidden ones stay in the race.

    the line that joins mask and scores. A mask for adding would hold 0 and -inf.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores + mask
    weights = scores.softmax(dim=-1)
    return weights @ value, weights


@attention.misconception
def infinity_times_zero(query, key, value, mask=None):
    """The mask is multiplied by minus infinity. Where nothing is hidden that is 0 times
    infinity, which is not a number (NaN), and one NaN spreads through its whole row.

    the line that turns the mask into something to add. Choose by condition, or fill, rather
    than multiply.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores + (~mask).float() * -math.inf
    weights = scores.softmax(dim=-1)
    return weights @ value, weights


@attention.misconception
def mask_transposed(query, key, value, mask=None):
    """The mask is laid on with rows and columns exchanged: it says which queries may look at a
    key, and you read it as which keys a query may look at.

    the shape of the mask next to that of the scores. Both are (..., Lq, Lk) already.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask.transpose(-2, -1), -math.inf)
    weights = scores.softmax(dim=-1)
    return weights @ value, weights


@attention.misconception
def weights_left_unmasked(query, key, value, mask=None):
    """The output is right, but the weights you return are those from before the mask: they
    still show attention to hidden tokens. A heatmap of them would not show what was computed.

    which variable you return. The weights that made the output are the ones to give back.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    weights = scores.softmax(dim=-1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(dim=-1) @ value, weights


@attention.misconception
def scores_returned(query, key, value, mask=None):
    """The output is right, but the second thing you return is the scores from before the
    softmax. The weights are what the output was mixed with, and their rows sum to one.

    the `return` line, and the sum of one row of what it gives back.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(dim=-1) @ value, scores


@attention.misconception
def keys_as_values(query, key, value, mask=None):
    """The weights are right, but they mix the keys instead of the values. A key is the label a
    token is found by; the value is what it hands over.

    the last product: its right side is not the right tensor.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return weights @ key, weights


@attention.misconception
def value_times_weights(query, key, value, mask=None):
    """The values stand on the left of the weights. A matrix product is not symmetric: this
    mixes the features of a token, not the tokens, and fits only when the sizes agree by chance.

    the order in the last product. (Lq, Lk) has to meet (Lk, D) along Lk.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return value @ weights, weights


@attention.misconception
def weights_transposed(query, key, value, mask=None):
    """The weights are right, but they are transposed before they meet the values: each output
    is mixed with a column, and the columns do not sum to one.

    the last product. The weights go in as they came out of the softmax.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return weights.transpose(-2, -1) @ value, weights


@attention.misconception
def results_swapped(query, key, value, mask=None):
    """Both results are right, but they come back in the wrong order: the weights first, then
    the output.

    the `return` line. The exercise asks for (output, weights).
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return weights, weights @ value


@attention.misconception
def output_transposed(query, key, value, mask=None):
    """The weights are right, and so are the numbers of the output, but the output is lying on
    its side: tokens run along the columns and features along the rows.

    the end of your function. The output has one row for each query, like the query itself.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return (weights @ value).transpose(-2, -1), weights


@attention.remark
def blind_row_nan(query, key, value, mask=None):
    """A query that may attend to nothing at all gets NaN here, because a softmax over nothing
    but -inf divides zero by zero. The course's own function gives zeros, so that one such row,
    in a sentence of nothing but padding, cannot spoil a whole model.

    the weights after the softmax: which of them may keep a value other than 0?
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return weights @ value, weights


@attention.remark
def blind_row_even(query, key, value, mask=None):
    """A query that may attend to nothing at all spreads its attention evenly here, over tokens
    that are all hidden: a very low score is still a score when the others are just as low. The
    course's own function gives zeros instead.

    the weights after the softmax: which of them may keep a value other than 0?
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e9)
    weights = scores.softmax(dim=-1)
    return weights @ value, weights


# 08-causal-mask


def causal_mask(size):
    return torch.ones(size, size, dtype=torch.bool).tril()


causal = Exercise(
    id="08-causal-mask",
    reference=causal_mask,
    returns=("mask",),
    probes=({"size": 2}, {"size": 3}, {"size": 4}, {"size": 6}),
    hints=(
        "Write the mask for three tokens on paper: a row for each query, a column for each key. "
        "Token 0 sees only itself, the last token sees everybody.",
        "What may be seen forms a triangle, diagonal included. torch has functions that keep "
        "one triangle of a matrix and clear the other.",
        "Start from torch.ones(size, size, dtype=torch.bool) and keep the lower triangle: tril().",
    ),
)


@causal.misconception
def inverted(size):
    """True and False are exchanged: your mask marks the future, the part to hide. In this course
    True means "may attend", so every token would see only what it must not see.

    which triangle holds True, and what the convention says about it.
    """
    return torch.ones(size, size, dtype=torch.bool).triu(1)


@causal.misconception
def looks_ahead(size):
    """The mask is the wrong triangle: each token sees itself and everything after it, and
    nothing before it. A row is the token that looks, a column the one that is looked at.

    the row of token 0. How many tokens come before it?
    """
    return torch.ones(size, size, dtype=torch.bool).triu()


@causal.misconception
def blind_to_itself(size):
    """No token may look at itself: the diagonal is False. The first token then sees nothing at
    all, and its attention has nothing to share out.

    the diagonal. A token at position i has already been read when position i is computed.
    """
    return torch.ones(size, size, dtype=torch.bool).tril(-1)


@causal.misconception
def one_too_far(size):
    """Each token also sees the one right after it. Trained to predict the next token, the model
    would only have to copy it: a perfect score, and nothing learned.

    the diagonal at which your triangle ends. It reaches one column too far.
    """
    return torch.ones(size, size, dtype=torch.bool).tril(1)


@causal.misconception
def nothing_hidden(size):
    """Everything is True: nothing is hidden, and every token sees the whole future.

    the step that should clear the part above the diagonal.
    """
    return torch.ones(size, size, dtype=torch.bool)


@causal.misconception
def only_itself(size):
    """Only the diagonal is True: each token sees itself and nothing else. With that mask
    attention hands every value through unchanged.

    the row of the last token. It may look at everything that came before.
    """
    return torch.eye(size, dtype=torch.bool)


@causal.misconception
def one_step_back(size):
    """Each token sees itself and the one before it, and nothing earlier. The mask is a band
    where it should be a whole triangle.

    the lower left corner: the last token may look back to the very first.
    """
    return torch.ones(size, size, dtype=torch.bool).tril().triu(-1)


@causal.misconception
def not_boolean(size):
    """The pattern is right, but the mask holds the numbers 0 and 1 where it should hold False
    and True. With numbers `~mask` fails or flips bits, and `scores + mask` goes wrong silently.

    the dtype, which you can print with mask.dtype.
    """
    return torch.ones(size, size).tril()


@causal.misconception
def additive(size):
    """This is a mask for adding to the scores, 0 for "may attend" and -inf for "hidden". Many
    programs use that form; in this course a mask answers a yes-or-no question: may it attend?

    the values in the mask. The exercise asks for True and False.
    """
    return torch.full((size, size), -math.inf).triu(1)


@causal.misconception
def additional_axes(size):
    """The pattern is right, but the mask has more axes than the two that were asked for. It
    would broadcast against the scores without them.

    the shape, which should be (size, size).
    """
    return torch.ones(1, 1, size, size, dtype=torch.bool).tril()


# 08-split-heads


def split_heads(x, heads):
    batch, length, embed_size = x.shape
    x = x.view(batch, length, heads, embed_size // heads)  # cut every token's vector
    return x.transpose(1, 2)  # (batch, heads, length, embed_size / heads)


def _tokens(batch: int, length: int, embed_size: int) -> torch.Tensor:
    """Numbers that say where they stand: 23 is token 2, feature 3; 123 that of sentence 1."""
    parts = (
        100 * torch.arange(batch),
        10 * torch.arange(1, length + 1),
        torch.arange(1, embed_size + 1),
    )
    sentences, tokens, features = torch.meshgrid(*parts, indexing="ij")
    return (sentences + tokens + features).float()


heads_split = Exercise(
    id="08-split-heads",
    reference=split_heads,
    returns=("split",),
    probes=(
        {"x": _tokens(1, 2, 4), "heads": 2},
        {"x": _tokens(1, 3, 6), "heads": 3},
        {"x": _tokens(2, 2, 6), "heads": 2},
        {"x": _tokens(2, 4, 8), "heads": 2},
    ),
    hints=(
        "Take the lesson's small example: its tokens are [0, 1, 2, 3], [4, 5, 6, 7] and "
        "[8, 9, 10, 11], and there are two heads. Which numbers should the first head get of "
        "each token? Decide that first, then how to get them.",
        "Two steps. First cut the last axis, embed_size, into two axes, so that each token has "
        "one piece per head. Then bring the heads in front of the tokens, without mixing them.",
        "x.view(batch, length, heads, embed_size // heads) cuts the vectors; transpose(1, 2) "
        "then moves the heads forward.",
    ),
)


@heads_split.misconception
def view_without_transpose(x, heads):
    """The shape is right, but the numbers are in the wrong places. You reshaped straight to the
    final shape, and reshaping only refills the axes in reading order: the first head gets whole
    early tokens, instead of a piece of every token.

    how the tokens and the heads change places. That takes a step that moves axes.
    """
    batch, length, embed_size = x.shape
    return x.reshape(batch, heads, length, embed_size // heads)


@heads_split.misconception
def heads_stay_behind(x, heads):
    """The vectors are cut correctly, but the heads still stand behind the tokens. Attention
    works on the last two axes, so each token would attend among its own heads.

    the order of the axes. The last two should be tokens and features.
    """
    batch, length, embed_size = x.shape
    return x.reshape(batch, length, heads, embed_size // heads)


@heads_split.misconception
def interleaved(x, heads):
    """The features are dealt out like cards: the first head gets every other one, or every
    third. Each head should get one connected piece of the vector.

    the two axes you make of embed_size. The one that changes fastest comes last.
    """
    batch, length, embed_size = x.shape
    return x.reshape(batch, length, embed_size // heads, heads).permute(0, 3, 1, 2)


@heads_split.misconception
def heads_before_batch(x, heads):
    """The heads have become the very first axis, in front of the sentences. The numbers are
    right, but whatever follows takes the heads for the batch.

    where the new axis goes. The sentences keep the first place.
    """
    batch, length, embed_size = x.shape
    return x.reshape(batch, length, heads, embed_size // heads).permute(2, 0, 1, 3)


@heads_split.misconception
def heads_merged_into_batch(x, heads):
    """Sentences and heads have been merged into one axis. The numbers are right, and some older
    programs compute it so, but a mask for each sentence no longer fits.

    the number of axes: four are asked for.
    """
    batch, length, embed_size = x.shape
    x = x.reshape(batch, length, heads, embed_size // heads).transpose(1, 2)
    return x.reshape(batch * heads, length, embed_size // heads)


@heads_split.misconception
def features_before_tokens(x, heads):
    """Within each head, features and tokens have changed places: a row is one feature of all
    the tokens. That is the layout of transposed keys, and it comes later.

    the last two axes: each token should be a row.
    """
    batch, length, embed_size = x.shape
    return x.reshape(batch, length, heads, embed_size // heads).permute(0, 2, 3, 1)


@heads_split.misconception
def count_taken_for_size(x, heads):
    """The number of heads and the size of a head are exchanged: the vectors are cut into pieces
    that are `heads` long. It goes unnoticed only where both numbers are the same.

    the two sizes you make of embed_size, and their order.
    """
    batch, length, embed_size = x.shape
    return x.reshape(batch, length, embed_size // heads, heads).transpose(1, 2)


@heads_split.misconception
def everything_to_every_head(x, heads):
    """Every head gets a copy of the whole vector. Nothing has been split: each head should work
    on its own part, so that all together they cost no more than one.

    the size of the last axis: embed_size divided among the heads.
    """
    return x[:, None].expand(-1, heads, -1, -1)


@heads_split.misconception
def sentence_cut(x, heads):
    """The sentence is cut instead of the vectors: each head gets a few tokens with all of their
    features. Every head should see every token.

    the axis you cut. It is the last one, embed_size.
    """
    batch, length, embed_size = x.shape
    return x.reshape(batch, heads, length // heads, embed_size)


EXERCISES = (attention, causal, heads_split)
