"""The steps of a request profile in a steady state: what an engine runs again and again while it serves such requests.

Requests of one prompt and output length follow each other without a gap. Either all devices run both phases, so that a
step has a row of each request that decodes and a chunk of somebody's prompt beside them (interleaved); or prompts have
devices of their own (disaggregated), and a step has one kind of row. Arrivals are not simulated.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from flows.intensity.terms import SHARING

# What a step is: a whole prompt on idle devices, decode beside a chunk of a prompt, or decode alone.
ROLES = ("prefill", "mixed", "decode")

_LISTS = {
    "batch_sizes": pl.List(pl.Int64), "sequence_lengths": pl.List(pl.Int64), "query_lengths": pl.List(pl.Int64),
    "candidates": pl.List(pl.Int64), "trees": pl.List(pl.List(pl.Int64)),
    **dict.fromkeys(SHARING, pl.List(pl.Int64)),
}  # fmt: skip
_STEP = {
    "role": pl.String, "step_batch_size": pl.Int64, "step_query_length": pl.Int64, "part": pl.String,
    "phase": pl.String, "batch_size": pl.Int64, "sequence_length": pl.Int64, "query_length": pl.Int64,
}  # fmt: skip
_MOST_PROMPTS = 64  # in one step


@dataclass(frozen=True)
class Profile:
    """A kind of request, and how a step serves it.

    Parameters
    ----------
    prompt_tokens, output_tokens
        Tokens of the prompt and of the answer.
    cached_tokens
        Tokens at the head of the prompt whose keys and values are there already.
    step_tokens
        The most tokens that a step carries (vLLM: max_num_batched_tokens).
    candidates, tree
        Tokens of a request that a speculative step verifies at once, as a chain, or as so many at each depth of a tree.
    """

    prompt_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    step_tokens: int = 8192
    candidates: int | None = None
    tree: Sequence[int] = ()

    @property
    def new_tokens(self) -> int:
        """Tokens of the prompt that a request adds."""
        return self.prompt_tokens - self.cached_tokens

    @property
    def mean_context(self) -> int:
        """Context of a request that decodes, on average over its output.

        The time of attention in decode is linear in the context, so that a step at the mean takes the mean time.
        """
        return self.prompt_tokens + _ceil_div(self.output_tokens, 2)

    @property
    def is_speculative(self) -> bool:
        """Whether a step verifies candidates."""
        return self.candidates is not None or bool(self.tree)

    def describe(self) -> str:
        """Return the requests in words."""
        cached = f" ({self.cached_tokens:,} of them cached)" if self.cached_tokens else ""
        return f"{self.prompt_tokens:,} prompt{cached} and {self.output_tokens:,} output tokens"

    def count_chunk_tokens(self, batch: int) -> int:
        """Return the prompt tokens of a step with so many requests in decode, rounded up.

        A request that leaves after `output_tokens` steps is followed by one with `new_tokens`: on average
        batch x new / output a step.
        """
        return _ceil_div(batch * self.new_tokens, self.output_tokens)

    def find_chunk_end(self, chunk: int) -> int:
        """Return the context at the end of a chunk whose tokens attend to as many as those of the prompt on average.

        A chunk of q tokens that ends at s attends to s - (q - 1) / 2 (design, cost model), and the new tokens of a
        prompt to cached + (new + 1) / 2.
        """
        return max(chunk, self.cached_tokens + _ceil_div(self.new_tokens + chunk, 2))

    def can_interleave(self, batch: int) -> bool:
        """Return whether a step keeps up with the prompts of so many requests."""
        return not self.is_speculative and batch + self.count_chunk_tokens(batch) <= self.step_tokens


def list_request_steps(
    profile: Profile, way: Sequence[int], batches: Sequence[int], roles: Sequence[str]
) -> pl.DataFrame:
    """Return one row per role, batch and part of the steps of a profile.

    Columns: role, step_batch_size and step_query_length (of the step), part, and the setting of the part: phase,
    batch_size, sequence_length, query_length, and those of SHARING. A step is one `whole` setting; but rows that decode
    have another context than the chunk beside them, so that a mixed step is made of ops that all rows `shared`, of
    those that only the `rows` in decode see, and of those of the `chunk`.

    Parameters
    ----------
    profile
        The requests.
    way
        How devices share the model, as SHARING lists it. Replicas share the batch.
    batches
        Requests in decode at once. Prompts are batched by powers of two, as far as `step_tokens` goes.
    roles
        Some of ROLES.
    """
    rows: list[tuple[Any, ...]] = []
    if "prefill" in roles:
        most = max(profile.step_tokens // profile.new_tokens, 1)
        for batch in double(1, min(most, _MOST_PROMPTS)):
            new = profile.new_tokens
            rows.append(("prefill", batch, new, "whole", "prefill", batch, profile.prompt_tokens, new))
    for batch in batches:
        context = profile.mean_context
        if "mixed" in roles and profile.can_interleave(batch):
            chunk = profile.count_chunk_tokens(batch)
            step = ("mixed", batch, chunk)
            rows += [
                (*step, "shared", "mixed", batch, max(context, chunk), chunk),
                (*step, "rows", "decode", batch, context, 1),
                (*step, "chunk", "mixed", batch, profile.find_chunk_end(chunk), chunk),
            ]
        verified = sum(profile.tree) or profile.candidates or 1
        if "decode" in roles and batch * verified <= profile.step_tokens:
            phase = "speculative" if profile.is_speculative else "decode"
            rows.append(("decode", batch, verified, "whole", phase, batch, context + verified - 1, verified))
    shared = (pl.lit(number, pl.Int64).alias(name) for name, number in zip(SHARING, way, strict=True))
    return pl.DataFrame(rows, schema=_STEP, orient="row").with_columns(shared)


def make_workload(steps: pl.DataFrame, model_id: str, precisions: Sequence[str], tree: Sequence[int]) -> pl.DataFrame:
    """Return the workload whose settings are those of `list_request_steps`, with the columns of core.workload."""
    setting = ["phase", "sequence_length", "query_length", *SHARING]
    rows = [
        {
            "workload_id": "plan",
            "models": [model_id],
            "phases": [phase],
            "batch_sizes": batches,
            "sequence_lengths": [length],
            "query_lengths": [query] if phase in ("prefill", "mixed") else [],
            "candidates": [query] if phase == "speculative" and not tree else [],
            "trees": [list(tree)] if phase == "speculative" and tree else [],
            "conventions": ["engine"],
            "precisions": list(precisions),
            **{name: [number] for name, number in zip(SHARING, way, strict=True)},
            "micro_batches": 1,
            "expert_load": 1.0,
        }
        for phase, length, query, *way, batches in steps.group_by(setting, maintain_order=True)
        .agg(pl.col("batch_size").unique(maintain_order=True))
        .iter_rows()
    ]
    return pl.DataFrame(rows, schema_overrides=_LISTS)


def double(first: int, most: int) -> Iterator[int]:
    """Yield a number, twice that, and so on, as far as `most`."""
    while first <= most:
        yield first
        first *= 2


def _ceil_div(number: int, by: int) -> int:
    return -(-number // by)
