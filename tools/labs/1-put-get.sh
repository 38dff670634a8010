#!/usr/bin/env bash
# title: Put and get
# about: A stream, three records of one user, and where they went. A record has a partition key
#   and data; it gets a shard by the MD5 of the key, and a sequence number that only grows.
# shellcheck source=tools/labs/lab.sh
. "$(dirname "$0")/lab.sh"

step "A stream with two shards"
run "millrace create visits --shards 2"
run "millrace shards visits"
look "Each shard owns half of the hash space: all numbers of 128 bits, from 0 on."

step "Three records of one user, and one of another"
run "millrace put visits --key user1 'sign up'"
run "millrace put visits --key user1 'log in'"
run "millrace put visits --key user3 'sign up'"
run "millrace put visits --key user1 'log out'"
look "Each answer is the shard and the sequence number. It comes when the record is on the disk." \
    "All of user1 went to the same shard: that is what a partition key is for."

step "Why that shard?"
run "millrace where visits user1 user3"
look "The MD5 of the key is a number; the shard whose range it falls into takes the record."

step "Read them back"
run "millrace tail visits -F '%t  %h  %k  %v\n'"
look "Nothing was taken away by reading: any number of readers see all, until retention forgets it."

shard=$(millrace where visits user9 --json | field shard_id | sed 's/.*-0*\([0-9]\)$/\1/')
ask "Which shard (0 or 1) will take the records of user9?  (millrace where visits user9)" "$shard" \
    "The MD5 decides, so you can know it before you put."
