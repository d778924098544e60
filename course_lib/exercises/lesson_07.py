"""The exercises of lesson 07, BERT from text to prediction, and the wrong answers often given.

Each wrong answer is a whole small program.  Its docstring is what the student reads: what the
code does instead and how one can tell, then where to look.

Letters in shapes: N sentences, L tokens, K classes that compete.
"""

# mypy: allow-untyped-defs
# A solution is pasted into the lesson as it stands: it may use what the lesson imports, no more.
import torch
from torch import Tensor

from course_lib.exercises.engine import Answer, Exercise, Probe
from course_lib.exercises.observation import named

# 07-softmax


def softmax(logits):
    # The largest becomes 0, so no exponential overflows; the shares stay as they were.
    powers = (logits - logits.amax(dim=-1, keepdim=True)).exp()
    return powers / powers.sum(dim=-1, keepdim=True)  # every row sums to one


_softmax = Exercise(
    id="07-softmax",
    reference=softmax,
    returns=("shares",),
    tolerance=5e-4,  # x - x.logsumexp(-1) is as good a way, and rounds that much near 10000
    probes=(
        {"logits": torch.tensor([2.0, 0.0, -1.0])},
        {  # as many rows as columns, so that a lost axis fits too
            "logits": torch.tensor([[1.0, 1.5], [3.0, -1.0]]),
        },
        {  # three axes, all equal for the same reason
            "logits": torch.tensor([[[1.0, 0.0], [-1.0, 1.0]], [[2.0, 0.5], [0.0, 3.0]]]),
        },
        {  # logits too large for an exponential, too small for one, both, and neither
            "logits": torch.tensor(
                [
                    [10000.0, 10001.0, 10002.0],
                    [-10000.0, -10001.0, -9999.0],
                    [0.0, 1000.0, 10000.0],
                    [1.0, 3.0, 2.0],
                ]
            ),
        },
    ),
    hints=(
        "A softmax turns any numbers into shares: none is negative, and together they make one. "
        "First make every number positive in such a way that a larger one stays larger. Then "
        "divide, so that they make one. Which function is positive everywhere?",
        "The exponential of 10000 is too large for a computer, but the shares depend on the "
        "differences of the logits alone. So take the same number away from all the logits of a "
        "row before the exponential. Which number keeps them all at 0 or below?",
        "Take the largest of each row with logits.amax(dim=-1, keepdim=True), subtract it, and "
        "take exp(). Then divide by sum(dim=-1, keepdim=True). keepdim leaves an axis of size "
        "one, so that each row is divided by its own sum.",
    ),
)


@_softmax.misconception
def no_maximum_subtracted(logits):
    """The formula is right, but large logits break it: the exponential of 10000 is infinite for
    a computer, and infinity divided by infinity is not a number (NaN). Far below zero all the
    exponentials become 0, and 0 divided by 0 is NaN as well.

    what goes into exp. The shares stay the same if a row loses the same number everywhere.
    """
    powers = logits.exp()
    return powers / powers.sum(dim=-1, keepdim=True)


@_softmax.misconception
def maximum_of_the_batch(logits):
    """The largest logit of the whole batch is subtracted from every row. A row that lies far
    below it becomes nothing but zeros after exp, and 0 divided by 0 is not a number (NaN). One
    sentence with large logits would spoil all the others.

    the dim of the maximum. Each row should lose its own.
    """
    powers = (logits - logits.max()).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


@_softmax.misconception
def maximum_of_the_columns(logits):
    """The maximum is taken over the first axis, so the logits of one row lose different numbers.
    The shares stay the same only if a whole row loses the same.

    the dim of the maximum. It is the axis that the softmax runs over.
    """
    powers = (logits - logits.amax(dim=0, keepdim=True)).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


@_softmax.misconception
def minimum_subtracted(logits):
    """The smallest logit of each row is subtracted. Then the others are still above zero, and
    where one is far above, its exponential is infinite and its share is not a number (NaN).

    which number of the row is subtracted. After it, none should be larger than 0.
    """
    powers = (logits - logits.amin(dim=-1, keepdim=True)).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


@_softmax.misconception
def mean_subtracted(logits):
    """The mean of each row is subtracted. That centres the row, but the largest logit can still
    be far above zero: its exponential is infinite, and its share is not a number (NaN).

    which number of the row is subtracted. After it, none should be larger than 0.
    """
    powers = (logits - logits.mean(dim=-1, keepdim=True)).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


