"""output explorer: what it shows is what the model wrote, gave chances to, and looked at."""

import re

import nbformat
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib import Transformer, figures
from course_lib.decoding import Continuation, greedy, probabilities, sample
from course_lib.explorers import (
    Trace,
    TraceError,
    attention_explorer,
    output_explorer,
    translator_source,
)
from course_lib.explorers.bars import tenths, whole
from course_lib.explorers.heatmap import contrast, percent
from course_lib.explorers.widget import asset
from tests.static_copy import HOSTILE, Page, picture_inside
from tests.toy_translator import PAIRS, toy_translator
from tools import notebooks

SENTENCE = "The black cat sleeps."


@pytest.fixture(scope="module")
def toy():
    return toy_translator()


@pytest.fixture(scope="module")
def source(toy):
    return translator_source(*toy)


def src(toy, text="the black cat sleeps ."):
    return torch.tensor([toy[1].encode(text.split())])


def ask(explorer, text=None, **options):
    """What the browser does at each key, and when a control moves."""
    request = explorer.request
    explorer.request = {
        "text": request["text"] if text is None else text,
        "options": request["options"] | options,
        "sequence": request["sequence"] + 1,
    }


# The source.


def test_a_translation_is_a_trace_of_its_steps(source):
    trace = source(SENTENCE)
    assert trace.tokens == ["the", "black", "cat", "sleeps", "."]
    assert trace.query_tokens == ["le", "chat", "noir", "dort", ".", "<end>"]
    assert trace.written == "Le chat noir dort."
    assert trace.attention.shape == (2, 4, 6, 5)
    assert trace.output.shape == (6, len(trace.outcomes))
    assert trace.notes == []


@pytest.mark.parametrize("temperature", [0.0, 0.7, 2.0])
def test_row_t_is_of_the_step_that_chose_token_t(toy, source, temperature):
    """Each step by hand: before it chose token t, the model had read the tokens before t."""
    model, _, target = toy
    trace = source(SENTENCE, temperature=temperature)
    read = [target.start_idx]
    for step, token in enumerate(trace.query_tokens):
        with torch.inference_mode():
            logits, weights = model(src(toy), torch.tensor([read]), return_weights=True)
        expected = probabilities(logits[0, -1], temperature or 1.0)
        np.testing.assert_allclose(trace.output[step], expected, atol=1e-5)
        np.testing.assert_allclose(
            trace.attention[:, :, step], weights.cross[:, 0, :, -1], atol=1e-5
        )
        read += target.encode([token]) if token != "<end>" else [target.end_idx]
        if temperature == 0:
            assert trace.outcomes[expected.argmax()] == token


def test_at_temperature_0_it_is_greedy_decoding_whatever_the_seed(toy, source):
    model, _, target = toy
    for pair in PAIRS[::5]:
        text = " ".join(pair.english)
        start = torch.tensor([[target.start_idx]])
        (ids,) = greedy(Continuation(model, src(toy, text)), start, target.end_idx, 20)
        for seed in range(3):
            written = source(text, seed=seed).query_tokens
            assert written == [*target.decode(ids), "<end>"]


def test_above_0_it_draws_as_decoding_does(toy, source):
    model, _, target = toy
    drawn = []
    for seed in range(12):
        start = torch.tensor([[target.start_idx]])
        generator = torch.Generator().manual_seed(seed)
        continuation = Continuation(model, src(toy))
        (ids,) = sample(
            continuation, start, target.end_idx, 20, temperature=1.5, generator=generator
        )
        written = source(SENTENCE, temperature=1.5, seed=seed).query_tokens
        assert written[: len(ids)] == [target.words[idx] for idx in ids]
        assert written == source(SENTENCE, temperature=1.5, seed=seed).query_tokens
        drawn.append(tuple(written))
    assert len(set(drawn)) > 1


