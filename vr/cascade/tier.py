"""One tier: its members' rows and arrays, its programs, and what comes of training and judging them.

A tier is made for a reference and run for a candidate; run for another, it trains that one's arms only.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vr.cascade.config import CURVE_POINTS, CascadeConfig, Execution, TierConfig
from vr.cascade.judge import Judged, judge
from vr.cascade.learning_rate import RateTest
from vr.cascade.members import Rows, Shares, drawn_of, log_marginals, marginal_losses, rows_of
from vr.cascade.networks import ARMS, packed
from vr.cascade.probes import gradient_products, top_eigenvalue
from vr.cascade.programs import Program, chosen_form
from vr.cascade.progress import Advance
from vr.cascade.readings import ArmOutcome, MemberOutcome, all_and_rare, tier_readings
from vr.cascade.result import ModelResult, TierResult, finite
from vr.cascade.step import Array, Data, Segment, TrainSettings, random_masks, start
from vr.cascade.training import Job, Keeper, Trainer
from vr.core.errors import DivergedError
from vr.core.rng import generator
from vr.models.build import Model
from vr.models.table import INVALID

__all__ = ["Tier", "arms_of"]

_OWN_SHARE = 10  # one row in so many of an arm's own tells it when to stop early
_CURVE_ROWS = 256  # held-out real rows that a segment is read on: a fifth of the training went into reading a thousand
_JUDGED_COLUMNS = 32  # cells left out one at a time; of a wider table a fixed random choice


def arms_of(tier: TierConfig) -> tuple[str, ...]:
    """Returns what each seed of the tier is trained on."""
    extra = ("null",) if tier.null_arm else ()
    halves = ("reference_half", "candidate_half") if tier.half_arms else ()
    return ("reference", "candidate", *extra, *halves)


_REAL_ARMS = ("reference", "null", "reference_half")


class Tier:
    """One tier's programs and members against one reference; what is the same for all candidates is made once."""

    def __init__(
        self,
        tier: TierConfig,
        model: Model,
        num_codes: np.ndarray,
        share: Shares,
        reference: np.ndarray,
        config: CascadeConfig,
        seed: int,
        pool: ThreadPoolExecutor,
    ):
        self.tier, self.model, self.num_codes, self.share = tier, model, num_codes, share
        self.reference, self.config, self.seed = reference, config, seed
        # A part of the rows stays out of training where early stopping asks for it.
        self._own_rows = share.train // _OWN_SHARE if tier.patience else 0
        batch = min(tier.batch_rows, share.train - self._own_rows)
        parts = tier.micro_batches if batch % tier.micro_batches == 0 else 1
        self.settings = TrainSettings(tier.steps, batch, parts, tier.patience)
        d = len(num_codes)
        rng = generator(seed, "cascade", "positions")
        self.positions = np.sort(rng.permutation(d)[:_JUDGED_COLUMNS]).astype(np.int32)
        self.form = chosen_form(config.execution)
        self._rows = [rows_of(share, len(reference), seed, tier.name, member) for member in range(tier.seeds)]
        # Of each real arm: what training, judging and the curvature gave.
        self._real: dict[tuple[int, str], tuple[Any, Judged, Any]] = {}
        self._null_products: list[Any] = []
        jobs, rows = tier.seeds * len(arms_of(tier)), self._rows[0]

        def program(function: Callable[..., Any], example: Any, members: int) -> Program:
            return Program(function, (model,), example, members, self.form, pool)

        # For its shapes: the rate itself may not be known yet.
        job = self._job(0, "reference", reference, rate=tier.learning_rate)
        self.trainer = Trainer(
            model,
            self.settings,
            (job.start, job.data, job.segment(0)),
            jobs,
            self.form,
            pool,
            memory_limit=config.memory_limit_bytes,
        )
        params = job.start.params
        self._rate, self._rate_test = None, None
        if config.learning_rate_test:
            self._rate_test = RateTest(
                model,
                self.settings,
                tier.learning_rate,
                tier.seeds,
                self._rate_job,
                self.form,
                pool,
                memory_limit=config.memory_limit_bytes,
            )
        self.judge = program(judge, self._judging(0, rows, params), jobs)
        self.products = self.curvature = None
        if tier.gradients:
            probes = self._gradients(0, rows, params, reference[rows.null])
            self.products = program(gradient_products, probes, tier.seeds)
        if tier.curvature:
            self.curvature = program(top_eigenvalue, self._sharpness(0, rows, params), jobs)

    def run(
        self,
        candidate: np.ndarray,
        on_model: Callable[[str], None],
        keeper: Keeper | None = None,
        on_segment: Callable[[Advance], None] = lambda advance: None,
        *,
        keep_networks: bool = False,
    ) -> dict[str, Any]:
        """Returns the tier as a document: {"tier": ..., "models": [...], "readings": ...}, and perhaps "networks".

        Args:
          candidate: Unsigned codes `[m, d]`, at least as many rows as an arm trains on.
          on_model: Told of every model, trained now or before.
          keeper: Keeps the training on its way.
          on_segment: Told of every segment that is trained now, from any thread.
          keep_networks: Whether the trained networks are in the document, see `vr.cascade.networks`.
        """
        begun = time.perf_counter()
        # Before any job is made: of several processes all have to take part in the test.
        _ = self.learning_rate
        drawn = [self._drawn(candidate, member) for member in range(self.tier.seeds)]
        jobs = [(member, arm) for member in range(self.tier.seeds) for arm in arms_of(self.tier)]
        found = dict(self._real)
        for member, arm in found:
            on_model(self._name(member, arm))
        pending = [job for job in jobs if job not in found]
        found |= zip(pending, self._train(pending, drawn, on_model, keeper, on_segment), strict=True)
        # A stacked program holds every member, so there all of them run again.
        if self.form is Execution.looped:
            self._real = {job: result for job, result in found.items() if job[1] in _REAL_ARMS}
        products = self._probe(found, drawn)
        outcomes = self._outcomes(jobs, found)
        failed = sum(not arm.trained for outcome in outcomes for arm in outcome.arms.values())
        if 2 * failed > len(jobs):
            raise DivergedError(
                f"{failed} of {len(jobs)} proxies ended in NaN or infinity",
                where=f"cascade.tiers.{self.tier.name}",
                hint="lower its learning_rate",
            )
        readings = tier_readings(outcomes, products, min(self.share.test, self.share.train) // 2)
        members = range(self.tier.seeds)
        params = {arm: [found[member, arm][0].params for member in members] for arm in ARMS} if keep_networks else {}
        return {
            "tier": asdict(self._summary(outcomes, time.perf_counter() - begun)),
            "models": [asdict(model) for model in self._models(outcomes)],
            "readings": {name: asdict(reading) for name, reading in readings.items()},
            **({"networks": packed(params)} if keep_networks else {}),
        }

    @property
    def learning_rate(self) -> float:
        """The peak rate of all arms: the configured one, or what a test on the reference says, made once."""
        if self._rate_test is None:
            return self.tier.learning_rate
        if self._rate is None:
            self._rate = self._rate_test.run(self.config.threads)
        return self._rate

    def _rate_job(self, settings: TrainSettings, member: int, rate: float) -> Job:
        """Returns a training on the reference that is read on the null arm's rows, not on those that judge."""
        job = self._job(member, "reference", self.reference[:0], settings, rate)
        # All of them: what is chosen by a loss needs it exactly, what is drawn as a curve does not.
        real = self.reference[self._rows[member].null][: self.share.test].T.astype(np.int32)
        masks = random_masks(generator(self.seed, "cascade", self.tier.name, member, "rate"), real.shape)
        return replace(job, data=job.data._replace(real=real, real_mask=masks))  # type: ignore[arg-type]

    def _drawn(self, candidate: np.ndarray, member: int) -> np.ndarray:
        """Returns the candidate's rows that a member trains on, codes `[n, d]`."""
        return candidate[drawn_of(self.share, len(candidate), self.seed, self.tier.name, member)]

    def _name(self, member: int, arm: str) -> str:
        return f"seed {member + 1} of {self.tier.seeds}, {arm.replace('_', ' ')}"

    def _train(
        self,
        jobs: list[tuple[int, str]],
        drawn: list[np.ndarray],
        on_model: Callable[[str], None],
        keeper: Keeper | None,
        on_segment: Callable[[Advance], None],
    ) -> list[tuple[Any, Judged, Any]]:
        """Trains and judges `jobs`, pairs of member and arm."""
        rows, threads = self._rows, self.config.threads
        trained = self.trainer.run(
            _Jobs(len(jobs), lambda index: self._job(*jobs[index], drawn[jobs[index][0]])),
            threads,
            lambda index: on_model(self._name(*jobs[index])),
            on_segment,
            keeper,
        )
        params = [(member, output.params) for (member, _), output in zip(jobs, trained, strict=True)]
        judged = list(self.judge.map((self._judging(m, rows[m], p) for m, p in params), threads))
        eigenvalues: list[Any] = [None] * len(jobs)
        if self.curvature is not None:
            eigenvalues = list(self.curvature.map((self._sharpness(m, rows[m], p) for m, p in params), threads))
        return list(zip(trained, judged, eigenvalues, strict=True))

    def _probe(
        self, found: dict[tuple[int, str], tuple[Any, Judged, Any]], drawn: list[np.ndarray]
    ) -> dict[str, list[Any]]:
        """Returns the gradient products of each arm at the reference-trained members; empty where not asked for."""
        if self.products is None:
            return {}
        rows, members, threads = self._rows, range(self.tier.seeds), self.config.threads
        params = [found[member, "reference"][0].params for member in members]

        def of(codes: list[np.ndarray]) -> list[Any]:
            assert self.products is not None
            probes = (self._gradients(m, rows[m], params[m], codes[m]) for m in members)
            return list(self.products.map(probes, threads))

        if not self._null_products:
            self._null_products = of([self.reference[rows[m].null] for m in members])
        return {"candidate": of(drawn), "null": self._null_products}

    def _job(
        self,
        member: int,
        arm: str,
        drawn: np.ndarray,
        settings: TrainSettings | None = None,
        rate: float | None = None,
    ) -> Job:
        """Returns one arm of a member; `drawn` are the candidate's rows that it trains on."""
        rows = self._rows[member]
        codes = {
            "reference": self.reference[rows.reference],
            "candidate": drawn,
            "null": self.reference[rows.null],
            "reference_half": self.reference[rows.reference],
            "candidate_half": drawn,
        }[arm]
        settings, d = settings or self.settings, codes.shape[1]

        # Every arm draws the same batches, masks and initial weights; only the rows behind the numbers differ.
        def draws(*names: str | int) -> np.random.Generator:
            return generator(self.seed, "cascade", self.tier.name, member, "train", *names)

        own, codes = codes[: self._own_rows], codes[self._own_rows :]
        known, count = codes, len(codes)
        if arm.endswith("_half"):
            count = max(1, count // 2)
            known = codes[:count]
        held_out = self.reference[rows.test][:_CURVE_ROWS]

        def segment(number: int) -> Segment:
            batches = _epochs(draws, len(codes), settings, number) % count
            masks = random_masks(draws("masks", number), (settings.segment_steps, d, settings.batch_rows))
            return Segment(batches.astype(np.int32), masks)  # type: ignore[arg-type]

        data = Data(
            codes=codes.T.astype(np.int32),
            real=held_out.T.astype(np.int32),
            real_mask=random_masks(draws("held_out"), (d, len(held_out))),
            own=own.T.astype(np.int32),
            own_mask=random_masks(draws("own"), (d, len(own))) if len(own) else np.zeros((d, 0), bool),
        )  # type: ignore[arg-type]
        params = self.model.init(draws("weights"), log_marginals(known, self.num_codes, INVALID))
        return Job(self._name(member, arm), start(params, self.learning_rate if rate is None else rate), data, segment)

    def _judging(self, member: int, rows: Rows, params: Array) -> tuple[Any, ...]:
        codes = self.reference[rows.test].T
        rng = generator(self.seed, "cascade", self.tier.name, member, "judge")
        half = rng.permuted(np.arange(codes.shape[0])[:, None] < max(1, codes.shape[0] // 2) + 0 * codes, axis=0)
        return params, jnp.asarray(codes, jnp.int32), jnp.asarray(self.positions), jnp.asarray(half)

    def _gradients(self, member: int, rows: Rows, params: Array, other: np.ndarray) -> tuple[Any, ...]:
        """Half-batches of an arm's rows, `other`, and of the held-out real rows, the same masks for both."""
        size = min(self.share.test, self.share.train) // 2
        rng = generator(self.seed, "cascade", self.tier.name, member, "gradients")
        masks = random_masks(rng, (2, other.shape[1], size))

        def halves(codes: np.ndarray) -> jax.Array:
            return jnp.asarray(codes[: 2 * size].reshape(2, size, -1).transpose(0, 2, 1), jnp.int32)

        return params, halves(other), halves(self.reference[rows.test]), jnp.asarray(masks)

    def _sharpness(self, member: int, rows: Rows, params: Array) -> tuple[Any, ...]:
        codes = self.reference[rows.test][:256].T
        rng = generator(self.seed, "cascade", self.tier.name, member, "curvature")
        masks = random_masks(rng, codes.shape)
        start = rng.standard_normal(params.shape[0]).astype(np.float32)
        return params, jnp.asarray(codes, jnp.int32), jnp.asarray(masks), jnp.asarray(start)

    def _outcomes(
        self,
        jobs: list[tuple[int, str]],
        found: dict[tuple[int, str], tuple[Any, Judged, Any]],
    ) -> list[MemberOutcome]:
        outcomes = []
        for member, rows in enumerate(self._rows):
            real = self.reference[rows.test]
            marginals = log_marginals(self.reference[rows.reference], self.num_codes, INVALID)
            surprise = marginal_losses(real, marginals)
            # Rare under the judging rows' own marginals: under an arm's, that arm would look worst by selection.
            rarity = marginal_losses(real, log_marginals(real, self.num_codes, INVALID)).mean(axis=1)
            arms = {arm: ArmOutcome.of(*found[m, arm], rarity) for m, arm in jobs if m == member}
            outcomes.append(MemberOutcome(member, arms, all_and_rare(surprise[:, self.positions], rarity)))
        return outcomes

    def _summary(self, outcomes: list[MemberOutcome], seconds: float) -> TierResult:
        return TierResult(
            name=self.tier.name,
            network=self.config.network.name,
            parameters=self.model.parameters,
            width=self.model.width,
            depth=self.tier.depth,
            seeds=self.tier.seeds,
            steps=self.tier.steps,
            train_rows=self.share.train,
            test_rows=self.share.test,
            prior_loss=finite(np.mean([outcome.prior[0] for outcome in outcomes])),
            execution=self.form.name,
            seconds=round(seconds, 3),
            learning_rate=self.learning_rate,
        )

    def _models(self, outcomes: list[MemberOutcome]) -> Iterator[ModelResult]:
        rows = self.settings.batch_rows * self.settings.steps // CURVE_POINTS
        seen = [float((i + 1) * rows) for i in range(CURVE_POINTS)]
        for outcome in outcomes:
            for arm, found in outcome.arms.items():
                yield ModelResult(
                    tier=self.tier.name,
                    seed=outcome.member,
                    arm=arm,
                    status="trained" if found.trained else "diverged",
                    parameters=self.model.parameters,
                    loss=finite(found.losses["all"]),
                    losses={name: finite(value) for name, value in found.losses.items()},
                    loss_curve={"rows": list(seen), "loss": [finite(round(float(v), 5)) for v in found.curve]},
                    gradient_norm={name: finite(value) for name, value in found.gradient_norm.items()},
                    spectral_entropy=finite(found.spectral_entropy),
                    energy=[round(float(value), 6) for value in found.energy] if found.trained else [],
                    top_eigenvalue=finite(found.top_eigenvalue),
                    layer_gradient_norm={
                        name: finite(norm)
                        for (name, _, _), norm in zip(self.model.layers, found.layer_norms, strict=True)
                    },
                    spectral_concentration=finite(found.spectral_concentration),
                    representation_rank=finite(found.representation_rank),
                )


class _Jobs(Sequence[Job]):
    """Jobs made when they are asked for: of several processes, each makes the arrays of those that it holds."""

    def __init__(self, count: int, make: Callable[[int], Job]):
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Job:  # type: ignore[override]
        return self._make(index)


def _epochs(
    draws: Callable[..., np.random.Generator], num_rows: int, settings: TrainSettings, number: int
) -> np.ndarray:
    """Returns the positions of a segment's batches, `[s, B]`; every row comes once before any comes again."""
    size = settings.segment_steps * settings.batch_rows
    first, last = number * size, (number + 1) * size
    rounds = range(first // num_rows, -(-last // num_rows))
    order = np.concatenate([draws("epoch", each).permutation(num_rows) for each in rounds])
    offset = first - rounds.start * num_rows
    return order[offset : offset + size].reshape(settings.segment_steps, settings.batch_rows)