@_softmax.misconception
def largest_absolute_value(logits):
    """What you subtract is the largest absolute value. Where all the logits are far below zero
    that moves them further down, every exponential becomes 0, and 0 divided by 0 is not a
    number (NaN).

    the abs() in front of the maximum. The signs have to stay.
    """
    powers = (logits - logits.abs().amax(dim=-1, keepdim=True)).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


@_softmax.misconception
def clamped(logits):
    """Large logits are cut off at a limit. Nothing overflows, but above the limit they have all
    become equal, and they get equal shares although one of them is larger.

    the clamp. Moving a whole row down keeps the differences, and the shares with them.
    """
    powers = logits.clamp(-50, 50).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


@_softmax.misconception
def scaled_by_the_maximum(logits):
    """The logits are divided by their largest. Nothing overflows, but the differences
    shrink with it, so the shares come out too even; and a negative largest turns the order round.

    how the logits become small. Subtracting keeps their differences, dividing does not.
    """
    powers = (logits / logits.amax(dim=-1, keepdim=True)).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


@_softmax.misconception
def over_the_first_axis(logits):
    """The softmax runs over the first axis. For a single row that is right; in a batch, different
    sentences compete with each other, and your columns sum to one instead of your rows.

    every dim in your code. Which way of counting finds the last axis whatever stands before it?
    """
    powers = (logits - logits.amax(dim=0, keepdim=True)).exp()
    return powers / powers.sum(dim=0, keepdim=True)


@_softmax.misconception
def over_axis_one(logits):
    """The softmax runs over axis 1. In a table that is the last axis, but with one axis there is
    no axis 1, and with three it lies in the middle.

    every dim in your code. Which way of counting finds the last axis whatever stands before it?
    """
    powers = (logits - logits.amax(dim=1, keepdim=True)).exp()
    return powers / powers.sum(dim=1, keepdim=True)


@_softmax.misconception
def over_everything(logits):
    """All the numbers share a single unit: your whole table sums to one. Each row is a decision
    of its own, and should sum to one by itself.

    the sum, and the maximum too. They need to know which axis to run over.
    """
    powers = (logits - logits.max()).exp()
    return powers / powers.sum()


@_softmax.misconception
def no_exponential(logits):
    """Each logit is divided by the sum of its row. The rows do sum to one, but a negative logit
    becomes a negative share, and a sum near zero makes the shares explode.

    how the logits become positive before the division.
    """
    return logits / logits.sum(dim=-1, keepdim=True)


@_softmax.misconception
def absolute_values(logits):
    """Absolute values take the place of exponentials. They are positive too, but -3 then
    gets as large a share as 3, and a logit of 0 gets none.

    how the logits become positive. A smaller logit has to get a smaller share.
    """
    return logits.abs() / logits.abs().sum(dim=-1, keepdim=True)


@_softmax.misconception
def only_exponentials(logits):
    """These are the exponentials alone: positive, but a row may sum to anything. Shares sum to
    one. Besides, the exponential of 10000 is infinite.

    what is missing after exp, and what might come before it.
    """
    return logits.exp()


@_softmax.misconception
def largest_share_is_one(logits):
    """The largest number in each of your rows is 1. That is what the exponentials are once the
    maximum has been subtracted, or divided out, and they still have to be made to sum to one.

    the divisor. It is not the largest exponential of the row.
    """
    return (logits - logits.amax(dim=-1, keepdim=True)).exp()


@_softmax.misconception
def divided_by_the_mean(logits):
    """The exponentials are divided by their mean, so each of your rows sums to the number of its
    logits. Shares sum to one.

    the divisor. It is what the exponentials of a row make all together.
    """
    powers = (logits - logits.amax(dim=-1, keepdim=True)).exp()
    return powers / powers.mean(dim=-1, keepdim=True)


@_softmax.misconception
def divided_by_the_length(logits):
    """The exponentials are divided by the length of their vector, the root of the sum of
    squares. Then the squares in each row sum to one; the shares themselves should.

    the divisor. It is the plain sum.
    """
    powers = (logits - logits.amax(dim=-1, keepdim=True)).exp()
    return powers / powers.norm(dim=-1, keepdim=True)


