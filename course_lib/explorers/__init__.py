"""What a student types into: a sentence box over a live picture of what a model computed."""

from course_lib.explorers.heatmap import AttentionExplorer, attention_explorer
from course_lib.explorers.trace import MAX_TOKENS, Trace, TraceError, bert_source

__all__ = [
    "MAX_TOKENS",
    "AttentionExplorer",
    "Trace",
    "TraceError",
    "attention_explorer",
    "bert_source",
]
