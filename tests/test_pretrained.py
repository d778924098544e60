"""pretrained: published names find their places, and what does not fit is refused by name."""

import json
import re
import shutil

import pytest
import safetensors.torch
import torch
import transformers
from torch import nn

from course_lib import Bert, MaskedLanguageModel, TransformerBlock, checkpoints
from course_lib.checkpoints import CheckpointError
from course_lib.pretrained import load_bert, load_layer, read_sizes, read_weights

IDS = torch.tensor([[2, 7, 4, 13, 5, 3], [2, 5, 6, 11, 3, 0]])
SMALL = {
    "vocab_size": 15,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 10,
}
QUERY = "encoder.layer.1.attention.self.query.weight"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A small BERT with two heads, saved by transformers."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("published")
    model = transformers.BertForPreTraining(transformers.BertConfig(**SMALL))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(published, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(published, tmp_path / "copy")


def edit_config(folder, **changes):
    """Change entries of config.json; None removes one."""
    file = folder / "config.json"
    config = json.loads(file.read_text()) | changes
    file.write_text(
        json.dumps({name: value for name, value in config.items() if value is not None})
    )


def edit_weights(folder, edit):
    """Let `edit` change the dictionary of weights, or make a new one."""
    file = folder / "model.safetensors"
    weights = safetensors.torch.load(file.read_bytes())
    weights = edit(weights) or weights
    safetensors.torch.save_file({name: w.contiguous() for name, w in weights.items()}, file)


def outputs(folder):
    model = MaskedLanguageModel.from_pretrained(folder, device="cpu")
    with torch.no_grad():
        return torch.cat([model.bert(IDS).pooled.flatten(), model(IDS).flatten()])


# What is read ---------------------------------------------------------------------------------


def test_sizes(published):
    sizes = read_sizes(published)
    assert sizes == {
        "vocab_size": 15,
        "pad_idx": 0,
        "embed_size": 16,
        "num_layers": 2,
        "forward_expansion": 2.5,
        "heads": 4,
        "dropout": 0.1,
        "max_length": 10,
        "segments": 2,
        "norm_eps": 1e-12,
    }


def test_every_size_is_the_models(folder):
    changes = {
        "pad_token_id": 3,
        "hidden_dropout_prob": 0.25,
        "layer_norm_eps": 1e-3,
        "num_attention_heads": 2,
    }
    edit_config(folder, **changes)
    bert = Bert.from_pretrained(folder, device="cpu")
    assert (bert.pad_idx, bert.heads, bert.layers[1].attention.heads) == (3, 2, 2)
    assert {layer.p for layer in bert.modules() if isinstance(layer, nn.Dropout)} == {0.25}
    assert {layer.eps for layer in bert.modules() if isinstance(layer, nn.LayerNorm)} == {1e-3}
    theirs = transformers.BertModel.from_pretrained(folder).eval()
    expected = theirs(IDS, IDS.ne(3).long()).pooler_output
    assert (bert(IDS).pooled - expected).abs().max() < 1e-5


def test_an_old_config_lacks_what_goes_without_saying(folder):
    before = outputs(folder)
    edit_config(folder, pad_token_id=None, layer_norm_eps=None, model_type=None, is_decoder=None)
    assert outputs(folder).equal(before)


def test_weights_by_their_names(published):
    weights = read_weights(published)
    theirs = transformers.BertForPreTraining.from_pretrained(published)
    names = {name.removeprefix("bert.") for name, _ in theirs.named_parameters()}
    assert weights.keys() == names
    assert weights[QUERY].equal(theirs.get_parameter(f"bert.{QUERY}"))


def rename(old, new):
    return lambda weights: {re.sub(old, new, name): w for name, w in weights.items()}


def with_old_names(weights):
    weights = rename(r"LayerNorm\.weight", "LayerNorm.gamma")(weights)
    weights = rename(r"LayerNorm\.bias", "LayerNorm.beta")(weights)
    weights["bert.embeddings.position_ids"] = torch.arange(10)[None]
    words = weights["bert.embeddings.word_embeddings.weight"]
    weights["cls.predictions.decoder.weight"] = words.clone()
    weights["cls.predictions.decoder.bias"] = weights["cls.predictions.bias"].clone()
    return weights


def bias_under_its_second_name(weights):
    weights["cls.predictions.decoder.bias"] = weights.pop("cls.predictions.bias")


@pytest.mark.parametrize(
    "edit",
    [
        with_old_names,
        rename(r"^bert\.", ""),
        lambda weights: rename(r"^bert\.", "")(with_old_names(weights)),
        bias_under_its_second_name,
    ],
    ids=["old names", "no prefix", "old names, no prefix", "second name"],
)
def test_other_spellings_make_the_same_model(folder, edit):
    before = outputs(folder)
    edit_weights(folder, edit)
    assert outputs(folder).equal(before)


def test_numbers_of_another_precision_are_converted(folder):
    before = outputs(folder)
    edit_weights(folder, lambda weights: {name: w.half() for name, w in weights.items()})
    after = outputs(folder)
    assert after.dtype == torch.float32
    assert 0 < (after - before).abs().max() < 0.02 * before.abs().max()


def test_a_checkpoint_without_a_pooler(folder):
    edit_weights(folder, lambda weights: {n: w for n, w in weights.items() if "pooler" not in n})
    bert = Bert.from_pretrained(folder, device="cpu")
    assert bert.pooler is None
    assert bert(IDS).pooled is None


def test_heads_of_other_tasks_are_left_out(folder):
    def edit(weights):
        weights["classifier.weight"] = torch.ones(2, 16)
        weights["qa_outputs.bias"] = torch.ones(2)

    before = outputs(folder)
    edit_weights(folder, edit)
    assert outputs(folder).equal(before)


def test_the_model_is_independent_of_the_file(folder):
    bert = Bert.from_pretrained(folder, device="cpu")
    before = bert(IDS).pooled
    edit_weights(folder, lambda weights: {name: w * 0 for name, w in weights.items()})
    assert bert(IDS).pooled.equal(before)


def test_nothing_random_is_drawn_and_nothing_left_unread(published):
    """Two loads agree to the last bit, and the state of the random numbers stays as it is."""
    state = torch.get_rng_state()
    one, two = (Bert.from_pretrained(published, device="cpu") for _ in range(2))
    assert torch.get_rng_state().equal(state)
    for weight, other in zip(one.parameters(), two.parameters(), strict=True):
        assert weight.equal(other)
        assert weight.device.type == "cpu"
        assert weight.requires_grad


# A layer by itself ----------------------------------------------------------------------------


def block(sizes, **options):
    options = {"activation": nn.GELU, "bias": True, "norm_eps": 1e-12, **options}
    expansion = sizes["forward_expansion"]
    return TransformerBlock(sizes["embed_size"], sizes["heads"], 0.0, expansion, **options)


def test_a_published_layer_in_a_block_of_ones_own():
    """As lesson 08c does it with the bundled weights."""
    folder = checkpoints.locate("all-MiniLM-L6-v2")
    theirs = transformers.BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    weights, own = read_weights(folder), block(read_sizes(folder)).eval()
    ids = torch.arange(1000, 1012)[None]
    with torch.no_grad():
        states = theirs(ids, output_hidden_states=True).hidden_states
        for number in range(6):
            load_layer(own, weights, number)
            x, expected = states[number], states[number + 1]
            assert (own(x, x, x) - expected).abs().max() <= 1e-5 * expected.abs().max()
    load_layer(own, weights, 2)
    assert {name for name, w in own.named_parameters() if not w.requires_grad} == set()


def test_the_whole_is_loaded_layer_by_layer(published, monkeypatch):
    from course_lib import pretrained

    loaded = []
    monkeypatch.setattr(
        pretrained,
        "load_layer",
        lambda block, weights, number: loaded.append((block, number)),
    )
    bert = Bert(15, 0, 16, 2, 2.5, 4, device="cpu", max_length=10)
    load_bert(bert, published)
    assert loaded == [(bert.layers[0], 0), (bert.layers[1], 1)]


@pytest.mark.parametrize(
    ("options", "number", "message"),
    [
        ({}, 2, r"encoder\.layer\.2\.attention\.self\.query\.weight is missing"),
        (
            {"bias": False},
            0,
            r"^encoder\.layer\.0\.attention\.self\.key\.bias has no place in this TransformerBlock",
        ),
    ],
)
def test_a_layer_that_does_not_fit(published, options, number, message):
    with pytest.raises(CheckpointError, match=message):
        load_layer(block(read_sizes(published), **options), read_weights(published), number)


def test_a_block_of_another_size(published):
    weights = read_weights(published)
    message = (
        r"encoder\.layer\.0\.intermediate\.dense\.weight has shape \(40, 16\), and its place, "
        r"feed_forward\.0\.weight, has \(64, 16\)\."
    )
    with pytest.raises(CheckpointError, match=message):
        load_layer(block(read_sizes(published) | {"forward_expansion": 4}), weights, 0)


# What is refused, by file and name ---------------------------------------------------------------


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file(folder, file):
    (folder / file).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"code")
    message = f"{re.escape(str(folder / file))} is missing.*config.json and model.safetensors"
    with pytest.raises(CheckpointError, match=message):
        Bert.from_pretrained(folder)


