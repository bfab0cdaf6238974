from array import array

import pytest

from tweenbatch.records.duplicates import FEW, any_repeated


@pytest.mark.parametrize("count", [0, 1, 100, 2 * FEW])
@pytest.mark.parametrize("typecode", ["q", "Q"])
def test_a_number_that_stands_twice_is_found_among_few_and_many(typecode: str, count: int) -> None:
    numbers = array(typecode, range(count, 0, -1))
    assert not any_repeated(numbers)
    numbers.append(count // 2)
    assert any_repeated(numbers) == (count > 1)