@_softmax.misconception
def sum_without_keepdim(logits):
    """The sums have lost their axis, so they are lined up with the columns: each number is
    divided by the sum of another row. It goes unnoticed for a single row; where there are more
    or fewer rows than columns it is an error about sizes.

    the shape of the sums. One argument keeps an axis of size one.
    """
    powers = (logits - logits.amax(dim=-1, keepdim=True)).exp()
    return powers / powers.sum(dim=-1)


@_softmax.misconception
def maximum_without_keepdim(logits):
    """The maxima have lost their axis, so they are lined up with the columns: the logits of a row
    lose different numbers, the maxima of other rows. It goes unnoticed for a single row; where
    there are more or fewer rows than columns it is an error about sizes.

    the shape of the maxima. One argument keeps an axis of size one.
    """
    powers = (logits - logits.amax(dim=-1)).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


@_softmax.misconception
def both_without_keepdim(logits):
    """Maxima and sums have both lost their axis, so they are lined up with the columns, and each
    number meets the maximum and the sum of another row. For a single row that goes unnoticed;
    elsewhere it may be an error about sizes.

    the shapes of maxima and sums. One argument keeps an axis of size one.
    """
    powers = (logits - logits.amax(dim=-1)).exp()
    return powers / powers.sum(dim=-1)


@_softmax.misconception
def sigmoid(logits):
    """Every logit goes through a sigmoid by itself. The results lie between zero and one, but the
    logits do not compete: raising one leaves the others as they are, and no row sums to one.

    what each number is divided by. It has to depend on the whole row.
    """
    return logits.sigmoid()


@_softmax.misconception
def winner_takes_all(logits):
    """The largest logit gets everything, the others nothing. That is a hard choice; a softmax is
    a soft one, where the runner-up gets a share as well.

    the step that picks a winner. Nothing in the formula does.
    """
    best = logits.argmax(dim=-1, keepdim=True)
    return torch.zeros_like(logits).scatter(-1, best, 1.0)


@_softmax.misconception
def logarithms(logits):
    """These are the logarithms of the shares: every number is negative or zero. That is what
    log_softmax gives; it is made for losses.

    the last step. If a logarithm stands there, leave it out.
    """
    return logits.log_softmax(dim=-1)


@_softmax.misconception
def base_two(logits):
    """The powers are powers of 2; those of a softmax are powers of e, which is 2.718... With the
    smaller base the shares come out too even.

    the function that makes powers of the logits.
    """
    powers = (logits - logits.amax(dim=-1, keepdim=True)).exp2()
    return powers / powers.sum(dim=-1, keepdim=True)


@_softmax.misconception
def minus_sign(logits):
    """The smallest logit gets the largest share: there is a minus sign in front of the logits. A
    softmax gives the largest share to the largest logit.

    the sign of what goes into exp.
    """
    return (-logits).softmax(dim=-1)


@_softmax.misconception
def subtracted_from_the_maximum(logits):
    """You subtract the logits from the maximum; it should be the maximum from the logits. So the
    smallest logit gets the largest share, and one far below overflows.

    the order of the two sides of the minus. The largest logit should become 0, the others less.
    """
    powers = (logits.amax(dim=-1, keepdim=True) - logits).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


@_softmax.misconception
def twice(logits):
    """The softmax is taken twice: what goes into the second one are shares already. They all lie
    between zero and one, so the result comes out far too even.

    the second exp, or the softmax after your own. One is enough.
    """
    return logits.softmax(dim=-1).softmax(dim=-1)


# The first thing that many write has no maximum in it and another mistake as well.


@_softmax.misconception
def exponentials_over_everything(logits):
    """Two things are missing. All the numbers share a single unit, and your whole table sums to
    one, where each row should. And large logits overflow: the exponential of 10000 is infinite.

    first the sum, which needs to know its axis; then what goes into exp.
    """
    return logits.exp() / logits.exp().sum()


@_softmax.misconception
def exponentials_without_keepdim(logits):
    """Two things are missing. The sums have lost their axis, so each number is divided by the sum
    of another row, and with other sizes it is an error. And large logits overflow: the
    exponential of 10000 is infinite.

    first the shape of the sums, where one argument keeps an axis; then what goes into exp.
    """
    return logits.exp() / logits.exp().sum(dim=-1)


@_softmax.misconception
def exponentials_over_the_first_axis(logits):
    """Two things are missing. The softmax runs over the first axis: your columns sum to one, your
    rows do not. And large logits overflow: the exponential of 10000 is infinite.

    first the dim of the sum, which is best counted from the end; then what goes into exp.
    """
    return logits.exp() / logits.exp().sum(dim=0, keepdim=True)


