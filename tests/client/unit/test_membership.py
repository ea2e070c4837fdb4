"""The table of the states of a socket in its namespace."""

from __future__ import annotations

from itertools import product

import pytest

from telex.client.membership import DEAF, TABLE, WANTED, State, Step, next_state

S, T = State, Step

ROADS: dict[str, list[tuple[Step, State]]] = {
    "in and out": [
        (T.WANT, S.WAITING),
        (T.SEND, S.JOINING),
        (T.ACCEPTED, S.JOINED),
        (T.DROPPED, S.WAITING),
        (T.LEAVE, S.LEFT),
    ],
    "an auth callable": [
        (T.WANT, S.WAITING),
        (T.AUTHENTICATE, S.AUTHENTICATING),
        (T.SEND, S.JOINING),
        (T.ACCEPTED, S.JOINED),
    ],
    "an auth callable that fails": [
        (T.WANT, S.WAITING),
        (T.AUTHENTICATE, S.AUTHENTICATING),
        (T.REFUSED, S.LEFT),
    ],
    "refused": [(T.WANT, S.WAITING), (T.SEND, S.JOINING), (T.REFUSED, S.LEFT)],
    "a connection that is lost": [
        (T.WANT, S.WAITING),
        (T.SEND, S.JOINING),
        (T.DROPPED, S.WAITING),
        (T.SEND, S.JOINING),
        (T.ACCEPTED, S.JOINED),
        (T.DROPPED, S.WAITING),
        (T.SEND, S.JOINING),
    ],
    "left before the answer": [
        (T.WANT, S.WAITING),
        (T.SEND, S.JOINING),
        (T.LEAVE, S.LEAVING),
        (T.ACCEPTED, S.LEFT),
    ],
    "left and wanted again before the answer": [
        (T.WANT, S.WAITING),
        (T.SEND, S.JOINING),
        (T.LEAVE, S.LEAVING),
        (T.WANT, S.RETURNING),
        (T.ACCEPTED, S.WAITING),
        (T.SEND, S.JOINING),
    ],
    "left, wanted again, and left again": [
        (T.WANT, S.WAITING),
        (T.SEND, S.JOINING),
        (T.LEAVE, S.LEAVING),
        (T.WANT, S.RETURNING),
        (T.LEAVE, S.LEAVING),
        (T.REFUSED, S.LEFT),
    ],
    "left while the connection is lost": [
        (T.WANT, S.WAITING),
        (T.SEND, S.JOINING),
        (T.LEAVE, S.LEAVING),
        (T.DROPPED, S.LEFT),
    ],
    "the root of Socket.IO 2": [(T.WANT, S.WAITING), (T.ACCEPTED, S.JOINED)],
}


@pytest.mark.parametrize("road", ROADS)
def test_the_roads(road: str) -> None:
    state = S.LEFT
    for step, expected in ROADS[road]:
        state = next_state(state, step)
        assert state is expected


def walked() -> set[tuple[State, Step]]:
    """The steps of all roads."""
    found: set[tuple[State, Step]] = set()
    for road in ROADS.values():
        state = S.LEFT
        for step, after in road:
            found.add((state, step))
            state = after
    return found


def test_each_state_and_each_step_is_on_a_road() -> None:
    assert {state for state, _ in walked()} == set(State)
    assert {step for _, step in walked()} == set(Step)


@pytest.mark.parametrize(
    ("state", "step"), list(product(State, Step)), ids=lambda value: value.value
)
def test_every_pair_is_in_the_table_or_impossible(state: State, step: Step) -> None:
    if step in TABLE[state]:
        assert next_state(state, step) is TABLE[state][step]
    else:
        with pytest.raises(RuntimeError, match=f"'{step.value}' is impossible while"):
            next_state(state, step)


@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
class TestLaws:
    """What holds of each state."""

    def test_a_connection_may_be_lost_at_any_moment(self, state: State) -> None:
        after = next_state(state, T.DROPPED)
        assert after is (S.WAITING if state in WANTED else S.LEFT)

    def test_wanting_in_is_possible_exactly_while_it_is_not_wanted(self, state: State) -> None:
        assert (T.WANT in TABLE[state]) == (state not in WANTED)
        if state not in WANTED:
            assert next_state(state, T.WANT) in WANTED

    def test_leaving_ends_it(self, state: State) -> None:
        """A member sends DISCONNECT first, which is the step `dropped`."""
        assert (T.LEAVE in TABLE[state]) == (state in WANTED and state is not S.JOINED)
        if T.LEAVE in TABLE[state]:
            assert next_state(state, T.LEAVE) not in WANTED

    def test_connect_is_sent_once_for_each_answer(self, state: State) -> None:
        """No road sends a second CONNECT before the first has been answered, or lost."""
        owed = {S.JOINING, S.LEAVING, S.RETURNING}
        assert (T.SEND in TABLE[state]) == (state in {S.WAITING, S.AUTHENTICATING})
        if state in owed:
            for step, after in TABLE[state].items():
                assert (after in owed) == (step in {T.WANT, T.LEAVE})

    def test_no_event_is_taken_without_being_wanted(self, state: State) -> None:
        assert (state in DEAF) == (state not in WANTED or state is S.RETURNING)
