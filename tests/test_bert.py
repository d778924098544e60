"""bert: equal to the BERT of transformers layer by layer, and with every property it must have."""

import subprocess
import sys
from itertools import chain, combinations, product

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
import transformers
from torch import nn

import course_lib
from course_lib import (
    Bert,
    MaskedLanguageModel,
    SentenceClassifier,
    TransformerBlock,
    attention,
    checkpoints,
    sentence_vectors,
)
from course_lib.bert import BertOutput, mean_pool
from course_lib.invariants import (
    causality,
    padding_invariance,
    permutation_equivariance,
    rows_sum_to_one,
)
from course_lib.pretrained import EMBEDDING, LAYER, MASKED_WORDS, POOLER

TEXTS = ["The old cat sat on the mat because it was too tired.", "Dogs bark.", "Où est le chat?"]
PAIRED = list(zip(TEXTS, reversed(TEXTS), strict=True))
# Three sentences of a small vocabulary; two are padded, and no mask is needed to see it.
IDS = torch.tensor(
    [[2, 7, 4, 13, 5, 3, 8, 9], [2, 5, 6, 11, 3, 0, 0, 0], [2, 14, 3, 1, 3, 12, 1, 0]]
)
REAL = IDS != 0
SEGMENTS = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 0, 0, 0], [0] * 8])
SMALL = {
    "vocab_size": 15,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 10,
}


def assert_close(actual, expected, tolerance=1e-5):
    """Nothing is further off than this share of the largest entry."""
    assert actual.shape == expected.shape
    assert actual.isfinite().all()
    assert (actual - expected).abs().max() <= tolerance * expected.abs().max()


