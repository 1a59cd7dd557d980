/*
 * The saga's protocol: a journal that survives, a runner that dies at any moment with what it had started, and a
 * world that keeps what was done to it. What the runner knows after a death is the journal and the trace that each
 * attempt leaves before it begins; it must never take a guess for a fact.
 *
 *     0 ──> 1 ──> 3 (pivot) ──> 4
 *      └──> 2 ──┘
 *
 * 0 has a compensation for whatever began, and nobody can find out whether it happened. 1 can be probed, and its
 * compensation is for what happened. 2 has neither a probe nor a compensation for what only began: whether it
 * happened can be a question for a person. 3 has no compensation, and a probe; 4 has a key, and is done again.
 *
 *     spin -a saga.pml && cc -O2 -DSAFETY -o pan pan.c && ./pan -m100000
 *     spin -a -DMUTANT=1 saga.pml …     a mistake that must be found: 1 to 8
 *
 * SagaSimulation runs the program itself, along random ways; this is all ways of what it has to be.
 */
#define STEPS 5
#define PIVOT 3
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 2
#endif
#ifndef MUTANT
#define MUTANT 0
#endif

mtype = { running, compensating, completed, compensated, cancelled, needsOperator, partly };
mtype = { pending, started, succeeded, failed, unknown, undoing, undone, stuck };

/* The journal. */
mtype phase = running;
mtype step[STEPS] = pending;
byte attempts[STEPS];
byte undos[STEPS];
bool probed[STEPS];
/* An attempt may have changed something. */
bool touched[STEPS];
/* Nothing more is tried for what failed, or for what nobody knows. */
bool settled[STEPS];
bool wasCancelled;
/* Left on the disk by an attempt before it begins (the directory of its run). */
bool mark[STEPS];

/* The runner, while it lives. */
bool isUp = true;
byte crashes;

/* The world: attempts (0 none, 1 about to act, 2 has acted, 3 will not act), and what is there because of them. */
byte attempt[STEPS];
bool there[STEPS];

#define needs(i, j) ((i == 1 && j == 0) || (i == 2 && j == 0) || (i == 3 && (j == 1 || j == 2)) || (i == 4 && j == 3))
#define hasProbe(i) (i == 1 || i == PIVOT)
#define hasCompensation(i) (i < PIVOT)
#define compensatesStarted(i) (i == 0)
#define isRepeatable(i) (i == 4)

#define ready(i) ( \
  (!needs(i, 0) || step[0] == succeeded) && (!needs(i, 1) || step[1] == succeeded) && \
  (!needs(i, 2) || step[2] == succeeded) && (!needs(i, 3) || step[3] == succeeded))

/* What is still to be undone. */
#define toUndo(i) (hasCompensation(i) && step[i] != undone && step[i] != stuck && touched[i] && \
  (step[i] == undoing || compensatesStarted(i) || step[i] == succeeded))
/* Whether what comes after a step is undone. */
#define isFree(i) ( \
  !(needs(1, i) && toUndo(1)) && !(needs(2, i) && toUndo(2)) && \
  !(i == 0 && (toUndo(1) || toUndo(2))))

#define isBusy (step[0] == started || step[1] == started || step[2] == started || step[3] == started || step[4] == started)
#define isDone (step[0] == succeeded && step[1] == succeeded && step[2] == succeeded && step[3] == succeeded && \
  step[4] == succeeded)
#define hasPivot (step[PIVOT] == succeeded)
#define pivotIsOpen (step[PIVOT] == started || step[PIVOT] == unknown || step[PIVOT] == stuck)
#define mustTurn ((anyBroken || wasCancelled) && !hasPivot)
#define isBroken(i) (step[i] == failed && settled[i])
#define anyBroken (isBroken(0) || isBroken(1) || isBroken(2) || isBroken(3) || isBroken(4))
#define isOpen(i) ((step[i] == failed || step[i] == unknown) && !settled[i])
#define anyOpen (isOpen(0) || isOpen(1) || isOpen(2) || isOpen(3) || isOpen(4))
#define anyStuck (step[0] == stuck || step[1] == stuck || step[2] == stuck || step[3] == stuck || step[4] == stuck)
#define anyUndo (toUndo(0) || toUndo(1) || toUndo(2))
#define isResting (phase != running && phase != compensating)
#define mayStart (phase == running && !anyBroken && !anyStuck && (!wasCancelled || hasPivot))

inline act(i) {
  if
  :: step[i] == undoing ->
    /* Whatever was built on it is gone by now, or a person has to see to it; and nothing is undone behind the pivot. */
    assert(!there[PIVOT]);
    assert(i != 0 || ((!there[1] || step[1] == stuck) && (!there[2] || step[2] == stuck)));
    there[i] = false
  :: else ->
    assert(step[i] == started);
    assert(!needs(i, 0) || there[0]);
    assert(!needs(i, 1) || there[1]);
    assert(!needs(i, 2) || there[2]);
    assert(!needs(i, 3) || there[3]);
    /* Without a key it must not happen twice. */
    assert(!there[i] || isRepeatable(i));
    there[i] = true
  fi;
  attempt[i] = 2
}