def test_a_word_is_drawn_as_often_as_its_bar_says(source):
    """The toy learned that one sleeper in three "somnole" instead of "dort"."""
    trace = source(SENTENCE, temperature=1.0)
    share = trace.output[3, trace.outcomes.index("somnole")]
    assert 0.15 < share < 0.5
    traces = [source(SENTENCE, temperature=1.0, seed=seed) for seed in range(100)]
    at_step_4 = [t.query_tokens[3] for t in traces if t.query_tokens[:3] == ["le", "chat", "noir"]]
    count = at_step_4.count("somnole")
    spread = (len(at_step_4) * share * (1 - share)) ** 0.5
    assert abs(count - len(at_step_4) * share) < 3.5 * spread


def test_the_source_leaves_everything_as_it_was(toy, source):
    model = toy[0]
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    model.train()
    model.encoder.embedding.dropout.p = 0.5
    before = torch.get_rng_state()
    expected = source(SENTENCE).output
    np.testing.assert_array_equal(source(SENTENCE).output, expected)  # dropout was off
    source(SENTENCE, temperature=1.0, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert torch.get_num_threads() == 2
    model.encoder.embedding.dropout.p = 0.0
    model.eval()
    torch.set_num_threads(threads)


def test_a_model_that_learned_nothing_is_stopped_with_a_note(toy):
    """What it writes may be padding in the middle; the weights are of those very steps."""
    _, source_words, target_words = toy
    sizes = len(source_words), len(target_words)
    for seed in range(4):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = Transformer(*sizes, 0, 0, 16, 1, 2, 2, device="cpu", max_length=12).eval()
        with torch.no_grad():
            model.decoder.fc_out.bias[target_words.pad_idx] = 1.5
            model.decoder.fc_out.bias[target_words.end_idx] = -1e4
        trace = translator_source(model, source_words, target_words)(SENTENCE)
        assert len(trace.query_tokens) == 12
        assert trace.notes == ["The model was stopped after 12 words: it found no end."]
        chosen = [trace.outcomes[place] for place in trace.output.argmax(-1)]
        assert chosen == trace.query_tokens


def test_a_sentence_beyond_the_models_positions_is_cut_with_a_note(source):
    trace = source("the cat " * 5_000)
    assert len(trace.tokens) == 100
    assert trace.notes[0] == "Only the first 100 tokens are shown; 9,901 more do not fit."


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The blak cat sleep", ["“blak” (do you mean black", "“sleep” (do you mean sleeps"]),
        ("a b c d e", ["“a”", "“b”", "“c”", "2 more words are unknown"]),
        ("x" * 10_000, [f"“{'x' * 30}…”"]),
        ("שלום עולם", ["“שלום”, “עולם”"]),
        ("<script>alert(1)</script>", ["“script”", "“alert”", "“1”"]),
        ("😀 👩‍👩‍👧", ["no word"]),
        ("... ?", ["no word"]),
        ("<end>", ["“end”"]),
    ],
)
def test_what_it_cannot_translate_is_told_in_words(source, text, words):
    with pytest.raises(TraceError) as told:
        source(text)
    assert all(word in str(told.value) for word in words), told.value
    assert len(str(told.value)) < 400


def test_vocabularies_of_another_model_are_refused(toy):
    model, source_words, target_words = toy
    with pytest.raises(
        ValueError, match=r"The model has 14 source words and its vocabulary 15\. Give"
    ):
        translator_source(model, target_words, source_words)


# The trace.


def trace_of(output, **fields):
    return Trace(["cat"], np.ones((2, 1)), ["chat", "dort"], output=output, **fields)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (np.full((2, 3), 1 / 3), "for the whole sentence; this one has (2, 3)"),
        (np.array([[0.5, 0.5], [2.0, 3.0]]), "those of “dort” sum to 5. Was the softmax left out?"),
        (np.array([[1.5, -0.5], [0.5, 0.5]]), "those of “chat” sum to 1"),
        (np.array([[np.nan, 0.5], [0.5, 0.5]]), "those of “chat” sum to nan"),
        ([[1.0], [0.5, 0.5]], "The output is a tensor or an array of numbers."),
    ],
)  # fmt: skip
def test_what_is_no_output_is_told_in_words(output, words):
    with pytest.raises(TraceError, match=re.escape(words)):
        trace_of(output, outcomes=["chat", "dort"])


