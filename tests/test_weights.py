"""weights: the shipped files are what the code makes, and nothing else is loaded."""

import json
import shutil
import subprocess
import sys

import pytest
import torch

from course_lib import weights
from course_lib.checkpoints import CheckpointError
from course_lib.decoding import Continuation, greedy, sample
from course_lib.explorers import translator_source
from course_lib.translation import Vocabulary, corpus, detokenize
from tools import weights as builder

MODELS = ["translator", "language_model"]


@pytest.fixture(scope="module")
def data():
    return corpus()


def about(name):
    return json.loads((weights.FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_model_is_small_and_built_from_todays_corpus_with_todays_settings(name, data):
    assert (weights.FOLDER / f"{name}.safetensors").stat().st_size <= 4e6
    settings = {"translator": builder.TRANSLATOR, "language_model": builder.LANGUAGE_MODEL}
    assert about(name)["settings"] == settings[name]
    assert about(name)["steps"] == builder.STEPS[name]
    assert about(name)["corpus"] == data.sha256(), "run `make weights`"
    english = Vocabulary.of(pair.english for pair in data.train)
    assert tuple(about(name)["english"]) == english.words[len(Vocabulary.SPECIALS) :]


def test_the_translator_scores_what_its_file_says(data):
    scores = builder.judge_translator(*weights.load_translator(), data)
    assert scores == pytest.approx(about("translator")["scores"], abs=2e-3, rel=1e-3)
    assert scores["test_exact_match"] >= 0.995
    assert scores["compositional_exact_match"] >= 0.96
    assert scores["alignment_best_head"] >= 0.93
    assert scores["alignment_last_layer"] >= 0.95


def test_the_language_model_scores_what_its_file_says(data):
    scores = builder.judge_language_model(*weights.load_language_model(), data)
    assert scores == pytest.approx(about("language_model")["scores"], rel=1e-3)
    assert scores["test_perplexity"] < 10  # of some 550 words


def test_the_translator_translates():
    model, english, french = weights.load_translator()
    assert not model.training
    src = torch.tensor([english.encode_text("The nurse does not eat the red apples.")])
    (text,) = greedy(Continuation(model, src), torch.tensor([[french.start_idx]]), 2, 20)
    assert detokenize(french.decode(text)) == "L'infirmière ne mange pas les pommes rouges."


def test_the_explorer_shows_the_shipped_translator():
    source = translator_source(*weights.load_translator())
    trace = source("The nurse doesn't eat the red apples")
    assert trace.written == "L'infirmière ne mange pas les pommes rouges."
    assert trace.attention.shape[2:] == (len(trace.query_tokens), len(trace.tokens))
    with pytest.raises(ValueError, match=r"“aple” \(do you mean apple"):
        source("The nurse eats an aple.")


def test_the_language_model_writes_english(data):
    model, english = weights.load_language_model()
    prompt = torch.full((50, 1), english.start_idx)
    generator = torch.Generator().manual_seed(0)
    texts = sample(Continuation(model), prompt, english.end_idx, 30, generator=generator)
    endings = [english.decode(text)[-1] for text in texts]
    assert sum(ending in ".?" for ending in endings) >= 48
    words = {word for pair in data.train for word in pair.english}
    assert {word for text in texts for word in english.decode(text)} <= words


@pytest.mark.parametrize("name", MODELS)
def test_damaged_or_missing_files_are_refused_by_name(name, tmp_path):
    folder = tmp_path / "weights"
    shutil.copytree(weights.FOLDER, folder)
    load = getattr(weights, f"load_{name}")
    load(folder)
    numbers = folder / f"{name}.safetensors"
    whole = numbers.read_bytes()
    numbers.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CheckpointError, match=rf"{name}\.safetensors is damaged.*make weights"):
        load(folder)
    numbers.unlink()
    with pytest.raises(CheckpointError, match=rf"The {name} cannot be read.*make weights"):
        load(folder)
    numbers.write_bytes(whole)
    (folder / f"{name}.json").write_text("{")
    with pytest.raises(CheckpointError, match=rf"The {name} cannot be read"):
        load(folder)


def test_the_builder_writes_what_the_loader_reads_and_twice_the_same(tmp_path):
    """A few steps of the real thing, in processes of their own."""
    for run in ("one", "two"):
        command = [sys.executable, "-m", "tools.weights", "--steps", "3", "--to", tmp_path / run]
        subprocess.run([*command, "translator", "language_model"], check=True, capture_output=True)
    for name in MODELS:
        first, second = (
            (tmp_path / run / f"{name}.safetensors").read_bytes() for run in ("one", "two")
        )
        assert first == second
        getattr(weights, f"load_{name}")(tmp_path / "one")
