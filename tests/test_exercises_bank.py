"""The banks of wrong answers: each is caught, told apart from every other, and told in words."""

import ast
import inspect
import itertools
import math
import random
import re
from importlib import import_module

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score, f1_score
from torch import nn
from transformers import AutoModel, AutoTokenizer

from course_lib.checkpoints import locate
from course_lib.exercises import LESSONS, check, engine, grade, guard, hint, solution
from course_lib.exercises.observation import Failure, distance

MODULES = [import_module(f"course_lib.exercises.{name}") for name in LESSONS]
EXERCISES = [exercise for module in MODULES for exercise in module.EXERCISES]
WRONG = [(e, m) for e in EXERCISES for m in e.misconceptions]
REMARKS = [(e, m) for e in EXERCISES for m in e.remarks]
FEWEST = {
    "07-softmax": 12,
    "07-attention-mask": 12,
    "08-attention": 14,
    "08-causal-mask": 6,
    "08-split-heads": 5,
    "08b-positions": 12,
    "08b-block": 12,
    "08b-teacher-forcing": 12,
    "08b-loss": 12,
    "08b-greedy": 12,
    "08c-mlm-mask": 18,
    "08c-mean-pooling": 14,
    "08c-cosine": 14,
    "challenge-1-model": 12,
    "challenge-2-data": 15,
    "challenge-3-tokenize": 15,
    "challenge-4-head": 18,
    "challenge-5-train": 15,
    "challenge-6-evaluate": 15,
}
HALF = 4 * torch.finfo(torch.bfloat16).eps  # the coarsest tolerance an attempt can get
LESSON_IMPORTS = {"math": math, "torch": torch, "F": F}  # what a lesson may be counted on to have
CHALLENGE_IMPORTS = {
    "random": random,
    "torch": torch,
    "nn": nn,
    "F": F,
    "accuracy_score": accuracy_score,
    "f1_score": f1_score,
    "AutoModel": AutoModel,
    "AutoTokenizer": AutoTokenizer,
    "locate": locate,
}


def named(pairs):
    return [pytest.param(*pair, id=f"{pair[0].id}-{pair[1].slug}") for pair in pairs]


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """How long a function may take is tested with the engine; here the machine may be busy."""
    monkeypatch.setattr(guard, "PROBE_SECONDS", 60.0)
    monkeypatch.setattr(guard, "TOTAL_SECONDS", 300.0)


def executed(exercise, source):
    """What a cell with this source defines, with the imports of its notebook and no others."""
    is_challenge = exercise.id.startswith("challenge-")
    namespace = dict(CHALLENGE_IMPORTS if is_challenge else LESSON_IMPORTS)
    exec(source, namespace)
    return namespace


def definition(answer):
    """The source of a function or class without its decorator."""
    source = inspect.getsource(answer)
    return source[re.search("^(def|class) ", source, re.MULTILINE).start() :]


def with_body(source, body):
    """A function, or each method of a class, with another body."""
    (written,) = ast.parse(source).body
    methods = written.body if isinstance(written, ast.ClassDef) else [written]
    for method in methods:
        method.body = ast.parse(body).body
    return ast.unparse(written)


@pytest.fixture(params=EXERCISES, ids=lambda exercise: exercise.id)
def exercise(request):
    return request.param


def test_names_are_used_once():
    ids = [exercise.id for exercise in EXERCISES]
    assert len(ids) == len(set(ids))
    for module in MODULES:
        lesson = module.__name__.rsplit(".", 1)[1].removeprefix("lesson_")
        assert all(exercise.id.startswith(f"{lesson}-") for exercise in module.EXERCISES)


@pytest.mark.parametrize(("exercise_id", "fewest"), FEWEST.items())
def test_the_bank_is_as_large_as_promised(exercise_id, fewest):
    slugs = [m.slug for m in engine.find(exercise_id).misconceptions]
    assert len(slugs) == len(set(slugs)) >= fewest


def test_probes_stand_from_the_smallest_to_the_largest(exercise):
    def size(value):
        if torch.is_tensor(value):
            return value.numel()
        return value if isinstance(value, int) else len(repr(value))

    sizes = [sum(map(size, probe.values())) for probe in exercise.probes]
    assert sizes == sorted(sizes)


def test_what_a_probe_shows_is_whole_and_the_same_on_every_machine(exercise):
    for value in (v for probe in exercise.probes for v in probe.values()):
        if not torch.is_tensor(value):
            assert len(repr(value)) <= 200
            assert " at 0x" not in repr(value)
            assert "\n" not in repr(value)


# The answers are told apart


def test_the_probes_tell_every_two_answers_apart(exercise):
    """By a hundred times the tolerance, and by more than the coarsest dtype could blur."""
    answers = {"the reference": exercise.known(exercise.reference)}
    answers |= {m.slug: exercise.known(m.wrong) for m in exercise.misconceptions}
    for (one, seen), (other, wanted) in itertools.combinations(answers.items(), 2):
        apart = max(distance(a, b) for a, b in zip(seen, wanted, strict=True))
        assert apart > max(100 * exercise.tolerance, 2 * HALF), f"{one} and {other}: {apart}"


def test_no_wrong_answer_is_known_by_an_exception_alone(exercise):
    """Two mistakes may raise the same exception; only values prove which one it is."""
    expected = exercise.known(exercise.reference)
    for m in exercise.misconceptions:
        pairs = zip(exercise.known(m.wrong), expected, strict=True)
        by_value = [distance(a, b) for a, b in pairs if not isinstance(a, Failure)]
        assert max(by_value) > 100 * exercise.tolerance, m.slug