def test_a_trace_takes_the_output_as_models_give_it():
    output = torch.tensor([[0.25, 0.75], [1.0, 0.0]], requires_grad=True, dtype=torch.bfloat16)
    trace = trace_of(output, outcomes=np.array(["chat", "dort"]))
    assert trace.output.tolist() == [[0.25, 0.75], [1.0, 0.0]]
    assert trace.outcomes == ["chat", "dort"]
    long = Trace(["a"], np.ones((500, 1)), ["a"] * 500, output=np.ones((500, 1)), outcomes=["a"])
    assert len(long.query_tokens) == len(long.output) == 128


# The picture.


def test_each_step_lists_the_ten_likeliest_and_marks_the_chosen(source):
    explorer = output_explorer(source, SENTENCE)
    trace = source(SENTENCE)
    assert len(explorer.picture["steps"]) == 6
    for step, row, word in zip(
        explorer.picture["steps"], trace.output, trace.query_tokens, strict=True
    ):
        order = sorted(range(len(row)), key=lambda place: -row[place])
        assert step["words"] == [trace.outcomes[place] for place in order[:10]]
        np.testing.assert_allclose(step["shares"], row[order[:10]], atol=1e-6)
        assert step["words"][step["chosen"]] == word
        assert step["others"] == len(row) - 10
        assert step["rest"] == pytest.approx(row[order[10:]].sum(), abs=1e-5)


def drawn_source(text, temperature, seed):
    """Writes b, a, m; knows fourteen words of which m is the least likely."""
    outcomes = list("abcdefghijklnm")
    row = np.linspace(14, 1, 14) / 105
    return Trace(
        text.split(),
        np.full((3, len(text.split())), 1 / len(text.split())),
        query_tokens=list("bam"),
        output=np.tile(row, (3, 1)),
        outcomes=outcomes,
        written="Bam",
    )


def test_a_chosen_word_that_is_not_among_the_ten_is_listed_too():
    explorer = output_explorer(drawn_source, "x y", temperature=1.0)
    second, first, eleventh = explorer.picture["steps"]
    assert (second["chosen"], first["chosen"], eleventh["chosen"]) == (1, 0, 10)
    assert eleventh["words"] == [*"abcdefghij", "m"]
    assert eleventh["others"] == 3
    assert sum(eleventh["shares"]) + eleventh["rest"] == pytest.approx(1, abs=1e-3)
    assert first["others"] == 4


def test_few_outcomes_have_no_others():
    few = lambda text, temperature, seed: Trace(  # noqa: E731
        ["x"], [[1.0]], ["b"], output=[[0.1, 0.9]], outcomes=["a", "b"]
    )
    explorer = output_explorer(few, "x")
    assert explorer.picture["steps"] == [
        {"words": ["b", "a"], "shares": [0.9, 0.1], "chosen": 0, "others": 0, "rest": 0}
    ]
    assert "others" not in explorer.table()
    assert "lang" not in explorer.table()


def test_the_sentence_is_made_of_the_numbers(source):
    explorer = output_explorer(source, SENTENCE, step=2, layer=1, head=3)
    trace = source(SENTENCE)
    share = trace.output[1].max()
    looks = np.rint(trace.attention[0, 2, 1] * 255)
    assert explorer.sentence() == (
        "“The black cat sleeps.” became “Le chat noir dort.” in 6 steps. "
        f"At step 2 the model wrote “chat”, {whole(round(float(share), 6))} percent sure, while it "
        f"looked at “{trace.tokens[looks.argmax()]}”, {percent(looks.max())} percent."
    )
    assert explorer.step_sentence() in explorer.table()


