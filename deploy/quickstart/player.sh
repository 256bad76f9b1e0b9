#!/usr/bin/env bash
# Writes a realistic Exim main log of right now, and nothing else: player.sh LOG SECONDS
#
# First the last half hour of six healthy domains at once, then live traffic; after a few seconds the
# web form of one account is hacked, and its mail to made-up addresses bounces.
set -euo pipefail
log=$1
seconds=$2

domains=(bakery.example choir.example florist.example school.example studio.example winery.example)
number=0

message_id() { # 6-6-2, as Exim 4.96 makes them
  number=$((number + 1))
  printf -v id '1xU%03d-%06d-%02d' $((number / 100000 % 1000)) $((number % 1000000)) $((number % 100))
}
line() { printf '%s %s %s\n' "$stamp" "$id" "$1" >>"$log"; }
arrival() { line "<= $1 H=(pc.example) [192.0.2.$((number % 250 + 1))] P=esmtpsa A=dovecot_login:$1 S=$((1000 + number % 9000)) id=$number@pc.example"; }
delivered() { line "=> $1 R=dnslookup T=remote_smtp H=mx.${1#*@} [198.51.100.$((number % 250 + 1))] C=\"250 2.0.0 Ok: queued as $number\""; }

healthy() { # one message of a healthy domain; one in forty is greylisted first
  local domain=${domains[number % ${#domains[@]}]}
  message_id
  arrival "anna@$domain"
  if [ $((number % 40)) = 7 ]; then
    line "== guest$number@friend.example R=dnslookup T=remote_smtp defer (-44) H=mx.friend.example [198.51.100.7]: SMTP error from remote mail server after RCPT TO:<guest$number@friend.example>: 451 4.7.1 Greylisted, please try again in 300 seconds"
  else
    delivered "guest$number@friend.example"
    line Completed
  fi
}
hacked() { # one message of the hacked form
  message_id
  line "<= garden@www.garden-club.example U=garden P=local S=2143"
  line "** j.doe$number@mailbox.example R=dnslookup T=remote_smtp H=mx.mailbox.example [198.51.100.25]: SMTP error from remote mail server after RCPT TO:<j.doe$number@mailbox.example>: 550 5.1.1 User unknown"
  line Completed
}

# Nothing is ever written here: reading from it with a time limit is a pause.
exec 9<> <(:)

# The half hour before.
now=$(date +%s)
for ((ago = 1800; ago > 0; ago -= 6)); do
  printf -v stamp '%(%F %T)T' $((now - ago))
  healthy
done
for ((second = 0; second < seconds; second++)); do
  printf -v stamp '%(%F %T)T' -1
  healthy
  [ $((second % 2)) = 1 ] && healthy
  if [ $second -ge 3 ]; then
    hacked
    hacked
  fi
  read -r -t 1 -u 9 || true # a second, without a process
done
