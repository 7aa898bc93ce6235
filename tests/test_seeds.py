import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ldlstudy.seeds import seed_of


@given(st.lists(st.integers(0, 2**32 - 1) | st.text(max_size=5), min_size=1, max_size=5))
def test_seeds_depend_on_every_part_and_its_place(parts):
    seed = seed_of(*parts)
    assert 0 <= seed < 2**32
    assert seed == seed_of(*parts)
    for i, part in enumerate(parts):
        other = part + 1 if isinstance(part, int) else part + "x"
        assert seed_of(*parts[:i], other, *parts[i + 1 :]) != seed
    assert (seed_of(*parts, 0) == seed) == (len(parts) < 4)


def test_seeds_of_a_study_are_all_different():
    seeds = {
        seed_of(0, "weights", method, r, c)
        for method in ("none", "ls", "ils")
        for r in range(20)
        for c in range(30)
    }
    assert len(seeds) == 3 * 20 * 30


def test_numbers_of_numpy_and_texts_count_by_their_value():
    assert seed_of(np.int64(3), "ab") == seed_of(3, "ab")
    assert seed_of(3, "ab") != seed_of(3, "ba")
