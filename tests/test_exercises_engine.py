"""The exercise engine: hostile attempts, odd results, the report, hints and solutions."""

import collections
import gc
import html
import math
import random
import re
import signal
import subprocess
import sys
import threading
import time
import types
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.formatters import DisplayFormatter

import course_lib.exercises
from course_lib.exercises import (
    check,
    engine,
    grade,
    guard,
    hint,
    lesson_08,
    passed,
    report,
    solution,
)
from course_lib.exercises.engine import find

RIGHT = lesson_08.scaled_dot_product_attention


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    """Each test starts like a fresh kernel."""
    monkeypatch.setattr(engine, "_attempted", set())
    monkeypatch.setattr(engine, "_passed", set())
    monkeypatch.setattr(engine, "_hints_given", collections.Counter())


@pytest.fixture(autouse=True)
def interruptible():
    """Ctrl-C as in a kernel, also where the tests run in the background and are to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def short(monkeypatch):
    """Attempts that run for ever need not run for a whole second here."""
    monkeypatch.setattr(guard, "PROBE_SECONDS", 0.3)


TIMER = hasattr(signal, "setitimer")
needs_timer = pytest.mark.skipif(not TIMER, reason="Windows has no timer that ends a sleep")


def session():
    """Everything that grading could disturb, as text that can be compared."""
    return [
        hash(str(random.getstate())),
        hash(str(np.random.get_state()[1].tolist())),
        hash(torch.get_rng_state().numpy().tobytes()),
        {words: str(read()) for words, (read, _) in guard.SETTINGS.items()},
        torch.get_num_threads(),
        sys.stdout,
        sys.stderr,
        list(warnings.filters),
        signal.getsignal(signal.SIGINT),
        TIMER and signal.getsignal(signal.SIGALRM),
        TIMER and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0),
    ]


@pytest.fixture
def undisturbed():
    gc.collect()
    before = session()
    yield
    assert session() == before
    for exercise in lesson_08.EXERCISES:  # the probes are as they were
        assert grade(exercise.id, exercise.reference).status == "passed"


def in_words(outcome):
    """A report for a student: words, no traceback, no address, the same on every machine."""
    text = repr(outcome)
    assert "Traceback" not in text
    assert " at 0x" not in text
    assert "/" not in text.replace("and/or", "")
    assert len(text) < 3000
    return outcome


def test_the_number_of_threads_comes_back():
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert grade("08-attention", RIGHT).status == "passed"
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


# Attempts that are not there yet


def ellipsis(query, key, value, mask=None): ...


def only_pass(query, key, value, mask=None):
    # a comment
    pass


def only_a_docstring(query, key, value, mask=None):
    """Equation 1."""


def not_implemented(query, key, value, mask=None):
    """Equation 1."""
    raise NotImplementedError


def not_implemented_in_words(query, key, value, mask=None):
    raise NotImplementedError("write me")


def gaps(query, key, value, mask=None):
    scores = query @ key.transpose(-2, -1)
    assert scores is not None
    weights = ...
    output = ...
    return output, weights


def return_gap(query, key, value, mask=None):
    return ...


@pytest.mark.parametrize(
    "stub",
    [
        ellipsis,
        only_pass,
        only_a_docstring,
        not_implemented,
        not_implemented_in_words,
        gaps,
        return_gap,
        lambda *_: None,
    ],
)
def test_a_stub_is_not_attempted(stub, undisturbed):
    outcome = in_words(grade("08-attention", stub))
    assert (outcome.status, outcome.misconception) == ("not attempted", None)
    assert 'hint("08-attention")' in outcome.message


def test_not_implemented_from_elsewhere_is_an_error():
    def missing_operator(query, key, value, mask=None):
        return torch.empty(1, device="meta").cpu(), key

    outcome = grade("08-attention", missing_operator)
    assert outcome.status == "error"
    assert "NotImplementedError: Cannot copy out of meta tensor" in outcome.message

    def helper(scores):
        raise NotImplementedError

    def needs_a_helper(query, key, value, mask=None):
        return helper(query), key

    assert grade("08-attention", needs_a_helper).status == "not attempted"


def test_a_written_function_without_return_is_asked():
    def forgot(query, key, value, mask=None):
        weights = (query @ key.transpose(-2, -1)).softmax(-1)
        weights @ value

    outcome = grade("08-attention", forgot)
    assert outcome.status == "failed"
    assert "Did you forget `return`?" in outcome.message

    def forgot_in_one_branch(query, key, value, mask=None):
        if mask is None:
            return RIGHT(query, key, value)

    outcome = grade("08-attention", forgot_in_one_branch)
    assert "Did you forget `return`?" in outcome.message
    assert "mask" in outcome.message


# Attempts that never end


def spins(query, key, value, mask=None):
    while True:
        pass


def spins_on_exceptions(query, key, value, mask=None):
    while True:
        try:
            while True:
                pass
        except Exception:
            pass


def catches_everything(query, key, value, mask=None):
    while True:
        try:
            while True:
                pass
        except:  # noqa: E722
            pass


def catches_in_layers(query, key, value, mask=None):
    while True:
        try:
            try:
                time.sleep(9)
            except BaseException:
                time.sleep(9)
        except BaseException:
            pass


def continues_finally(query, key, value, mask=None):
    while True:
        try:
            sum(range(1000))
        finally:
            continue  # noqa: B012


def sleeps(query, key, value, mask=None):
    time.sleep(60)


def gives_up_gracefully(query, key, value, mask=None):
    try:
        while True:
            pass
    except BaseException:
        return RIGHT(query, key, value, mask)


def turns_it_into_an_error(query, key, value, mask=None):
    try:
        while True:
            pass
    except BaseException:
        raise ValueError from None


ENDLESS = [
    spins,
    spins_on_exceptions,
    catches_everything,
    pytest.param(catches_in_layers, marks=needs_timer),
    continues_finally,
    pytest.param(sleeps, marks=needs_timer),
    gives_up_gracefully,
    turns_it_into_an_error,
]


@pytest.mark.parametrize("attempt", ENDLESS)
def test_an_attempt_that_never_ends_is_stopped(attempt, short, undisturbed):
    started = time.monotonic()
    outcome = in_words(grade("08-attention", attempt))
    assert time.monotonic() - started < 4
    assert outcome.status == "error"
    assert "Is there a loop that never ends?" in outcome.message


def test_a_second_for_each_probe():
    started = time.monotonic()
    assert grade("08-attention", spins).status == "error"
    assert 1 <= time.monotonic() - started < 4


def test_five_seconds_in_all(monkeypatch):
    monkeypatch.setattr(guard, "TOTAL_SECONDS", 1.0)

    def slow(query, key, value, mask=None):
        time.sleep(0.3)
        return RIGHT(query, key, value, mask)

    started = time.monotonic()
    outcome = grade("08-attention", slow)
    assert outcome.status == "error"
    assert "five in all" in outcome.message
    assert time.monotonic() - started < 3


def in_thread(function):
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    return results[0]


@pytest.mark.parametrize(
    "attempt", [spins, spins_on_exceptions, catches_everything, continues_finally]
)
def test_in_another_thread_it_is_stopped_too(attempt, short, undisturbed):
    outcome = in_thread(lambda: grade("08-attention", attempt))
    assert outcome.status == "error"
    assert "Is there a loop that never ends?" in outcome.message


def test_another_thread_grades_like_the_main_one(undisturbed):
    for attempt in (RIGHT, lesson_08.no_scaling, ellipsis, raises):
        there = in_thread(lambda a=attempt: grade("08-attention", a))
        assert there == grade("08-attention", attempt)


def test_without_setitimer_the_main_thread_is_watched(monkeypatch, short):
    """As on Windows."""
    monkeypatch.delattr(signal, "setitimer", raising=False)
    for attempt in (spins, catches_everything):
        assert grade("08-attention", attempt).status == "error"
    assert grade("08-attention", RIGHT).status == "passed"


def test_grading_within_grading_and_beside_it(short):
    inner = []

    def checks_itself(query, key, value, mask=None):
        inner.append(check("08-attention", checks_itself))
        return RIGHT(query, key, value, mask)

    assert grade("08-attention", checks_itself).status == "passed"
    assert {outcome.status for outcome in inner} == {"error"}
    assert "Another check is still running" in inner[0].message


# Ctrl-C, handlers and timers


def test_ctrl_c_still_interrupts(undisturbed):
    def interrupted(query, key, value, mask=None):
        signal.raise_signal(signal.SIGINT)
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        grade("08-attention", interrupted)


def test_ctrl_c_interrupts_an_attempt_that_catches_everything(undisturbed):
    def stubborn(query, key, value, mask=None):
        try:
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.1)
        except BaseException:
            pass
        return RIGHT(query, key, value, mask)

    with pytest.raises(KeyboardInterrupt):
        grade("08-attention", stubborn)


def test_ctrl_c_restores_the_settings(undisturbed):
    def interrupted(query, key, value, mask=None):
        torch.set_default_dtype(torch.float64)
        random.seed(3)
        signal.raise_signal(signal.SIGINT)
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        grade("08-attention", interrupted)


@needs_timer
def test_handlers_and_a_running_timer_survive():
    rung = []
    old = signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic()))
    try:
        started = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.8)

        def meddles(query, key, value, mask=None):
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            return RIGHT(query, key, value, mask)

        assert grade("08-attention", meddles).status == "passed"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        time.sleep(max(0, 1.0 - (time.monotonic() - started)))
        assert len(rung) == 1
        assert rung[0] - started >= 0.79
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


# Attempts that raise


def raises(query, key, value, mask=None):
    scores = query @ key
    return scores.this_does_not_exist


def exits(query, key, value, mask=None):
    sys.exit("bye")


def interrupts(query, key, value, mask=None):
    raise KeyboardInterrupt


def recurses(query, key, value, mask=None):
    return recurses(query, key, value, mask)


class Unprintable(Exception):  # noqa: N818
    def __str__(self):
        raise ValueError("no words")


def raises_unprintable(query, key, value, mask=None):
    raise Unprintable


def raises_generator_exit(query, key, value, mask=None):
    raise GeneratorExit


def three_arguments(query, key, value):
    return RIGHT(query, key, value)


def no_arguments():
    return RIGHT()


def fails_an_assertion(query, key, value, mask=None):
    assert query.dim() == 7, f"odd {object()}"


RAISING = {
    raises: "stopped in the line `return scores.this_does_not_exist`. AttributeError: 'Tensor'",
    exits: 'stopped in the line `sys.exit("bye")`. SystemExit: bye',
    interrupts: "`raise KeyboardInterrupt`. KeyboardInterrupt",
    recurses: "RecursionError: maximum recursion depth exceeded",
    raises_unprintable: "`raise Unprintable`. Unprintable",
    raises_generator_exit: "GeneratorExit",
    three_arguments: "could not be called on this input. TypeError: three_arguments() takes 3",
    no_arguments: "could not be called on this input. TypeError: no_arguments() takes 0",
    fails_an_assertion: "AssertionError: odd <object object>",
    math.sqrt: "could not be called on this input. TypeError: ",
}


@pytest.mark.parametrize(("attempt", "words"), RAISING.items())
def test_an_exception_is_told_in_words(attempt, words, undisturbed):
    outcome = in_words(grade("08-attention", attempt))
    assert (outcome.status, outcome.misconception) == ("error", None)
    assert words in outcome.message
    assert "query" in outcome.message


def test_code_without_source_is_told_by_its_line():
    namespace = {}
    exec("def f(query, key, value, mask=None):\n    x = 1\n    return query.nothing", namespace)
    assert "stopped in line 3." in grade("08-attention", namespace["f"]).message


# Attempts that do harm


def in_place(query, key, value, mask=None):
    query /= query.size(-1) ** 0.5
    scores = query @ key.transpose(-2, -1)
    scores = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ value, scores.softmax(-1)


def spoils_the_mask(query, key, value, mask=None):
    result = RIGHT(query, key, value, mask)
    if mask is not None:
        mask.fill_(False)
    value.resize_(0)
    return result


def changes_dtype(query, key, value, mask=None):
    torch.set_default_dtype(torch.float64)
    return RIGHT(query, key, value, mask)


def changes_device(query, key, value, mask=None):
    torch.set_default_device("meta")
    return RIGHT(query, key, value, mask)


def stops_gradients(query, key, value, mask=None):
    torch.set_grad_enabled(False)
    sys.setrecursionlimit(5000)
    return RIGHT(query, key, value, mask)


def reseeds_torch(query, key, value, mask=None):
    torch.manual_seed(42)
    return RIGHT(query, key, value, mask)


def reseeds_the_others(query, key, value, mask=None):
    np.random.seed(1)
    random.seed(1)
    return RIGHT(query, key, value, mask)


HARMFUL = {
    in_place: ["its input `query`"],
    spoils_the_mask: ["its input `mask`", "its input `value`"],
    changes_dtype: ["torch's default dtype"],
    changes_device: ["torch's default device"],
    stops_gradients: ["torch's recording of gradients", "Python's recursion limit"],
    reseeds_torch: ["the seed of torch's random generator"],
    reseeds_the_others: ["NumPy's random generator", "Python's random generator"],
}


@pytest.mark.parametrize(("attempt", "words"), HARMFUL.items())
def test_harm_is_undone_and_told(attempt, words, undisturbed):
    outcome = in_words(grade("08-attention", attempt))
    assert outcome.status == "failed"
    assert outcome.message.startswith("The numbers are right, but your function also changes ")
    for each in words:
        assert each in outcome.message
    assert outcome.message.count("random generator") == sum("random generator" in w for w in words)


def test_harm_without_right_numbers_is_second_to_the_diagnosis(undisturbed):
    def both(query, key, value, mask=None):
        torch.manual_seed(1)
        torch.set_default_dtype(torch.float16)
        query.zero_()
        return lesson_08.no_scaling(query, key, value, mask)

    assert grade("08-attention", both).message.startswith(engine.DIFFERENT)


def test_drawing_random_numbers_harms_nothing(undisturbed):
    def draws(query, key, value, mask=None):
        torch.rand(3), np.random.rand(2), random.random()
        return RIGHT(query, key, value, mask)

    assert grade("08-attention", draws).status == "passed"


def test_state_between_calls_is_told(undisturbed):
    calls = []

    def counts(query, key, value, mask=None):
        calls.append(1)
        output, weights = RIGHT(query, key, value, mask)
        return output + len(calls), weights

    def drops(query, key, value, mask=None):
        output, weights = RIGHT(query, key, value, mask)
        return torch.nn.functional.dropout(output), weights

    seen = set()

    def works_once(query, key, value, mask=None):
        if (key.shape, mask is None) in seen:
            raise RuntimeError("used up")
        seen.add((key.shape, mask is None))
        return RIGHT(query, key, value, mask)

    for attempt in (counts, drops, works_once):
        outcome = in_words(grade("08-attention", attempt))
        assert outcome.status == "failed"
        assert "two different answers to the same input" in outcome.message
    assert "output, first" in grade("08-attention", counts).message


def test_the_same_tensor_returned_again_is_no_state_of_ours():
    kept = {}

    def reuses(query, key, value, mask=None):
        output, weights = RIGHT(query, key, value, mask)
        buffer = kept.setdefault(output.shape, torch.empty_like(output))
        return buffer.copy_(output), weights

    assert grade("08-attention", reuses).status == "passed"


# What an attempt prints


def floods(query, key, value, mask=None):
    for _ in range(3000):
        print("spam" * 10)
        print("\x1b[31merror\x07", file=sys.stderr)
    return RIGHT(query, key, value, mask)


def test_a_flood_is_captured_and_capped(undisturbed, capsys):
    outcome = in_words(grade("08-attention", floods))
    assert outcome.status == "passed"
    assert capsys.readouterr() == ("", "")
    assert "Your function printed:\n\n    spamspam" in outcome.message
    assert "characters more" in outcome.message
    assert "\x1b" not in outcome.message
    assert len(outcome.message) < 1000


def test_what_is_printed_is_shown_with_the_input_it_belongs_to():
    def talks(query, key, value, mask=None):
        print("the mask is", None if mask is None else tuple(mask.shape))
        return lesson_08.mask_ignored(query, key, value, mask)

    outcome = grade("08-attention", talks)
    assert outcome.message.endswith("Your function printed:\n\n    the mask is (3, 3)")

    def quiet(query, key, value, mask=None):
        print()
        warnings.warn("each time, or only once?", stacklevel=1)
        return RIGHT(query, key, value, mask)

    assert "printed" not in grade("08-attention", quiet).message


def test_standard_output_replaced_by_an_attempt_comes_back(undisturbed):
    def replaces(query, key, value, mask=None):
        sys.stdout = sys.stderr = None
        return RIGHT(query, key, value, mask)

    assert grade("08-attention", replaces).status == "passed"


# What an attempt returns


def returning(result):
    def attempt(query, key, value, mask=None):
        return result

    return attempt


PLAIN = torch.zeros(2, 2)
ODD = {
    "a single tensor": (PLAIN, "It returned a single Tensor"),
    "three": ((PLAIN, PLAIN, PLAIN), "It returned 3 things"),
    "nothing at all": ((), "It returned 0 things"),
    "a dictionary": ({"output": PLAIN}, "It returned a single dict"),
    "an array": ((np.zeros(2), PLAIN), "`output` as a NumPy array"),
    "lists": (([[0.0]], PLAIN), "`output` should be a torch tensor. Yours is a list"),
    "a None": ((PLAIN, None), "`weights` should be a torch tensor. Yours is a NoneType"),
    "sparse": ((PLAIN.to_sparse(), PLAIN), "`output` should be a plain tensor of real numbers"),
    "complex": ((PLAIN, PLAIN.to(torch.complex64)), "`weights` should be a plain tensor"),
    "meta": ((PLAIN.to("meta"), PLAIN), "`output` should be a plain tensor"),
    "nested": (
        (torch.nested.as_nested_tensor([PLAIN], layout=torch.jagged), PLAIN),
        "plain tensor",
    ),
}


@pytest.mark.parametrize(("result", "words"), ODD.values(), ids=ODD)
def test_other_types_are_told_in_words(result, words, undisturbed):
    outcome = in_words(grade("08-attention", returning(result)))
    assert (outcome.status, outcome.misconception) == ("failed", None)
    assert words in outcome.message


def test_other_shapes_are_shown():
    def flat(query, key, value, mask=None):
        output, weights = RIGHT(query, key, value, mask)
        return output.sum(-1), weights

    message = in_words(grade("08-attention", flat)).message
    assert re.search(r"output, yours +\[[^]]*\]  shape \(2,\)", message)
    assert re.search(r"output, expected +\[\[.*  shape \(2, 2\)", message)
    assert "weights, both" in message


class Evil:
    """Fails at whatever is done with it."""

    def __getattribute__(self, name):
        raise RuntimeError("no")

    def __eq__(self, other):
        raise RuntimeError("no")

    __hash__ = None

    def __repr__(self):
        raise RuntimeError("no")

    def __len__(self):
        raise RuntimeError("no")


class EvilTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        raise RuntimeError("no")


tensors = st.builds(
    lambda shape, fill, dtype: torch.full(shape, fill).to(dtype),
    st.lists(st.integers(0, 3), max_size=4),
    st.sampled_from([0.0, 1.0, -1e30, float("nan"), float("inf")]),
    st.sampled_from(
        [
            torch.float32,
            torch.float64,
            torch.float16,
            torch.bfloat16,
            torch.int64,
            torch.uint8,
            torch.bool,
            torch.complex64,
            torch.float8_e4m3fn,
        ]
    ),
)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.just(...),
    st.just(NotImplemented),
    tensors,
    st.sampled_from([np.zeros((2, 2)), np.float32(1), float, len, Evil]),
    st.builds(Evil),
    st.builds(lambda: torch.zeros(2, 2).as_subclass(EvilTensor)),
    st.builds(lambda: (i for i in range(3))),
    st.builds(lambda: torch.zeros(2, 2, requires_grad=True)),
    st.builds(lambda: torch.zeros(1).expand(10**4, 10**3)),
)
results = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, max_size=2),
        st.tuples(inner, inner),
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=150)
@given(result=results, exercise_id=st.sampled_from([e.id for e in lesson_08.EXERCISES]))
def test_whatever_comes_back_grade_answers_in_words(result, exercise_id):
    outcome = grade(exercise_id, lambda *_: result)
    assert isinstance(outcome, engine.Report)
    assert outcome.status in ("failed", "not attempted", "error")
    assert in_words(outcome)
    assert outcome._repr_html_()


@settings(deadline=None, max_examples=60)
@given(attempt=st.one_of(leaves, results))
def test_whatever_is_graded_grade_answers_in_words(attempt):
    outcome = grade("08-attention", attempt)
    assert outcome.status in ("error", "failed")


class LateTensor(torch.Tensor):
    """Looks like a tensor until somebody computes with it."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function is torch.Tensor.double:
            raise RuntimeError("no")
        return super().__torch_function__(function, types, args, kwargs or {})