def test_the_sentence_of_a_drawn_word_says_so():
    explorer = output_explorer(drawn_source, "x y", temperature=1.0, step=3)
    assert explorer.sentence() == (
        "“x y” became “Bam” in 3 steps. At step 3 the model drew “m”, which had a chance of "
        "1 percent, while it looked at “x”, 50 percent."
    )
    ask(explorer, temperature=0)
    assert "At step 3 the model wrote “m”, 1 percent sure" in explorer.sentence()


def test_the_last_layer_and_its_mean_come_first_unless_told(source):
    explorer = output_explorer(source, SENTENCE)
    assert explorer.chosen() == (1, 0)
    assert output_explorer(source, SENTENCE, layer=1, head=2).chosen() == (0, 2)
    explorer.view = {"step": 99, "layer": 99, "head": 99}  # a view of a longer text
    assert (explorer.step(), explorer.chosen()) == (5, (1, 4))
    explorer.view = {"step": -1, "layer": -1, "head": -1}
    assert (explorer.step(), explorer.chosen()) == (0, (0, 0))


def test_the_controls_go_through_the_source(source):
    explorer = output_explorer(source, SENTENCE)
    assert explorer.picture["explanation"].startswith(
        "Temperature 0: the model writes the likeliest"
    )
    ask(explorer, temperature=2.0, seed=8)
    trace = source(SENTENCE, temperature=2.0, seed=8)
    assert explorer.picture["queries"] == trace.query_tokens
    assert explorer.picture["steps"][0]["shares"][0] == round(float(trace.output[0].max()), 6)
    assert explorer.picture["explanation"].startswith("Temperature 2: each word is drawn")
    assert "seed, now 8," in explorer.picture["explanation"]
    same = output_explorer(source, SENTENCE, temperature=2.0, seed=8)
    assert same.picture == explorer.picture
    ask(explorer, temperature=-1)
    assert "ValueError: temperature is at least 0" in explorer.status["error"]


def test_unknown_words_keep_the_last_picture(source):
    explorer = output_explorer(source, SENTENCE)
    ask(explorer, "The blak cat sleeps.")
    assert "“blak” (do you mean black" in explorer.status["error"]
    assert explorer.picture["text"] == SENTENCE
    ask(explorer, "The white cat sleeps.")
    assert explorer.status["error"] == ""
    assert explorer.picture["written"] == "Le chat blanc dort."


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "Give it `output`, the probabilities of each step"),
        ({"output": [[1.0]], "outcomes": ["b"]}, "“a” was written, but is not among the outcomes."),
    ],
)
def test_a_source_without_output_is_told_in_words(fields, words):
    explorer = output_explorer(lambda text, **options: Trace(["a"], [[1.0]], **fields), "x")
    assert words in explorer.status["error"]
    assert words in explorer.sentence()
    assert explorer.copy_id in explorer.copy_html()


def test_the_attention_explorer_takes_the_same_source(source):
    explorer = attention_explorer(source, SENTENCE)
    assert explorer.picture["queries"] == source(SENTENCE).query_tokens
    assert "looks at" in explorer.table()


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=60))
def test_any_sentence_gets_a_picture_or_a_sentence(source, text):
    explorer = output_explorer(source, SENTENCE)
    ask(explorer, text)
    told = explorer.status["error"] + explorer.status["note"]
    assert explorer.picture["text"] != SENTENCE or told or text.strip() == SENTENCE
    assert "stopped with" not in told


# The copy.


