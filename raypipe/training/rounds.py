"""One rank's work: read its rows, grow the rounds, and hand states on. It knows no Ray."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from raypipe.core.faults import fault_point, wanted_faults
from raypipe.engine.folders import OwnedFolder
from raypipe.features import FittedRecipe
from raypipe.training.checkpoints import Checkpoints, Saver
from raypipe.training.feeding import Feed
from raypipe.training.learner import Build
from raypipe.training.plan import plan_shards
from raypipe.training.state import State, extended, first_rounds

if TYPE_CHECKING:
    from raypipe.lake import Lake
    from raypipe.training.learner import Learner, Session
    from raypipe.training.stopping import EarlyStopping
    from raypipe.training.survey import Roles, Survey


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """All that a rank needs; pickles.

    Attributes:
        run_id: the run.
        lake: where its checkpoints go.
        recipe: the fitted recipe as JSON, with what training needs.
        learner: what is learned.
        stopping: when to stop early.
        seed: of what is sampled.
        threads: of each rank.
        checkpoint_every: time, or rounds, between checkpoints.
        roles: columns beside features and label.
        train: the rows to learn from.
        valid: the rows to evaluate on.
        budget: bytes that each rank may take.
        faults: what a test wants to go wrong.
    """

    run_id: str
    lake: Lake
    recipe: str
    learner: Learner
    stopping: EarlyStopping | None
    seed: int
    threads: int
    checkpoint_every: timedelta | int
    roles: Roles
    train: Survey
    valid: Survey | None
    budget: int | None = None
    faults: Mapping[str, str] = field(default_factory=wanted_faults)


_SLICES = 16  # of a budget that rows are read in

Step = Callable[[State], bool]
"""Called before each round by every rank; False ends the rounds, on all ranks at once."""


def work(job: Job, rank: int, world: int, begin: State, step: Step, saver: Saver | None) -> State:
    """Grows the rounds of a run from a state to its end.

    Args:
        job: the run.
        rank: this rank's number.
        world: how many there are.
        begin: where to begin; the same on all ranks.
        step: says before each round whether to go on.
        saver: takes checkpoints, on one of the ranks.

    Returns:
        The last state. Where ``step`` ended it before, it is not ``done``, and can go on.
    """
    if begin.done:
        return begin
    os.environ.update(job.faults)
    folder = OwnedFolder.create()
    try:
        return _worked(job, rank, world, begin, step, saver, folder.path)
    finally:
        folder.remove()  # what lies in it went with the session


def _worked(
    job: Job,
    rank: int,
    world: int,
    begin: State,
    step: Step,
    saver: Saver | None,
    folder: str,
) -> State:
    session = _session(job, rank, world, folder)
    if begin.model:
        session.load(begin.model)
    return _grow(job, session, begin, step, saver)


def _session(job: Job, rank: int, world: int, folder: str) -> Session:
    recipe = FittedRecipe.from_json(job.recipe)

    build = Build(
        seed=job.seed,
        threads=job.threads,
        features=recipe.feature_names,
        categorical=tuple(getattr(recipe, "categorical_features", ())),
        labels=job.train.labels,
        rank=rank,
        world=world,
        budget=job.budget,
        folder=folder,
    )
    train = feed_of(job, job.train, recipe, rank, world, True)
    valid = None if job.valid is None else feed_of(job, job.valid, recipe, rank, world, False)
    return job.learner.build(train, valid, build)


def feed_of(
    job: Job, survey: Survey, recipe: FittedRecipe, rank: int, world: int, fitted_on: bool
) -> Feed:
    """The rows of one rank.

    Args:
        job: the run.
        survey: of the rows to learn from, or to evaluate on.
        recipe: the job's, fitted.
        rank: the rank's number.
        world: how many there are.
        fitted_on: whether the recipe was fitted on these rows.
    """
    # validation rows are not refused for being few: a rank may go without one
    few = (len(survey.runs) if survey.runs else sum(survey.known)) < world
    shards = plan_shards(survey.known, 1 if few else world, survey.runs)
    shard = shards[rank] if rank < len(shards) else ()
    return Feed(
        pieces=survey.pieces,
        shard=shard,
        recipe=recipe,
        roles=job.roles,
        fitted_on=fitted_on,
        at_once=None if job.budget is None else job.budget // _SLICES,
    )


def _grow(job: Job, session: Session, begin: State, step: Step, saver: Saver | None) -> State:
    history, state = copy.deepcopy(begin.history), begin
    saved_at, saved_rounds = time.monotonic(), begin.rounds
    try:
        while state.rounds < job.learner.rounds and not state.best.stopped:
            if not step(state):
                break
            figures, best = session.grow(state.rounds), state.best
            if job.stopping is not None:
                metric = job.stopping.metric or job.learner.metrics[0]
                score = figures["valid"][metric]
                best = best.after(score, state.rounds, job.stopping, metric)
            extended(history, figures)
            # At once, so that Ctrl-C meets a round that is done or one that is not.
            state = replace(state, rounds=state.rounds + 1, history=history, best=best)
            fault_point("training:round")
            if saver is not None and _due(job, saved_at, state.rounds - saved_rounds):
                kept = replace(state, model=session.save(), history=copy.deepcopy(history))
                saver.offer(kept)
                saved_at, saved_rounds = time.monotonic(), state.rounds
    except KeyboardInterrupt:
        if saver is not None and state.rounds and job.learner.takes.resumes:
            whole = first_rounds(history, state.rounds)
            saver.offer(replace(state, model=session.cut(state.rounds), history=whole))
        raise
    done = state.rounds >= job.learner.rounds or state.best.stopped
    keep = state.best.round + 1 if done and job.stopping is not None else state.rounds
    final = replace(state, done=done, model=session.cut(max(keep, 1)) if state.rounds else b"")
    if saver is not None and final.rounds and (done or job.learner.takes.resumes):
        saver.offer(final)
    return final


def _due(job: Job, saved_at: float, rounds: int) -> bool:
    every = job.checkpoint_every
    if not job.learner.takes.resumes:
        return False
    if isinstance(every, timedelta):
        return time.monotonic() - saved_at >= every.total_seconds()
    return rounds >= every


def checkpoints_of(job: Job) -> Checkpoints:
    """The checkpoints of the job's run."""
    return Checkpoints(job.lake, job.run_id)