@_softmax.misconception
def exponentials_over_axis_one(logits):
    """Two things are missing. The softmax runs over axis 1, which is the last one in a table only.
    And large logits overflow: the exponential of 10000 is infinite.

    first the dim of the sum, which is best counted from the end; then what goes into exp.
    """
    return logits.exp() / logits.exp().sum(dim=1, keepdim=True)


# 07-attention-mask


def attention_mask(input_ids, pad_id):
    return (input_ids != pad_id).long()  # 1 where real, 0 where padding


def _ones_and_zeros(attempt: Answer, probe: Probe) -> dict[str, Tensor]:
    """The mask as numbers: True counts as 1, and every huge negative number as -inf."""
    mask = named(attempt(*probe.values()), "mask")["mask"].double()
    return {"mask": mask.masked_fill(mask < -1000, -torch.inf)}


_mask = Exercise(
    id="07-attention-mask",
    reference=attention_mask,
    returns=("mask",),
    observe=_ones_and_zeros,
    probes=(
        {"input_ids": torch.tensor([101, 7592, 102, 0, 0]), "pad_id": 0},
        {  # padding has another id, and 0 is real: the ids of RoBERTa
            "input_ids": torch.tensor([[0, 31414, 2, 1, 1], [0, 42891, 232, 2, 1]]),
            "pad_id": 1,
        },
        {  # padding on the left
            "input_ids": torch.tensor(
                [[0, 0, 0, 101, 7592, 102], [101, 2204, 2851, 2035, 1012, 102]],
            ),
            "pad_id": 0,
        },
        {  # on either side, three sentences
            "input_ids": torch.tensor(
                [[5, 101, 2204, 102, 5, 5], [101, 2748, 1012, 102, 5, 5], [5, 5, 5, 101, 0, 102]],
            ),
            "pad_id": 5,
        },
    ),
    hints=(
        "A batch is a rectangle, and short sentences were filled up with padding. The mask tells "
        "the model which places are words and which are filling. How can you see that of a single "
        "place, without looking at any other?",
        "Every place of padding holds the same id, pad_id. Compare the whole tensor with it at "
        "once: the answer is a tensor of True and False of the same shape. Which of the two should "
        "become 1?",
        "input_ids != pad_id is True where a token is real. long() makes 1 and 0 of it.",
    ),
)


@_mask.misconception
def inverted(input_ids, pad_id):
    """Ones and zeros are exchanged: your mask marks the padding. The model would read only
    the filling and none of the words.

    the comparison with pad_id. Real tokens get the 1.
    """
    return (input_ids == pad_id).long()


@_mask.misconception
def zero_is_padding(input_ids, pad_id):
    """You take the id 0 for padding, whatever pad_id says: that is what comparing with 0 does,
    and .bool() as well. In BERT's vocabulary padding is 0. In RoBERTa's it is 1, and 0 is the
    token that starts each sentence.

    where pad_id is used in your code.
    """
    return (input_ids != 0).long()


@_mask.misconception
def larger_than_padding(input_ids, pad_id):
    """Only ids larger than pad_id count as real. Where padding is 0 that is right; elsewhere,
    tokens whose ids are smaller get lost.

    the comparison. It should ask whether an id is another one, not whether it is larger.
    """
    return (input_ids > pad_id).long()


@_mask.misconception
def special_tokens_hidden(input_ids, pad_id):
    """[CLS] and [SEP], the ids 101 and 102, get a 0. They are no words, but they are no padding
    either: the model was trained to read them, and classifies by what [CLS] has gathered.

    the conditions in your mask. A comparison with pad_id is all there is to it.
    """
    return ((input_ids != pad_id) & (input_ids != 101) & (input_ids != 102)).long()


@_mask.misconception
def ends_hidden(input_ids, pad_id):
    """The first and the last real token of each sentence get a 0. They are no words, but they
    are no padding either: the model was trained to read them, and classifies by what the first
    one has gathered.

    the places at the ends. A comparison with pad_id is all there is to it.
    """
    real = (input_ids != pad_id).long()
    from_left, from_right = real.cumsum(-1), real.flip(-1).cumsum(-1).flip(-1)
    return real * (from_left > 1) * (from_right > 1)


