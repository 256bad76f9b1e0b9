# A node that had not heard of a block blocks later; that the first is over ends nothing.
seed 1601
nodes 5
postfix 0
once 1
window 600
block_for 600
domains 3
skew 0
mail 0 0 7 0
mail 0 0 1 0
look 0 0 0 0
mail 4 0 1 0
share 0 0 0 0
look 4 0 0 0
share 4 0 0 0
advance 0 522 0 0
advance 0 171 0 0
mail 0 0 1 0
mail 0 0 1 0
advance 0 456 0 0
mail 0 0 1 0
submit 0 0 1 0
