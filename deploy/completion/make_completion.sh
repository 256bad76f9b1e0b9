#!/usr/bin/env bash
# Writes deferctl's completion scripts where shells look for them: make_completion.sh DEFERCTL SHARE_DIR
set -euo pipefail
deferctl=$1
share=$2
mkdir -p "$share/bash-completion/completions" "$share/zsh/vendor-completions" "$share/fish/vendor_completions.d"
"$deferctl" completion bash >"$share/bash-completion/completions/deferctl"
"$deferctl" completion zsh >"$share/zsh/vendor-completions/_deferctl"
"$deferctl" completion fish >"$share/fish/vendor_completions.d/deferctl.fish"
