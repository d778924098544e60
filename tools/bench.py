"""The speed of the course's code beside others', measured side by side in one run.

    python -m tools.bench                everything
    python -m tools.bench attention      training a layer, beside torch's nn.MultiheadAttention
    python -m tools.bench explorer       one key to redrawn cells, in a real JupyterLab

The two sides of a ratio take turns, so that a busy moment hits both alike.  Nothing here fails
because of a number: the bounds stand beside the measurements, for you to compare.
"""

import argparse
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LESSON = "08_self_attention.ipynb"
SHAPES = [(32, 10, 256, 8), (16, 64, 256, 8), (8, 128, 512, 8)]  # N, L, embed_size, heads


def machine() -> str:
    """What the figures were measured on."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{platform.machine()}, {cores} cores, {torch.get_num_threads()} torch threads, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def side_by_side(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """The median time of `theirs` in milliseconds, and the median ratio of ours to theirs."""
    times = []
    for round_ in range(84):
        pair = []
        for function in (ours, theirs) if round_ % 2 else (theirs, ours):
            start = time.perf_counter()
            function()
            pair.append(time.perf_counter() - start)
        times.append(pair if round_ % 2 else pair[::-1])  # ours, theirs
    times = times[4:]  # the first rounds warm up
    base = statistics.median(b for _, b in times)
    return 1000 * base, statistics.median(a / b for a, b in times)


def train(layer: Any, x: Any, **options: bool) -> None:
    """Forward and backward through an attention layer, theirs or ours."""
    result = layer(x, x, x, **options)
    (result[0] if isinstance(result, tuple) else result).sum().backward()


def bench_attention() -> None:
    """A training step (forward and backward) of one layer."""
    import torch
    from torch import nn

    from course_lib import SelfAttention

    print("\nTraining time of SelfAttention, as a multiple of nn.MultiheadAttention's")
    print(f"{'N, L, E, H':>18} {'readable (<= 1.15)':>20} {'fused (<= 1.05)':>20}")
    for batch, length, embed_size, heads in SHAPES:
        ours = SelfAttention(embed_size, heads, bias=True)
        theirs = nn.MultiheadAttention(embed_size, heads, batch_first=True)
        x = torch.randn(batch, length, embed_size, requires_grad=True)
        cells = []
        for weights in (True, False):
            base, ratio = side_by_side(
                partial(train, ours, x, return_weights=weights),
                partial(train, theirs, x, need_weights=weights, average_attn_weights=False),
            )
            cells.append(f"{ratio:.2f} (of {base:.1f} ms)")
        name = f"{batch}, {length}, {embed_size}, {heads}"
        print(f"{name:>18} {cells[0]:>20} {cells[1]:>20}")


# Time from the event of a key to the frame that follows the redrawn cells.
WATCH_KEYS = """root => {
    window.latencies = [];
    let pressed = 0;
    root.querySelector('input').addEventListener('input', () => pressed = performance.now(), true);
    new MutationObserver(() => {
        const start = pressed;
        requestAnimationFrame(() => window.latencies.push(performance.now() - start));
    }).observe(root, { attributes: true, attributeFilter: ['data-sequence'] });
}"""
# Time of a choice, its redrawing and layout.
SWITCH_HEADS = """root => {
    const menu = root.querySelectorAll('select')[1], times = [];
    for (let head = 0; head < 13; head++) {
        const start = performance.now();
        menu.value = head;
        menu.dispatchEvent(new Event('change'));
        root.getBoundingClientRect();
        times.push(performance.now() - start);
    }
    return times;
}"""


def bench_explorer() -> None:
    """Type into lesson 08's first explorer in JupyterLab, and choose heads."""
    import nbformat
    from playwright.sync_api import sync_playwright

    from tools import chromium
    from tools.lab_session import LabSession, run_all

    executable = chromium.find()
    if executable is None:
        print(f"\nThe explorer was not measured: {chromium.MISSING}")
        return
    with tempfile.TemporaryDirectory() as folder:
        notebooks, scratch = Path(folder, "notebooks"), Path(folder, "scratch")
        notebooks.mkdir()
        scratch.mkdir()
        shutil.copy(ROOT / "notebooks" / LESSON, notebooks)
        notebook = nbformat.read(notebooks / LESSON, as_version=4)
        needed = {"08-imports", "08-bert", "08-explorer"}
        notebook.cells = [cell for cell in notebook.cells if cell.id in needed]
        nbformat.write(notebook, notebooks / LESSON)
        with LabSession(notebooks, scratch) as lab, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable, args=chromium.FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            lab.open(page, LESSON)
            run_all(page)
            explorer = page.locator(".explorer:not(.explorer-copy)")
            box = explorer.get_by_label("Your sentence")
            box.fill("The old cat")
            explorer.evaluate(WATCH_KEYS)
            box.press_sequentially(" sat on the mat because it was too tired", delay=150)
            page.wait_for_timeout(500)
            keys = page.evaluate("window.latencies")
            heads = explorer.evaluate(SWITCH_HEADS)
            browser.close()
    print("\nThe attention explorer in JupyterLab, medians")
    print(
        f"one key to redrawn cells (<= 50 ms): {statistics.median(keys):.0f} ms, {len(keys)} keys"
    )
    print(f"another head (<= 20 ms):             {statistics.median(heads):.1f} ms")


BENCHMARKS = {"attention": bench_attention, "explorer": bench_explorer}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("which", nargs="*", choices=[*BENCHMARKS, []], help="default: all")
    for_each = parser.parse_args().which or list(BENCHMARKS)
    print(machine())
    for name in for_each:
        BENCHMARKS[name]()
