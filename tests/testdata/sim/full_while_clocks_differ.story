# Redis takes no writes, so a node whose clock is behind hears of a block before its first heartbeat.
seed 720
nodes 4
postfix 0
once 1
window 60
block_for 60
domains 1
skew 540
block 0 0 600 0
advance 0 1 0 0
share 0 0 0 0
share 0 0 0 0
unblock 0 0 0 0
redis 0 4 0 0
share 3 0 0 0
