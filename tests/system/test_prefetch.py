"""Calls that run ahead of who uses their results."""

import threading
from functools import partial

import pytest

from aqakit.system.prefetch import call_ahead


def test_results_come_in_order_however_long_each_takes():
    first = threading.Event()

    def call(number):
        if number == 0:
            assert first.wait(5)
        first.set()  # by the second, which runs although nobody has asked for it yet
        return number

    assert list(call_ahead((partial(call, n) for n in range(20)), threads=2)) == list(range(20))


@pytest.mark.parametrize("threads", [1, 3])
def test_no_more_are_begun_than_there_are_threads(threads):
    begun, drawn = [], []

    def calls():
        for number in range(20):
            drawn.append(number)
            yield partial(begun.append, number)

    results = call_ahead(calls(), threads=threads)
    for taken in range(1, 4):
        next(results)
        assert len(drawn) == taken + threads
        assert len(begun) <= taken + threads
    results.close()
    assert len(drawn) == 3 + threads
    assert begun == sorted(begun)


def test_an_error_is_raised_where_its_result_is_due():
    results = call_ahead([lambda: 1, partial(int, "x"), lambda: 3], threads=2)
    assert next(results) == 1
    with pytest.raises(ValueError, match="'x'"):
        next(results)


def test_threads_end_with_the_generator():
    before, release = set(threading.enumerate()), threading.Event()
    results = call_ahead((partial(release.wait, 5) for _ in range(3)), threads=1)
    threading.Timer(0.05, release.set).start()
    next(results)
    results.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert set(threading.enumerate()) <= before
