"""Checkpoints, from which an interrupted training continues to the last bit.

A checkpoint holds every variable that a training step reads or writes: the weights of
all networks and of their average, the optimizers' slots, counters and loss scales, the
states of all random generators, the running means of the logs; and the step, which
decides the position in the data (`Dataset.batches`). N steps, a kill, and M steps in a
new process are N + M steps, to the last bit where the operations themselves are
repeatable, as they are on CPUs.
"""

from keras_gan.runs.checkpoint.resuming import fit as fit
from keras_gan.runs.checkpoint.state import Checkpoint as Checkpoint
from keras_gan.runs.checkpoint.state import restore as restore
from keras_gan.runs.checkpoint.state import snapshot as snapshot
from keras_gan.runs.checkpoint.state import variables as variables
from keras_gan.runs.checkpoint.storage import DamagedCheckpoint as DamagedCheckpoint
from keras_gan.runs.checkpoint.storage import (
    UnsupportedCheckpoint as UnsupportedCheckpoint,
)
from keras_gan.runs.checkpoint.storage import Writer as Writer
from keras_gan.runs.checkpoint.storage import newest as newest
from keras_gan.runs.checkpoint.storage import paths as paths
from keras_gan.runs.checkpoint.storage import read as read
from keras_gan.runs.checkpoint.storage import write as write
