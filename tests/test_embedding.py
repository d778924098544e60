"""embedding: the paper's sinusoids to the last digit, words and places added, and wrong ids."""

import math

import pytest
import torch

from course_lib import Embedding, sinusoidal_positions

IDS = torch.tensor([[1, 4, 2], [3, 3, 0]])


def formula(position, number, embed_size):
    """Section 3.5 of the paper, in Python's double precision."""
    angle = position / 10_000 ** ((number - number % 2) / embed_size)
    return math.cos(angle) if number % 2 else math.sin(angle)


@pytest.mark.parametrize("embed_size", [1, 7, 8, 256])
def test_sinusoids_equal_the_formula(embed_size):
    table = sinusoidal_positions(5000, embed_size)
    assert table.shape == (5000, embed_size)
    assert table.dtype == torch.float32
    for position in (0, 1, 2, 99, 4999):
        expected = [formula(position, number, embed_size) for number in range(embed_size)]
        assert table[position].tolist() == pytest.approx(expected, abs=1e-7)


def test_words_are_enlarged_and_places_added():
    for positions in ("learned", "sinusoidal"):
        embedding = Embedding(5, 8, max_length=4, positions=positions)
        expected = embedding.words.weight[IDS] * math.sqrt(8) + embedding.positions[:3]
        torch.testing.assert_close(embedding(IDS), expected)
    assert embedding.positions.equal(sinusoidal_positions(4, 8))
    embedding = Embedding(5, 8, max_length=4, positions=None)
    torch.testing.assert_close(embedding(IDS), embedding.words.weight[IDS] * math.sqrt(8))


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_tokens_after_a_past_stand_further_on(positions):
    embedding = Embedding(5, 8, max_length=3, positions=positions)
    assert embedding(IDS[:, 1:], past=1).equal(embedding(IDS)[:, 1:])
    assert not embedding(IDS[:, 1:]).equal(embedding(IDS)[:, 1:])


def test_words_start_quietly_among_the_places():
    embedding = Embedding(1000, 64, max_length=1000)
    words = embedding(torch.arange(1000)[None]) - embedding.positions
    assert words.std().item() == pytest.approx(0.02 * math.sqrt(64), rel=0.05)
    assert embedding.positions.std().item() == pytest.approx(1, rel=0.05)


def test_learned_places_learn_and_sinusoids_are_not_saved():
    learned, fixed = Embedding(5, 8, 4), Embedding(5, 8, 4, positions="sinusoidal")
    learned(IDS).sum().backward()
    assert learned.positions.grad[:3].eq(2).all()  # two sentences each
    assert not learned.positions.grad[3].any()
    assert set(learned.state_dict()) == {"words.weight", "positions"}
    assert set(fixed.state_dict()) == {"words.weight"}
    assert fixed.half().positions.dtype == torch.float16


def test_dropout_only_while_training():
    embedding = Embedding(5, 8, 4, dropout=1.0)
    assert not embedding(IDS).any()
    assert embedding.eval()(IDS).all()


def test_ids_are_moved_to_the_model():
    embedding, devices = Embedding(5, 8, 4).to("meta"), []
    embedding.words.register_forward_pre_hook(lambda _, ids: devices.append(ids[0].device.type))
    assert embedding(IDS).device.type == "meta"
    assert devices == ["meta"]


@pytest.mark.parametrize("past", [0, 2])
def test_too_many_tokens_are_refused(past):
    embedding = Embedding(5, 8, max_length=4)
    assert embedding(torch.ones(1, 4 - past, dtype=torch.long), past).shape == (1, 4 - past, 8)
    with pytest.raises(ValueError, match=r"5 tokens are more than the 4 positions .* max_length"):
        embedding(torch.ones(1, 5 - past, dtype=torch.long), past)


def test_a_sentence_without_its_batch_is_refused():
    with pytest.raises(ValueError, match=r"shape \(N, L\), these \(3,\): .* tokens\[None\]"):
        Embedding(5, 8, 4)(torch.tensor([1, 2, 3]))


@pytest.mark.parametrize("wrong", [5, -1])
def test_ids_outside_the_vocabulary_are_refused(wrong):
    with pytest.raises(ValueError, match="ids are 0 to 4 here, and these go from"):
        Embedding(5, 8, 4)(torch.tensor([[wrong, 2]]))


def test_unknown_positions_are_refused():
    with pytest.raises(ValueError, match=r"""positions are "learned", .* not 'rotary'"""):
        Embedding(5, 8, 4, positions="rotary")
