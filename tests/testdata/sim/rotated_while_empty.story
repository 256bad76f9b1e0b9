# A file that was rotated while it was empty, written to after a restart: its lines were lost.
seed 23
nodes 1
postfix 0
once 1
window 600
block_for 180
domains 3
mail 0 0 0 0
rotate 0 1 0 0
look 0 0 0 0
mail 0 0 0 0
commit 0 0 0 0
rotate 0 1 0 0
kill 0 0 0 0
look 0 0 0 0
mail 0 0 0 0
rotate 0 0 0 0
mail 0 1 0 0
