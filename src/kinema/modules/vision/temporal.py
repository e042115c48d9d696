"""Attention across the frames of a clip, one token position at a time (LanguageBind, arXiv 2310.01852).

As in PKU-YuanGroup/LanguageBind ``video/modeling_video.py``, but that the number of frames is read from the
tensor: the original takes it from its config, and mixes clips when the two differ.
B clips, T frames, N tokens of a frame, D hidden size.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.modules.encoder import SelfAttention


class TemporalBlock(nn.Module):
    """Frame embedding, norm, attention over frames, added to what came in; there is no MLP.

    Every token position is a sequence of its own, the class token's too: a patch sees the same patch of the
    other frames and nothing else.
    """

    def __init__(self, hidden_size: int, num_heads: int, num_frames: int, layer_norm_eps: float) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(1, num_frames, hidden_size) * hidden_size**-0.5)
        self.norm = nn.LayerNorm(hidden_size, eps=layer_norm_eps)
        self.attention = SelfAttention(hidden_size, num_heads)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(B, T, N, D) -> (B, T, N, D).

        The residual carries the frame embedding. A single frame gets none, but is attended to all the same.
        """
        num_frames = hidden_states.shape[1]
        if num_frames > 1:
            hidden_states = hidden_states + frame_table(self.embedding[0], num_frames)[:, None]
        sequences = self.norm(hidden_states).transpose(1, 2)  # (B, N, T, D)
        attended = self.attention(sequences.flatten(0, 1)).unflatten(0, sequences.shape[:2])
        return hidden_states + attended.transpose(1, 2)


def frame_table(table: Tensor, num_frames: int) -> Tensor:
    """A table of one row a frame, stretched or shrunk along time to another number of frames.

    Rows are interpolated linearly, and the first and the last stay: frames are drawn evenly from a clip, its
    first and last among them, so rows keep the moments they stood for. One frame gets the first row.

    Args:
        table: (F, D).
        num_frames: T.

    Returns:
        (T, D), the table itself where T is F.
    """
    if num_frames == len(table):
        return table
    rows = table.float().T[None]  # (1, D, F)
    return F.interpolate(rows, size=num_frames, mode="linear", align_corners=True)[0].T.to(table.dtype)
