# An unblock cleared the counts up to the clock, and the log was ahead of it: the next attempt blocked again.
seed 113
nodes 1
postfix 1
once 1
window 3600
block_for 3600
domains 3
skew 0
mail 0 2 4 0
mail 0 2 1 0
mail 0 2 1 0
look 0 0 0 0
step 0 566 1 0
unblock 0 2 0 0
mail 0 2 1 0
