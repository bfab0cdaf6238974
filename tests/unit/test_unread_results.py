"""Results that can't be read: several with the same error stop submissions."""

from tweenbatch.records import Failure
from tweenbatch.runner.throttle.unread_results import UnreadResults

PAGE = Failure(type="unknown_error", message="Bad gateway", http_status=502)
BROKEN = Failure(type="internal_error", message="It broke.", http_status=500)


def test_one_result_in_trouble_says_nothing_of_the_others() -> None:
    unread = UnreadResults()
    assert unread.note_trouble(1, PAGE)
    assert unread.note_trouble(2, BROKEN)
    assert unread.pause is None


def test_several_in_the_same_way_pause_until_one_of_them_is_read() -> None:
    unread = UnreadResults()
    for job_id in (1, 2):
        unread.note_trouble(job_id, PAGE)
    assert unread.pause is not None
    assert "2 clips" in unread.pause
    assert "HTTP 502, unknown_error: Bad gateway" in unread.pause
    unread.note_read(1)
    assert unread.pause is None


def test_the_same_answer_is_news_once() -> None:
    unread = UnreadResults()
    assert unread.note_trouble(1, PAGE)
    assert not unread.note_trouble(1, PAGE)
    assert unread.note_trouble(1, BROKEN)
    unread.lay_aside(1)
    assert not unread.note_trouble(1, BROKEN)


def test_several_that_are_laid_aside_stop_the_buying_and_pause_no_more() -> None:
    unread = UnreadResults()
    for job_id in (1, 2):
        unread.note_trouble(job_id, PAGE)
        assert unread.lay_aside(job_id) == PAGE
        assert bool(unread.stop) is (job_id == 2)
    assert unread.pause is None
    assert unread.was_laid_aside(1)
    unread.note_read(1)
    assert not unread.stop
    assert not unread.was_laid_aside(1)


def test_what_is_laid_aside_for_another_reason_is_no_result_in_trouble() -> None:
    assert UnreadResults().lay_aside(1) is None