@pytest.mark.parametrize("load", [Bert.from_pretrained, MaskedLanguageModel.from_pretrained])
@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("config.json", lambda content: content[:40]),
        ("config.json", lambda content: b"[1, 2]"),
        ("config.json", lambda content: b"\xff\xfe\xfa"),
        ("model.safetensors", lambda content: content[:-100]),
        ("model.safetensors", lambda content: b""),
        ("model.safetensors", lambda content: b"version https://git-lfs.github.com/spec/v1\n"),
    ],
)
def test_a_damaged_file(folder, load, file, damage):
    (folder / file).write_bytes(damage((folder / file).read_bytes()))
    with pytest.raises(CheckpointError, match=f"{re.escape(str(folder / file))}: it is damaged"):
        load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "roberta"}, "model_type is 'roberta', .* made for 'bert'"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu', .* made for 'gelu'"),
        ({"hidden_act": "gelu_new"}, "hidden_act is 'gelu_new'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ({"is_decoder": True}, "is_decoder is True"),
        ({"add_cross_attention": True}, "add_cross_attention is True"),
        ({"hidden_size": None}, "hidden_size is None, and should be a number"),
        ({"intermediate_size": "40"}, "intermediate_size is 40, and should be a number"),
        ({"num_attention_heads": 3}, "hidden_size 16 cannot be shared evenly among the 3"),
    ],
)
def test_a_config_of_another_kind(folder, changes, message):
    edit_config(folder, **changes)
    file = re.escape(str(folder / "config.json"))
    with pytest.raises(CheckpointError, match=f"{file}: {message}"):
        Bert.from_pretrained(folder)


