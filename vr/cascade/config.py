"""Settings of the cascade. This module imports no jax: the command line reads it at start-up."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from vr.core.errors import ConfigError

__all__ = [
    "CURVE_POINTS",
    "CascadeConfig",
    "DECIDES",
    "Execution",
    "Network",
    "Precision",
    "Remat",
    "TierConfig",
    "changes_to",
    "preset",
]


CURVE_POINTS = 20  # readings of the held-out loss over training


class Network(Enum):
    """The proxies' architecture."""

    resonance = "resonance"  # learned complex gates over the columns' frequencies
    mlp = "mlp"  # the control: a residual MLP with as many parameters


class Precision(Enum):
    """What type a network's inner values are; parameters, sums, norms, transforms and losses are float32 always."""

    auto = "auto"  # bfloat16 on an accelerator, float32 on a CPU
    float32 = "float32"
    bfloat16 = "bfloat16"


class Remat(Enum):
    """Whether a block's inner values are worked out again for its gradient, rather than kept."""

    auto = "auto"  # where the compiler says that they do not fit, after a batch was taken in as many parts as it may be
    always = "always"
    never = "never"


class Execution(Enum):
    """How the members of a tier run; the results agree to rounding."""

    auto = "auto"  # looped on a CPU, stacked on an accelerator
    looped = "looped"  # one compiled program, called once for each member from a small pool of threads
    stacked = "stacked"  # the same program mapped over all members at once


