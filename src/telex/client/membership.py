"""Membership in one namespace: how a socket gets in, and how it gets out again.

A socket is a member of its namespace after the server has answered its CONNECT packet. It
may want to be one long before: while there is no connection, while its ``auth`` callable
runs, while the answer is on its way. And it may change its mind at each of these moments.
The states::

    LEFT            does not want in
    WAITING         wants in; there is no connection, or nothing to do over it yet
    AUTHENTICATING  the connection is open; the auth callable runs
    JOINING         CONNECT has been sent; its answer is waited for
    JOINED          the server has let the socket in
    LEAVING         does not want in any more, but the answer to its CONNECT is still to come
    RETURNING       wants in again; the answer to the earlier CONNECT is still to come

and what moves a socket from one to another::

    WANT            ``connect()``
    AUTHENTICATE    the auth callable is called
    SEND            CONNECT is sent
    ACCEPTED        CONNECT has come from the server
    REFUSED         CONNECT_ERROR has come, or CONNECT cannot be sent
    DROPPED         the membership has ended on this connection: the connection was lost,
                    or a DISCONNECT packet has come or was sent
    LEAVE           ``disconnect()``, or there is no use in trying again

A socket goes from LEFT to WAITING, AUTHENTICATING if it has an auth callable, JOINING and JOINED;
a connection that is lost leads back to WAITING, and the manager calls ``opened`` for the next one.

CONNECT cannot be taken back. That is why LEAVING is not LEFT: when the server's answer comes,
the socket has to send DISCONNECT, or the server would go on taking it for a member. And who
wants in again meanwhile is RETURNING, not JOINING: two CONNECT packets would have two answers
that cannot be told apart, so the first is waited for, and the namespace left, before the
second is sent.

In ``/`` of a server of Socket.IO 2 each client is a member from the beginning, without being
asked: a socket goes from WAITING to JOINED at once.

``TABLE`` is all of it. What is not in it cannot happen: ``next_state`` raises
``RuntimeError``. ``Membership`` (``joining.py``) keeps the state of one socket and does what
each step needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class State(Enum):
    """What a socket is to its namespace."""

    LEFT = "left"
    WAITING = "waiting"
    AUTHENTICATING = "authenticating"
    JOINING = "joining"
    JOINED = "joined"
    LEAVING = "leaving"
    RETURNING = "returning"


class Step(Enum):
    """What moves a socket to another state."""

    WANT = "want"
    AUTHENTICATE = "authenticate"
    SEND = "send"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    DROPPED = "dropped"
    LEAVE = "leave"


TABLE: Mapping[State, Mapping[Step, State]] = {
    State.LEFT: {
        Step.WANT: State.WAITING,
        Step.DROPPED: State.LEFT,
    },
    State.WAITING: {
        Step.AUTHENTICATE: State.AUTHENTICATING,
        Step.SEND: State.JOINING,
        Step.ACCEPTED: State.JOINED,
        Step.REFUSED: State.LEFT,
        Step.DROPPED: State.WAITING,
        Step.LEAVE: State.LEFT,
    },
    State.AUTHENTICATING: {
        Step.SEND: State.JOINING,
        Step.ACCEPTED: State.JOINED,
        Step.REFUSED: State.LEFT,
        Step.DROPPED: State.WAITING,
        Step.LEAVE: State.LEFT,
    },
    State.JOINING: {
        Step.ACCEPTED: State.JOINED,
        Step.REFUSED: State.LEFT,
        Step.DROPPED: State.WAITING,
        Step.LEAVE: State.LEAVING,
    },
    State.JOINED: {
        Step.DROPPED: State.WAITING,
    },
    State.LEAVING: {
        Step.WANT: State.RETURNING,
        Step.ACCEPTED: State.LEFT,
        Step.REFUSED: State.LEFT,
        Step.DROPPED: State.LEFT,
    },
    State.RETURNING: {
        Step.ACCEPTED: State.WAITING,
        Step.REFUSED: State.WAITING,
        Step.DROPPED: State.WAITING,
        Step.LEAVE: State.LEAVING,
    },
}

WANTED = frozenset(
    {State.WAITING, State.AUTHENTICATING, State.JOINING, State.JOINED, State.RETURNING}
)
"""The states of a socket that is in, or wants in."""

DEAF = frozenset({State.LEFT, State.LEAVING, State.RETURNING})
"""The states in which packets are meant for an earlier membership."""


def next_state(state: State, step: Step) -> State:
    """Where a step leads. Raises ``RuntimeError`` if it is impossible in this state."""
    try:
        return TABLE[state][step]
    except KeyError:
        raise RuntimeError(f"{step.value!r} is impossible while {state.value!r}") from None