@pytest.mark.parametrize("token", HOSTILE)
def test_words_are_data_never_markup(token):
    def source(text, temperature, seed):
        output, outcomes = [[0.4, 0.6]], ["a", token]
        return Trace(
            ["a"], [[1.0]], [token], output=output, outcomes=outcomes, written=token, language=token
        )

    explorer = output_explorer(source, "x")
    page = Page(explorer.copy_html())
    assert page.attributes <= {"class", "id", "type", "scope", "style", "title", "lang"}
    assert set(page.tags) == {
        "style", "section", "p", "div", "table", "caption", "tr", "td", "th", "script",
    }  # fmt: skip
    assert page.tags.count("script") == 2
    assert page.texts.count(token) == 3  # the text, its bar, its row of the grid
    assert picture_inside(explorer.copy_html())["steps"][0]["words"] == [token, "a"]


def test_without_script_the_copy_shows_the_chosen_step(source):
    explorer = output_explorer(source, SENTENCE, step=3)
    page = Page(explorer.table())
    step = explorer.picture["steps"][2]
    start = page.texts.index("What could have stood at step 3, in percent")
    assert page.texts[start - 1] == explorer.step_sentence()
    assert page.texts[start + 1 :][:3] == ["noir", tenths(step["shares"][0]), "written"]
    assert page.texts.count("written") == 1
    assert '<p lang="fr">Le chat noir dort.</p>' in explorer.table()
    assert '<th scope="row" lang="fr">noir</th>' in explorer.table()
    assert explorer.table().count('<th scope="row" lang="fr">') == 10 + 6
    assert f'<th scope="row">{step["others"]} others</th>' in explorer.table()
    assert 'title="When the model chose “noir”, “black” had' in explorer.table()


def test_copies_of_two_runs_are_equal_to_nbval(source):
    """Their ids are random, and the last digit of their numbers may differ."""

    def noisy(text, **options):
        trace = source(text, **options)
        trace.output = trace.output * 0.999 + 0.001 / trace.output.shape[1]
        return trace

    def output(explorer):
        data = {"text/html": explorer.copy_html()}
        cell = nbformat.v4.new_code_cell(
            "x", outputs=[nbformat.v4.new_output("display_data", data)]
        )
        cell.id = "08b-explorer"
        notebooks.name_explorer_copies(nbformat.v4.new_notebook(cells=[cell]))
        return cell.outputs[0]

    one, other = (output(output_explorer(each, SENTENCE)) for each in (source, noisy))
    assert one.data != other.data
    assert 'id="explorer-08b-explorer"' in one.data["text/html"]
    assert notebooks.compared(one) == notebooks.compared(other)


# The numbers and colours.


def test_shares_in_words():
    assert [whole(share) for share in (0.9731, 0.005, 0.0049, 0.0, 1.0)] == [
        "97", "1", "less than 1", "less than 1", "100",
    ]  # fmt: skip
    assert [tenths(share) for share in (0.9731, 0.0018, 0.0005, 0.0004, 1.0)] == [
        "97.3", "0.2", "0.1", "<0.1", "100.0",
    ]  # fmt: skip
    assert figures.percent(0.9731) == 97


def test_what_is_chosen_stands_out_from_both_themes():
    css = asset("explorer.css")
    (accent,) = re.findall(r"--explorer-accent: (#\w{6})", css)
    (blue,) = re.findall(r"--explorer-blue: (#\w{6})", css)
    assert css.count("background: var(--explorer-accent)") == 4  # tab, bars, plot, token
    assert contrast(accent, "#ffffff") >= 4.5  # its white letters
    for colour in (accent, blue):
        assert min(contrast(colour, "#ffffff"), contrast(colour, "#111111")) >= 3


def test_two_shares_that_make_a_hundred_are_shown_so():
    """Rounding to four digits and then to three would give 52.1 and 48.0."""
    explorer = output_explorer(
        lambda text, **options: Trace(
            ["x"], [[1.0]], ["a"], output=[[0.52047, 0.47953]], outcomes=["a", "b"]
        ),
        "x",
    )
    assert [tenths(share) for share in explorer.picture["steps"][0]["shares"]] == ["52.0", "48.0"]