def drop(name):
    return lambda weights: {other: w for other, w in weights.items() if other != f"bert.{name}"}


def add(name):
    return lambda weights: weights | {name: torch.ones(16)}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (drop(QUERY), f"{QUERY} is missing"),
        (drop("embeddings.LayerNorm.bias"), "embeddings.LayerNorm.bias is missing"),
        (drop("pooler.dense.bias"), "pooler.dense.bias is missing"),
        (
            drop("embeddings.token_type_embeddings.weight"),
            "token_type_embeddings.weight is missing",
        ),
        (lambda w: w.clear() or {"other": torch.ones(1)}, "embeddings.word.* is missing"),
        (add("bert.embeddings.extra.weight"), "embeddings.extra.weight has no place in this Bert"),
        (
            add("bert.encoder.layer.1.extra"),
            r"layer\.1\.extra has no place in this TransformerBlock",
        ),
        (add("bert.encoder.layer.2.output.dense.bias"), r"encoder\.layer\.2\..* has no place"),
        (add("bert.encoder.layer.10.output.dense.bias"), r"encoder\.layer\.10\..* has no place"),
        (add("bert.encoder.norm.weight"), "encoder.norm.weight has no place"),
        (add("bert.pooler.extra"), "pooler.extra has no place in this Bert"),
        (add("adapter.weight"), "adapter.weight has no place"),
        (add("embeddings.LayerNorm.gamma"), "embeddings.LayerNorm.weight is there twice"),
    ],
)
def test_missing_and_surplus_weights(folder, edit, message):
    edit_weights(folder, edit)
    file = re.escape(str(folder / "model.safetensors"))
    with pytest.raises(CheckpointError, match=f"{file}: .*{message}"):
        Bert.from_pretrained(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 14}, r"word_embeddings.weight has shape \(15, 16\), .* has \(14, 16\)"),
        ({"intermediate_size": 48}, r"intermediate.dense.weight has shape \(40, 16\)"),
        ({"num_hidden_layers": 3}, r"encoder.layer.2.attention.self.query.weight is missing"),
        ({"num_hidden_layers": 1}, r"encoder.layer.1.\S+ has no place in a BERT of the config's"),
        ({"max_position_embeddings": 12}, r"position_embeddings.weight has shape \(10, 16\)"),
        ({"type_vocab_size": 3}, r"token_type_embeddings.weight has shape \(2, 16\)"),
    ],
)
def test_weights_of_another_size_than_the_config(folder, changes, message):
    edit_config(folder, **changes)
    file = re.escape(str(folder / "model.safetensors"))
    with pytest.raises(CheckpointError, match=f"{file}: .*{message}"):
        Bert.from_pretrained(folder)


def test_the_bundled_checkpoint_has_no_head_for_masked_words():
    folder = checkpoints.locate("all-MiniLM-L6-v2")
    file = re.escape(str(folder / "model.safetensors"))
    with pytest.raises(CheckpointError, match=rf"{file}: it holds no head for masked words.*new"):
        MaskedLanguageModel.from_pretrained(folder)


def untied(weights):
    words = weights["bert.embeddings.word_embeddings.weight"]
    weights["cls.predictions.decoder.weight"] = words + 1


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (untied, "decoder.weight and embeddings.word_embeddings.weight differ"),
        (add("cls.predictions.decoder.bias"), "decoder.bias and cls.predictions.bias differ"),
        (add("cls.predictions.extra"), "cls.predictions.extra has no place in this Masked"),
        (
            lambda w: {n: x for n, x in w.items() if n != "cls.predictions.transform.dense.bias"},
            "cls.predictions.transform.dense.bias is missing",
        ),
    ],
)
def test_a_head_for_masked_words_that_does_not_fit(folder, edit, message):
    edit_weights(folder, edit)
    Bert.from_pretrained(folder)  # needs none
    file = re.escape(str(folder / "model.safetensors"))
    with pytest.raises(CheckpointError, match=f"{file}: .*{message}"):
        MaskedLanguageModel.from_pretrained(folder)
