"""A request for a plan: what is served, on what, and within which times."""

from collections.abc import Sequence
from dataclasses import dataclass

from flows.intensity.request_steps import Profile
from warehouse.errors import InputError

_MOST_TOKENS = 10**7
_MOST_SECONDS = 10**6


@dataclass(frozen=True)
class Request:
    """What `rooflines plan` is asked for.

    Parameters
    ----------
    precisions
        Precisions; none: the one that the model is published in.
    ttft_s, tpot_s
        The most seconds until the first token, and for each token after it.
    roles
        The steps that the modes need, some of ROLES of `flows.intensity.request_steps`.
    most_devices
        The most devices that share a copy of the model.
    acceptance_rate
        Probability that a candidate is accepted.
    launch
        How the kernels of every step are started: graph or eager.
    """

    model_id: str
    devices: Sequence[str]
    profile: Profile
    ttft_s: float
    tpot_s: float
    precisions: Sequence[str] = ()
    roles: Sequence[str] = ("prefill", "mixed", "decode")
    most_devices: int = 8
    free_share: float = 0.1
    acceptance_rate: float | None = None
    launch: str = "graph"

    def __post_init__(self) -> None:
        """Raise `InputError` if a number is none that can be."""
        own = self.profile
        for option, number, least, most in (
            ("--prompt", own.prompt_tokens, 1, _MOST_TOKENS),
            ("--output", own.output_tokens, 1, _MOST_TOKENS),
            ("--cached", own.cached_tokens, 0, own.prompt_tokens - 1),
            ("--step-tokens", own.step_tokens, 1, _MOST_TOKENS),
            ("--candidates", own.candidates or 1, 1, 1000),
            ("--most-devices", self.most_devices, 1, 64),
            *(("--tree", number, 1, 1000) for number in own.tree),
        ):
            if not least <= number <= most:
                raise InputError(f"{option}: {number}: expected a whole number from {least} to {most}")
        for option, seconds in (("--ttft", self.ttft_s), ("--tpot", self.tpot_s)):
            if not 0 < seconds <= _MOST_SECONDS:
                raise InputError(f"{option}: {seconds:g}: expected seconds, more than 0")
        if not 0 <= self.free_share < 1:
            raise InputError(
                f"--free-share: {self.free_share:g}: expected a share of memory from 0 to below 1, e.g. 0.1"
            )
        self._refuse_odd_candidates()

    def _refuse_odd_candidates(self) -> None:
        own, rate = self.profile, self.acceptance_rate
        if own.candidates is not None and own.tree:
            raise InputError("--tree: expected either --candidates or --tree")
        if own.is_speculative and rate is None:
            raise InputError("--accept: missing; expected the acceptance rate of a candidate, from 0 to 1")
        if rate is not None and not own.is_speculative:
            raise InputError(f"--accept: {rate:g}: expected with --candidates or --tree")
        if rate is not None and not 0 <= rate <= 1:
            raise InputError(f"--accept: {rate:g}: expected a probability from 0 to 1")
        if own.tree and own.tree[0] != 1:
            raise InputError(f"--tree: {own.tree[0]}: expected 1 at the first depth, the token that is certain")
        if own.is_speculative and "mixed" in self.roles:
            raise InputError("--mode: no step has candidates beside a chunk of a prompt; expected disaggregated")
