"""What a search tried: a tree of all beginnings that it followed."""

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from shared.decoding.steps import Step


class Node(NamedTuple):
    """A beginning of a text that a search followed for one more step.

    Attributes:
        parent: the index of the node that it continues; -1 for the root, which is the start token.
        token: its last token.
        log_prob: of the whole beginning, in nats.
        tokens: `(top,)` the likeliest tokens to follow, likeliest first.
        log_probs: `(top,)` of each of them, given the beginning.
    """

    parent: int
    token: int
    log_prob: float
    tokens: np.ndarray
    log_probs: np.ndarray


class Trace:
    """Records the tree of one example while a search runs eagerly, by what its step function sees.

    Args:
        top: how many of the likeliest next tokens to keep at each node.

    Attributes:
        nodes: the tree; a node's parent comes before it.

    Example:

    >>> from shared.decoding import beam_search
    >>> table = ops.log(ops.array([[0.1, 0.4, 0.5], [0.9, 0.05, 0.05], [0.4, 0.3, 0.3]]))
    >>> trace = Trace(top=2)
    >>> step, state = trace.watch(lambda tokens, state: (ops.take(table, tokens, axis=0), state), ())
    >>> _ = beam_search(step, state, [0], end_token=0, max_length=3, num_beams=2)
    >>> [(node.parent, node.token, round(float(np.exp(node.log_prob)), 2)) for node in trace.nodes]
    [(-1, 0, 1.0), (0, 2, 0.5), (0, 1, 0.4)]
    """

    def __init__(self, top: int = 8):
        self.nodes: list[Node] = []
        self._top = top
        self._known: dict[tuple[int, int], int] = {}  # indices by parent and token
        self._log_probs: list[np.ndarray] = []  # (vocabulary,) after each node

    def watch(self, step: Step, state: Any) -> tuple[Step, Any]:
        """The step and the first state of a search of one example, to give to it in place of these.

        Args:
            step: see `shared.decoding`.
            state: nested structure of tensors `(1, ...)`.
        """

        def watched(tokens, state):
            own, parents = state
            logits, own = step(tokens, own)
            log_probs = np.asarray(ops.log_softmax(ops.cast(logits, "float32")))
            rows = zip(np.asarray(parents).tolist(), np.asarray(tokens).tolist(), log_probs, strict=True)
            nodes = [self._node(*row) for row in rows]
            return logits, (own, ops.convert_to_tensor(nodes, dtype="int32"))

        return watched, (
            keras.tree.map_structure(ops.convert_to_tensor, state),
            ops.full((1,), -1, dtype="int32"),
        )

    def _node(self, parent: int, token: int, log_probs: np.ndarray) -> int:
        """The index of a node, which is new unless another row has the same beginning."""
        if (parent, token) not in self._known:
            before = 0.0
            if parent >= 0:
                before = self.nodes[parent].log_prob + float(self._log_probs[parent][token])
            order = np.argsort(-log_probs)[: self._top]
            self._known[parent, token] = len(self.nodes)
            self.nodes.append(Node(parent, token, before, order, log_probs[order]))
            self._log_probs.append(log_probs)
        return self._known[parent, token]
