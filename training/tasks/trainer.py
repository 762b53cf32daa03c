"""The training loop of every task and stage, on a CPU, a GPU or several processes."""

import time
from contextlib import nullcontext

import torch
from accelerate.utils import set_seed

from degradations.sample_rng import SampleRNG, Stream
from models.runtime import peak_memory_mb, reset_peak, use_threads
from training.core import curves
from training.core.checkpointing import (
    check_settings,
    list_checkpoints,
    load_newest,
    save_checkpoint,
    settings_of,
    write_settings,
)
from training.core.config import RunConfig
from training.core.curves import CurveFile
from training.core.distributed import Average, inside, is_shared_out, make_accelerator, set_up, whole, whole_weights
from training.core.export import export, note_start
from training.core.feed import feed
from training.core.optimization import check_prefixes, learning_rate, parameters_to_train, rate_groups, share_of_batch
from training.core.warm_start import build_network, save_memory
from training.tasks.registry import TASKS


class Trainer:
    """The state of one run. ``run()`` trains until ``config.steps`` or ``config.minutes``, or until asked to stop."""

    def __init__(self, config: RunConfig, cpu: bool = False) -> None:
        self.config = config
        cuda = torch.cuda.is_available() and not cpu
        self.accelerator = make_accelerator(config, cpu=not cuda)
        use_threads()
        set_seed(config.seed)
        self.out = config.out / config.name
        self.out.mkdir(parents=True, exist_ok=True)
        self.micro, self.accumulation = share_of_batch(config, self.accelerator.num_processes)
        self.task = TASKS[config.task]
        self.components = components = self.task.components(config)
        self.network, self.lineage = build_network(config, components.network)
        self.network.requires_grad_(False)
        if config.gradient_checkpointing:
            save_memory(self.network)
        trained = parameters_to_train(self.network, config, components.unused)
        for parameter in trained.values():
            parameter.requires_grad_(True)
        o = config.optimizer
        check_prefixes(self.network, o.scales)
        groups = rate_groups(trained, o.scales)
        optimizer = torch.optim.AdamW(groups, o.lr, o.betas, weight_decay=o.weight_decay, fused=True)
        self.data = components.source(config.data, config.seed)
        objective = components.objective(self.network, config)
        a = self.accelerator
        set_up(a, self.network, objective, config, self.micro)
        self.objective, self.optimizer = a.prepare(objective, optimizer)
        # Some engines put others in their place.
        self.trained = [p for p in a.unwrap_model(self.objective).parameters() if p.requires_grad]
        foreach = a.device.type == "cuda" and not is_shared_out(a)
        self.ema = Average(self.trained, decay=o.ema, min_decay=0.0 if o.ema_ramp else o.ema, foreach=foreach)
        self.ema.to(a.device)
        a.register_for_checkpointing(self.ema)
        self.validator = components.validator(config) if a.is_main_process or is_shared_out(a) else None
        self.stop_asked = False
        self.seconds = self.waited = 0.0  # of training; of these, for batches
        self.finite = torch.ones((), dtype=torch.bool, device=a.device)

    def resume(self) -> int:
        """Load the newest checkpoint, if there is one, and return the steps done."""
        found = list_checkpoints(self.out)
        settings = settings_of(self.config, self.lineage)
        if not found:
            if self.accelerator.is_main_process:
                write_settings(self.out, settings)
            return 0
        check_settings(self.out, settings)
        return load_newest(self.accelerator, self.out)

    def indices(self, step: int, part: int) -> list[int]:
        """Return the sample indices of one micro batch, disjoint from those of all other processes and parts."""
        a = self.accelerator
        first = step * self.config.batch + (a.process_index * self.accumulation + part) * self.micro
        return list(range(first, first + self.micro))

    def size(self, step: int) -> int:
        """Draw the side, in pixels, of the samples of a step."""
        sizes = self.config.data.sizes
        return sizes[SampleRNG(self.config.seed, step, Stream.SIZE).integer(len(sizes))]

    def start_feed(self, step: int) -> None:
        """Start the feed of batches at ``step``."""
        steps = range(step, self.config.steps)
        requests = ((self.indices(s, part), self.size(s)) for s in steps for part in range(self.accumulation))
        self.batches = feed(self.data, requests, self.config.workers, self.accelerator.device)

    def train_step(self, step: int) -> dict[str, torch.Tensor]:
        """Take a step on the next batches of the feed (:meth:`start_feed`); return its loss and its terms."""
        config, a = self.config, self.accelerator
        rate = learning_rate(step, config, self.seconds)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        logged: dict[str, torch.Tensor] = {}
        for part in range(self.accumulation):
            indices = self.indices(step, part)
            asked = time.perf_counter()
            batch = next(self.batches)
            self.waited += time.perf_counter() - asked
            last = part == self.accumulation - 1
            a.gradient_state._set_sync_gradients(last)  # for DeepSpeed, which steps by itself
            with nullcontext() if last else a.no_sync(self.objective):
                with a.autocast():  # FSDP 2's wrapping has none of its own
                    each, terms = self.objective(batch, indices)
                loss = each.mean() / self.accumulation
                a.backward(loss)
            for name, value in {"loss": each.detach().mean(), **terms}.items():
                logged[name] = logged.get(name, torch.zeros_like(value)) + value / self.accumulation
        norm = a.clip_grad_norm_(self.trained, config.optimizer.clip)
        # In fp16 the scaler skips such a step and lowers its scale; that is how it finds one.
        if a.scaler is None and norm is not None:
            self.finite &= torch.isfinite(torch.as_tensor(whole(norm), device=self.finite.device))
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.step(self.trained)
        return {name: a.reduce(value, "mean") for name, value in logged.items()}

    def validate(self, step: int, curve: CurveFile | None) -> None:
        """Validate the averaged weights after ``step`` steps, and add a row to ``curve``."""
        if self.validator is None:
            return
        self.ema.store(self.trained)
        self.ema.copy_to(self.trained)
        where, validator = self.accelerator.device, self.validator
        with self.accelerator.autocast():
            row = inside(self.accelerator, self.objective, lambda bare: validator.run(bare, where))
        self.ema.restore(self.trained)
        if curve is not None:
            self._log(curve, "validation", {"step": step, **row})
        shown = ", ".join(f"{k} {v:.2f}" for k, v in row.items())
        self.accelerator.print(f"step {step}: validation: {shown}", flush=True)

    def must_stop(self) -> bool:
        """Return True where any process was asked to stop; all must stop at one step, or they would deadlock."""
        return self._any(self.stop_asked)

    def time_is_over(self) -> bool:
        """Return True where the time limit of the run (``minutes``) has passed on any process."""
        minutes = self.config.minutes
        return minutes is not None and self._any(self.seconds >= 60 * minutes)

    def check_finite(self, step: int) -> None:
        """Raise FloatingPointError if a gradient was not finite.

        Called where the GPU is synchronised anyway, and before anything is saved.
        """
        if not self.finite:
            raise FloatingPointError(f"a gradient was not finite by step {step}: lower optimizer.lr.")

    def _log(self, curve: CurveFile, kind: str, row: dict[str, float]) -> None:
        """Add a row to a curve, and give it to the trackers."""
        curve.add(row)
        self.accelerator.log({f"{kind}/{name}": value for name, value in row.items()}, step=int(row["step"]))

    def _any(self, here: bool) -> bool:
        if self.accelerator.num_processes == 1:
            return here
        anywhere = torch.tensor(float(here), device=self.accelerator.device)
        return bool(self.accelerator.reduce(anywhere, "sum") > 0)

    def run(self) -> bool:
        """Train; return True when the run is complete, False when it was asked to stop before."""
        config, a = self.config, self.accelerator
        start = self.resume()
        reset_peak(str(a.device))
        losses = CurveFile(self.out / "loss.csv", start) if a.is_main_process else None
        curve = CurveFile(self.out / "validation.csv", start if start else -1) if a.is_main_process else None
        if losses:
            self.seconds, self.waited = losses.last("seconds"), losses.last("waited")
            if start < config.steps:
                note_start(self.out, start, a.num_processes, a.device)
        a.print(f"{config.name}: {a.num_processes} process(es), {len(self.data.photos)} photos, from step {start}")
        if start == 0:
            self.validate(0, curve)
        done = start
        self.start_feed(start)
        for step in range(start, start if self.time_is_over() else config.steps):
            began = time.perf_counter()
            logged = self.train_step(step)
            done = step + 1
            self.seconds += time.perf_counter() - began
            last = done == config.steps or self.time_is_over()
            logs, saves, exports = (
                every is not None and done % every == 0
                for every in (config.log_every, config.checkpoint_every, config.export_every)
            )
            if a.device.type == "cpu" or logs or saves or exports or last:
                self.check_finite(done)
            if losses and (logs or last):
                row = {k: float(v) for k, v in logged.items()}
                group = self.optimizer.param_groups[0]
                rate = group["lr"] / group["scale"]  # the run's, not that group's own
                times = {"seconds": self.seconds, "waited": self.waited}
                self._log(losses, "training", {"step": done, **row, "lr": rate, **times})
                a.print(f"step {done}: loss {row['loss']:.4f}, {self.seconds / done:.2f} s/step", flush=True)
            if stop := self.must_stop():
                self.check_finite(done)
            # Before the checkpoint: a run killed in between makes the row again, one killed after it has it.
            if done % config.validate_every == 0 or last:
                self.validate(done, curve)
            if saves or last or stop:
                save_checkpoint(a, self.out, done, config.keep)
            if config.export_every and (exports or stop) and not last:
                self.export(done)
            if stop and not last:
                self.batches.close()
                a.print(f"stopped at step {done}; the same command goes on from there")
                return False
            if last:
                break
        self.batches.close()
        peak = peak_memory_mb(str(a.device))
        a.print(f"peak memory {peak:.0f} MB on {a.device}{f' (of each of {n})' if (n := a.num_processes) > 1 else ''}")
        self.export(done)
        return True

    def export(self, step: int) -> None:
        """Write the model of the averaged weights, as it is after ``step`` steps; training may go on after it."""
        config, a = self.config, self.accelerator
        self.ema.store(self.trained)
        self.ema.copy_to(self.trained)
        weights = whole_weights(a, self.objective)
        if a.is_main_process:
            curves.plot_curves(self.out)
            network = self.network
            if weights is not None:
                network = build_network(config, self.components.network)[0]
                network.load_state_dict(weights)
            training = network.training
            pipeline = self.task.pipeline()(network.eval())
            peak = peak_memory_mb(str(a.device))
            export(pipeline, config, self.out, self.data.manifest(), self.lineage, peak, step)
            network.train(training)
        a.wait_for_everyone()
        self.ema.restore(self.trained)
