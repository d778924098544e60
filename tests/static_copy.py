"""How tests read an explorer's static copy: as a page, whose words must be data, never markup."""

import html.parser
import json
import re

# The last two would be filled in, if a token ever became part of a template.
HOSTILE = [
    "</script>",
    "<script>alert(1)</script>",
    "<!--",
    "<img",
    "&amp;",
    '"onclick="x',
    "{word}",
    "{x}",
]


class Page(html.parser.HTMLParser):
    """The tags and texts of a page in their order, and the names of all attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attributes}

    def handle_data(self, data):
        self.texts.append(data)


def picture_inside(copy):
    """The picture that a copy's script redraws; no character of it could end its element."""
    content = re.search(r'<script type="application/json">(.*?)</script>', copy, re.S)[1]
    assert "<" not in content
    return json.loads(content)["picture"]
