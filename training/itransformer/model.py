"""The model: each series is one token, and attention runs between series.

Liu et al., 2024: "iTransformer: Inverted Transformers Are Effective for Time Series Forecasting",
https://arxiv.org/abs/2310.06625.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.itransformer.settings import Architecture

MARKS = 4  # hour, weekday, day of the month, day of the year: a token each
EPSILON = 1e-5


class Dropout(nn.Module):
    """Dropout by 16 random bits a value: drawing them is what costs, and torch draws 64."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.least = round(share * 2**16) - 2**15  # of what is kept, as int16

    def forward(self, x: Tensor) -> Tensor:
        """Put zeros in place of a share of the values while training, and scale up the others."""
        if not self.training or not self.share:
            return x
        drawn = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = drawn.view(torch.int16)[: x.numel()].view(x.shape) >= self.least
        return x * (kept / (1 - self.share))


class Attention(nn.Module):
    """Some tokens look at all tokens."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, asking: Tensor, tokens: Tensor) -> Tensor:
        """Tokens [B, A, d] that look at tokens [B, T, d]: [B, A, d]."""
        query = self.query(asking).unflatten(2, (self.heads, -1)).transpose(1, 2)
        key, value = (
            self.key_value(tokens).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        )
        dropout = self.dropout if self.training else 0.0
        seen = functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        mixed: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return mixed


class Layer(nn.Module):
    """Attention between tokens, then a network on each, with the norms after."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.attention = Attention(shape.d_model, shape.n_heads, shape.dropout)
        self.norm1 = nn.LayerNorm(shape.d_model)
        self.widen = nn.Linear(shape.d_model, shape.d_ff)
        self.narrow = nn.Linear(shape.d_ff, shape.d_model)
        self.norm2 = nn.LayerNorm(shape.d_model)
        self.dropout = Dropout(shape.dropout)

    def forward(self, asking: Tensor, tokens: Tensor) -> Tensor:
        """Tokens [B, A, d] that look at tokens [B, T, d]: [B, A, d]."""
        mixed = self.norm1(asking + self.dropout(self.attention(asking, tokens)))
        wide = self.dropout(functional.gelu(self.widen(mixed)))
        out: Tensor = self.norm2(mixed + self.dropout(self.narrow(wide)))
        return out


class ITransformer(nn.Module):
    """The network. It has no weights of a series' own, so it takes any number of series."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Linear(shape.seq_len, shape.d_model)
        self.dropout = Dropout(shape.dropout)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.e_layers))
        self.norm = nn.LayerNorm(shape.d_model)
        self.head = nn.Linear(shape.d_model, shape.pred_len)

    def forward(self, rows: Tensor) -> Tensor:
        """Windows [B, seq_len, N + 4], series then marks, to forecasts [B, pred_len, N]."""
        series, marks = rows[..., :-MARKS], rows[..., -MARKS:]
        mean = series.mean(1, keepdim=True)
        spread = torch.sqrt(series.var(1, keepdim=True, correction=0) + EPSILON)
        tokens = torch.cat([(series - mean) / spread, marks], dim=2).transpose(1, 2)
        tokens = self.dropout(self.embed(tokens))
        for layer in self.layers[:-1]:
            tokens = layer(tokens, tokens)
        # Nothing reads the marks' tokens after the last layer, so it does not make them.
        tokens = self.layers[-1](tokens[:, : series.shape[2]], tokens)
        answers: Tensor = self.head(self.norm(tokens)).transpose(1, 2)
        return answers * spread + mean
