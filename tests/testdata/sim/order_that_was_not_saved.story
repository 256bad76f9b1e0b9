# Node 1 dies with an order that it could not save; it has reached the others all the same.
seed 1
nodes 3
postfix 0
once 1
window 600
block_for 600
domains 1
skew 0
disk 1 1 2 0
block 1 0 600 0
share 1 0 0 0
block 1 0 3000 0
share 2 0 0 0
unblock 2 0 0 0
share 1 0 0 0
restart 1 0 0 0
