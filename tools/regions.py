"""Passages of a text that a tool writes, between `<!-- name -->` and `<!-- /name -->`.

Such comments show nowhere: not in JupyterLab, not on GitHub, not on Colab.
"""

import re


def fill(text: str, name: str, content: str) -> str:
    """The text with `content` in every passage of this name.

    Raises ValueError if the text has no such passage.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    passage = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not passage.search(text):
        raise ValueError(f"there is no passage {begin}...{end} to fill in")
    return passage.sub(lambda _: begin + content + end, text)