@_mask.misconception
def first_token_hidden(input_ids, pad_id):
    """The first place of each row gets a 0, whatever stands there. [CLS] is no word, but it is no
    padding either: the model was trained to read it, and classifies by what it has gathered.

    the first column. A comparison with pad_id is all there is to it.
    """
    mask = (input_ids != pad_id).long()
    mask[..., 0] = 0
    return mask


@_mask.misconception
def hidden_from_the_first_padding_on(input_ids, pad_id):
    """Everything from the first padding on gets a 0. That fits where padding comes last; here it
    comes first in one sentence, and all its words are hidden. Models that write are often padded
    on the left.

    what decides about a place. Its own id is enough.
    """
    return ((input_ids == pad_id).cumsum(-1) == 0).long()


@_mask.misconception
def counted_from_the_left(input_ids, pad_id):
    """You count the real tokens of a sentence and set that many ones, from the left. That fits
    where padding comes last; here it comes first in one sentence, so padding gets ones and
    words get zeros.

    what decides about a place. Its own id is enough.
    """
    count = (input_ids != pad_id).sum(-1, keepdim=True)
    return (torch.arange(input_ids.size(-1)) < count).long()


@_mask.misconception
def one_place_too_far(input_ids, pad_id):
    """The ones reach one place too far: the first place of padding has one as well. You count
    the real tokens and set that many ones and one more.

    the comparison of positions with the count: < or <=. Or do without counting: the id at a
    place says whether it is padding.
    """
    count = (input_ids != pad_id).sum(-1, keepdim=True)
    return (torch.arange(input_ids.size(-1)) <= count).long()


@_mask.misconception
def all_ones(input_ids, pad_id):
    """Every place gets a 1: nothing is hidden, and the model reads the padding as if it were
    words. A mask like that fits only where all the sentences are equally long.

    where pad_id is used in your code.
    """
    return torch.ones_like(input_ids)


@_mask.misconception
def all_zeros(input_ids, pad_id):
    """Every place gets a 0: everything is hidden. If you meant the third thing that a tokenizer
    returns, token_type_ids, it is all zeros for single sentences; the mask is another one.

    the places that should get a 1.
    """
    return torch.zeros_like(input_ids)


@_mask.misconception
def ids_kept(input_ids, pad_id):
    """Padding has become 0, but real tokens still hold their ids. A mask answers a yes-or-no
    question for each place: 1 or 0, and nothing else.

    the end of your function. What you compare is the answer; it need not be multiplied.
    """
    return input_ids * (input_ids != pad_id)


@_mask.misconception
def additive(input_ids, pad_id):
    """This is a mask for adding to the scores: 0 where a token is real, and a huge negative
    number where it is padding. Models turn an attention mask into that form inside; from you
    they expect 1 and 0.

    the values in the mask. Nothing has to be filled in.
    """
    return torch.zeros(input_ids.shape).masked_fill(input_ids == pad_id, -torch.inf)


@_mask.misconception
def additional_axes(input_ids, pad_id):
    """The values are right, but there are more axes than the ids have. Inside the attention a
    mask has axes for heads and queries, and the model adds them itself; from you it expects one
    number for each id.

    the shape, which should be that of input_ids.
    """
    return (input_ids != pad_id).long()[..., None, None, :]


@_mask.misconception
def pairs_of_tokens(input_ids, pad_id):
    """You answer for every pair of tokens: a table of L rows and L columns for each sentence.
    What is asked for is one number for each token. The model builds the table itself.

    the shape, which should be that of input_ids.
    """
    real = input_ids != pad_id
    return (real[..., :, None] & real[..., None, :]).long()


@_mask.misconception
def lengths(input_ids, pad_id):
    """You count: there is one number for each sentence, and it says how many tokens are real.
    That does not tell where they are. The mask has a number for each place.

    the sum at the end. Leave it out.
    """
    return (input_ids != pad_id).sum(-1)


@_mask.misconception
def one_answer_for_a_sentence(input_ids, pad_id):
    """There is one answer for each sentence: whether it has no padding at all. The mask has an
    answer for each place.

    the shape, which should be that of input_ids, and any all() or any() in your code.
    """
    return (input_ids != pad_id).all(-1).long()


@_mask.misconception
def flattened(input_ids, pad_id):
    """The values are right, but all the sentences of the batch have been joined into one row. The
    mask keeps a row for each of them.

    the shape, which should be that of input_ids.
    """
    return (input_ids != pad_id).long().flatten()


EXERCISES = (_softmax, _mask)
