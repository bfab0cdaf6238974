"""A refusal closes one model where fal has just taken another; otherwise it may concern all."""

import pytest

from tweenbatch.runner.throttle.closed_models import ClosedModels


def refused(models: ClosedModels, model: str, http_status: int | None = 403) -> bool:
    return models.refused(model, "Refused", http_status=http_status)


@pytest.mark.parametrize("http_status", [403, 404])
def test_the_model_alone_is_closed_where_another_was_taken(http_status: int) -> None:
    models = ClosedModels()
    models.accepted("a")
    assert refused(models, "b", http_status)
    assert set(models.names) == {"b"}
    assert "fal accepts a with this key, so only b seems to be closed" in str(models.reason)
    assert refused(models, "b", http_status), "those in flight tell nothing new"


@pytest.mark.parametrize("http_status", [401, 402, 422, 400, None])
def test_other_refusals_close_no_model(http_status: int | None) -> None:
    models = ClosedModels()
    models.accepted("a")
    assert refused(models, "b")
    assert not refused(models, "b", http_status)
    models.accepted("a")
    assert not refused(models, "c", http_status)


def test_without_another_that_was_taken_it_may_be_the_account() -> None:
    models = ClosedModels()
    assert not refused(models, "b")
    models.accepted("b")
    assert not refused(models, "b")
    assert (set(models.names), models.reason) == (set(), None)


def test_a_second_model_refused_in_a_row_is_the_account_s_trouble() -> None:
    models = ClosedModels()
    for model in "abc":
        models.accepted(model)
    assert refused(models, "a")
    assert not refused(models, "b")
    models.accepted("c")
    assert refused(models, "b")
    models.accepted("c")
    assert not refused(models, "c"), "there is no other left"
