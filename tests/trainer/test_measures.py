"""When a run gets no better is told from its log as transformers' callback counts it."""

from __future__ import annotations

import math

import hypothesis.strategies as st
from hypothesis import given, settings

from vlm_trainer.measures import HeldOutLoss, best_of, held_out_losses, without_better

LOSSES = st.lists(st.sampled_from([0.1, 0.2, 0.25, 0.5, 1.0, float("nan")]), max_size=8)


@given(LOSSES, st.sampled_from([0.0, 0.1]))
@settings(deadline=None)  # the first one imports transformers
def test_the_count_is_that_of_the_stock_callback(values: list[float], threshold: float) -> None:
    from transformers import EarlyStoppingCallback, TrainerState, TrainingArguments

    stock, state = EarlyStoppingCallback(99, threshold), TrainerState()
    arguments = TrainingArguments(use_cpu=True, greater_is_better=False)
    for value in values:
        stock.check_metric_value(arguments, state, None, value)
        # what `_determine_best_metric` of the trainer does after it
        best = float("inf") if state.best_metric is None else state.best_metric
        state.best_metric = value if value < best else best

    losses = [HeldOutLoss(step, loss) for step, loss in enumerate(values, 1)]

    first_is_nan = bool(values) and math.isnan(values[0])  # which the stock one calls better
    assert (
        without_better(losses, threshold) == stock.early_stopping_patience_counter or first_is_nan
    )


@given(LOSSES)
def test_the_best_is_the_first_of_the_lowest(values: list[float]) -> None:
    log = [{"step": step, "eval_loss": loss} for step, loss in enumerate(values)]

    best = best_of(held_out_losses([{"step": 9, "loss": 0.0}, *log]))

    numbers = [value for value in values[1:] if not math.isnan(value)]
    assert best == ((values.index(min(numbers), 1), min(numbers)) if numbers else None)
