"""On a GPU or on Apple silicon the course gives what it gives on a CPU, to within rounding.

Where there is neither, the tests of the accelerator are skipped, and the same tests run on the CPU,
so that they are in order when somebody has one.
"""

import copy

import pytest
import torch
import torch.nn.functional as F

from course_lib import LanguageModel, checkpoints, figures, invariants
from course_lib.bert import Bert, sentence_vectors
from course_lib.decoding import Continuation, beam_search, greedy, sample
from course_lib.explorers import attention_explorer, bert_source, translator_source
from course_lib.training import train
from course_lib.transformer import best_device
from course_lib.weights import load_language_model, load_translator

TOLERANCE = {"rtol": 1e-3, "atol": 2e-4}  # float32, summed in another order
SENTENCES = ["The nurse does not eat the red apples.", "The cat sees a small dog."]


@pytest.fixture(params=["cpu", "accelerator"], autouse=True)
def device(request):
    """Where the models are put; what torch may round there is left as it is."""
    here = torch.device("cpu") if request.param == "cpu" else best_device()
    if request.param == "accelerator" and here.type == "cpu":
        pytest.skip("no GPU and no Apple silicon here: the course on one is not tested")
    return here


@pytest.fixture
def translator(device):
    """The shipped translator on the CPU and on the device, with an English batch."""
    model, english, french = load_translator()
    model = model.cpu()
    src = [english.encode_text(sentence) for sentence in SENTENCES]
    length = max(map(len, src))
    src = torch.tensor([ids + [english.pad_idx] * (length - len(ids)) for ids in src])
    return model, copy.deepcopy(model).to(device), src, french


def test_models_choose_the_best_device(device):
    model = LanguageModel(20, 0, 16, 1, heads=2)
    assert model.device.type == best_device().type
    assert model(torch.tensor([[1, 2, 3]])).device.type == best_device().type


def test_the_translator_gives_the_same_numbers_and_words(translator):
    on_cpu, elsewhere, src, french = translator
    trg = torch.tensor([[french.start_idx, 5, 6, 7]] * 2)
    with torch.no_grad():
        expected, weights = on_cpu(src, trg, return_weights=True)
        logits, seen = elsewhere(src, trg, return_weights=True)
        torch.testing.assert_close(logits.cpu(), expected, **TOLERANCE)
        torch.testing.assert_close(elsewhere(src, trg).cpu(), expected, **TOLERANCE)  # fused
        for ours, theirs in zip(seen, weights, strict=True):
            torch.testing.assert_close(ours.cpu(), theirs, **TOLERANCE)
    prompt = torch.full((2, 1), french.start_idx)
    for decode in (greedy, beam_search, sample):
        torch.manual_seed(0)
        one = decode(Continuation(on_cpu, src), prompt, french.end_idx, 20)
        torch.manual_seed(0)
        other = decode(Continuation(elsewhere, src), prompt, french.end_idx, 20)
        assert decode is sample or one == other  # another device draws other random numbers
        assert len(one) == len(other)


def test_bert_gives_the_same_vectors(device):
    folder = checkpoints.bundled()
    ids = torch.tensor([[101, 1996, 3185, 2001, 2307, 102], [101, 2204, 102, 0, 0, 0]])
    on_cpu, elsewhere = (Bert.from_pretrained(folder, where).eval() for where in ("cpu", device))
    with torch.no_grad():
        expected, found = on_cpu(ids, ids != 0), elsewhere(ids, ids != 0)
    torch.testing.assert_close(
        found.last_hidden_state.cpu()[ids != 0], expected.last_hidden_state[ids != 0], **TOLERANCE
    )
    torch.testing.assert_close(
        sentence_vectors(elsewhere, ids).cpu(), sentence_vectors(on_cpu, ids), **TOLERANCE
    )


def test_the_language_model_does_not_look_ahead(device):
    model = load_language_model()[0].to(device)
    ids = torch.randint(5, 100, (2, 8), generator=torch.Generator().manual_seed(0))
    assert invariants.causality(model, ids).holds


def test_training_goes_the_same_way(device, tmp_path):
    def learn(where, **options):
        torch.manual_seed(0)
        model = LanguageModel(20, 0, 32, 2, heads=4, device="cpu", max_length=12).to(where)
        batches = [
            torch.randint(1, 20, (8, 10), generator=torch.Generator().manual_seed(seed))
            for seed in range(4)
        ]

        def loss(model, batch):
            logits = model(batch[:, :-1]).flatten(0, 1)
            return F.cross_entropy(logits, batch[:, 1:].flatten().to(model.device))

        return model, train(model, lambda epoch: batches, loss, progress=False, **options)

    on_cpu, expected = learn("cpu", steps=12)
    elsewhere, found = learn(device, steps=12, folder=tmp_path, save_every=6)
    assert found.losses == pytest.approx(expected.losses, rel=1e-2)
    for ours, theirs in zip(elsewhere.parameters(), on_cpu.parameters(), strict=True):
        torch.testing.assert_close(ours.detach().cpu(), theirs.detach(), rtol=1e-2, atol=5e-3)
    _, resumed = learn(device, steps=12, folder=tmp_path, save_every=6, resume=True)
    assert resumed.losses == found.losses


def test_explorers_show_the_same(device, translator):
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoints.bundled())
    model = transformers.BertModel.from_pretrained(checkpoints.bundled()).eval()
    expected = attention_explorer(bert_source(tokenizer, model), SENTENCES[0])
    found = attention_explorer(bert_source(tokenizer, model.to(device)), SENTENCES[0])
    assert found.status == expected.status
    assert found.sentence() == expected.sentence()
    _, english, french = load_translator()
    traces = [translator_source(model, english, french)(SENTENCES[0]) for model in translator[:2]]
    assert traces[0].query_tokens == traces[1].query_tokens


def test_a_figure_takes_numbers_from_anywhere(device):
    weights = torch.eye(3, device=device)
    assert figures.heatmap(weights, list("abc"))
