"""The row-wise reader against the standard library's."""

import json
import random
import threading
import time

import pytest

from distill.serving.json_body import parse_json


def random_value(generator, depth):
    kind = generator.randrange(8 if depth else 5)
    if kind < 5:
        choices = [
            None,
            True,
            generator.randrange(-9, 10**20),
            "ä\n\"\\'",
            -1e-9,
        ]
        return choices[kind]
    size = generator.randrange(4)
    if kind == 5:
        return {
            f"k{i}": random_value(generator, depth - 1) for i in range(size)
        }
    return [random_value(generator, depth - 1) for _ in range(size)]


@pytest.mark.parametrize("indent", [None, 1])
def test_every_text_is_read_as_json_loads_reads_it(indent):
    generator = random.Random(0)
    for _ in range(300):
        value = random_value(generator, 5)
        text = json.dumps(value, indent=indent)
        assert parse_json(f" {text}\r\n".encode()) == value


def test_every_cut_or_changed_text_is_refused_as_json_loads_does():
    text = '{"a": [[1, 2.5], [{"b": null}], []], "c": {}, "d": [{"e": "]"}]}'
    generator = random.Random(0)
    changed = [text[:end] for end in range(len(text))]
    for _ in range(2000):
        place = generator.randrange(len(text))
        mark = generator.choice('[]{},:" 1a')
        changed.append(text[:place] + mark + text[place + 1 :])
    for other in changed:
        try:
            expected = json.loads(other)
        except ValueError:
            with pytest.raises(ValueError):
                parse_json(other.encode())
        else:
            keys = other.count('"a"'), other.count('"c"'), other.count('"d"')
            if max(keys) == 1:
                assert parse_json(other.encode()) == expected


def test_other_threads_get_their_turns_while_a_long_text_is_read():
    row = list(range(256)) * 4
    body = json.dumps({"instances": [{"frames": [row] * 3000}]}).encode()
    ticks, ended = [], threading.Event()

    def tick():
        while not ended.is_set():
            time.sleep(0.001)
            ticks.append(time.perf_counter())

    ticker = threading.Thread(target=tick)
    ticker.start()
    start = time.perf_counter()
    parse_json(body)
    end = time.perf_counter()
    ended.set()
    ticker.join()
    # The standard library's gives one turn at most.
    assert sum(start < moment < end for moment in ticks) > 3
