#!/usr/bin/env bash
# Converters in a pipe: each reads standard input, writes standard output, and talks on
# standard error only, so that they go with head, grep, jq, split and the like.
#
#     bash examples/02_pipes.sh [FOLDER]
set -euo pipefail
cd "$(mktemp -d)"

# Rows as chat messages, one of them broken on purpose. Pictures are in the rows.
vlm-datakit sample -n 12 --broken 1 > chat.jsonl

# Chat rows to simple rows {"text", "image", "response"}. The broken row is named on
# standard error and in the ledger, the good ones go on; exit code 6 says so.
vlm-datakit convert --from openai --to simple --rejects refused.jsonl \
    < chat.jsonl > simple.jsonl || [ $? -eq 6 ]
wc -l simple.jsonl refused.jsonl

# Filters between converters are ordinary filters.
grep -v '"sample-0003"' simple.jsonl \
    | vlm-datakit convert -q --from simple --to openai \
    | vlm-datakit import -q - -o shards

# And back out of the shards: the same pictures, byte for byte.
vlm-datakit convert -q shards - --to simple | cut -c 1-120 | sed -n 1p
vlm-datakit validate shards --read-data
