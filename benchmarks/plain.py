"""What our forecaster is compared with: the paper's model and training, written the usual way.

A data set that cuts one window at a time, a `DataLoader` that stacks them, one projection each
for queries, keys and values, attention spelt out, convolutions of width 1, Adam as it comes:
as in https://github.com/thuml/iTransformer.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, RandomSampler

from training.itransformer.model import EPSILON, MARKS
from training.itransformer.settings import Recipe
from training.itransformer.windows import Windows

Item = tuple[Any, Any]


class Cut(Dataset[Item]):
    """One window at a time, as arrays."""

    def __init__(self, windows: Windows) -> None:
        self.rows = windows.rows.double().numpy()
        self.windows = windows

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, start: int) -> Item:
        middle = start + self.windows.seq_len
        return self.rows[start:middle], self.rows[middle : middle + self.windows.pred_len, :-MARKS]


class AttentionLayer(nn.Module):
    """Full attention."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        width = recipe.d_model
        self.heads = recipe.n_heads
        self.query_projection = nn.Linear(width, width)
        self.key_projection = nn.Linear(width, width)
        self.value_projection = nn.Linear(width, width)
        self.out_projection = nn.Linear(width, width)
        self.dropout = nn.Dropout(recipe.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [B, T, d] to [B, T, d]."""
        batch, tokens, width = x.shape
        query = self.query_projection(x).view(batch, tokens, self.heads, -1)
        key = self.key_projection(x).view(batch, tokens, self.heads, -1)
        value = self.value_projection(x).view(batch, tokens, self.heads, -1)
        scores = torch.einsum("blhe,bshe->bhls", query, key)
        weights = self.dropout(torch.softmax(scores / (width // self.heads) ** 0.5, dim=-1))
        mixed = torch.einsum("bhls,bshd->blhd", weights, value).contiguous()
        out: Tensor = self.out_projection(mixed.view(batch, tokens, -1))
        return out


class EncoderLayer(nn.Module):
    """Attention, then a network on each token."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.attention = AttentionLayer(recipe)
        self.conv1 = nn.Conv1d(recipe.d_model, recipe.d_ff, 1)
        self.conv2 = nn.Conv1d(recipe.d_ff, recipe.d_model, 1)
        self.norm1 = nn.LayerNorm(recipe.d_model)
        self.norm2 = nn.LayerNorm(recipe.d_model)
        self.dropout = nn.Dropout(recipe.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [B, T, d] to [B, T, d]."""
        x = y = self.norm1(x + self.dropout(self.attention(x)))
        y = self.dropout(functional.gelu(self.conv1(y.transpose(-1, 1))))
        y = self.dropout(self.conv2(y).transpose(-1, 1))
        out: Tensor = self.norm2(x + y)
        return out


class Embedding(nn.Module):
    """A token of each series and of each mark."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.value_embedding = nn.Linear(recipe.seq_len, recipe.d_model)
        self.dropout = nn.Dropout(recipe.dropout)

    def forward(self, x: Tensor, marks: Tensor) -> Tensor:
        """Series [B, L, N] and marks [B, L, 4] to tokens [B, N + 4, d]."""
        together = torch.cat([x.permute(0, 2, 1), marks.permute(0, 2, 1)], 1)
        tokens: Tensor = self.dropout(self.value_embedding(together))
        return tokens


class Encoder(nn.Module):
    """All layers, and a norm at the end."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.attn_layers = nn.ModuleList(EncoderLayer(recipe) for _ in range(recipe.e_layers))
        self.norm = nn.LayerNorm(recipe.d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [B, T, d] to [B, T, d]."""
        for layer in self.attn_layers:
            x = layer(x)
        out: Tensor = self.norm(x)
        return out


class Plain(nn.Module):
    """The network, its parts named as in the paper's code."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.enc_embedding = Embedding(recipe)
        self.encoder = Encoder(recipe)
        self.projector = nn.Linear(recipe.d_model, recipe.pred_len)

    def forward(self, rows: Tensor) -> Tensor:
        """Windows [B, seq_len, N + 4] to forecasts [B, pred_len, N]."""
        x, marks = rows[..., :-MARKS], rows[..., -MARKS:]
        means = x.mean(1, keepdim=True)
        x = x - means
        deviation = torch.sqrt(torch.var(x, dim=1, keepdim=True, unbiased=False) + EPSILON)
        x = x / deviation
        tokens = self.encoder(self.enc_embedding(x, marks))
        answers = self.projector(tokens).permute(0, 2, 1)[:, :, : x.shape[2]]
        forecasts: Tensor = answers * deviation + means
        return forecasts


def train_epoch(network: nn.Module, windows: Windows, recipe: Recipe) -> float:
    """Train one epoch; give the mean loss."""
    cut = Cut(windows)
    order = RandomSampler(cut, generator=torch.Generator().manual_seed(recipe.seed))
    loader = DataLoader(cut, recipe.batch_size, sampler=order, drop_last=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    criterion = nn.MSELoss()
    losses: list[float] = []
    network.train()
    for inputs, targets in loader:
        optimizer.zero_grad()
        loss = criterion(network(inputs.float()), targets.float())
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    return sum(losses) / len(losses)


def validate(network: nn.Module, windows: Windows, recipe: Recipe) -> float:
    """Give the MSE of all windows."""
    criterion = nn.MSELoss(reduction="sum")
    total, values = 0.0, 0
    network.eval()
    with torch.no_grad():
        for inputs, targets in DataLoader(Cut(windows), recipe.batch_size):
            total += criterion(network(inputs.float()), targets.float()).item()
            values += targets.numel()
    return total / values
