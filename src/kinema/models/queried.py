"""What families do that read media through queries: encode views, ask with queries, place, decode.

V views, M tokens of a view, Q tokens made of them, N text positions, K of all visual tokens that are kept, D
width of the language model.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import ClassVar

import torch
from torch import Tensor

from kinema.models.fused import FusedModel
from kinema.models.fusion import expect_visual
from kinema.modules.connectors.qformer import QFormer
from kinema.modules.linear import Linear
from kinema.processors.inputs import Visual
from kinema.processors.query_inputs import Views


class QueriedModel(FusedModel):
    """A decoder that reads what a Q-Former makes of views, as many tokens of each as there are queries."""

    takes: ClassVar[type[Views]]
    """What its processor makes."""
    connector: QFormer
    up_projection: Linear

    @abstractmethod
    def encode_views(self, views: Tensor) -> Tensor:
        """What the queries look at, (V, ...) to (V, M, memory_size)."""

    @abstractmethod
    def patches_per_view(self, views: Tensor) -> int:
        """Patches that the encoder makes of each of them."""

    def encode_visual(self, visual: Visual, *, max_patches: int | None = None) -> Tensor:
        """Features of the kept visual tokens, (K, D): all queries of the first view, then of the next.

        As many views go through the encoder at a time as ``max_patches`` allows, but one at least.
        """
        visual = expect_visual(visual, self.takes)
        features = []
        for views in _runs(visual.items):
            at_once = len(views)
            if max_patches is not None:
                at_once = max(1, max_patches // self.patches_per_view(views))
            features += [self.look(part).flatten(0, 1) for part in views.split(at_once)]
        joined = torch.cat(features)
        return joined if visual.keep_mask is None else joined[visual.keep_mask]

    def look(
        self, views: Tensor, instruction_ids: Tensor | None = None, instruction_mask: Tensor | None = None
    ) -> Tensor:
        """What the language model reads of views.

        Args:
            views: (V, ...), as items of ``takes`` hold them.
            instruction_ids: (V, N), what the queries are told; see ``QFormer``.
            instruction_mask: (V, N).

        Returns:
            (V, Q, D).
        """
        found = self.connector(self.encode_views(views), instruction_ids, instruction_mask)
        return self.up_projection(found)


def _runs(items: Sequence[Tensor]) -> Iterator[Tensor]:
    """Views of items that follow one another and have one shape, end to end."""
    for _, run in groupby(items, key=lambda views: views.shape[1:]):
        yield torch.cat(list(run))
