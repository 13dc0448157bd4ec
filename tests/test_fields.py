import pytest

from sst_keras.errors import InputError
from sst_keras.fields import NUMBER, OneOf, Range, check_fields

KIND = {
    "name": str, "n?": int, "share?": NUMBER | None, "rows?": [[int]], "ends?": (NUMBER, NUMBER),
    "inner?": {"flag": bool}, "counts?": {"a": [Range(1, 9)], "*": Range(0, 1, NUMBER)},
    "choice?": OneOf(("a", "b")),
}  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        {"name": "a"},
        {"name": "a", "n": 1, "share": None, "other": object()},
        {"name": "", "share": 1, "rows": [], "ends": [1, 2.5]},
        {"name": "a", "share": 0.5, "rows": [[], [1, 2]], "inner": {"flag": False}},
        {"name": "a", "choice": "b"},
        {"name": "a", "rows": ((1,),), "counts": {"a": [1, 9], "b": 0, "c": 0.5}},
    ],
)
def test_what_is_of_the_kind(value):
    check_fields(value, KIND, "x.json", "Do this.")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "expected an object. Received: []. Do this."),
        ({}, "expected a text in name. Received: nothing. Do this."),
        ({"name": None}, "expected a text in name. Received: None."),
        ({"name": "a", "n": True}, "expected a whole number in n. Received: True."),
        ({"name": "a", "n": 1.0}, "expected a whole number in n. Received: 1.0."),
        ({"name": "a", "share": "1"}, "a whole number or a number or null in share"),
        ({"name": "a", "rows": [[1], 2]}, "expected a list in rows[1]. Received: 2."),
        ({"name": "a", "rows": [[1, "b"]]}, "expected a whole number in rows[0][1]."),
        ({"name": "a", "ends": [1]}, "expected a list of 2 in ends. Received: [1]."),
        ({"name": "a", "counts": {}}, "expected a list in counts.a. Received: nothing."),
        ({"name": "a", "counts": {"a": [0]}}, "whole number from 1 to 9 in counts.a[0]. Received"),
        ({"name": "a", "counts": {"a": [True]}}, "expected a whole number from 1 to 9"),
        ({"name": "a", "counts": {"a": [1.0]}}, "expected a whole number from 1 to 9"),
        ({"name": "a", "counts": {"a": [], "b": float("nan")}}, "a number from 0 to 1 in counts.b"),
        ({"name": "a", "choice": "c"}, "expected one of a, b in choice. Received: 'c'."),
        ({"name": "a", "choice": ["a"]}, "expected one of a, b in choice. Received: ['a']."),
        ({"name": "a", "inner": {"flag": 1}}, "expected true or false in inner.flag."),
    ],
)
def test_what_is_not(value, problem):
    with pytest.raises(InputError) as caught:
        check_fields(value, KIND, "x.json", "Do this.")
    assert str(caught.value).startswith("x.json: ") and problem in str(caught.value)
