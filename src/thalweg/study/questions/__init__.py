"""The questions of the teaching material: each a sweep, and an answer that is read from it."""

from thalweg.study.questions.asking import (
    QUESTIONS,
    Study,
    ask,
    begin_study,
    compare_batch_sizes,
    compare_inits,
    find_question,
    load_study,
    memorise,
    plan_study,
    regularise,
    study_of,
)
from thalweg.study.questions.question import Answer, Plan, Question

__all__ = [
    "QUESTIONS",
    "Answer",
    "Plan",
    "Question",
    "Study",
    "ask",
    "begin_study",
    "compare_batch_sizes",
    "compare_inits",
    "find_question",
    "load_study",
    "memorise",
    "plan_study",
    "regularise",
    "study_of",
]
