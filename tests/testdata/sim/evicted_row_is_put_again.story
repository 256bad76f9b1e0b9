# Redis evicts a row, and its node has no more mail: all nodes must count it all the same.
seed 1
nodes 2
postfix 0
once 1
window 3600
block_for 180
domains 1
skew 0
mail 0 0 10 0
mail 0 0 9 0
look 0 1 0 0
share 0 0 0 0
evict 0 0 0 0
mail 1 0 10 0
look 1 1 0 0
share 1 0 0 0
