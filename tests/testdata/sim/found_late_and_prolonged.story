# A block that was over when it was found, and was prolonged: people hear of it.
seed 83
nodes 1
postfix 1
once 1
window 3600
block_for 180
domains 3
skew 0
mail 0 0 1 0
mail 0 0 1 0
mail 0 0 7 95
advance 0 14 0 0
advance 0 74 0 0
mail 0 0 4 15
