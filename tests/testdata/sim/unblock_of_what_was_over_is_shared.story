# node 000000a0: d0.example: an unblock did not win: 4 bad, since then there were 0
# after step 10 of 10
seed 30
nodes 3
postfix 0
once 1
window 3600
block_for 180
domains 1
skew 0
submit 1 0 1 0
mail 1 0 1 0
mail 2 0 0 0
submit 1 0 1 0
mail 1 0 1 0
advance 0 20 0 0
advance 0 55 0 0
advance 0 110 0 0
look 1 0 0 0
unblock 1 0 0 0