/* One of the runner's decisions about step i, or of what happens to it outside. */
inline about(i) {
  if
  /* Forward: the intent is on the disk before anything begins. */
  :: isUp && mayStart && step[i] == pending && ready(i) && attempts[i] < ATTEMPTS ->
    step[i] = started; attempts[i]++; mark[i] = false
#if MUTANT == 1
  /* It begins before its intent is written. */
  :: isUp && mayStart && step[i] == pending && ready(i) && attempt[i] == 0 ->
    there[i] = true
#endif
  :: isUp && (step[i] == started || step[i] == undoing) && attempt[i] == 0 && !mark[i] ->
    mark[i] = true; touched[i] = true; attempt[i] = 1
  /* Outside. */
  :: attempt[i] == 1 -> act(i)
  :: attempt[i] == 1 -> attempt[i] = 3
  /* The runner hears how it ended. */
  :: isUp && step[i] == started && attempt[i] == 2 ->
    step[i] = succeeded; attempt[i] = 0
  /* It did what it should and failed afterwards, or nobody heard of its end. */
  :: isUp && step[i] == started && attempt[i] == 2 ->
    attempt[i] = 0;
    step[i] = unknown
  :: isUp && step[i] == started && attempt[i] == 3 ->
    step[i] = failed; attempt[i] = 0
  :: isUp && step[i] == undoing && attempt[i] == 2 ->
    step[i] = undone; attempt[i] = 0
  :: isUp && step[i] == undoing && attempt[i] == 3 && undos[i] < ATTEMPTS ->
    undos[i]++; attempt[i] = 0; mark[i] = false
  :: isUp && step[i] == undoing && attempt[i] == 3 && undos[i] >= ATTEMPTS ->
    step[i] = stuck; attempt[i] = 0
  /* After a death: what left no trace never began. Whatever did may have happened. */
  :: isUp && step[i] == started && attempt[i] == 0 && mark[i] ->
#if MUTANT == 2
    step[i] = failed
#elif MUTANT == 3
    step[i] = succeeded
#else
    step[i] = unknown
#endif
  :: isUp && step[i] == undoing && attempt[i] == 0 && mark[i] ->
#if MUTANT == 4
    step[i] = undone
#else
    /* A compensation can be done again. */
    if
    :: undos[i] < ATTEMPTS -> undos[i]++; mark[i] = false
    :: else -> step[i] = stuck
    fi
#endif
  /* What failed is tried again, or given up. */
  :: isUp && !isResting && step[i] == failed && !settled[i] ->
    if
    :: phase == running && attempts[i] < ATTEMPTS -> step[i] = pending
    :: settled[i] = true
    fi
  /* Probe, then the same key again, then the compensation, then a person. */
  :: isUp && !isResting && step[i] == unknown && hasProbe(i) && !probed[i] ->
    if
    :: there[i] -> step[i] = succeeded
    :: !there[i] -> step[i] = failed
    :: probed[i] = true
    fi
  :: isUp && !isResting && step[i] == unknown && (!hasProbe(i) || probed[i]) ->
    if
    :: phase == running && isRepeatable(i) && attempts[i] < ATTEMPTS -> step[i] = pending
    :: (phase != running || !isRepeatable(i) || attempts[i] >= ATTEMPTS) && compensatesStarted(i) ->
      step[i] = failed; settled[i] = true
    :: (phase != running || !isRepeatable(i) || attempts[i] >= ATTEMPTS) && !compensatesStarted(i) ->
#if MUTANT == 5
      step[i] = failed; settled[i] = true
#else
      step[i] = stuck
#endif
    fi
  /* Backward, when every tree is gone. */
#if MUTANT == 6
  :: isUp && phase == compensating && toUndo(i) && step[i] != undoing && !isBusy && !anyOpen ->
#elif MUTANT == 7
  :: isUp && phase == compensating && toUndo(i) && step[i] != undoing && isFree(i) ->
#else
  :: isUp && phase == compensating && toUndo(i) && step[i] != undoing && isFree(i) && !isBusy && !anyOpen ->
#endif
    step[i] = undoing; mark[i] = false
  fi
}

active proctype saga() {
  do
  :: atomic { !isResting ->
      if
      :: about(0)
      :: about(1)
      :: about(2)
      :: about(3)
      :: about(4)
      /* The runner dies, and what it started with it. */
      :: isUp && crashes < CRASHES ->
        crashes++; isUp = false;
        attempt[0] = 0; attempt[1] = 0; attempt[2] = 0; attempt[3] = 0; attempt[4] = 0
      :: !isUp -> isUp = true
      :: isUp && !wasCancelled && phase == running && !hasPivot -> wasCancelled = true
      /* It turns round, unless it went past the point of no return or may have. */
#if MUTANT == 8
      :: isUp && phase == running && mustTurn -> phase = compensating
#else
      :: isUp && phase == running && mustTurn && !pivotIsOpen -> phase = compensating
#endif
      :: isUp && phase == running && isDone -> phase = completed
      /* Nothing is left that could be done without a person. */
      :: isUp && phase == running && !isBusy && !anyOpen && anyStuck &&
        (!mustTurn || pivotIsOpen) -> phase = needsOperator
      :: isUp && phase == running && !isBusy && !anyOpen && hasPivot && anyBroken -> phase = needsOperator
      :: isUp && phase == compensating && !isBusy && !anyOpen && !anyUndo ->
        phase = (anyStuck -> partly : (wasCancelled -> cancelled : compensated))
      fi
    }
  :: isResting -> break
  od;
  /* What it says is what is there. */
  assert(phase != completed || (there[0] && there[1] && there[2] && there[3] && there[4]));
  assert((phase != compensated && phase != cancelled) ||
    (!there[0] && !there[1] && !there[2] && !there[3] && !there[4]));
  /* What is there without being said to be is named to a person. */
  assert(!there[0] || step[0] == succeeded || phase == needsOperator || step[0] == stuck);
  assert(!there[1] || step[1] == succeeded || step[1] == stuck);
  assert(!there[2] || step[2] == succeeded || step[2] == stuck);
  assert(!there[3] || step[3] == succeeded || step[3] == stuck);
  assert(!there[4] || step[4] == succeeded || step[4] == stuck || phase == needsOperator);
  /* Nothing that was relied on is gone from under it. */
  assert(!there[3] || (there[0] && there[1] && there[2]))
}