def test_a_result_that_fails_while_it_is_compared_is_told():
    result = tuple(torch.zeros(2, 2).as_subclass(LateTensor) for _ in range(2))
    outcome = grade("08-attention", returning(result))
    assert outcome.status == "error"
    assert outcome.message == "Your result cannot be compared (RuntimeError)."


def test_the_function_itself_is_wanted():
    outcome = check("08-attention", torch.zeros(2))
    assert outcome.status == "error"
    assert 'check("08-attention", scaled_dot_product_attention)' in outcome.message
    assert "of type Tensor" in outcome.message


def test_coroutines_and_generators_are_named():
    async def coroutine(query, key, value, mask=None):
        return RIGHT(query, key, value, mask)

    def generator(query, key, value, mask=None):
        yield RIGHT(query, key, value, mask)

    assert "a single coroutine" in grade("08-attention", coroutine).message
    assert "a single generator" in grade("08-attention", generator).message


# Names, hints and solutions


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("08-atention", "08-attention?"),
        ("08_attention", "08-attention?"),
        ("", "07-attention-mask or 07-softmax or 08-"),
        ("nonsense", "07-attention-mask or 07-softmax or 08-"),
    ],
)
def test_an_unknown_exercise_is_answered_with_a_name(name, meant):
    for answer in (grade(name, RIGHT).message, hint(name), solution(name)):
        assert answer.startswith(f"No exercise is called {name!r}. Did you mean {meant}")