def test_remarks_are_told_apart_beyond_the_probes_only(exercise):
    expected = exercise.known(exercise.reference)
    answers = [exercise.known(exercise.reference, beyond=True)]
    for remark in exercise.remarks:
        seen = exercise.known(remark.wrong)
        assert all(exercise.near(a, b) for a, b in zip(seen, expected, strict=True))
        answers.append(exercise.known(remark.wrong, beyond=True))
    for (one,), (other,) in itertools.combinations(answers, 2):
        assert distance(one, other) > 100 * exercise.tolerance


# Every wrong answer gets its own sentence


@pytest.mark.parametrize(("exercise", "misconception"), named(WRONG))
def test_a_wrong_answer_gets_its_own_sentence(exercise, misconception):
    report = grade(exercise.id, misconception.wrong)
    assert report.status == "failed"
    assert report.misconception == misconception.slug
    assert report.message.startswith(misconception.sentence)
    assert report.message.endswith(f"Where to look: {misconception.look}")
    for other in exercise.misconceptions:
        assert other is misconception or other.sentence not in report.message


@pytest.mark.parametrize(("exercise", "misconception"), named(WRONG))
def test_a_diagnosis_shows_input_and_both_values_but_not_the_answer(exercise, misconception):
    message = grade(exercise.id, misconception.wrong).message
    figures = [line for line in message.split("\n") if line.startswith("    ")]
    assert any(f"{name}, yours" in line for name in exercise.returns for line in figures)
    assert any(f"{name}, expected" in line for name in exercise.returns for line in figures)
    for name in inspect.signature(exercise.reference).parameters:
        assert name == "mask" or any(line.split()[0] == name for line in figures)
    solution_lines = [
        line.split("#")[0].strip() for line in solution(exercise.id, True).split("\n")
    ]
    assert not any(line in message for line in solution_lines if len(line) > 20)


@pytest.mark.parametrize(("exercise", "misconception"), named(WRONG + REMARKS))
def test_sentences_read_like_sentences(exercise, misconception):
    for text in (misconception.sentence, misconception.look):
        assert text.endswith((".", "?"))
        assert "!" not in text
        assert "  " not in text
    assert 60 < len(misconception.sentence) < 330
    assert 20 < len(misconception.look) < 200


@pytest.mark.parametrize(("exercise", "remark"), named(REMARKS))
def test_a_remark_passes_and_says_what_differs(exercise, remark):
    report = grade(exercise.id, remark.wrong)
    assert (report.status, report.misconception) == ("passed", remark.slug)
    assert report.message.startswith("Your function agrees with the course's own")
    assert remark.sentence in report.message


# Nothing written, nothing returned


def test_a_stub_is_not_attempted(exercise):
    source = solution(exercise.id, reveal=True)
    for body in ("...", "pass", "raise NotImplementedError", "return ..."):
        namespace = executed(exercise, with_body(source, body))
        report = grade(exercise.id, namespace[exercise.reference.__name__])
        assert (report.status, report.misconception) == ("not attempted", None)
        assert f'hint("{exercise.id}")' in report.message


def test_a_forgotten_return_is_asked_about(exercise):
    def forgets(*inputs):
        exercise.reference(*inputs)

    report = grade(exercise.id, forgets)
    assert (report.status, report.misconception) == ("failed", None)
    assert "Your function returned None. Did you forget `return`?" in report.message


@pytest.mark.parametrize("result", [7, "words", {}, [[]], object(), torch.zeros(2, 3, 5), (1.5,)])
def test_other_results_are_told_in_words(exercise, result):
    report = grade(exercise.id, lambda *_: result)
    assert (report.status, report.misconception) == ("failed", None)
    assert " at 0x" not in report.message


# Hints and solutions


def test_there_are_three_hints_and_they_lead_to_the_solution(exercise, monkeypatch):
    monkeypatch.setattr(engine, "_hints_given", engine.Counter())
    monkeypatch.setattr(engine, "_attempted", set())
    assert len(exercise.hints) == 3
    for number, text in enumerate(exercise.hints, start=1):
        assert hint(exercise.id) == f"Hint {number} of 3: {text}"
        assert text.endswith((".", "?"))
        assert "  " not in text
    assert f'solution("{exercise.id}")' in hint(exercise.id)
    assert solution(exercise.id).startswith("Try it first.")
    check(exercise.id, exercise.misconceptions[0].wrong)
    kind = "class" if inspect.isclass(exercise.reference) else "def"
    assert solution(exercise.id).startswith(f"{kind} {exercise.reference.__name__}(")


def test_a_solution_stands_on_the_lessons_imports_and_passes(exercise):
    namespace = executed(exercise, solution(exercise.id, reveal=True))
    report = grade(exercise.id, namespace[exercise.reference.__name__])
    assert (report.status, report.misconception) == ("passed", None)


@pytest.mark.parametrize(("exercise", "misconception"), named(WRONG + REMARKS))
def test_wrong_answers_stand_on_the_lessons_imports_too(exercise, misconception):
    namespace = executed(exercise, definition(misconception.wrong))
    report = grade(exercise.id, namespace[misconception.wrong.__name__])
    assert report.misconception == misconception.slug