def hugging_face(kind=transformers.BertModel, spread=0.3, **sizes):
    """A BERT of transformers in which every weight matters, with no two parameters alike."""
    torch.manual_seed(0)
    model = kind(transformers.BertConfig(attn_implementation="eager", **sizes)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(spread * torch.randn_like(weight))
    return model


def new(**options):
    """A small BERT of ours with random weights."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 15, "embed_size": 16, "num_layers": 2, "heads": 4, "max_length": 10}
    model = Bert(**{**sizes, "device": "cpu", **options})
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return model.eval()


@pytest.fixture(scope="module")
def folder():
    return checkpoints.locate("all-MiniLM-L6-v2")


@pytest.fixture(scope="module")
def tokenizer(folder):
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def bundled(folder):
    """The bundled checkpoint, ours and theirs."""
    return Bert.from_pretrained(folder, device="cpu"), their_model(folder)


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory):
    """A small BERT with a pooler and the head for masked words, as transformers saves it."""
    folder = tmp_path_factory.mktemp("small")
    hugging_face(transformers.BertForPreTraining, **SMALL).save_pretrained(folder)
    return folder


@pytest.fixture
def small(small_folder):
    """The small BERT, ours and theirs."""
    return Bert.from_pretrained(small_folder, device="cpu"), their_model(small_folder)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Beside a busy neighbour two threads take far longer than one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def their_model(folder, kind=transformers.BertModel, attention="eager"):
    return kind.from_pretrained(folder, attn_implementation=attention).eval()


# Equal to transformers ------------------------------------------------------------------------


def readings(model, input_ids, attention_mask, token_type_ids=None):
    """What a model, ours or theirs, makes of the real tokens of a batch, by name.

    The keys are among it: a number added to all keys alike moves nothing that comes after them.
    """
    real, keys = attention_mask.bool(), []
    mine = isinstance(model, Bert)
    layers = model.layers if mine else model.encoder.layer
    asked = (
        {"return_hidden_states": True, "return_weights": True}
        if mine
        else {"output_hidden_states": True, "output_attentions": True}
    )
    hooks = [
        (layer.attention.keys if mine else layer.attention.self.key).register_forward_hook(
            lambda layer, inputs, output: keys.append(output)
        )
        for layer in layers
    ]
    with torch.no_grad():
        output = model(input_ids, attention_mask, token_type_ids, **asked)
    for hook in hooks:
        hook.remove()
    found = {"output": output[0][real], "pooled": output[1]}
    assert len(output.hidden_states) == len(layers) + 1
    assert len(output.attentions) == len(keys) == len(layers)
    found |= {f"hidden {n}": states[real] for n, states in enumerate(output.hidden_states)}
    found |= {f"attention {n}": w.transpose(1, 2)[real] for n, w in enumerate(output.attentions)}
    return found | {f"keys {n}": projected[real] for n, projected in enumerate(keys)}


def assert_same_readings(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert_close(tensor, expected[name])


def twins(ours, theirs):
    """Each parameter of ours with its counterpart; none of either is left out."""
    bert = getattr(ours, "bert", ours)
    places = {f"embeddings.{name}": place for name, place in EMBEDDING.items()}
    for number in range(len(bert.layers)):
        for name, place in LAYER.items():
            places[f"encoder.layer.{number}.{name}"] = f"layers.{number}.{place}"
    places |= {f"pooler.{name}": place for name, place in POOLER.items()}
    if ours is not bert:
        places = {f"bert.{name}": f"bert.{place}" for name, place in places.items()}
        places |= {f"cls.predictions.{name}": place for name, place in MASKED_WORDS.items()}
    mine, others, pairs = dict(ours.named_parameters()), dict(theirs.named_parameters()), {}
    for (name, place), ending in product(places.items(), ("", ".weight", ".bias")):
        if name + ending in others:
            pairs[place + ending] = mine.pop(place + ending), others.pop(name + ending)
    assert not mine
    assert not others
    return pairs


def assert_same_gradients(pairs, tolerance):
    largest = max(other.grad.abs().max() for _, other in pairs.values())
    for name, (mine, other) in pairs.items():
        assert (mine.grad - other.grad).abs().max() <= tolerance * largest, name


def backward(outputs):
    """Gradients of a sum with random factors, the same in each call."""
    generator = torch.Generator().manual_seed(1)
    factors = [torch.randn(output.shape, generator=generator).to(output) for output in outputs]
    torch.autograd.backward(outputs, factors)


@pytest.mark.parametrize("texts", [TEXTS[:1], TEXTS, PAIRED], ids=["one", "padded", "two each"])
def test_equals_transformers_on_the_bundled_weights(bundled, tokenizer, texts):
    ours, theirs = bundled
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    assert_same_readings(readings(ours, **batch), readings(theirs, **batch))


@pytest.mark.parametrize("texts", [TEXTS[:1], TEXTS], ids=["one", "padded"])
def test_the_fused_path_equals_theirs(folder, tokenizer, texts):
    ours, theirs = Bert.from_pretrained(folder, device="cpu"), their_model(folder, attention="sdpa")
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    real = batch["attention_mask"].bool()
    with torch.no_grad():
        output, expected = ours(**batch), theirs(**batch)
    assert_close(output.last_hidden_state[real], expected.last_hidden_state[real])
    assert_close(output.pooled, expected.pooler_output)
    assert output[0] is output.last_hidden_state
    assert output.hidden_states is output.attentions is None


def test_gradients_on_the_bundled_weights(bundled, tokenizer):
    batch = tokenizer(PAIRED, padding=True, return_tensors="pt")
    for model in bundled:
        output = model(**batch)
        backward([output[0][batch["attention_mask"].bool()], output[1]])
    assert_same_gradients(twins(*bundled), 1e-5)


@pytest.mark.parametrize("asked", [False, True], ids=["fused", "with weights"])
def test_gradients_in_double_precision(small, asked):
    ours, theirs = (model.double() for model in small)
    batch = {"input_ids": IDS, "attention_mask": REAL.long(), "token_type_ids": SEGMENTS}
    mine = ours(**batch, return_hidden_states=asked, return_weights=asked)
    other = theirs(**batch, output_hidden_states=asked, output_attentions=asked)
    for output in (mine, other):
        # The vectors at padding too, although nobody should use them.
        backward([*output[:2], *chain(*([output.hidden_states, output.attentions] * asked))])
    pairs = twins(ours, theirs)
    assert_same_gradients(pairs, 1e-14)
    for name, (mine, other) in pairs.items():
        if not name.endswith("keys.bias"):  # whose true gradient is zero
            assert_close(mine.grad, other.grad, 1e-11)
    assert not ours.embedding.words.weight.grad[0].any()  # padding has nothing to learn


def test_equals_transformers_at_full_size(tmp_path):
    theirs = hugging_face(spread=0.02)
    theirs.save_pretrained(tmp_path)
    ours = Bert.from_pretrained(tmp_path, device="cpu")
    generator = torch.Generator().manual_seed(1)
    batch = {
        "input_ids": torch.randint(1, 30_522, (2, 12), generator=generator),
        "attention_mask": (torch.arange(12) < torch.tensor([[12], [8]])).long(),
        "token_type_ids": (torch.arange(12) > torch.tensor([[6], [4]])).long(),
    }
    assert_same_readings(readings(ours, **batch), readings(theirs, **batch))
    for model in (ours, theirs):
        output = model(**batch)
        backward([output[0][batch["attention_mask"].bool()], output[1]])
    assert_same_gradients(twins(ours, theirs), 1e-5)


def test_the_defaults_are_bert_base():
    with torch.device("meta"):
        ours, theirs = (
            Bert(30_522, device="meta"),
            transformers.BertModel(transformers.BertConfig()),
        )
    for mine, other in twins(ours, theirs).values():
        assert mine.shape == other.shape
    dropouts = {layer.p for layer in ours.modules() if isinstance(layer, nn.Dropout)}
    norms = {layer.eps for layer in ours.modules() if isinstance(layer, nn.LayerNorm)}
    assert (ours.layers[0].attention.heads, dropouts, norms) == (12, {0.1}, {1e-12})


# Whether these comparisons see everything --------------------------------------------------------


def unseen_exchanges(named, compare):
    """The parameters of the same shape that can change places without `compare` failing."""
    compare()
    pairs = [pair for pair in combinations(named, 2) if pair[0][1].shape == pair[1][1].shape]
    assert pairs
    unseen = []
    for (name, weight), (other_name, other) in pairs:
        kept, others = weight.detach().clone(), other.detach().clone()
        with torch.no_grad():
            weight.copy_(others)
            other.copy_(kept)
        try:
            compare()
            unseen.append((name, other_name))
        except AssertionError:
            pass
        with torch.no_grad():
            weight.copy_(kept)
            other.copy_(others)
    compare()
    return unseen


def test_no_two_weights_can_change_places_unnoticed(small):
    """Anywhere in the small model: within a layer, across layers, in embeddings and pooler."""
    ours, theirs = small
    batch = {"input_ids": IDS, "attention_mask": REAL.long(), "token_type_ids": SEGMENTS}
    expected = readings(theirs, **batch)
    assert not unseen_exchanges(
        list(ours.named_parameters()),
        lambda: assert_same_readings(readings(ours, **batch), expected),
    )


def test_no_two_bundled_weights_can_change_places_unnoticed(bundled, tokenizer):
    """Within a layer, and between two layers that follow each other."""
    ours, theirs = bundled
    batch = tokenizer(TEXTS[:1], return_tensors="pt")
    expected = readings(theirs, **batch)

    def compare():
        assert_same_readings(readings(ours, **batch), expected)

    third, fourth = (list(ours.layers[number].named_parameters()) for number in (3, 4))
    assert not unseen_exchanges(third, compare)
    for pair in zip(third, fourth, strict=True):
        assert not unseen_exchanges(pair, compare)


# Properties -----------------------------------------------------------------------------------


def test_the_properties(bundled, tokenizer):
    bert, ids = bundled[0], tokenizer(TEXTS[0], return_tensors="pt").input_ids

    def last(ids, real=None):
        return bert(ids, real).last_hidden_state

    assert padding_invariance(last, ids)
    assert padding_invariance(lambda ids, real: bert(ids).last_hidden_state, ids)
    assert padding_invariance(lambda ids, real: bert(ids, real).pooled, ids)
    assert padding_invariance(lambda ids, real: sentence_vectors(bert, ids, real), ids)
    # A mask that counts padding as real is believed.
    assert not padding_invariance(lambda ids, real: last(ids, torch.ones_like(ids)), ids)
    assert rows_sum_to_one(lambda ids: bert(ids, return_weights=True).attentions, ids)
    padded = F.pad(ids, (0, 4))
    finding = rows_sum_to_one(
        lambda ids: bert(ids, return_weights=True).attentions, padded, (padded != 0)[:, None, None]
    )
    assert finding
    assert not bert(padded, return_weights=True).attentions[..., -4:].any()
    assert not causality(last, ids)  # it reads in both directions
    assert not permutation_equivariance(last, ids)
    nn.init.zeros_(bert.embedding.positions.weight)
    assert permutation_equivariance(last, ids)


def test_without_a_mask_the_ids_tell_what_is_padding():
    for pad_idx in (0, 3):
        bert, real = new(pad_idx=pad_idx), IDS.ne(pad_idx)
        assert bert.real_tokens(IDS).equal(real)
        assert bert(IDS)[0].equal(bert(IDS, real)[0])
        everything = torch.ones_like(IDS)
        assert bert.real_tokens(IDS, everything).all()
        assert not bert(IDS)[0].equal(bert(IDS, everything)[0])
    for dtype in (torch.bool, torch.int64, torch.float32):
        assert bert(IDS, REAL.to(dtype))[0].equal(bert(IDS, REAL)[0])
    nothing = torch.zeros_like(IDS)
    assert bert(IDS, nothing)[0].isfinite().all()


def test_segments():
    bert = new(segments=3)
    assert bert(IDS)[0].equal(bert(IDS, None, torch.zeros_like(IDS))[0])
    assert not bert(IDS)[0].allclose(bert(IDS, None, torch.full_like(IDS, 2))[0])


def test_what_is_asked_for_changes_nothing_else():
    bert = new()
    plain = bert(IDS, REAL, SEGMENTS)
    for states, weights in product((False, True), repeat=2):
        output = bert(IDS, REAL, SEGMENTS, return_hidden_states=states, return_weights=weights)
        assert isinstance(output, BertOutput)
        assert_close(output.last_hidden_state, plain.last_hidden_state)
        assert_close(output.pooled, plain.pooled)
        assert (output.hidden_states is not None) == states
        assert (output.attentions is not None) == weights
    assert output.hidden_states.shape == (3, 3, 8, 16)
    assert output.hidden_states[-1].equal(output.last_hidden_state)
    assert output.attentions.shape == (2, 3, 4, 8, 8)
    assert output.last_hidden_state.shape == (3, 8, 16)
    assert output.pooled.shape == (3, 16)


def test_attention_is_fused_unless_weights_are_asked_for(monkeypatch):
    bert, masks = new(), []
    fused, readable = F.scaled_dot_product_attention, attention.scaled_dot_product_attention

    def counted(path):
        def attend(query, key, value, mask=None, attn_mask=None):
            masks.append((path, mask if attn_mask is None else attn_mask))
            return (readable if path == "readable" else fused)(
                query, key, value, *([] if masks[-1][1] is None else [masks[-1][1]])
            )

        return attend

    monkeypatch.setattr(attention, "scaled_dot_product_attention", counted("readable"))
    monkeypatch.setattr(F, "scaled_dot_product_attention", counted("fused"))
    bert(IDS, return_hidden_states=True)
    assert [path for path, _ in masks] == ["fused"] * 2
    assert all(mask.dtype == torch.bool and mask.shape == (3, 1, 1, 8) for _, mask in masks)
    masks.clear()
    bert(IDS, return_weights=True)
    assert [path for path, _ in masks] == ["readable"] * 2
    masks.clear()
    bert(IDS[:1])  # no padding: nothing to hide
    assert masks == [("fused", None)] * 2


def test_inputs_are_moved_to_the_model():
    bert, devices = new().to("meta"), []
    for table in (bert.embedding.words, bert.embedding.segments):
        table.register_forward_pre_hook(lambda table, ids: devices.append(ids[0].device.type))
    output = bert(IDS, REAL, SEGMENTS, return_hidden_states=True, return_weights=True)
    assert {tensor.device.type for tensor in output} == {"meta"}
    assert devices == ["meta", "meta"]
    assert bert.device.type == "meta"
    for head in (MaskedLanguageModel(bert), SentenceClassifier(bert, 2, pooling="mean")):
        assert head(IDS, REAL, SEGMENTS).device.type == "meta"
    assert sentence_vectors(bert, IDS).device.type == "meta"


def test_dropout_in_training_only(small_folder):
    bert = Bert.from_pretrained(small_folder, device="cpu")
    assert not bert.training
    assert bert(IDS)[0].equal(bert(IDS)[0])
    assert {layer.p for layer in bert.modules() if isinstance(layer, nn.Dropout)} == {0.1}
    bert.train()
    assert not bert(IDS)[0].equal(bert(IDS)[0])
    assert not bert.embedding(IDS).equal(bert.embedding(IDS))
    attentions = bert(IDS, return_weights=True).attentions
    assert_close(attentions.sum(-1), torch.ones(attentions.shape[:-1]))
    bert.embedding.dropout.p = 1.0
    assert not bert.embedding(IDS).any()  # dropped after the norm


def test_weights_at_the_start():
    torch.manual_seed(0)
    bert = MaskedLanguageModel(Bert(1000, embed_size=256, num_layers=2, heads=4, device="cpu"))
    for name, weight in bert.named_parameters():
        if weight.dim() == 2:
            assert weight.std().item() == pytest.approx(0.02, rel=0.1), name
        else:
            start = 1.0 if name.endswith(("norm.weight", "norm1.weight", "norm2.weight")) else 0.0
            assert (weight == start).all(), name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    bert = new()
    expected = bert(IDS, return_weights=True)
    output = bert.to(dtype)(IDS, return_weights=True)
    assert output.last_hidden_state.dtype == output.attentions.dtype == dtype
    assert_close(output.last_hidden_state[REAL].float(), expected[0][REAL], 0.05)
    assert_close(output.attentions.float(), expected.attentions, 0.05)
    assert_close(bert(IDS)[0][REAL].float(), expected[0][REAL], 0.05)


# Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([torch.tensor([2, 5, 3])], r"shape \(N, L\), these \(3,\).*input_ids\[None\]"),
        ([torch.zeros(2, 0, dtype=torch.long)], r"these \(2, 0\)"),
        ([torch.ones(1, 11, dtype=torch.long)], r"11 tokens are more than the 10 .*max_length=10"),
        ([torch.tensor([[2, 15]])], "Token ids are 0 to 14 here, and these go from 2 to 15"),
        ([torch.tensor([[-1, 3]])], "Token ids are 0 to 14 here, and these go from -1 to 3"),
        ([IDS, None, SEGMENTS + 1], "segments are 0 to 1 here, and these go from 1 to 2"),
        ([IDS, None, SEGMENTS[:1]], r"token_type_ids has shape \(1, 8\) .* \(3, 8\)"),
        ([IDS, REAL[:, :5]], r"attention_mask has shape \(3, 5\) and input_ids \(3, 8\)"),
        ([IDS, REAL[0]], r"attention_mask has shape \(8,\)"),
    ],
)
def test_bad_input_is_told_what_to_do(inputs, message):
    with pytest.raises(ValueError, match=message):
        new()(*inputs)


def test_an_additive_mask_is_refused():
    with pytest.raises(TypeError, match="other values than 0 and 1"):
        new()(IDS, torch.zeros(IDS.shape).masked_fill(~REAL, -1e4))


def test_as_many_tokens_as_there_are_positions():
    ids = torch.ones(1, 10, dtype=torch.long)
    assert new()(ids).last_hidden_state.shape == (1, 10, 16)


def test_what_a_bert_cannot_be():
    with pytest.raises(ValueError, match=r"16 numbers .* 3 heads"):
        new(heads=3)


# Heads ----------------------------------------------------------------------------------------


def test_masked_words_equal_theirs(tmp_path):
    hugging_face(transformers.BertForMaskedLM, **SMALL).save_pretrained(tmp_path)
    ours = MaskedLanguageModel.from_pretrained(tmp_path, device="cpu")
    theirs = their_model(tmp_path, transformers.BertForMaskedLM)
    assert not ours.training
    assert ours.bert.pooler is None
    assert ours.bert(IDS).pooled is None
    batch = {"input_ids": IDS, "attention_mask": REAL.long(), "token_type_ids": SEGMENTS}
    logits, expected = ours(**batch), theirs(**batch).logits
    assert logits.shape == (3, 8, 15)
    assert_close(logits[REAL], expected[REAL])
    for output in (logits, expected):
        backward([output[REAL]])
    assert_same_gradients(twins(ours, theirs), 1e-5)
    hidden = ours.bert(**batch).last_hidden_state
    assert_close(ours.score(hidden[REAL]), logits[REAL])


def test_masked_words_at_full_width(tmp_path):
    hugging_face(transformers.BertForMaskedLM, 0.02, num_hidden_layers=1).save_pretrained(tmp_path)
    ours = MaskedLanguageModel.from_pretrained(tmp_path, device="cpu")
    theirs = their_model(tmp_path, transformers.BertForMaskedLM)
    with torch.no_grad():
        assert_close(ours(IDS)[REAL], theirs(IDS, REAL.long()).logits[REAL])


def test_no_two_weights_of_the_head_can_change_places_unnoticed(small_folder):
    ours = MaskedLanguageModel.from_pretrained(small_folder, device="cpu")
    with torch.no_grad():
        expected = their_model(small_folder, transformers.BertForMaskedLM)(IDS, REAL.long()).logits

    def compare():
        with torch.no_grad():
            assert_close(ours(IDS)[REAL], expected[REAL])

    head = [(name, w) for name, w in ours.named_parameters() if not name.startswith("bert.")]
    vectors = [(name, w) for name, w in ours.bert.layers[0].named_parameters() if w.dim() == 1]
    assert len(head) == 5
    assert not unseen_exchanges([*head, *vectors[:1]], compare)


def test_a_masked_language_model_learns_from_scratch():
    """Words come in pairs, (1, 2), (3, 4), ...: a masked one is known by its partner alone."""
    torch.manual_seed(0)
    bert = Bert(18, 0, 32, 1, 2, 4, dropout=0.0, device="cpu", max_length=8)
    model, generator = MaskedLanguageModel(bert), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

    def batch(size=64):
        odd = 2 * torch.randint(8, (size, 4), generator=generator) + 1
        words = torch.stack([odd, odd + 1], dim=-1).flatten(1)  # (N, 8)
        column = torch.randint(8, (size, 1), generator=generator)
        chosen = torch.arange(8) == column
        return words.masked_fill(chosen, 17), words, chosen

    for _ in range(400):
        masked, words, chosen = batch()
        hidden = model.bert(masked).last_hidden_state
        loss = F.cross_entropy(model.score(hidden[chosen]), words[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    masked, words, chosen = batch(200)
    guesses = model(masked)[chosen].argmax(-1)
    assert (guesses == words[chosen]).float().mean() > 0.98


def test_the_words_of_input_and_output_are_one():
    model = MaskedLanguageModel(new())
    assert sum(weight.shape == (15, 16) for weight in model.parameters()) == 1
    safetensors.torch.save(model.state_dict())  # refuses two names for one tensor
    before = model(IDS)
    with torch.no_grad():
        model.bert.embedding.words.weight[9] += torch.randn(16)
    assert (model(IDS) - before)[..., 9].abs().min() > 1e-3


FEWER = REAL & (torch.arange(8) < 5)  # a mask that leaves out more than the padding


def means(hidden):
    return torch.stack([states[real].mean(0) for states, real in zip(hidden, FEWER, strict=True)])


@pytest.mark.parametrize("pooling", ["pooled", "mean"])
def test_the_classifier(pooling):
    bert = new()
    model = SentenceClassifier(bert, 3, dropout=0.5, pooling=pooling)
    logits = model.eval()(IDS, FEWER, SEGMENTS)
    output = bert(IDS, FEWER, SEGMENTS)
    vectors = means(output[0]) if pooling == "mean" else output.pooled
    assert logits.shape == (3, 3)
    assert_close(logits, F.linear(vectors, model.fc_out.weight, model.fc_out.bias))
    assert model.fc_out.weight.std() < 0.04
    model.train()
    bert.eval()
    assert not model(IDS).equal(model(IDS))  # its own dropout
    model.eval()(IDS, REAL).sum().backward()
    assert bert.embedding.positions.weight.grad.abs().sum() > 0


def test_the_classifier_equals_theirs(small):
    ours, _ = small
    torch.manual_seed(0)
    config = transformers.BertConfig(**SMALL, num_labels=3, attn_implementation="eager")
    theirs = transformers.BertForSequenceClassification(config).eval()
    theirs.bert = small[1]
    model = SentenceClassifier(ours, 3).eval()
    model.fc_out.load_state_dict(theirs.classifier.state_dict())
    assert_close(model(IDS, REAL, SEGMENTS), theirs(IDS, REAL.long(), SEGMENTS).logits)


def test_a_classifier_that_cannot_be():
    with pytest.raises(ValueError, match='"pooled" or "mean", not \'max\''):
        SentenceClassifier(new(), 2, pooling="max")
    headless = new(pooler=False)
    assert headless(IDS).pooled is None
    with pytest.raises(ValueError, match='pooling="mean"'):
        SentenceClassifier(headless, 2)
    assert SentenceClassifier(headless, 2, pooling="mean")(IDS).shape == (3, 2)


def test_sentence_vectors_equal_those_of_sentence_transformers(folder, bundled, tokenizer):
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, convert_to_tensor=True)
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        vectors = sentence_vectors(bundled[0], **batch)
    assert_close(vectors, theirs)
    assert_close(vectors.norm(dim=-1), torch.ones(3))


def test_sentence_vectors_heed_mask_and_segments():
    bert = new()
    expected = means(bert(IDS, FEWER, SEGMENTS)[0])
    vectors = sentence_vectors(bert, IDS, FEWER, SEGMENTS)
    assert_close(vectors, expected / expected.norm(dim=-1, keepdim=True))


def test_mean_pool():
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [50.0, 50.0]], [[7.0, 7.0]] * 3])
    mask = torch.tensor([[1, 1, 0], [0, 0, 0]])
    assert mean_pool(hidden, mask).tolist() == [[2.0, 4.0], [0.0, 0.0]]
    assert mean_pool(hidden, mask.bool()).tolist() == [[2.0, 4.0], [0.0, 0.0]]


# The package ----------------------------------------------------------------------------------


def test_all_are_importable_from_the_course_and_need_no_library_of_models():
    for name in ("Bert", "MaskedLanguageModel", "SentenceClassifier", "sentence_vectors"):
        assert getattr(course_lib, name) is getattr(course_lib.bert, name)
        assert name in course_lib.__all__
    program = "import sys, course_lib; course_lib.Bert; print('transformers' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == "False\n"


def test_a_bert_is_made_of_the_lessons_blocks():
    assert {type(layer) for layer in new().layers} == {TransformerBlock}