def test_a_lesson_waits_for_no_other_lessons_libraries():
    program = (
        "import sys\n"
        "from course_lib.exercises import hint\n"
        "hint('08-attention')\n"
        "assert not {'transformers', 'sklearn'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_arguments_in_the_wrong_order_are_answered():
    outcome = grade(RIGHT, "08-attention")
    assert outcome.status == "error"
    assert "No exercise is called 'a function'" in outcome.message


def test_hints_come_one_by_one_and_end():
    exercise = engine.find("08-attention")
    given_hints = [hint("08-attention") for _ in range(5)]
    for number, text in enumerate(exercise.hints, start=1):
        assert given_hints[number - 1] == f"Hint {number} of 3: {text}"
    assert given_hints[3] == given_hints[4]
    assert given_hints[3].startswith("You have seen all 3 hints.")
    assert hint("08-causal-mask").startswith("Hint 1 of 3")
    assert repr(given_hints[0]) == str(given_hints[0])


def test_the_solution_waits_for_an_attempt():
    locked = solution("08-attention")
    assert locked.startswith("Try it first.")
    assert "def " not in locked
    check("08-attention", ellipsis)
    check("08-attention", 3)
    grade("08-attention", lesson_08.no_scaling)
    assert solution("08-attention") == locked
    check("08-causal-mask", lesson_08.inverted)
    assert solution("08-attention") == locked
    check("08-attention", lesson_08.no_scaling)
    shown = solution("08-attention")
    assert shown.startswith("def scaled_dot_product_attention(query, key, value, mask=None):\n")
    assert repr(shown) == shown


def test_reveal_needs_no_attempt():
    assert solution("08-split-heads", reveal=True).startswith("def split_heads(x, heads):")


# The report


def reports():
    return [
        grade("08-attention", RIGHT),
        grade("08-attention", lesson_08.mask_ignored),
        grade("08-attention", lesson_08.blind_row_nan),
        grade("08-attention", ellipsis),
        grade("08-attention", raises),
        grade("08-attention", floods),
    ]


def test_the_page_says_what_the_text_says():
    for outcome in reports():
        page = outcome._repr_html_()
        text = html.unescape(re.sub(r"<[^>]+>", " ", page))
        assert text.split() == repr(outcome).split()
        assert page.count('role="status"') == 1


def test_a_notebook_shows_words_and_page():
    formats, _ = DisplayFormatter().format(check("08-attention", lesson_08.no_scaling))
    assert formats["text/plain"].startswith("Not yet. The scores go into the softmax unscaled.")
    assert formats["text/html"].startswith('<div role="status"')
    formats, _ = DisplayFormatter().format(hint("08-attention"))
    assert formats["text/plain"].startswith("Hint 1 of 3: ")
    formats, _ = DisplayFormatter().format(solution("08-attention"))
    assert formats["text/plain"].startswith("def scaled_dot_product_attention")


def test_reports_are_the_same_every_time():
    assert [repr(one) for one in reports()] == [repr(other) for other in reports()]


def test_markup_from_a_student_stays_text():
    def injects(query, key, value, mask=None):
        raise ValueError("</pre><script>alert(1)</script> & <b>")

    def prints(query, key, value, mask=None):
        print('<img src=x onerror="alert(1)">')
        return RIGHT(query, key, value, mask)

    for attempt in (injects, prints):
        page = grade("08-attention", attempt)._repr_html_()
        assert "<script" not in page
        assert "<img" not in page
        assert "&lt;" in page


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_every_text_has_contrast_on_its_own_background():
    """So it is legible in light and in dark themes, whatever colours they set around it."""
    for outcome in reports():
        page = outcome._repr_html_()
        tags = re.findall(r"<(?:div|p|pre|strong)\b[^>]*>", page)
        assert tags
        for tag in tags:
            colour = re.search(r"[;\"]color:(#\w{6})", tag)[1]
            ground = re.search(r"background-color:(#\w{6})", tag)[1]
            assert contrast(colour, ground) >= 7
    headlines = [look[0] for look in report.LOOKS.values()]
    assert len(set(headlines)) == len(report.LOOKS)  # the words differ, not the colour alone


# The package


def test_importing_the_package_is_immediate_and_needs_no_torch():
    code = "import sys, course_lib.exercises; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr


def test_its_names_are_there_and_others_are_not():
    for name in course_lib.exercises.__all__:
        assert isinstance(getattr(course_lib.exercises, name), types.FunctionType)
    with pytest.raises(AttributeError, match="no attribute 'chekc'"):
        _ = course_lib.exercises.chekc


def test_later_cells_wait_for_the_checks_that_they_need(capsys):
    ids = ["08-causal-mask", "08-split-heads"]
    assert not passed(*ids)
    assert "waits for the check of 08-causal-mask and 1 more." in capsys.readouterr().out
    for id in ids:
        check(id, find(id).reference)
    assert passed(*ids)
    assert capsys.readouterr().out == ""
    check(ids[1], lambda x, heads: x)  # the last check counts
    assert not passed(*ids)
    assert "waits for the check of 08-split-heads. Run" in capsys.readouterr().out
    with pytest.raises(LookupError, match="08-causal-mask"):
        passed("08-causal-musk")
