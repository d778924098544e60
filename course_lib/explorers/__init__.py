"""What a student types into: a sentence box over a live picture of what a model computed."""

from course_lib.explorers.embedding import EmbeddingExplorer, embedding_explorer
from course_lib.explorers.heatmap import AttentionExplorer, attention_explorer
from course_lib.explorers.output import OutputExplorer, output_explorer
from course_lib.explorers.pipeline import PipelineExplorer, pipeline_explorer
from course_lib.explorers.sources import (
    bert_source,
    classifier_source,
    translator_source,
    verdict_source,
)
from course_lib.explorers.trace import MAX_TOKENS, Trace, TraceError
from course_lib.explorers.verdict import VerdictExplorer, VerdictTrace, verdict_explorer

__all__ = [
    "MAX_TOKENS",
    "AttentionExplorer",
    "EmbeddingExplorer",
    "OutputExplorer",
    "PipelineExplorer",
    "Trace",
    "TraceError",
    "VerdictExplorer",
    "VerdictTrace",
    "attention_explorer",
    "bert_source",
    "classifier_source",
    "embedding_explorer",
    "output_explorer",
    "pipeline_explorer",
    "translator_source",
    "verdict_explorer",
    "verdict_source",
]