@dataclass
class TierConfig:
    """One size of proxy.

    A tier's width is the smallest for which it has `parameters`, or `growth` times the previous tier's, at most
    `width`; with both 0 it is `width` itself.
    """

    name: str
    seeds: int  # members; each is trained on the reference and on the candidate
    width: int  # channels for each column (the largest allowed where growth > 0)
    depth: int = 2  # residual blocks
    growth: float = 0.0  # parameters as a multiple of the previous tier's
    parameters: int = 0  # of the network
    steps: int = 200  # optimiser steps
    batch_rows: int = 128  # rows in a step
    learning_rate: float = 3e-3  # peak; AdamW, linear warm-up over a tenth of the steps, then cosine to zero
    micro_batches: int = 1  # parts that a batch is taken in; more where memory asks for it
    patience: int = 0  # twentieths of the training without gain on the arm's own rows after which it stops; 0: never
    null_arm: bool = False  # train a third arm, on another part of the reference: the null of every paired reading
    gradients: bool = False  # gradient alignment and noise scale at the reference-trained proxy
    curvature: bool = False  # largest Hessian eigenvalue of both arms
    half_arms: bool = False  # two more arms on half the rows: does the candidate stop teaching with more of it?

    def __post_init__(self) -> None:
        where = f"cascade.tiers.{self.name}"
        for name in ("seeds", "width", "depth", "steps", "batch_rows", "micro_batches"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more, not {getattr(self, name)}", where=where)
        if self.steps % CURVE_POINTS:
            raise ConfigError(
                f"steps must be a multiple of {CURVE_POINTS}, the readings of the loss curve, not {self.steps}",
                where=where,
            )
        for name in ("growth", "parameters"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be 0 or more, not {getattr(self, name)}", where=where)
        if self.growth and self.parameters:
            raise ConfigError("growth and parameters exclude each other", where=where)
        if self.patience < 0:
            raise ConfigError(f"patience must be 0 or more, not {self.patience}", where=where)
        if self.batch_rows % self.micro_batches:
            raise ConfigError(
                f"micro_batches ({self.micro_batches}) must divide batch_rows ({self.batch_rows})", where=where
            )
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate must be positive, not {self.learning_rate}", where=where)

    def width_on(self, num_columns: int, num_codes: int, before: int, heads: int = 0) -> int:
        """Returns the resonance network's channels; `before` are the previous tier's parameters, 0 without one."""
        # Only where it is used: the command line reads this module at start-up, and build imports jax.
        from vr.models.build import resonance_width

        wanted = self.parameters or self.growth * before
        if not wanted:
            return self.width
        return resonance_width(num_columns, num_codes, self.depth, wanted, self.width, heads)


def _laptop_tiers() -> list[TierConfig]:
    return [
        TierConfig(
            name="tier_1", seeds=10, width=8, steps=300, null_arm=True, gradients=True, curvature=True, half_arms=True
        ),
        TierConfig(name="tier_2", seeds=5, width=96, growth=8.0, steps=400, null_arm=True),
        TierConfig(name="tier_3", seeds=3, width=256, growth=8.0, steps=300, learning_rate=1.5e-3),
    ]


@dataclass
class CascadeConfig:
    """The cascade: its tiers, its rows, and how it runs."""

    preset: str = "laptop"
    network: Network = Network.mlp  # on a CPU; benchmarks/results/cascade_networks.json says why
    heads: int = 0  # of the resonance network, that mix channels within bands of frequencies; 0: none
    tiers: list[TierConfig] = field(default_factory=_laptop_tiers)
    train_rows: int = 4_000  # most rows an arm trains on; never over 40 % of the reference
    test_rows: int = 1_000  # most held-out reference rows that judge a member
    execution: Execution = Execution.auto
    threads: int = 2  # members in flight at once in looped form
    precision: Precision = Precision.auto
    learning_rate_test: bool = False  # a tier's rate from a short test on the reference, an eighth to twice its own
    remat: Remat = Remat.auto  # work out a block's inner values again for its gradient, rather than keep them
    memory_limit_bytes: int | None = None  # of a device to count with; None: what it has free
    checkpoint_seconds: float = 30.0  # between two states kept of a training under way
    progress_seconds: float = 10.0  # at least, between two events of a training under way; 0: one for each segment
    compilation_cache: bool = True  # keep compiled programs in the user's cache folder
    target_parameters: float | None = None  # size extrapolated to; None: ten times the largest proxy's
    confidence_level: float = 0.95  # of the extrapolation's intervals

    def __post_init__(self) -> None:
        for name, least in (("train_rows", 8), ("test_rows", 4), ("threads", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"must be {least} or more, not {getattr(self, name)}", where=f"cascade.{name}")
        if self.heads < 0:
            raise ConfigError(f"must be 0 or more, not {self.heads}", where="cascade.heads")
        if self.heads and self.network is not Network.resonance:
            raise ConfigError(
                "only the resonance network has heads", where="cascade.heads", hint="cascade.network=resonance"
            )
        if not 0.5 <= self.confidence_level < 1:
            raise ConfigError(
                f"must lie in 0.5 to 1 (not reached), not {self.confidence_level}", where="cascade.confidence_level"
            )
        names = [tier.name for tier in self.tiers]
        if len(set(names)) != len(names):
            raise ConfigError(f"tier names repeat: {', '.join(names)}", where="cascade.tiers")


def _none() -> CascadeConfig:
    return CascadeConfig(preset="none", tiers=[])


def _smoke() -> CascadeConfig:
    return CascadeConfig(
        preset="smoke",
        network=Network.resonance,
        tiers=[
            TierConfig(
                name="tier_1",
                seeds=3,
                width=8,
                depth=1,
                steps=100,
                null_arm=True,
                gradients=True,
                curvature=True,
                half_arms=True,
            ),
            TierConfig(name="tier_2", seeds=2, width=64, depth=1, steps=100, growth=8.0),
        ],
        train_rows=1_000,
        test_rows=400,
    )


def _accelerator(preset: str, sizes: tuple[tuple[str, int, int, int, int, int, int, float], ...]) -> CascadeConfig:
    """Returns a preset of tiers given by name, seeds, parameters, depth, steps, batch rows, parts and learning rate.

    The resonance network; what its steps take on an accelerator is in docs/cascade.md.
    """
    return CascadeConfig(
        preset=preset,
        network=Network.resonance,
        tiers=[
            TierConfig(
                name=name,
                seeds=seeds,
                width=8_192,
                depth=depth,
                parameters=parameters,
                steps=steps,
                batch_rows=rows,
                micro_batches=parts,
                learning_rate=rate,
                # What has more parameters than the rows can teach turns long before its last step.
                patience=_PATIENCE if number else 0,
                null_arm=number < 2,
                gradients=number == 0,
                curvature=number == 0,
                half_arms=number == 0,
            )
            for number, (name, seeds, parameters, depth, steps, rows, parts, rate) in enumerate(sizes)
        ],
        train_rows=2_000_000,
        test_rows=20_000,
    )


_PATIENCE = 2  # twentieths; of the two larger tiers of the accelerators' presets


def _workstation() -> CascadeConfig:
    return _accelerator(
        "workstation",
        (
            ("tier_1", 10, 100_000, 2, 1_000, 512, 1, 2e-3),
            ("tier_2", 5, 1_600_000, 4, 2_000, 1_024, 1, 1e-3),
            ("tier_3", 3, 25_000_000, 6, 3_000, 1_024, 1, 5e-4),
        ),
    )


def _h100() -> CascadeConfig:
    return _accelerator(
        "h100",
        (
            ("tier_1", 10, 1_000_000, 4, 2_000, 1_024, 1, 1e-3),
            ("tier_2", 5, 16_000_000, 6, 4_000, 2_048, 1, 5e-4),
            ("tier_3", 3, 256_000_000, 12, 8_000, 2_048, 4, 2e-4),
        ),
    )


def _h100_large() -> CascadeConfig:
    return _accelerator(
        "h100_large",
        (
            ("tier_1", 10, 76_000_000, 8, 4_000, 2_048, 1, 4e-4),
            ("tier_2", 5, 454_000_000, 12, 8_000, 2_048, 4, 2e-4),
            ("tier_3", 3, 983_000_000, 16, 12_000, 2_048, 8, 1e-4),
        ),
    )


_PRESETS: dict[str, Callable[[], CascadeConfig]] = {
    "none": _none,
    "smoke": _smoke,
    "laptop": CascadeConfig,
    "workstation": _workstation,
    "h100": _h100,
    "h100_large": _h100_large,
}


def preset(name: str) -> CascadeConfig:
    """Returns a fresh configuration.

    Args:
      name: `none` (nothing is trained), `smoke` (seconds, for tests), `laptop` (the default; half a minute), or, for
        accelerators, `workstation` (one of them), `h100` and `h100_large` (eight).

    Raises:
      ConfigError: No preset has this name.
    """
    if name not in _PRESETS:
        raise ConfigError(f"no preset {name!r}", where="cascade", hint=f"choose one of {', '.join(_PRESETS)}")
    return _PRESETS[name]()


# What a trained network depends on; the rest says how it is trained, to rounding.
DECIDES = ("network", "heads", "tiers", "train_rows", "test_rows", "precision", "learning_rate_test")


def changes_to(name: str, config: CascadeConfig) -> list[str]:
    """Returns in what a configuration would give other readings than the preset `name` does, as options to look at."""
    if config.preset != name:
        return [f"cascade={config.preset}"]
    shipped = preset(name)
    return [f"cascade.{field}" for field in DECIDES if getattr(config, field) != getattr(shipped, field)]
