# The disk fails within a tick: the next one makes answers unchecked.
seed 26
nodes 3
postfix 0
once 1
window 60
block_for 180
domains 2
skew 0
block 1 0 0 0
mail 1 0 0 0
rotate 1 2 0 0
advance 0 3 0 0
disk 1 1 0 0
advance 0 2 0 0
tick 1 0 0 0
